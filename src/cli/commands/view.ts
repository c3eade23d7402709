/** `thermocline view`: SELECTs kept under a name, which SQL uses as it does a topic's. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { addClientOptions, callGateway, type ClientFlags, errorOfProblem, getJson } from '../client-options.js';
import { usageError } from '../exit.js';
import { reportFailure } from '../sql/failure.js';
import { printRows } from '../table.js';

interface View {
  readonly name: string;
  readonly sql: string;
  readonly description?: string;
  readonly columns?: readonly { readonly name: string; readonly type: string }[];
  /** Why it cannot be used as the columns are now. */
  readonly problem?: object;
}

interface CreateFlags extends ClientFlags {
  readonly file?: string;
  readonly description?: string;
}

const pathOf = (name: string): string => `/v1/views/${encodeURIComponent(name)}`;

async function create(name: string, sql: string | undefined, flags: CreateFlags): Promise<void> {
  if ((sql === undefined) === (flags.file === undefined))
    throw usageError('a view needs one SELECT', 'Write view create NAME "SELECT …", or -f FILE.');
  const text = (sql ?? (await readFile(flags.file!, 'utf8'))).trim().replace(/;\s*$/, '');
  const body = JSON.stringify({ sql: text, ...(flags.description === undefined ? {} : { description: flags.description }) });
  let response: Response;
  try {
    response = await callGateway(flags.server, pathOf(name), { method: 'PUT', headers: { 'content-type': 'application/json' }, body });
  } catch (error) {
    process.exitCode = reportFailure((line) => process.stderr.write(line), error, text);
    return;
  }
  const { columns = [] } = (await response.json()) as View;
  process.stdout.write(
    `${response.status === 201 ? 'created' : 'replaced'} ${name} (${columns.map((column) => column.name).join(', ')})\n`,
  );
}

function problemText(view: View): string | null {
  return view.problem === undefined ? null : errorOfProblem(JSON.stringify(view.problem), 0).message;
}

async function list(flags: ClientFlags): Promise<void> {
  const { views } = await getJson<{ views: readonly View[] }>(flags.server, '/v1/views');
  printRows(
    views.map((view) => ({
      name: view.name,
      columns: view.columns?.length ?? null,
      description: view.description ?? null,
      problem: problemText(view),
    })),
  );
}

async function show(name: string, flags: ClientFlags): Promise<void> {
  const view = await getJson<View>(flags.server, pathOf(name));
  if (!process.stdout.isTTY) {
    printRows([{ ...view }]);
    return;
  }
  process.stdout.write(`${view.description === undefined ? '' : `-- ${view.description}\n`}${view.sql};\n\n`);
  printRows((view.columns ?? []).map(({ name: column, type }) => ({ column, type })));
  const problem = problemText(view);
  if (problem !== null) process.stderr.write(`it cannot be used now: ${problem}\n`);
}

async function drop(name: string, flags: ClientFlags): Promise<void> {
  await callGateway(flags.server, pathOf(name), { method: 'DELETE' });
  process.stdout.write(`dropped ${name}\n`);
}

export function register(program: Command): void {
  const view = program.command('view').description('SELECTs kept under a name, used in SQL like topics');
  addClientOptions(
    view.command('create').argument('<name>').argument('[select]').description('keep a SELECT, in the place of one of that name'),
  )
    .option('-f, --file <file>', 'the SELECT is in a file')
    .option('--description <text>', 'what it is for')
    .action(create);
  addClientOptions(view.command('list').description('all views, and why one cannot be used')).action(list);
  addClientOptions(view.command('show').argument('<name>').description('its SELECT and columns')).action(show);
  addClientOptions(view.command('drop').argument('<name>').description('forget a view')).action(drop);
}
