/** `thermocline doctor`: looks at machine, configuration, bucket, tables and the running service, and says what is not well. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { placesOf, type ServerConfig } from '../../config/index.js';
import { type ObjectStore, openObjectStore, parseBucketUrl } from '../../objects/index.js';
import { httpTokenOf, storeOptions } from '../../server/index.js';
import { bucketChecks } from '../doctor/bucket-checks.js';
import { failed, type Finding, ok, warn } from '../doctor/finding.js';
import { clusterOf, machineChecks } from '../doctor/machine-checks.js';
import { serviceChecks } from '../doctor/service-checks.js';
import { tableChecks } from '../doctor/table-checks.js';
import { addTokenOption, showToken } from '../client-options.js';
import { exitCodes } from '../exit.js';
import { addServerOptions, type ServerFlags, serverConfigOf } from '../server-options.js';
import { printRows } from '../table.js';

interface DoctorFlags extends ServerFlags {
  readonly server: string;
  readonly token?: string;
  readonly offline?: boolean;
  readonly readOnly?: boolean;
  readonly deep?: boolean;
}

async function examine(config: ServerConfig, flags: DoctorFlags): Promise<readonly Finding[]> {
  const service = flags.offline === true ? { findings: [], view: undefined } : await serviceChecks(flags.server);
  const cluster = await clusterOf(config);
  const machine = await machineChecks(config, service.view !== undefined);
  const first = [...machine, ...service.findings];
  let store: ObjectStore;
  try {
    const url = placesOf(config).bucketUrl;
    const place = parseBucketUrl(url);
    // Opening would make it, and a look must not.
    if (place.kind === 'directory' && !existsSync(place.path)) {
      return [
        ...first,
        warn('bucket', `${place.path} is not there`, 'Nothing to do before the first start, which makes it; else correct bucket.url.'),
      ];
    }
    store = await openObjectStore(url, storeOptions(config));
  } catch (error) {
    return [...first, failed('bucket', error)];
  }
  try {
    const bucket = await bucketChecks(store, cluster, flags.readOnly !== true);
    const { clusterId } = bucket;
    const tables = clusterId === undefined ? [] : await tableChecks({ store, clusterId, view: service.view, isDeep: flags.deep === true });
    return [...first, ...bucket.findings, ...tables];
  } finally {
    await store.close();
  }
}

async function doctor(flags: DoctorFlags): Promise<void> {
  let findings: readonly Finding[];
  try {
    const config = serverConfigOf(flags);
    showToken(flags.token ?? httpTokenOf(config));
    const set = config.entries().filter((entry) => entry.source !== 'default').length;
    findings = [ok('configuration', `${set} ${set === 1 ? 'key' : 'keys'} set`), ...(await examine(config, flags))];
  } catch (error) {
    findings = [failed('configuration', error)];
  }
  printRows(
    findings.map(({ check, state, detail, hint }) => ({
      check,
      state,
      detail,
      ...(process.stdout.isTTY || hint === undefined ? {} : { hint }),
    })),
  );
  if (process.stdout.isTTY) {
    for (const { check, hint } of findings) if (hint !== undefined) process.stdout.write(`\n${check}: ${hint}\n`);
  }
  process.exitCode = findings.some(({ state }) => state === 'fail') ? exitCodes.unhealthy : exitCodes.ok;
}

export function register(program: Command): void {
  addTokenOption(
    addServerOptions(
      program.command('doctor').description('look at machine, configuration, bucket, tables and service, and say what is not well'),
    ),
  )
    .option('--server <url>', 'the gateway of the running service', process.env['THERMOCLINE_SERVER'] ?? 'http://127.0.0.1:8080')
    .option('--offline', 'ask no running service')
    .option('--read-only', 'write nothing into the bucket: neither its clock nor its conditional writes are tried')
    .option('--deep', 'look at every object of every table')
    .action(doctor);
}
