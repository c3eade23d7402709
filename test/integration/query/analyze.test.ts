import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { QueryRequest } from '../../../src/query/index.js';
import { StageTimes } from '../../../src/query/analyzed.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

describe('EXPLAIN ANALYZE', () => {
  let world: QueryWorld;
  beforeAll(async () => {
    world = await QueryWorld.open({ workers: inlineColumnWorkers, tailEncodeBytesMin: 1 });
    world.createTopic('log');
    world.createTopic('other');
    const records = (from: number) =>
      Array.from({ length: 10 }, (_, at) => ({ timestampMs: 1000 + from + at, key: `k${at % 3}`, value: `{"n":${from + at},"t":"x"}` }));
    for (let from = 0; from < 40; from += 10) world.append('log', 0, records(from));
    await world.makeCold('log', 0, 30, 10);
    world.append('other', 0, records(0));
    world.views.push({ name: 'high', sql: 'SELECT n FROM log WHERE n >= 5', savedMs: 0 });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const analyze = async (sql: string, more: Partial<QueryRequest> = {}) => {
    const { columns, rows, ...answer } = await world.ask({ sql: `EXPLAIN ANALYZE ${sql}`, ...more });
    const told = rows.map((row) => Object.fromEntries(columns.map(({ name }, at) => [name, row[at]]))) as {
      readonly step: string;
      readonly topic: string | null;
      readonly tier: string | null;
      readonly ms: number;
      readonly rows: number | null;
      readonly files: number | null;
      readonly bytes: number | null;
      readonly detail: string | null;
    }[];
    const scanOf = (topic: string, tier: string) => told.find((one) => one.step === 'scan' && one.topic === topic && one.tier === tier);
    return { ...answer, told, scanOf, run: told.find(({ step }) => step === 'run')! };
  };

  it('runs the query and tells where its time went, by stage, tier and operator', async () => {
    const { told, scanOf, run, stats } = await analyze('SELECT n FROM log WHERE _offset >= 15 AND n % 2 = 1 ORDER BY n');
    expect(told.slice(0, 7).map(({ step }) => step)).toEqual(['wait', 'parse', 'pin', 'stage', 'plan', 'read', 'run']);
    // 15 … 39, the odd ones.
    expect(run).toMatchObject({ rows: 13, topic: null });
    expect(run.detail).toMatch(/ms of CPU/);
    expect(scanOf('log', 'cold')).toMatchObject({ files: 2, rows: 20, detail: 'pruned 1' });
    expect(scanOf('log', 'hot')).toMatchObject({ files: 1, rows: 10 });
    expect(scanOf('log', 'cold')?.bytes).toBe(stats.cold_bytes);
    expect(scanOf('log', 'hot')?.bytes).toBe(stats.hot_bytes);
    const reads = told.filter(({ step }) => step.trim() === 'READ_PARQUET');
    expect(reads.map(({ topic, tier }) => [topic, tier])).toEqual([
      ['log', 'cold'],
      ['log', 'hot'],
    ]);
    expect(told.find(({ step }) => step === '  ORDER_BY')).toMatchObject({ rows: 13 });
    const total = told.at(-1)!;
    const parts = told.slice(0, 7).reduce((all, { ms }) => all + ms, 0);
    expect([total.step, Math.abs(total.ms - parts) < 0.1]).toEqual(['total', true]);
    // Names of files of the lease are nobody's business.
    expect(JSON.stringify(told)).not.toMatch(/lease|parquet'/);
  });

  it('tells topics apart, and what was not read', async () => {
    const { scanOf } = await analyze('SELECT count(*) FROM log a JOIN other b ON a.n = b.n');
    expect(scanOf('log', 'cold')).toMatchObject({ files: 3, rows: 30 });
    expect(scanOf('other', 'hot')).toMatchObject({ rows: 10 });
    expect(scanOf('other', 'cold')).toMatchObject({ files: 0, rows: 0, bytes: 0 });
    const counted = await analyze('SELECT count(*) FROM log');
    expect(counted.scanOf('log', 'cold')).toMatchObject({ files: 0, detail: 'answered from metadata 3' });
    const none = await analyze('SELECT 1');
    expect(none.told.some(({ step }) => step === 'scan')).toBe(false);
    expect(none.run.rows).toBe(1);
  });

  it('takes parameters, saved views, latest(topic), JSON operators and a semicolon', async () => {
    expect((await analyze('SELECT n FROM log WHERE n < $1', { params: [7] })).run.rows).toBe(7);
    expect((await analyze('SELECT n FROM log WHERE n < $most', { params: { most: { type: 'BIGINT', value: '3' } } })).run.rows).toBe(3);
    expect((await analyze('SELECT * FROM high')).run.rows).toBe(35);
    expect((await analyze('SELECT * FROM latest(log);')).run.rows).toBe(3);
    expect((await analyze("SELECT text(_value)->>'n' FROM log LIMIT 4 -- so many")).run.rows).toBe(4);
    expect((await analyze('SELECT * FROM system.topics')).run.rows).toBe(2);
  });

  it('is of the moment that a token or the whole question names', async () => {
    const { token } = await analyze('SELECT n FROM other');
    world.append('other', 0, [{ timestampMs: 1, key: 'k', value: '{"n":99}' }]);
    expect((await analyze('SELECT n FROM other')).run.rows).toBe(11);
    expect((await analyze('SELECT n FROM other', { asOf: token })).run.rows).toBe(10);
  });

  it('is written in every format', async () => {
    for (const format of ['json', 'ndjson', 'csv', 'arrow', 'parquet', 'table'] as const) {
      const answer = await world.service.answer({ sql: 'EXPLAIN ANALYZE SELECT n FROM log', format }, new AbortController().signal);
      const pieces: Uint8Array[] = [];
      for await (const piece of answer.pieces) pieces.push(piece);
      expect(Buffer.concat(pieces).toString('latin1')).toContain('READ_PARQUET');
    }
  });

  it('fails as the query does, at the place where it stands', async () => {
    const place = (sql: string) => world.ask(sql).then(undefined, (error: unknown) => error);
    expect(await place('EXPLAIN ANALYZE SELECT nope FROM log')).toMatchObject({ code: 'query-invalid', facts: { line: 1, column: 24 } });
    expect(await place('EXPLAIN ANALYZE SELECT t::BIGINT FROM log')).toMatchObject({ code: 'query-invalid' });
    expect(await place('SELECT t::BIGINT FROM log')).toMatchObject({ code: 'query-invalid' });
    expect(await place('EXPLAIN ANALYZE DELETE FROM log')).toMatchObject({ code: 'query-forbidden' });
    expect(await place("EXPLAIN ANALYZE SELECT * FROM read_text('/etc/passwd')")).toMatchObject({ code: 'query-forbidden' });
    expect(await place('EXPLAIN ANALYZE SELECT 1; SELECT 2')).toMatchObject({ code: 'query-forbidden' });
    await expect(world.ask({ sql: 'EXPLAIN ANALYZE SELECT * FROM log', limits: { max_scan_bytes: 1 } })).rejects.toMatchObject({
      code: 'query-too-large',
    });
  });
});

describe('times of stages', () => {
  it('add up over several visits, and begin when the query was taken', () => {
    let nowMs = 10;
    const times = new StageTimes(() => nowMs, 4);
    for (const [stage, ms] of [
      ['parse', 1],
      ['plan', 2],
      ['stage', 4],
      ['plan', 8],
      ['read', 16],
    ] as const) {
      times.enter(stage);
      nowMs += ms;
    }
    times.enter('wait');
    expect((['wait', 'parse', 'pin', 'stage', 'plan', 'read'] as const).map((stage) => times.msOf(stage))).toEqual([6, 1, 0, 4, 10, 16]);
  });
});
