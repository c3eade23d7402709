// The prompt as its user sees it: keys go in, the screen comes out; the service behind it is a table of answers.
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Catalog } from '../../../src/cli/sql/catalog.js';
import { complete, namedTables } from '../../../src/cli/sql/completion.js';
import { streamDestination } from '../../../src/cli/sql/destination.js';
import { historyPath, loadHistory, saveHistory } from '../../../src/cli/sql/history.js';
import { runPrompt } from '../../../src/cli/sql/prompt.js';
import { SqlSession } from '../../../src/cli/sql/session.js';
import { functionNames, systemTables } from '../../../src/cli/sql/words.js';
import { isFunctionAllowed, isTableFunctionAllowed } from '../../../src/query/functions.js';
import { requireSystemTable } from '../../../src/query/system-tables.js';
import type { CallInit, SqlSource } from '../../../src/cli/sql/source.js';
import { LakeError } from '../../../src/kernel/index.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'thermocline-prompt-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const names = {
  tables: async () => ['orders', 'order lines', 'select'],
  columns: async (table: string) => {
    if (table === 'orders') return ['customer', 'cost', '_key'];
    throw new Error('no such table');
  },
};

describe('completion', () => {
  const of = async (line: string, before = ''): Promise<string[]> => (await complete(before, line, names))[0];

  it('offers tables where a table is due, quoted where they must be', async () => {
    expect(await of('SELECT * FROM ord')).toEqual(['orders', '"order lines"']);
    expect(await of('DESCRIBE sel')).toEqual(['"select"']);
    expect(await of('FROM system.co')).toEqual(['system.cold_files', 'system.columns']);
    expect(await of('SELECT * FROM orders, ord')).toEqual(['orders', '"order lines"']);
  });

  it('offers columns of the tables that are named, keywords as they are typed, functions', async () => {
    expect(await of('co', 'SELECT cost FROM orders WHERE ')).toEqual([
      'cost',
      'columns',
      'collate',
      'coalesce(',
      'concat(',
      'concat_ws(',
      'contains(',
      'corr(',
      'count(',
      'count_if(',
      'count_star(',
    ]);
    expect(await of('SELECT c', 'x')).not.toContain('customer');
    expect(await of('SEL')).toEqual(['SELECT']);
    expect(await of('sel')).toEqual(['select']);
    expect(await of('SELECT ', '')).toEqual([]);
    expect(namedTables('SELECT * FROM a JOIN "b c" ON x FROM latest(d)')).toEqual(['a', '"b c"', 'd']);
  });

  it('offers only functions and tables of the service that a query may use', () => {
    // The others are SQL's own, which look like functions.
    const syntax = ['coalesce', 'extract', 'if', 'ifnull'];
    const refused = functionNames.filter((name) => !isFunctionAllowed(name) && !isTableFunctionAllowed(name));
    expect(refused.filter((name) => !syntax.includes(name))).toEqual([]);
    for (const name of systemTables) expect(() => requireSystemTable(name.replace('system.', ''), 0)).not.toThrow();
  });

  it('offers commands and what they take', async () => {
    expect(await of('.sch')).toEqual(['.schema ']);
    expect(await of('.mode ma')).toEqual(['markdown']);
    expect(await of('.schema ord')).toEqual(['orders', 'order lines']);
    expect(await of('.timer o')).toEqual(['on', 'off']);
  });
});

describe('history', () => {
  it('lies where the user wants it, or nowhere', () => {
    expect(historyPath({ THERMOCLINE_HISTORY: '/x/y' })).toBe('/x/y');
    expect([historyPath({ THERMOCLINE_HISTORY: '' }), historyPath({ THERMOCLINE_HISTORY: 'off' })]).toEqual([undefined, undefined]);
    expect(historyPath({ XDG_STATE_HOME: '/state' })).toBe('/state/thermocline/sql-history');
    expect(historyPath({})).toMatch(/\.local\/state\/thermocline\/sql-history$/);
  });

  it('is bounded, its owner’s alone, and put behind what another prompt saved', async () => {
    const path = join(folder, 'deep', 'history');
    saveHistory(
      path,
      Array.from({ length: 1200 }, (_, i) => `SELECT ${i};`),
    );
    saveHistory(path, ['SELECT last;', ' SELECT secret;', '']);
    const loaded = loadHistory(path);
    expect([loaded.length, loaded[0], loaded[1]]).toEqual([1000, 'SELECT last;', 'SELECT 1199;']);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    saveHistory(join(path, 'not-a-folder', 'x'), ['SELECT 1;']);
    expect(loadHistory(undefined)).toEqual([]);
  });
});

/** Answers `SELECT <number>` with that number; `SELECT slow` when it is cancelled. */
function fakeSource(): SqlSource & { readonly asked: Record<string, unknown>[] } {
  const asked: Record<string, unknown>[] = [];
  const answer = async (path: string, init: CallInit = {}): Promise<Response> => {
    if (path === '/v1/topics') return Response.json({ topics: [{ name: 'orders', internal: false, partitions: 2, records: 5 }] });
    if (path.startsWith('/v1/views')) throw new LakeError('route-unknown', 'none');
    const body = JSON.parse(init.body ?? '{}') as { sql: string };
    asked.push(body);
    if (body.sql.includes('slow')) {
      await new Promise((_resolve, reject) => {
        init.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error));
      });
    }
    if (body.sql.includes('wrong')) {
      throw new LakeError('query-invalid', 'there is no column wrong', { hint: 'Look.', facts: { position: body.sql.indexOf('wrong') } });
    }
    return Response.json({ columns: [{ name: 'n', type: 'INTEGER' }], rows: [[Number(/\d+/.exec(body.sql)?.[0])]], snapshot: 't1.a' });
  };
  return { title: 'test', asked, call: answer, close: async () => undefined };
}

interface Screen {
  readonly source: ReturnType<typeof fakeSource>;
  type(keys: string): void;
  /** Waits until the screen shows it, after what was waited for before. */
  sees(text: string | RegExp): Promise<string>;
  readonly ended: Promise<void>;
}

function open(history?: string): Screen {
  const input = new PassThrough();
  const output = new PassThrough();
  let shown = '';
  output.on('data', (chunk: Buffer) => {
    shown += chunk.toString().replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '');
  });
  const source = fakeSource();
  const session = new SqlSession({ source, out: streamDestination(Object.assign(output, { isTTY: true, columns: 80 })), notes: output });
  const ended = runPrompt({ session, catalog: new Catalog(source), input, output, historyPath: history, greeting: 'hello' });
  return {
    source,
    type: (keys) => input.write(keys),
    ended,
    sees: async (text) => {
      for (let tries = 0; tries < 1000; tries++) {
        const at = typeof text === 'string' ? shown.indexOf(text) : shown.search(text);
        if (at >= 0) {
          const seen = shown;
          shown = '';
          return seen;
        }
        await sleep(5);
      }
      throw new Error(`the screen never showed ${String(text)}:\n${shown}`);
    },
  };
}

describe('the prompt', () => {
  it('runs statements of one and of several lines, and shows errors with a caret and a hint', async () => {
    const screen = open();
    await screen.sees('thermocline> ');
    screen.type('SELECT 41; SELECT\r');
    await screen.sees(/\n41\n/);
    screen.type("'x' AS a, 42\r;\r");
    await screen.sees(/\n42\n/);
    expect(screen.source.asked.map(({ sql }) => sql)).toEqual(['SELECT 41', "SELECT\n'x' AS a, 42"]);
    screen.type('SELECT wrong;\r');
    expect(await screen.sees('hint: Look.')).toMatch(/error: there is no column wrong\nLINE 1: SELECT wrong\n {15}\^\nhint/);
    screen.type('.quit\r');
    await screen.ended;
  });

  it('ends the running statement with Ctrl-C, forgets a half one, and leaves with Ctrl-D', async () => {
    const screen = open();
    screen.type('SELECT slow;\r');
    await screen.sees('SELECT slow');
    for (let tries = 0; screen.source.asked.length === 0 && tries < 1000; tries++) await sleep(5);
    screen.type('\u0003');
    await screen.sees('cancelled');
    screen.type("SELECT 'half\r");
    await screen.sees("'> ");
    screen.type('\u0003');
    await screen.sees('thermocline> ');
    screen.type('SELECT 7;\r');
    await screen.sees(/\n7\n/);
    expect(screen.source.asked.map(({ sql }) => sql)).toEqual(['SELECT slow', 'SELECT 7']);
    screen.type('\u0004');
    await screen.ended;
  });

  it('has commands for output, parameters and as_of, and knows a mistyped one', async () => {
    const screen = open();
    screen.type('.mode line\r.param since 5\rSELECT 1, $since;\r');
    await screen.sees('n = 1');
    screen.type('.as_of last\r');
    await screen.sees('as of t1.a');
    screen.type('SELECT 2;\r');
    await screen.sees('n = 2');
    expect(screen.source.asked).toEqual([
      { sql: 'SELECT 1, $since', format: 'json', params: { since: 5 } },
      { sql: 'SELECT 2', format: 'json', as_of: 't1.a' },
    ]);
    screen.type('.tabels\r');
    await screen.sees('hint: Did you mean .tables?');
    screen.type('\\dt\r');
    await screen.sees(/orders +topic +2 +5/);
    screen.type('.schema orders\r');
    await screen.sees('n = ');
    expect(screen.source.asked.at(-1)).toMatchObject({ sql: 'DESCRIBE "orders"' });
    const path = join(folder, 'out.txt');
    screen.type(`.mode table\r.output ${path}\rSELECT 9;\r.output\r.help\r`);
    await screen.sees('.timer');
    expect(await readFile(path, 'utf8')).toBe('n\n─\n9\n');
    screen.type('.mode parquet\rSELECT 3;\r');
    await screen.sees('parquet is no text for a terminal');
    screen.type('.quit\r');
    await screen.ended;
  });

  it('remembers a statement of several lines as one, for this prompt and the next', async () => {
    const path = join(folder, 'history');
    const first = open(path);
    first.type('SELECT 1 +\r  2;\r');
    await first.sees(/\n1\n/);
    first.type('\u001b[A');
    await first.sees('SELECT 1 + 2;');
    first.type('\r.quit\r');
    await first.ended;
    const next = open(path);
    next.type('\u001b[A\u001b[A\r');
    await next.sees(/\n1\n/);
    expect(next.source.asked[0]).toMatchObject({ sql: 'SELECT 1 + 2' });
    next.type('.quit\r');
    await next.ended;
  });

  it('completes with Tab', async () => {
    const screen = open();
    await screen.sees('thermocline> ');
    screen.type('SELECT * FROM ord\t');
    await screen.sees('orders');
    screen.type(';\r');
    await screen.sees('thermocline> ');
    expect(screen.source.asked[0]).toMatchObject({ sql: 'SELECT * FROM orders' });
    screen.type('.quit\r');
    await screen.ended;
  });
});
