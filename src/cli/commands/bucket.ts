/** `thermocline bucket init`: makes a directory or an S3 bucket ready to be written to, and says what rights that needs. */
import type { Command } from 'commander';
import { placesOf } from '../../config/index.js';
import { leastRightsPolicy, parseBucketUrl, setUpBucket } from '../../objects/index.js';
import { storeOptions } from '../../server/index.js';
import { usageError } from '../exit.js';
import { addServerOptions, type ServerFlags, serverConfigOf } from '../server-options.js';
import { printRows } from '../table.js';

interface InitFlags extends ServerFlags {
  readonly versioning: string;
  readonly noncurrentDays: string;
  readonly dryRun?: boolean;
}

const versionings = ['keep', 'on', 'off'] as const;
const noncurrentDaysDefault = '7';

async function init(flags: InitFlags): Promise<void> {
  const config = serverConfigOf(flags);
  const url = placesOf(config).bucketUrl;
  const versioning = versionings.find((one) => one === flags.versioning);
  if (versioning === undefined)
    throw usageError(`--versioning ${flags.versioning} is nothing known`, `It can be ${versionings.join(', ')}.`);
  const noncurrentDays = Number(flags.noncurrentDays);
  if (!Number.isInteger(noncurrentDays) || noncurrentDays < 1) {
    throw usageError(`--noncurrent-days ${flags.noncurrentDays} is not a number of days`, 'Write a whole number from 1 on.');
  }
  const steps = await setUpBucket(url, { versioning, noncurrentDays, isDryRun: flags.dryRun === true }, storeOptions(config));
  const place = parseBucketUrl(url);
  const policy = place.kind === 's3' ? leastRightsPolicy(place) : undefined;
  printRows(steps.map((step) => ({ ...step })));
  if (policy === undefined) return;
  if (process.stdout.isTTY) process.stdout.write(`\nThe rights that the service needs (IAM policy):\n${JSON.stringify(policy, null, 2)}\n`);
  else printRows([{ step: 'policy', state: 'there', detail: 'the rights that the service needs (IAM policy)', policy }]);
}

export function register(program: Command): void {
  const bucket = program.command('bucket').description('prepare the bucket');
  addServerOptions(
    bucket.command('init').description('make the bucket or directory, set versioning and lifecycle, print the rights needed'),
  )
    .option('--versioning <choice>', `versioning of an S3 bucket: ${versionings.join(', ')}`, 'keep')
    .option('--noncurrent-days <days>', 'with versioning: days that replaced and deleted versions are kept', noncurrentDaysDefault)
    .option('--dry-run', 'only look, and say what would be done')
    .action(init);
}
