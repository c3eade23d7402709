import { getEventListeners } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import type { QueryRecord } from '../../../src/query/index.js';
import { QueryWorld } from '../../support/query-world.js';

const t0 = Date.parse('2001-01-01T00:00:00Z');
const hour = 3_600_000;

function recordsOf(lines: string): QueryRecord[] {
  return lines
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as QueryRecord);
}

/** 300 flights, one an hour, in three partitions; offsets below `cold` of each are in the table. */
async function flights(world: QueryWorld, name: string, cold: number, fileRows = 20): Promise<void> {
  world.createTopic(name, 3);
  for (let batch = 0; batch < 10; batch++) {
    for (let partition = 0; partition < 3; partition++) {
      const records = Array.from({ length: 10 }, (_, at) => {
        const n = (batch * 10 + at) * 3 + partition;
        return { timestampMs: t0 + n * hour, key: `k${n % 7}`, value: JSON.stringify({ delay: n % 11, origin: `O${n % 5}`, n }) };
      });
      world.append(name, partition, records);
    }
  }
  for (let partition = 0; partition < 3; partition++) await world.makeCold(name, partition, cold, fileRows);
}

describe('query service', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers, limits: { concurrency: 2 } });
    await flights(world, 'flights', 60);
    await flights(world, 'hot', 0);
    await flights(world, 'cold', 100);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  it('answers over both tiers as if nothing had moved', async () => {
    const question = (topic: string): string =>
      `SELECT origin, count(*) AS flights, avg(delay) AS delay, min(n) AS first, max(_offset) AS last FROM ${topic} GROUP BY origin ORDER BY origin`;
    const [mixed, hot, cold] = [await world.ask(question('flights')), await world.ask(question('hot')), await world.ask(question('cold'))];
    expect(mixed.rows).toEqual(hot.rows);
    expect(mixed.rows).toEqual(cold.rows);
    expect(mixed.rows).toHaveLength(5);
    expect(mixed.stats).toMatchObject({
      hot_rows: 120,
      cold_files: 9,
      cold_rows: 180,
      pruned_files: 0,
      boundary: { flights: { 0: 60, 1: 60, 2: 60 } },
    });
    expect(hot.stats).toMatchObject({ hot_rows: 300, cold_files: 0 });
    expect(cold.stats).toMatchObject({ hot_rows: 0, cold_files: 15 });
  });

  it('shows typed columns first, then the record, with the types of the design', async () => {
    const { columns, rows } = await world.ask('SELECT * FROM flights WHERE _partition_id = 1 AND _offset IN (0, 99) ORDER BY _offset');
    expect(columns.map((column) => column.name)).toEqual([
      'delay',
      'n',
      'origin',
      '_key',
      '_timestamp',
      '_partition_id',
      '_offset',
      '_headers',
      '_value',
    ]);
    expect(columns.map((column) => column.type).slice(0, 7)).toEqual([
      'BIGINT',
      'BIGINT',
      'VARCHAR',
      'BLOB',
      'TIMESTAMP WITH TIME ZONE',
      'INTEGER',
      'BIGINT',
    ]);
    expect(rows[0]?.slice(0, 7)).toEqual([1, 1, 'O1', 'k1', '2001-01-01T01:00:00.000Z', 1, 0]);
    expect(rows[1]?.[6]).toBe(99);
  });

  it('prunes cold files and the tail by time, offset and partition, also when bounds are parameters', async () => {
    const byTime = await world.ask({
      sql: 'SELECT count(*) FROM flights WHERE _timestamp >= $1 AND _timestamp < $2',
      params: ['2001-01-01T00:00:00Z', '2001-01-02T00:00:00Z'],
    });
    expect(byTime.rows).toEqual([[24]]);
    expect(byTime.stats).toMatchObject({ cold_files: 3, pruned_files: 6, hot_rows: 0 });
    const byOffset = await world.ask('SELECT count(*) FROM flights WHERE _offset BETWEEN 70 AND 75 AND _partition_id IN (0, 2)');
    expect(byOffset.rows).toEqual([[12]]);
    expect(byOffset.stats).toMatchObject({ cold_files: 0, pruned_files: 9, hot_rows: 80 });
    const named = await world.ask({
      sql: 'SELECT count(*) FROM flights WHERE _partition_id = $p AND origin = $o',
      params: { p: 1, o: 'O1' },
    });
    expect(named.rows).toEqual([[20]]);
    expect(named.stats).toMatchObject({ cold_files: 3, pruned_files: 6 });
  });

  it('prunes nothing that a second scan of the same topic needs', async () => {
    const { rows, stats } = await world.ask(
      'SELECT (SELECT count(*) FROM flights WHERE _offset < 5), (SELECT count(*) FROM flights WHERE _offset >= 95), (SELECT sum(delay) FROM flights)',
    );
    expect(rows[0]?.slice(0, 2)).toEqual([15, 15]);
    expect(stats).toMatchObject({ cold_files: 9, hot_rows: 120 });
  });

  it('takes a contradiction for no reason to skip a topic', async () => {
    const { rows } = await world.ask('SELECT count(*) FROM flights WHERE _offset > 10 AND _offset < 5');
    expect(rows).toEqual([[0]]);
  });

  it('holds every record acknowledged before the query began', async () => {
    world.createTopic('live');
    for (let n = 1; n <= 5; n++) {
      world.append('live', 0, [{ timestampMs: t0 + n, value: JSON.stringify({ n }) }]);
      expect((await world.ask('SELECT count(*), max(n) FROM live')).rows).toEqual([[n, n]]);
    }
    await world.makeCold('live', 0, 3);
    expect((await world.ask('SELECT count(*), sum(n) FROM live')).rows).toEqual([[5, 15]]);
  });

  it('extends the tail of the last query instead of fetching it again', async () => {
    world.createTopic('grows');
    world.append(
      'grows',
      0,
      Array.from({ length: 100 }, (_, n) => ({ timestampMs: t0 + n, value: '{}' })),
    );
    await world.ask('SELECT count(*) FROM grows');
    world.append('grows', 0, [{ timestampMs: t0, value: '{}' }]);
    world.fetches.length = 0;
    const { rows, stats } = await world.ask('SELECT count(*) FROM grows');
    expect(rows).toEqual([[101]]);
    expect(stats.cache_hits).toBe(1);
    expect(world.fetches.map((fetch) => fetch.offset)).toEqual([100]);
    world.fetches.length = 0;
    await world.ask('SELECT count(*) FROM grows');
    expect(world.fetches).toEqual([]);
  });

  it('joins small chunks as the tail grows, and drops what the table has', async () => {
    world.createTopic('chunks');
    const before = world.service.metricsSnapshot().tailChunks;
    for (let n = 0; n < 33; n++) {
      world.append('chunks', 0, [{ timestampMs: t0 + n, value: '{}' }]);
      expect((await world.ask('SELECT count(*) FROM chunks')).rows).toEqual([[n + 1]]);
    }
    expect(world.service.metricsSnapshot().tailChunks - before).toBeLessThanOrEqual(6);
    await world.makeCold('chunks', 0, 33);
    expect((await world.ask('SELECT count(*) FROM chunks')).rows).toEqual([[33]]);
    expect(world.service.metricsSnapshot().tailChunks).toBeLessThanOrEqual(before);
  });

  it('pays for the new rows of a growing tail, not for all of them again', async () => {
    world.createTopic('paid');
    const grow = (count: number): void =>
      world.append(
        'paid',
        0,
        Array.from({ length: count }, (_, n) => ({ timestampMs: t0 + n, value: `{"n":${n}}` })),
      );
    const before = world.service.metricsSnapshot().stagedRows;
    const ask = async (): Promise<number> => (await world.ask('SELECT count(*), sum(n) FROM paid')).stats.staged_rows;
    grow(2000);
    expect(await ask()).toBe(2000);
    expect(await ask()).toBe(0);
    grow(10);
    expect(await ask()).toBe(10);
    // Each row is staged again only with as many new ones as its chunk has, so a logarithm of times.
    let rows = 0;
    for (let round = 0; round < 32; round++) {
      grow(10);
      rows += await ask();
    }
    expect(rows).toBeLessThanOrEqual(320 * Math.ceil(Math.log2(33)));
    expect((await world.ask('SELECT count(*) FROM paid')).rows).toEqual([[2330]]);
    expect(world.service.metricsSnapshot().stagedRows - before).toBe(2010 + rows);
  });

  it('gives the same rows for a token after the log has grown, cooled and gained columns', async () => {
    world.createTopic('repeat', 2);
    world.append('repeat', 0, [
      { timestampMs: t0, value: '{"a":1}' },
      { timestampMs: t0, value: '{"a":2,"b":"x"}' },
    ]);
    world.append('repeat', 1, [{ timestampMs: t0, value: '{"a":3}' }]);
    await world.makeCold('repeat', 0, 1);
    const first = await world.ask('SELECT * FROM repeat ORDER BY _partition_id, _offset');
    world.append('repeat', 0, [{ timestampMs: t0, value: '{"a":"text","c":true}' }]);
    world.append('repeat', 1, [{ timestampMs: t0, value: '{"d":1.5}' }]);
    const sql = 'SELECT * FROM repeat ORDER BY _partition_id, _offset';
    const again = await world.ask({ sql, asOf: first.token });
    expect(again.columns).toEqual(first.columns);
    expect(again.rows).toEqual(first.rows);
    await world.makeCold('repeat', 0, 3);
    await world.makeCold('repeat', 1, 2);
    const later = await world.ask({ sql, asOf: first.token });
    expect(later.columns).toEqual(first.columns);
    expect(later.rows).toEqual(first.rows);
    expect(later.token).toBe(first.token);
    expect((await world.ask(sql)).rows).toHaveLength(5);
  });

  it('refuses a token whose rows are gone, foreign tokens, and times', async () => {
    world.createTopic('expires');
    world.append(
      'expires',
      0,
      Array.from({ length: 10 }, (_, n) => ({ timestampMs: t0 + n, value: '{}' })),
    );
    const { token } = await world.ask('SELECT * FROM expires');
    world.partition('expires', 0).logStartOffset = 4;
    expect((await world.ask('SELECT count(*) FROM expires')).rows).toEqual([[6]]);
    await expect(world.ask({ sql: 'SELECT * FROM expires', asOf: token })).rejects.toMatchObject({
      code: 'token-gone',
      message: expect.stringContaining('expires-0 [0, 4)') as string,
    });
    await expect(world.ask({ sql: 'SELECT * FROM flights', asOf: token })).rejects.toMatchObject({ code: 'token-invalid' });
    await expect(world.ask({ sql: 'SELECT * FROM flights', asOf: 't1.nonsense' })).rejects.toMatchObject({ code: 'token-invalid' });
    await expect(world.ask({ sql: 'SELECT * FROM flights', asOf: '2001-01-01T00:00:00Z' })).rejects.toMatchObject({
      code: 'as-of-unknown',
    });
  });

  it('names the nearest topic, and the place of a mistake', async () => {
    await expect(world.ask('SELECT * FROM flihgts')).rejects.toMatchObject({
      code: 'topic-unknown',
      hint: 'Did you mean flights?',
      facts: { position: 14 },
    });
    await expect(world.ask('SELECT nope FROM flights')).rejects.toMatchObject({ code: 'query-invalid', facts: { position: 7 } });
    await expect(world.ask('SELEC 1')).rejects.toMatchObject({ code: 'query-invalid', facts: { position: 0 } });
    await expect(world.ask('SELECT * FROM system.topcis')).rejects.toMatchObject({
      code: 'query-invalid',
      hint: 'Did you mean system.topics?',
    });
    await expect(world.ask({ sql: 'SELECT $1', params: [] })).rejects.toMatchObject({ code: 'query-invalid' });
  });

  it('describes the service in system tables', async () => {
    const { rows } = await world.ask("SELECT topic, cold_files, cold_rows FROM system.topics WHERE topic = 'flights'");
    expect(rows).toEqual([['flights', 9, 180]]);
    const joined = await world.ask(
      `SELECT 'ä' IS NULL, system.partitions.boundary, count(f.key) FROM system.partitions JOIN "System".cold_files f USING (topic, partition) WHERE topic = 'flights' GROUP BY ALL`,
    );
    expect(joined.rows).toEqual([[false, 60, 9]]);
    expect((await world.ask("SELECT state FROM system.queries WHERE state = 'running'")).rows).toEqual([['running']]);
  });

  it('puts values into JSON without losing any of them', async () => {
    const { rows } = await world.ask(
      "SELECT 9007199254740993::BIGINT, 9007199254740991::BIGINT, 170141183460469231731687303715884105727::HUGEINT, 'nan'::DOUBLE, 1.5, '\\xff\\x00'::BLOB, 'base64:x'::BLOB, encode('é'), TIMESTAMPTZ '2001-02-03 04:05:06.123456+00', TIMESTAMP '2001-02-03 04:05:06', DATE '2001-02-03', [1, NULL], {'a': 1, 'b': 'x'}, MAP {'k': 1}, INTERVAL 1 DAY, TIMESTAMPTZ 'infinity', NULL",
    );
    expect(rows[0]).toEqual([
      '9007199254740993',
      9007199254740991,
      '170141183460469231731687303715884105727',
      'NaN',
      1.5,
      'base64:/wA=',
      'base64:YmFzZTY0Ong=',
      'é',
      '2001-02-03T04:05:06.123456Z',
      '2001-02-03T04:05:06.000',
      '2001-02-03',
      [1, null],
      { a: 1, b: 'x' },
      [{ key: 'k', value: 1 }],
      '1 day',
      'infinity',
      null,
    ]);
  });

  it('gives records across both tiers, by offset or merged by time, with bytes that are not UTF-8 marked', async () => {
    const read = async (request: Parameters<typeof world.service.records>[0]) => {
      const answer = await world.service.records(request, new AbortController().signal);
      const records = [];
      for await (const text of answer.lines) records.push(...recordsOf(text));
      return { records, stats: answer.stats() };
    };
    const all = await read({ topic: 'flights' });
    expect(all.records).toHaveLength(300);
    expect(all.records.slice(0, 3).map((record) => [record.partition, record.offset])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
    ]);
    const some = await read({ topic: 'flights', partition: 2, offset: 58, limit: 4 });
    expect(some.records.map((record) => record.offset)).toEqual([58, 59, 60, 61]);
    const day = await read({ topic: 'flights', fromMs: t0 + 24 * hour, toMs: t0 + 30 * hour, order: 'time' });
    expect(day.records.map((record) => record.timestamp)).toEqual(
      [24, 25, 26, 27, 28, 29].map((n) => new Date(t0 + n * hour).toISOString()),
    );
    expect(day.stats).toMatchObject({ cold_files: 3, hot_rows: 0 });
    world.createTopic('bytes');
    world.append('bytes', 0, [
      { timestampMs: t0, key: Buffer.from([0xff]), value: null, headers: [{ key: 'h', value: Buffer.from('v') }] },
      { timestampMs: 9_000_000_000_000_000, key: null, value: Buffer.alloc(0), headers: [] },
    ]);
    const { records } = await read({ topic: 'bytes' });
    expect(records[0]).toEqual({
      partition: 0,
      offset: 0,
      timestamp: '2001-01-01T00:00:00.000Z',
      key_base64: '/w==',
      value: null,
      headers: [{ key: 'h', value: 'v' }],
    });
    expect(records[1]).toMatchObject({ timestamp: 9_000_000_000_000_000, key: null, value: '', headers: [] });
  });

  it('streams a large answer in bounded pieces and stops when its reader leaves', async () => {
    const answer = await world.service.query({ sql: "SELECT i, repeat('x', 100) FROM range(200000) t(i)" }, new AbortController().signal);
    let rows = 0;
    for await (const chunk of answer.rows) {
      rows += chunk.length;
      if (rows > 5000) break;
    }
    expect(rows).toBeLessThan(10_000);
    expect(world.service.list().at(-1)?.state).toBe('cancelled');
    const whole = await world.ask('SELECT i FROM range(200000) t(i)');
    expect(whole.rows).toHaveLength(200_000);
    expect(whole.rows.at(-1)).toEqual([199_999]);
  });

  it('throws a late error out of the rows', async () => {
    const sql = "SELECT (CASE WHEN i = 900000 THEN 'boom' ELSE '1' END)::INTEGER, repeat('x', 100) FROM range(1000000) t(i)";
    const answer = await world.service.query({ sql }, new AbortController().signal);
    let rows = 0;
    const read = async (): Promise<void> => {
      for await (const chunk of answer.rows) rows += chunk.length;
    };
    await expect(read()).rejects.toMatchObject({ code: 'query-invalid', message: expect.stringContaining('boom') as string });
    expect(rows).toBeGreaterThan(0);
    await expect(world.ask({ sql: 'FROM range(10000)', limits: { max_rows: 5000 } })).rejects.toMatchObject({ code: 'query-too-large' });
  });

  it('cancels by signal and by id, ends at the deadline, and serves on', async () => {
    const endless = 'SELECT count(*) FROM range(100000000000) a(i) WHERE i % 7 = 3';
    const abort = new AbortController();
    const cancelled = world.ask(endless, abort.signal);
    setTimeout(() => abort.abort(), 50);
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
    const byId = world.ask(endless);
    setTimeout(() => world.service.cancel(world.service.list().at(-1)?.id ?? ''), 50);
    await expect(byId).rejects.toMatchObject({ code: 'cancelled' });
    await expect(world.ask({ sql: endless, limits: { timeout_ms: 50 } })).rejects.toMatchObject({ code: 'timeout' });
    expect((await world.ask('SELECT 1')).rows).toEqual([[1]]);
    expect(world.service.running).toBe(0);
  });

  it('leaves no listener behind: Node would keep the signals of every query, and what they reach, for ever', async () => {
    const any = vi.spyOn(AbortSignal, 'any');
    try {
      await world.ask('SELECT count(*) FROM flights');
      await expect(world.ask('SELECT no_such_column FROM flights')).rejects.toMatchObject({ code: 'query-invalid' });
      const composed = any.mock.results.map(({ value }) => value as AbortSignal);
      expect(composed.length).toBeGreaterThan(1);
      expect(composed.flatMap((signal) => getEventListeners(signal, 'abort'))).toEqual([]);
    } finally {
      any.mockRestore();
    }
  });

  it('survives the death of an engine: its query fails, the next one is answered', async () => {
    const dying = world.ask('SELECT count(*) FROM range(100000000000) a(i) WHERE i % 7 = 3');
    // On a busy machine the first look may come before the query has its engine.
    const killing = setInterval(() => {
      for (const pid of world.service.pids) process.kill(pid, 'SIGKILL');
    }, 100);
    await expect(dying.finally(() => clearInterval(killing))).rejects.toMatchObject({ code: 'worker-died' });
    expect((await world.ask('SELECT count(*) FROM flights')).rows).toEqual([[300]]);
  });
});

describe('the start of the query service', () => {
  it('does not wait for engines and a column worker, which come by themselves a little later', async () => {
    const jobs: string[] = [];
    await using world = await QueryWorld.open({
      limits: { concurrency: 2 },
      workers: (directory) => {
        const workers = inlineColumnWorkers(directory);
        const run: typeof workers.run = (job, signal) => {
          jobs.push(job.kind);
          return workers.run(job, signal);
        };
        return { pids: [], run, close: () => workers.close() };
      },
    });
    expect(world.service.pids).toEqual([]);
    await expect.poll(() => world.service.pids.length, { timeout: 10_000 }).toBe(2);
    await expect.poll(() => jobs, { timeout: 10_000 }).toEqual(['stage']);
  });

  it('loads the tables of topics before anyone asks', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers });
    world.createTopic('known');
    world.append('known', 0, [{ timestampMs: 1, value: '{"n":1}' }]);
    await world.makeCold('known', 0, 1);
    const lists = vi.spyOn(world.store, 'list');
    await world.reopen();
    await expect.poll(() => lists.mock.calls.length, { timeout: 10_000 }).toBeGreaterThan(0);
    // It is one load that both wait for, or that is done.
    expect((await world.ask('SELECT n FROM known')).rows).toEqual([[1]]);
    expect(lists.mock.calls).toHaveLength(1);
  });
});

describe('numbers of the query service', () => {
  it('count answers, errors by code, hot rows and cold bytes', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers });
    await flights(world, 'flights', 60);
    const { stats } = await world.ask('SELECT count(*) FROM flights');
    await world.ask('SELECT count(*) FROM flights');
    for (const sql of ['SELECT nope FROM flights', 'DROP TABLE flights', '']) await expect(world.ask(sql)).rejects.toThrow();
    await expect(world.ask({ sql: 'SELECT 1', limits: { max_rows: 0 } })).rejects.toThrow();
    expect(world.service.metricsSnapshot()).toMatchObject({
      done: 2,
      failed: 2,
      errors: { 'query-invalid': 2, 'query-forbidden': 1, 'request-invalid': 1 },
      hotRows: 240,
      coldBytes: 2 * stats.cold_bytes,
    });
  });
});

describe('chunks of the tail with typed columns', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers, tailEncodeBytesMin: 1 });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });
  const chunkFiles = (): Promise<string[]> => readdir(join(world.directory, 'cache', 'tail'));

  it('take the place of raw ones behind the first query and answer the same, without a fetch', async () => {
    await flights(world, 'flights', 60);
    const sql = 'SELECT origin, count(*), avg(delay), max(n) FROM flights GROUP BY origin ORDER BY origin';
    const first = await world.ask(sql);
    expect(world.service.metricsSnapshot()).toMatchObject({ tailChunks: 3 });
    await world.encoded();
    world.fetches.length = 0;
    const next = await world.ask(sql);
    expect(next.rows).toEqual(first.rows);
    expect(next.stats).toMatchObject({ hot_rows: 120, cache_hits: 3 });
    expect(world.fetches).toEqual([]);
    await expect.poll(chunkFiles).toHaveLength(3);
  });

  it('may each have other columns, at other field ids', async () => {
    world.createTopic('mixed', 2);
    world.append('mixed', 0, [{ timestampMs: t0, value: '{"b":1,"c":"x"}' }]);
    world.append('mixed', 1, [{ timestampMs: t0, value: '{"a":true,"c":"y"}' }]);
    await world.ask('SELECT * FROM mixed');
    await world.encoded();
    world.append('mixed', 1, [{ timestampMs: t0, value: '{"b":2.5}' }]);
    const { rows, columns } = await world.ask('SELECT a, b, c FROM mixed ORDER BY _partition_id, _offset');
    expect(columns.map((column) => column.type)).toEqual(['BOOLEAN', 'DOUBLE', 'VARCHAR']);
    expect(rows).toEqual([
      [null, 1, 'x'],
      [true, null, 'y'],
      [null, 2.5, null],
    ]);
  });

  it('count for the records route as raw ones do, also where they begin below the boundary', async () => {
    world.createTopic('read');
    world.append(
      'read',
      0,
      Array.from({ length: 20 }, (_, n) => ({ timestampMs: t0 + n, value: JSON.stringify({ n }) })),
    );
    await world.ask('SELECT count(*) FROM read');
    await world.encoded();
    await world.makeCold('read', 0, 12, 5);
    world.partition('read', 0).logStartOffset = 2;
    const answer = await world.service.records({ topic: 'read' }, new AbortController().signal);
    const offsets: number[] = [];
    for await (const text of answer.lines) offsets.push(...recordsOf(text).map((record) => record.offset));
    expect(offsets).toEqual(Array.from({ length: 18 }, (_, at) => at + 2));
  });

  it('stay raw where the encoder cannot do it', async () => {
    let fails = 0;
    await using other = await QueryWorld.open({
      tailEncodeBytesMin: 1,
      workers: (directory) => {
        const workers = inlineColumnWorkers(directory);
        const run: typeof workers.run = async (job, signal) => {
          if (job.kind !== 'encode') return workers.run(job, signal);
          fails++;
          throw new Error('no room');
        };
        return { pids: [], run, close: () => workers.close() };
      },
    });
    other.createTopic('raw');
    other.append('raw', 0, [{ timestampMs: t0, value: '{"n":1}' }]);
    for (let time = 0; time < 3; time++) expect((await other.ask('SELECT n FROM raw')).rows).toEqual([[1]]);
    expect(fails).toBe(1);
    expect(other.service.metricsSnapshot()).toMatchObject({ tailChunks: 1, tailEncodedChunks: 0 });
  });
});

describe('bounds of the query service', () => {
  it('refuses a tail above query.tail.max.bytes with its size, lag and a way out, unless pruning makes it small', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers, limits: { tailMaxBytes: 2000 } });
    await flights(world, 'flights', 60);
    await expect(world.ask('SELECT count(*) FROM flights')).rejects.toMatchObject({
      code: 'query-too-large',
      hint: expect.stringContaining('query.tail.max.bytes') as string,
      facts: { limitBytes: 2000 },
    });
  });

  it('refuses queries beyond those that run and wait', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers });
    const abort = new AbortController();
    const many = Array.from({ length: 40 }, () => world.ask('SELECT count(*) FROM range(100000000000) a(i) WHERE i % 7 = 3', abort.signal));
    const outcomes = Promise.allSettled(many);
    await expect(Promise.race(many)).rejects.toMatchObject({ code: 'overloaded' });
    abort.abort();
    const codes = (await outcomes).map((outcome) =>
      outcome.status === 'rejected' ? (outcome.reason as { code: string }).code : 'answered',
    );
    expect(codes.filter((code) => code === 'overloaded')).toHaveLength(7);
    expect(codes.filter((code) => code === 'cancelled')).toHaveLength(33);
  });

  it('refuses a query that needs more memory than it may have', async () => {
    await using world = await QueryWorld.open({
      workers: inlineColumnWorkers,
      limits: { memoryBytes: 64 * 1024 * 1024, cacheBytes: 8 * 1024 * 1024 },
    });
    await expect(world.ask('SELECT count(DISTINCT r) FROM (SELECT random() AS r FROM range(20000000))')).rejects.toMatchObject({
      code: 'query-too-large',
    });
    expect((await world.ask('SELECT 1')).rows).toEqual([[1]]);
  });
});
