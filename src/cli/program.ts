/** The command's sub-commands by name, and the program that knows some of them or all. */
import { packageVersion } from '../kernel/index.js';
import { Command } from 'commander';

const version = packageVersion();

/** Adds one sub-command (or a family of them) to the program. */
export type Register = (program: Command) => void;

/** Sub-command → the module that registers it. */
export const subCommands: Readonly<Record<string, () => Promise<{ register: Register }>>> = {
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
  query: () => import('./commands/query.js'),
  view: () => import('./commands/view.js'),
};

/** With the sub-commands named, or all: only the help page and an unknown command need to know them all. */
export async function programOf(names: readonly string[]): Promise<Command> {
  const program = new Command('thermocline')
    .description('One log over hot segments and cold Parquet: a Kafka-protocol broker, an Iceberg lake and SQL over both.')
    .version(version)
    .showHelpAfterError('(thermocline help COMMAND says more)')
    .showSuggestionAfterError()
    .exitOverride();
  const loads = names.map((name) => subCommands[name]).filter((load) => load !== undefined);
  const seen = new Set<Register>();
  for (const { register } of await Promise.all(loads.map((load) => load()))) {
    // One module may register several.
    if (seen.has(register)) continue;
    seen.add(register);
    register(program);
  }
  return program;
}
