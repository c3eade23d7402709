// Every command against one running service: data on stdout, everything else on stderr, and an exit code that says how it went.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lake } from '../support/lake.js';
import { eventually } from '../support/processes.js';
import { type CommandResult, runCommand, temporaryFolder } from '../support/service.js';

let lake: Lake;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
  lake = await Lake.start({ dataDir: join(folder.path, 'data'), set: { 'log.level': 'warn' } });
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await folder.remove();
});

/** The addresses as a user sets them once, in the environment. */
function run(args: readonly string[], input = ''): Promise<CommandResult> {
  const environment = { THERMOCLINE_SERVER: lake.service.http, THERMOCLINE_BOOTSTRAP: lake.service.kafka };
  return runCommand(args, { input, environment });
}

/** Rows of NDJSON on stdout, of a command that ended well and without a word on stderr that is an error. */
async function rows(args: readonly string[], input = ''): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await run(args, input);
  expect([args.join(' '), code, /^error/m.test(stderr) ? stderr : '']).toEqual([args.join(' '), 0, '']);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('the command line', () => {
  it('creates a topic, and refuses to create it twice', async () => {
    const made = await run(['topic', 'create', 'orders', '--partitions', '2', '--config', 'lake.file.bytes=2000000']);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toMatch(/^created orders \(\S{22}\)\n$/);
    const twice = await run(['topic', 'create', 'orders']);
    expect(twice).toMatchObject({ code: 4, stdout: '' });
    expect(twice.stderr).toMatch(/^error: creating orders: the broker answered TOPIC_ALREADY_EXISTS/m);
  });

  it('produces lines and JSON records from a pipe, each acknowledged', async () => {
    const lines = await run(['produce', 'orders', '-K', ':', '-p', '0'], 'a:{"n":1,"period":"early"}\nb:{"n":2,"period":"early"}\n');
    expect(lines).toEqual({ code: 0, stdout: '', stderr: '2 records acknowledged\n' });
    const records = [
      { key: 'c', value: { n: 3 }, timestamp: '2001-03-04T05:06:07Z', partition: 1, headers: { trace: 'x' } },
      { key: null, value: null, partition: 1 },
    ];
    const json = await run(['produce', 'orders', '--json', '-z', 'zstd'], records.map((record) => `${JSON.stringify(record)}\n`).join(''));
    expect(json).toEqual({ code: 0, stdout: '', stderr: '2 records acknowledged\n' });
    const bad = await run(['produce', 'orders', '--json'], '{"value"\n');
    expect(bad).toMatchObject({ code: 1, stdout: '' });
    expect(bad.stderr).toMatch(/^error: .*JSON/m);
    expect((await run(['produce', 'orders', '-p', '7'], 'x\n')).code).toBe(2);
  });

  it('lists and describes topics as NDJSON when piped', async () => {
    expect(await rows(['topic', 'list'])).toContainEqual(
      expect.objectContaining({ name: 'orders', partitions: 2, records: 4, tiered: true }),
    );
    const [described] = await rows(['topic', 'describe', 'orders']);
    expect(described).toMatchObject({ name: 'orders', overrides: { 'lake.file.bytes': '2000000' } });
    expect((await rows(['topic', 'describe-storage', 'orders'])).map(({ boundary, high_watermark: end }) => [boundary, end])).toEqual([
      [0, 2],
      [0, 2],
    ]);
  });

  it('flushes, shows and evicts', async () => {
    expect(await rows(['tier', 'flush', 'orders'])).toEqual([
      { topic: 'orders', partition: 0, boundary: 2 },
      { topic: 'orders', partition: 1, boundary: 2 },
    ]);
    const evicted = await run(['tier', 'evict', 'orders']);
    expect(evicted.stderr).toMatch(/^2 segments, \d+ B evicted\n$/);
    const line = (partition: number): string =>
      `{"topic":"orders","partition":${partition},"local_start":2,"boundary":2,"high_watermark":2}\n`;
    expect(evicted).toMatchObject({ code: 0, stdout: line(0) + line(1) });
    const status = await rows(['tier', 'status']);
    expect(
      status.map(({ topic, partition, local_start: localStart, boundary, lag, files }) => [
        topic,
        partition,
        localStart,
        boundary,
        lag,
        files,
      ]),
    ).toEqual([
      ['orders', 0, 2, 2, 0, 1],
      ['orders', 1, 2, 2, 0, 1],
    ]);
    const unknown = await run(['tier', 'flush', 'odrers']);
    expect(unknown).toMatchObject({ code: 3, stdout: '' });
    expect(unknown.stderr).toMatch(/^error: there is no topic "odrers"$/m);
    expect(unknown.stderr).toMatch(/^hint: Did you mean orders\?$/m);
  });

  it('asks SQL across both tiers, in every format', async () => {
    await rows(['produce', 'orders', '-p', '0'], '{"n":4,"period":"late"}\n');
    const sql = 'SELECT n, period FROM orders WHERE n IS NOT NULL ORDER BY n';
    const due = [
      [1, 'early'],
      [2, 'early'],
      [3, null],
      [4, 'late'],
    ];
    const piped = await run(['sql', sql]);
    const lines = due.map(([n, period]) => `${JSON.stringify({ n, period })}\n`).join('');
    expect(piped).toMatchObject({ code: 0, stdout: lines });
    expect(piped.stderr).toMatch(/^4 rows · 1 hot rows · 2 cold files/);
    expect((await run(['sql', sql, '--format', 'ndjson'])).stdout).toBe(lines);
    const json = await run(['sql', sql, '--format', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      rows: due,
      columns: [
        { name: 'n', type: 'BIGINT' },
        { name: 'period', type: 'VARCHAR' },
      ],
    });
    const table = await run(['sql', sql, '--format', 'table']);
    expect(
      table.stdout
        .split('\n')
        .slice(0, 3)
        .map((line) => line.trimEnd()),
    ).toEqual(['n  period', '─  ──────', '1  early']);
    expect(table.stderr).toMatch(/^4 rows · 1 hot rows · 2 cold files/);
    const path = join(folder.path, 'rows.ndjson');
    expect(await run(['sql', sql, '-o', path])).toMatchObject({ code: 0, stdout: '' });
    expect((await readFile(path, 'utf8')).split('\n')[0]).toBe('{"n":1,"period":"early"}');
    const statements = await run(['sql'], 'SELECT 1 AS a;\nSELECT count(*) AS c\nFROM orders;\n');
    expect(statements.stdout.split('\n').filter((line) => line !== '')).toEqual(['{"a":1}', '{"c":5}']);
  });

  it('runs the statements of a file, with parameters, up to the first error and says where that is', async () => {
    const script = join(folder.path, 'script.sql');
    await writeFile(script, '-- how many; really\nSELECT count(*) AS c FROM orders;\n.mode csv-like-nothing\nSELECT 2;\n');
    const stopped = await run(['sql', '-f', script]);
    expect([stopped.code, stopped.stdout]).toEqual([2, '{"c":5}\n']);
    expect(stopped.stderr).toMatch(/script\.sql:3:1: "csv-like-nothing" is no output mode$/m);
    await writeFile(script, 'SELECT $n + 1 AS a;\nSELECT 1 AS b,\n  missing FROM orders;\nSELECT 3;');
    const wrong = await run(['sql', '-f', script, '--param', 'n=41', '--format', 'ndjson']);
    expect([wrong.code, wrong.stdout, wrong.stderr]).toEqual([1, '{"a":42}\n', expect.anything()]);
    expect(wrong.stderr).toMatch(/^error: \S*script\.sql:3:3: .*missing/m);
    expect(wrong.stderr).toMatch(/^LINE 2: {3}missing FROM orders\n {10}\^$/m);
    const piped = await run(['sql', '--format', 'table'], "SELECT ';' AS s;\n.mode line\nSELECT 1 AS one, NULL AS none");
    expect(piped).toMatchObject({ code: 0, stdout: 's\n─\n;\n one = 1\nnone =\u0020\n' });
    const path = join(folder.path, 'whole.json');
    expect((await run(['sql', 'SELECT 1 AS a', '-o', path])).code).toBe(0);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ rows: [[1]] });
    expect((await run(['sql', 'SELECT wrong', '-o', path])).code).toBe(1);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ rows: [[1]] });
  });

  it('answers as of an earlier answer', async () => {
    const { snapshot } = JSON.parse((await run(['sql', 'SELECT 1 FROM orders', '--format', 'json'])).stdout) as { snapshot: string };
    await rows(['produce', 'orders', '-p', '0'], '{"n":5}\n');
    const count = async (...more: string[]): Promise<unknown> => (await rows(['sql', 'SELECT count(*) AS c FROM orders', ...more]))[0];
    expect([await count('--as-of', snapshot), await count()]).toEqual([{ c: 5 }, { c: 6 }]);
    const wrong = await run(['sql', 'SELECT 1', '--as-of', 'nonsense']);
    expect([wrong.code, wrong.stdout]).toEqual([1, '']);
  });

  it('lists running queries and ends one', async () => {
    const slow = run(['sql', 'SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b']);
    const listed = await eventually('the query runs', async () => (await rows(['query', 'list']))[0]);
    expect(listed).toMatchObject({ state: 'running', sql: expect.stringContaining('a.range * b.range') });
    const id = String(listed['id']);
    expect(await run(['query', 'kill', id])).toEqual({ code: 0, stdout: `ended ${id}\n`, stderr: '' });
    const ended = await slow;
    expect([ended.code, ended.stdout, ended.stderr.includes('cancelled')]).toEqual([1, '', true]);
    expect((await run(['query', 'kill', id])).code).toBe(3);
    expect((await rows(['query', 'list', '--all'])).find((one) => one['id'] === id)).toMatchObject({ state: 'cancelled' });
    expect(await rows(['query', 'list'])).toEqual([]);
  });

  it('says what is wrong with a query on stderr', async () => {
    const broken = await run(['sql', 'SELEKT 1']);
    expect([broken.code, broken.stdout]).toEqual([1, '']);
    expect(broken.stderr).toMatch(/^error: .*SELEKT/m);
    const unknown = await run(['sql', 'SELECT * FROM odrers']);
    expect([unknown.code, unknown.stdout]).toEqual([3, '']);
    expect(unknown.stderr).toMatch(
      /^error: there is no topic odrers\nLINE 1: SELECT \* FROM odrers\n {22}\^\nhint: Did you mean orders\?$/m,
    );
    expect((await run(['sql', "COPY (SELECT 1) TO '/tmp/x'"])).code).toBe(1);
    expect((await run(['sql', 'SELECT 1', '--format', 'xlsx'])).code).toBe(2);
  });

  it('consumes both tiers from an offset, a time, the beginning, to the end or a time', async () => {
    const values = async (...args: string[]): Promise<string[]> => {
      const { code, stdout } = await run(['consume', 'orders', ...args]);
      expect([args.join(' '), code]).toEqual([args.join(' '), 0]);
      return stdout.split('\n').filter((line) => line !== '');
    };
    expect(await values('-o', 'beginning', '-e', '-p', '0')).toEqual([
      '{"n":1,"period":"early"}',
      '{"n":2,"period":"early"}',
      '{"n":4,"period":"late"}',
      '{"n":5}',
    ]);
    expect(await values('-o', '2', '-e', '-p', '0')).toEqual(['{"n":4,"period":"late"}', '{"n":5}']);
    expect(await values('-o', 'beginning', '-n', '1', '-p', '0')).toEqual(['{"n":1,"period":"early"}']);
    expect(await values('-o', 's@2001-03-04', '-o', 'e@2001-03-05')).toEqual(['{"n":3}']);
    expect(await values('-o', 's@2001-03-04T05:06:08Z', '-o', 'e@2001-03-05')).toEqual([]);
    const [record] = await rows(['consume', 'orders', '-p', '1', '-o', 'beginning', '-n', '1', '-J']);
    expect(record).toEqual({
      partition: 1,
      offset: 0,
      timestamp: '2001-03-04T05:06:07.000Z',
      key: 'c',
      value: '{"n":3}',
      headers: [{ key: 'trace', value: 'x' }],
    });
    const unknown = await run(['consume', 'odrers', '-e']);
    expect([unknown.code, unknown.stdout]).toEqual([3, '']);
    expect(unknown.stderr).toMatch(/^error: there is no topic "odrers"\nhint: Did you mean orders\?$/m);
    for (const position of ['sometime', 's@sometime', '-3'])
      expect([position, (await run(['consume', 'orders', `--offset=${position}`, '-e'])).code]).toEqual([position, 2]);
    expect((await run(['consume', 'orders', '-e', '-p', '9'])).code).toBe(3);
  });

  it('goes on where a reading ended, and writes records to files', async () => {
    const resume = join(folder.path, 'resume.json');
    const read = async (...args: string[]): Promise<string[]> => {
      const { code, stdout } = await run(['consume', 'orders', '--resume', resume, ...args]);
      expect([args.join(' '), code]).toEqual([args.join(' '), 0]);
      return stdout.split('\n').filter((line) => line !== '');
    };
    const all = (await run(['consume', 'orders', '-o', 'beginning', '-e'])).stdout.split('\n').filter((line) => line !== '');
    const parts = [await read('-o', 'beginning', '-e', '-n', '1'), await read('-e', '-n', '2'), await read('-e'), await read('-e')];
    expect([parts.flat(), parts.map((part) => part.length)]).toEqual([all, [1, 2, all.length - 3, 0]]);
    expect(JSON.parse(await readFile(resume, 'utf8'))).toMatchObject({ topic: 'orders', next: '0:4,1:2' });
    const told = await run(['consume', 'orders', '-o', '0:3,1:0', '-e', '-n', '1']);
    expect([told.stdout, told.stderr]).toEqual(['{"n":5}\n', 'goes on at -o 0:4,1:0\n']);
    const path = join(folder.path, 'orders');
    for (const extension of ['ndjson', 'csv', 'parquet'])
      expect(await run(['consume', 'orders', '-o', 'beginning', '-e', '--output', `${path}.${extension}`])).toMatchObject({
        code: 0,
        stdout: '',
      });
    expect((await readFile(`${path}.ndjson`, 'utf8')).split('\n')).toHaveLength(7);
    expect((await readFile(`${path}.csv`, 'utf8')).split('\n')[0]).toBe('partition,offset,timestamp,key,value,headers');
    expect((await readFile(`${path}.parquet`)).subarray(0, 4).toString()).toBe('PAR1');
    expect((await run(['consume', 'orders', '-e', '--output', 'x.xlsx'])).code).toBe(2);
  });

  it('prints and checks the configuration, with where each value is from', async () => {
    const file = join(folder.path, 'thermocline.toml');
    await writeFile(file, '[num]\npartitions = 5\n[lake.file]\nbytes = 2000000\n');
    const printed = await runCommand(['config', 'print', '--config', file, '--set', 'num.partitions=6'], {
      environment: { THERMOCLINE_NODE_ID: '7' },
    });
    const entries = new Map(
      printed.stdout
        .trim()
        .split('\n')
        .map((line) => [(JSON.parse(line) as { key: string }).key, JSON.parse(line) as { value: string; source: string }]),
    );
    expect(entries.get('num.partitions')).toMatchObject({ value: '6', source: 'flag' });
    expect(entries.get('lake.file.bytes')).toMatchObject({ value: '2000000', source: 'file' });
    expect(entries.get('node.id')).toMatchObject({ value: '7', source: 'environment' });
    expect(entries.get('query.concurrency')).toMatchObject({ value: '2', source: 'default' });
    expect(await runCommand(['config', 'lint', '--config', file])).toMatchObject({ code: 0, stdout: 'ok: 2 keys set\n' });
    const unknown = await runCommand(['config', 'lint', '--set', 'num.partition=6']);
    expect(unknown).toMatchObject({ code: 2, stdout: '' });
    expect(unknown.stderr).toMatch(/^hint: Did you mean num\.partitions\?$/m);
    expect((await runCommand(['serve', '--set', 'query.concurrency=many'])).code).toBe(2);
  });

  it('says that there is no server, and how to start one', async () => {
    const nobody = ['--server', 'http://127.0.0.1:9', '--bootstrap', '127.0.0.1:9'];
    for (const command of [
      ['sql', 'SELECT 1'],
      ['topic', 'list'],
      ['tier', 'status'],
    ]) {
      const { code, stdout, stderr } = await run([...command, ...nobody]);
      expect([command[0], code, stdout]).toEqual([command[0], 1, '']);
      expect(stderr).toMatch(/^error: no answer from http:\/\/127\.0\.0\.1:9\nhint: Start the service with `thermocline serve`/m);
    }
    for (const command of [
      ['consume', 'orders', '-e'],
      ['produce', 'orders'],
      ['topic', 'create', 'x'],
    ]) {
      const { code, stdout, stderr } = await run([...command, ...nobody], 'x\n');
      expect([command[0], code, stdout]).toEqual([command[0], 1, '']);
      expect(stderr).toMatch(/^error: cannot connect to 127\.0\.0\.1:9/m);
      expect(stderr).toMatch(/^hint: /m);
    }
  });

  it('answers a word it does not know with a suggestion', async () => {
    const command = await run(['sqll']);
    expect(command.code).toBe(2);
    expect(command.stderr).toMatch(/Did you mean sql\?/);
    expect((await run(['tier', 'flussh'])).code).toBe(2);
    expect((await run(['topic', 'list', '--colour'])).code).toBe(2);
    const help = await run(['--help']);
    expect(help.code).toBe(0);
    for (const name of ['serve', 'sql', 'topic', 'produce', 'consume', 'tier', 'demo', 'config'])
      expect(help.stdout).toContain(`  ${name}`);
  });

  it('deletes a topic, once', async () => {
    expect(await run(['topic', 'delete', 'orders'])).toEqual({ code: 0, stdout: 'deleted orders\n', stderr: '' });
    const twice = await run(['topic', 'delete', 'orders']);
    expect([twice.code, twice.stdout]).toEqual([3, '']);
    expect((await rows(['topic', 'list'])).filter(({ internal }) => internal === false)).toEqual([]);
  });
});
