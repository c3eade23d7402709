import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { problemResponse } from '../../../src/gateway/problem.js';
import { LakeError, systemClock } from '../../../src/kernel/index.js';
import { QueryQueue } from '../../../src/query/query-queue.js';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld, type WorldOptions } from '../../support/query-world.js';

const MiB = 2 ** 20;
const { signal } = new AbortController();

async function flights(limits: WorldOptions['limits'] = {}, config: Record<string, string> = {}): Promise<QueryWorld> {
  const world = await QueryWorld.open({ workers: inlineColumnWorkers, limits });
  world.createTopic('flights', 1, config);
  world.append(
    'flights',
    0,
    Array.from({ length: 100 }, (_, n) => ({ timestampMs: n * 1000, value: JSON.stringify({ a: n }) })),
  );
  await world.makeCold('flights', 0, 80, 20);
  return world;
}

describe('the queue before the engines', () => {
  const limits = { running: 1, waiting: 1, waitMs: 60_000 };

  it('lets one in when another leaves, and refuses those that are too many at once', async () => {
    const queue = new QueryQueue(limits, systemClock);
    const leave = await queue.enter(signal);
    const second = queue.enter(signal);
    expect({ running: queue.running, waiting: queue.waiting }).toEqual({ running: 1, waiting: 1 });
    await expect(queue.enter(signal)).rejects.toMatchObject({ code: 'overloaded', facts: { running: 1, waiting: 1 } });
    leave();
    (await second)();
    expect({ running: queue.running, waiting: queue.waiting }).toEqual({ running: 0, waiting: 0 });
  });

  it('refuses whoever has waited too long, and forgets whoever was cancelled', async () => {
    const queue = new QueryQueue({ ...limits, waitMs: 20 }, systemClock);
    const leave = await queue.enter(signal);
    await expect(queue.enter(signal)).rejects.toMatchObject({ code: 'overloaded', retriable: true });
    const abort = new AbortController();
    const cancelled = queue.enter(abort.signal);
    abort.abort(new LakeError('cancelled', 'gone'));
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
    expect(queue.waiting).toBe(0);
    leave();
    (await queue.enter(signal))();
  });

  it('is told over HTTP as 429 with the seconds to wait', async () => {
    const queue = new QueryQueue({ running: 1, waiting: 0, waitMs: 12_000 }, systemClock);
    const leave = await queue.enter(signal);
    const error: unknown = await queue.enter(signal).catch((reason: unknown) => reason);
    const response = problemResponse(error);
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('3');
    expect(await response.json()).toMatchObject({ code: 'overloaded', retriable: true });
    leave();
  });
});

describe('a query that would read too much', () => {
  it('is refused with the sizes before a cold file is read, by the request or by the server, and not where pruning makes it small', async () => {
    await using world = await flights({ scanMaxBytes: 1_000_000 });
    const { stats } = await world.ask('SELECT sum(a) FROM flights');
    const all = stats.cold_bytes + stats.hot_bytes;
    const ask = (sql: string, max: number) => world.ask({ sql, limits: { max_scan_bytes: max } });
    await expect(ask('SELECT sum(a) FROM flights', all - 1)).rejects.toMatchObject({
      code: 'query-too-large',
      facts: { scanBytes: all, coldBytes: stats.cold_bytes, hotBytes: stats.hot_bytes, maxBytes: all - 1, topic: 'flights' },
      hint: expect.stringContaining('limits.max_scan_bytes') as string,
    });
    expect((await ask('SELECT sum(a) FROM flights', all)).rows).toEqual([[4950]]);
    expect((await ask('SELECT sum(a) FROM flights WHERE _offset < 20', Math.ceil(all / 2))).rows).toEqual([[190]]);
    expect((await ask('DESCRIBE flights', 1)).rows).toHaveLength(7);
    // A request lowers the server's bound and never raises it.
    await using small = await flights({ scanMaxBytes: all - 1 });
    await expect(small.ask({ sql: 'SELECT sum(a) FROM flights', limits: { max_scan_bytes: all } })).rejects.toMatchObject({
      facts: { maxBytes: all - 1 },
    });
    const records = small.service.records({ topic: 'flights' }, signal);
    await expect(records).rejects.toMatchObject({ code: 'query-too-large' });
  });

  it('has no more rows than the server allows', async () => {
    await using world = await flights({ maxRows: 10 });
    await expect(world.ask('SELECT a FROM flights')).rejects.toMatchObject({ code: 'query-too-large' });
    await expect(world.ask({ sql: 'SELECT a FROM flights', limits: { max_rows: 50 } })).rejects.toMatchObject({ code: 'query-too-large' });
    expect((await world.ask('SELECT a FROM flights LIMIT 10')).rows).toHaveLength(10);
  });
});

describe('a topic that wants a time bound', () => {
  it('refuses every query that reads it from the beginning, however that is written', async () => {
    await using world = await flights({}, { 'query.require.time.bound': 'true' });
    world.createTopic('free');
    for (const sql of [
      'SELECT count(*) FROM flights',
      'SELECT * FROM flights LIMIT 1',
      'SELECT * FROM flights WHERE a > 5',
      "SELECT * FROM flights WHERE _timestamp < TIMESTAMPTZ '1970-01-01T00:00:50Z'",
      'SELECT * FROM flights WHERE _offset >= 5 OR a = 1',
      'SELECT * FROM flights f JOIN flights g ON f.a = g.a WHERE f._offset > 5',
      'SELECT (SELECT max(a) FROM flights) FROM free',
      'SELECT * FROM flights WHERE _offset > 5 UNION ALL SELECT * FROM flights',
    ]) {
      await expect(world.ask(sql), sql).rejects.toMatchObject({ code: 'query-unbounded', facts: { topic: 'flights' } });
    }
    for (const [sql, rows] of [
      ["SELECT a FROM flights WHERE _timestamp >= TIMESTAMPTZ '1970-01-01T00:01:30Z'", 10],
      ['SELECT a FROM flights WHERE _offset >= 95 AND a > 0', 5],
      ['WITH late AS (SELECT * FROM flights WHERE _offset BETWEEN 40 AND 49) SELECT * FROM late', 10],
      ["SELECT a FROM flights WHERE _timestamp > now() - INTERVAL '1 hour'", 0],
      ['SELECT count(*) FROM free', 1],
      ['DESCRIBE flights', 7],
    ] as const) {
      expect([sql, (await world.ask(sql)).rows.length]).toEqual([sql, rows]);
    }
    expect((await world.ask({ sql: 'SELECT a FROM flights WHERE _offset >= $from', params: { from: 99 } })).rows).toEqual([[99]]);
  });
});

describe('a query above its memory', () => {
  const leftovers = async (world: QueryWorld): Promise<string[]> => {
    const leases = join(world.directory, 'cache', 'leases');
    const names = (await readdir(leases)).filter((name) => name.startsWith('spill-'));
    return (await Promise.all(names.map((name) => readdir(join(leases, name))))).flat();
  };
  const sort =
    'SELECT i FROM (SELECT hash(i) AS h, i, repeat(chr(65 + (i % 20)::INT), 40) AS t FROM range(3000000) r(i)) ORDER BY h, t LIMIT 2500000';

  it('spills to disk and is answered, and leaves no file', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers, limits: { memoryBytes: 96 * MiB, spillBytes: 2048 * MiB } });
    let most = 0;
    const timer = setInterval(() => {
      void leftovers(world).then(
        (files) => {
          most = Math.max(most, files.length);
        },
        () => undefined,
      );
    }, 5);
    try {
      const { rows } = await world.ask(`SELECT count(*), sum(i) FROM (${sort})`);
      expect(rows[0]?.[0]).toBe(2_500_000);
    } finally {
      clearInterval(timer);
    }
    expect(most).toBeGreaterThan(0);
    // The next query's instance is opened when the directories of this one are empty.
    await world.ask('SELECT 1');
    await world.ask('SELECT 1');
    expect(await leftovers(world)).toEqual([]);
  });

  it('ends with a clear error above what it may spill, alone', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers, limits: { memoryBytes: 64 * MiB, spillBytes: 16 * MiB } });
    await expect(world.ask(`SELECT count(*), sum(i) FROM (${sort})`)).rejects.toMatchObject({
      code: 'query-too-large',
      hint: expect.stringContaining('query.spill.max.bytes') as string,
    });
    expect((await world.ask('SELECT 1')).rows).toEqual([[1]]);
  });
});

describe('a query that is no longer wanted', () => {
  const endless = 'SELECT count(*) FROM range(40000000000) a(i) WHERE i % 7 = 3';
  const codeOf = (asked: Promise<unknown>): Promise<string> =>
    asked.then(
      () => 'answered',
      (error: LakeError) => error.code,
    );

  it('ends while it runs and while it waits, when it is cancelled by its id and when the service closes', async () => {
    const world = await QueryWorld.open({ workers: inlineColumnWorkers });
    try {
      const running = codeOf(world.ask(endless));
      while (world.service.metricsSnapshot().running < 1) await systemClock.sleep(5);
      const waiting = [1, 2].map(() => codeOf(world.ask(endless)));
      while (world.service.metricsSnapshot().waiting < 2) await systemClock.sleep(5);
      const ids = world.service.list().map(({ id }) => id);
      expect(ids).toHaveLength(3);
      expect(world.service.cancel(ids[1]!)).toBe(true);
      expect(await waiting[0]).toBe('cancelled');
      expect(world.service.metricsSnapshot()).toMatchObject({ running: 1, waiting: 1 });
      expect(world.service.cancel(ids[0]!)).toBe(true);
      expect(await running).toBe('cancelled');
      expect(world.service.cancel(ids[0]!)).toBe(false);
      while (world.service.metricsSnapshot().waiting > 0) await systemClock.sleep(5);
      const { pids } = world.service;
      await world.service.close();
      expect(await waiting[1]).toBe('cancelled');
      for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    } finally {
      await world[Symbol.asyncDispose]();
    }
  });
});

describe('an engine that is killed', () => {
  it('takes only its own query along, and says so', async () => {
    await using world = await QueryWorld.open({ workers: inlineColumnWorkers, limits: { concurrency: 2 } });
    const endless = (n: number) => `SELECT count(*) FROM range(40000000000) a(i) WHERE i % 7 = ${n}`;
    // An engine that dies while it is started is replaced, and no query hears of it.
    await Promise.all([world.ask('SELECT 1'), world.ask('SELECT 2')]);
    const abort = new AbortController();
    const both = [1, 2].map((n) => world.ask(endless(n), abort.signal).catch((error: LakeError) => error));
    while (world.service.metricsSnapshot().running < 2) await systemClock.sleep(5);
    await systemClock.sleep(300);
    const [pid] = world.service.pids;
    process.kill(pid!, 'SIGKILL');
    const first = (await Promise.race(both)) as LakeError;
    expect(first.code).toBe('worker-died');
    expect(first.message).toContain(`query engine ${pid} ended (SIGKILL)`);
    expect(world.service.running).toBe(1);
    expect((await world.ask('SELECT 1')).rows).toEqual([[1]]);
    abort.abort();
    const codes = (await Promise.all(both)).map((outcome) => (outcome as LakeError).code);
    expect(codes.sort()).toEqual(['cancelled', 'worker-died']);
  });
});
