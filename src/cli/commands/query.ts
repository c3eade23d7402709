/** `thermocline query`: what the service is asked at the moment, and the end of it. */
import type { Command } from 'commander';
import { addClientOptions, type ClientFlags } from '../client-options.js';
import { killQuery, listedQueries } from '../sql/queries.js';
import { serverSource } from '../sql/source.js';
import { printRows } from '../table.js';

interface ListFlags extends ClientFlags {
  readonly all?: boolean;
}

async function list(flags: ListFlags): Promise<void> {
  const queries = await listedQueries(serverSource(flags.server), flags.all === true ? undefined : 'running');
  printRows(
    queries.map(({ id, state, started, elapsed_ms: elapsedMs, rows, sql, error }) => ({
      id,
      state,
      started,
      elapsed_ms: elapsedMs,
      rows,
      sql,
      error: error ?? null,
    })),
  );
}

async function kill(id: string, flags: ClientFlags): Promise<void> {
  await killQuery(serverSource(flags.server), id);
  process.stdout.write(`ended ${id}\n`);
}

export function register(program: Command): void {
  const query = program.command('query').description('what the service is asked, and the end of it');
  addClientOptions(query.command('list').description('what is running')).option('--all', 'also what has ended lately').action(list);
  addClientOptions(query.command('kill').argument('<id>').description('end a running query')).action(kill);
}
