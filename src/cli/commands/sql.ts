/** `thermocline sql`: one query and its rows, a file or a pipe of queries, or a small prompt. */
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { formatBytes, LakeError } from '../../kernel/index.js';
import { type Command, Option } from 'commander';
import { addClientOptions, callGateway, type ClientFlags, errorOfProblem } from '../client-options.js';
import { reportError, usageError } from '../exit.js';
import { renderTable } from '../table.js';

interface SqlFlags extends ClientFlags {
  readonly format?: 'table' | 'json' | 'ndjson';
  readonly asOf?: string;
  readonly output?: string;
}

interface JsonAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly unknown[])[];
  readonly snapshot?: string;
  readonly stats?: Readonly<Record<string, number>>;
  readonly error?: object;
}

const numericTypes = /^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|UTINYINT|USMALLINT|UINTEGER|UBIGINT|UHUGEINT|FLOAT|DOUBLE|DECIMAL.*)$/;

function bodyOf(sql: string, flags: SqlFlags, format: string): string {
  return JSON.stringify({ sql, format, ...(flags.asOf === undefined ? {} : { as_of: flags.asOf }) });
}

/** What the answer was made of, for stderr: never mixed with the rows. */
function statsLine(rows: number, stats: Readonly<Record<string, number>>): string {
  const part = (name: string, text: (value: number) => string): string[] => (stats[name] === undefined ? [] : [text(stats[name])]);
  return [
    `${rows} ${rows === 1 ? 'row' : 'rows'}`,
    ...part('hot_rows', (n) => `${n} hot rows`),
    ...part('cold_files', (n) => `${n} cold files`),
    ...part('cold_bytes', formatBytes),
    ...part('pruned_files', (n) => `${n} files pruned`),
    ...part('elapsed_ms', (n) => `${n} ms`),
  ].join(' · ');
}

async function query(sql: string, flags: SqlFlags, signal?: AbortSignal): Promise<void> {
  const format = flags.format ?? (process.stdout.isTTY && flags.output === undefined ? 'table' : 'ndjson');
  const response = await callGateway(flags.server, '/v1/query', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: bodyOf(sql, flags, format === 'ndjson' ? 'ndjson' : 'json'),
    ...(signal === undefined ? {} : { signal }),
  });
  if (format !== 'table') {
    await copy(response, flags.output, format === 'ndjson');
    return;
  }
  const answer = (await response.json()) as JsonAnswer;
  if (answer.error !== undefined) throw errorOfProblem(JSON.stringify(answer.error), response.status);
  const columns = answer.columns.map((column) => ({ name: column.name, isNumeric: numericTypes.test(column.type) }));
  process.stdout.write(`${renderTable(columns, answer.rows)}\n`);
  process.stderr.write(`${statsLine(answer.rows.length, answer.stats ?? {})}\n`);
}

/** Streams a body to stdout or a file. */
async function copy(response: Response, path: string | undefined, isNdjson: boolean): Promise<void> {
  const out = path === undefined ? process.stdout : createWriteStream(path);
  const write = async (chunk: string | Uint8Array): Promise<void> => {
    if (!out.write(chunk)) await new Promise<void>((resolve) => out.once('drain', () => resolve()));
  };
  const body = response.body as AsyncIterable<Uint8Array>;
  if (isNdjson) await copyRows(body, write, response.status);
  else for await (const chunk of body) await write(chunk);
  if (path !== undefined) await new Promise<void>((resolve) => out.end(() => resolve()));
}

/** Rows go to the output; the stream's closing line, which says whether it is whole, is held back and read. */
async function copyRows(body: AsyncIterable<Uint8Array>, write: (text: string) => Promise<void>, status: number): Promise<void> {
  const decoder = new TextDecoder();
  let held = '';
  let rows = 0;
  for await (const chunk of body) {
    held += decoder.decode(chunk, { stream: true });
    // The last whole line stays back: it may be the closing one.
    const lastLineAt = held.lastIndexOf('\n', held.length - 2) + 1;
    if (lastLineAt === 0) continue;
    const whole = held.slice(0, lastLineAt);
    held = held.slice(lastLineAt);
    rows += whole.split('\n').length - 1;
    await write(whole);
  }
  const closing = JSON.parse(held === '' ? '{}' : held) as { _end?: { stats: Record<string, number> }; _error?: object };
  if (closing._error !== undefined) throw errorOfProblem(JSON.stringify(closing._error), status);
  if (closing._end === undefined) {
    throw new LakeError('peer-gone', `the answer broke off after ${rows} rows`, {
      hint: 'Ask again; look at the service if it happens again.',
    });
  }
  process.stderr.write(`${statsLine(rows, closing._end.stats)}\n`);
}

/** Statements end with `;`: on a terminal over several lines, in a pipe one after the other. */
async function prompt(flags: SqlFlags): Promise<void> {
  const isTerminal = process.stdin.isTTY;
  const lines = createInterface({ input: process.stdin, ...(isTerminal ? { output: process.stdout } : {}), prompt: 'thermocline> ' });
  if (isTerminal) process.stdout.write('SQL over both tiers. End a query with ; — Ctrl-D leaves.\n');
  let gathered = '';
  let exitCode = 0;
  const run = async (sql: string): Promise<void> => {
    if (sql.trim() === '') return;
    try {
      await query(sql, flags);
    } catch (error) {
      exitCode = reportError(error);
      if (!isTerminal) process.exit(exitCode);
    }
  };
  if (isTerminal) lines.prompt();
  for await (const line of lines) {
    gathered += `${line}\n`;
    if (line.trimEnd().endsWith(';')) {
      const sql = gathered.trim().replace(/;$/, '');
      gathered = '';
      await run(sql);
    }
    if (isTerminal) {
      lines.setPrompt(gathered === '' ? 'thermocline> ' : '         … > ');
      lines.prompt();
    }
  }
  await run(gathered);
  process.exitCode = isTerminal ? 0 : exitCode;
}

async function run(sql: string | undefined, flags: SqlFlags): Promise<void> {
  if (sql === undefined) {
    if (flags.output !== undefined) throw usageError('-o needs a query', 'Write thermocline sql "SELECT …" -o FILE.');
    await prompt(flags);
    return;
  }
  const cancel = new AbortController();
  process.once('SIGINT', () => cancel.abort(new Error('cancelled')));
  await query(sql, flags, cancel.signal);
}

export function register(program: Command): void {
  addClientOptions(
    program.command('sql').argument('[query]').description('one SELECT over both tiers; without one, a prompt (or statements from a pipe)'),
  )
    .addOption(
      new Option('--format <format>', 'how rows are printed (default: table on a terminal, else ndjson)').choices([
        'table',
        'json',
        'ndjson',
      ]),
    )
    .option('--as-of <token>', 'answer as of the snapshot of an earlier answer')
    .option('-o, --output <file>', 'write the rows to a file')
    .action(run);
}
