/** The command `thermocline`: its sub-commands by name, each loaded only when it is asked for. */
import { readFileSync } from 'node:fs';
import { LakeError, packageRoot } from '../kernel/index.js';
import { Command, CommanderError } from 'commander';
import { exitCodes, reportError } from './exit.js';

const version = (JSON.parse(readFileSync(`${packageRoot}package.json`, 'utf8')) as { version: string }).version;

/** Adds one sub-command (or a family of them) to the program. */
export type Register = (program: Command) => void;

/** Sub-command → the module that registers it. */
const modules: Readonly<Record<string, () => Promise<{ register: Register }>>> = {
  serve: () => import('./commands/serve.js'),
  broker: () => import('./commands/role.js'),
  tier: () => import('./commands/tier.js'),
  gateway: () => import('./commands/role.js'),
  sql: () => import('./commands/sql.js'),
  topic: () => import('./commands/topic.js'),
  produce: () => import('./commands/produce.js'),
  consume: () => import('./commands/consume.js'),
  demo: () => import('./commands/demo.js'),
  config: () => import('./commands/config.js'),
  bucket: () => import('./commands/bucket.js'),
  doctor: () => import('./commands/doctor.js'),
  recover: () => import('./commands/recover.js'),
};

/** Names that are promised and not there yet, so that nobody takes the refusal for a typing error. */
const later = new Set(['group', 'bench']);

async function main(): Promise<void> {
  const program = new Command('thermocline')
    .description('One log over hot segments and cold Parquet: a Kafka-protocol broker, an Iceberg lake and SQL over both.')
    .version(version)
    .showHelpAfterError('(thermocline help COMMAND says more)')
    .showSuggestionAfterError()
    .exitOverride();
  const asked = process.argv.slice(2).find((word) => !word.startsWith('-'));
  if (asked !== undefined && later.has(asked)) {
    const error = new LakeError('unsupported', `\`thermocline ${asked}\` is not there yet`, { hint: '`thermocline help` lists what is.' });
    process.exit(reportError(error));
  }
  const chosen = asked === undefined ? undefined : modules[asked];
  // Only the help page and an unknown command need to know them all.
  const load = chosen === undefined ? [...new Set(Object.values(modules))] : [chosen];
  const seen = new Set<Register>();
  for (const { register } of await Promise.all(load.map((one) => one()))) {
    if (seen.has(register)) continue;
    seen.add(register);
    register(program);
  }
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? exitCodes.ok : exitCodes.usage);
    process.exit(reportError(error));
  }
}

// A reader that closes early (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
await main();
