// `as_of` a time, case by case: what is gone, what was never known, several topics, views, and what the answer says of itself.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inlineColumnWorkers } from '../../support/column-workers.js';
import { QueryWorld } from '../../support/query-world.js';

const startMs = Date.parse('2026-11-26T10:00:00Z');
let world: QueryWorld;
beforeEach(async () => {
  world = await QueryWorld.open({ workers: inlineColumnWorkers });
  world.clock.nowIs = startMs;
  world.createTopic('orders', 2);
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

function append(atMs: number, partition: number, key: string, value = '{"n":1}'): void {
  world.clock.nowIs = startMs + atMs;
  world.append('orders', partition, [{ timestampMs: 1, key, value }]);
}

async function count(asOf: string | number, sql = 'SELECT count(*) FROM orders'): Promise<[unknown, number | undefined]> {
  const { rows, stats } = await world.ask({ sql, asOf: String(asOf) });
  return [rows[0]?.[0], stats.as_of_ms === undefined ? undefined : stats.as_of_ms - startMs];
}

describe('as of a time', () => {
  it('takes ISO 8601 with and without a zone, and epoch milliseconds', async () => {
    append(10_000, 0, 'a');
    append(20_000, 1, 'b');
    world.clock.nowIs = startMs + 60_000;
    for (const asOf of ['2026-11-26T10:00:15Z', '2026-11-26T10:00:15', '2026-11-26T11:00:15+01:00', startMs + 15_000])
      expect(await count(asOf)).toEqual([1, 15_000]);
    expect(await count(startMs + 60_000)).toEqual([2, 59_999]);
    await expect(count('yesterday')).rejects.toMatchObject({ code: 'token-invalid', hint: expect.stringContaining('or a time') as string });
  });

  it('is of the last time before a second in which more came, for all partitions alike', async () => {
    append(10_100, 0, 'a');
    append(11_200, 0, 'b');
    append(11_300, 1, 'c');
    append(11_700, 0, 'd');
    append(11_800, 1, 'e');
    append(30_000, 0, 'f');
    expect(await count(startMs + 11_500)).toEqual([1, 10_999]);
    expect(await count(startMs + 11_800)).toEqual([5, 11_800]);
  });

  it('is an error in the future, before the topic, and where all of a partition is gone', async () => {
    append(1000, 0, 'a');
    append(2000, 1, 'b');
    append(9000, 0, 'c');
    await expect(count(startMs + 9001)).rejects.toMatchObject({ code: 'as-of-future', facts: { nowMs: startMs + 9000 } });
    await expect(count(startMs - 1)).rejects.toMatchObject({ code: 'as-of-unknown', facts: { sinceMs: startMs } });
    expect(await count(startMs)).toEqual([0, 0]);
    world.partition('orders', 0).logStartOffset = 1;
    // What was removed is not asked for, as long as something is left, or nothing was there.
    expect(await count(startMs + 5000)).toEqual([1, 5000]);
    expect(await count(startMs + 500)).toEqual([0, 500]);
    world.partition('orders', 0).logStartOffset = 2;
    await expect(count(startMs + 5000)).rejects.toMatchObject({
      code: 'as-of-gone',
      message: expect.stringContaining('orders-0 ended at 1, now begins at 2') as string,
    });
  });

  it('is asked of the table where the broker remembers nothing, as far as all of it was tiered', async () => {
    for (let at = 1; at <= 9; at++) append(at * 10_000, at % 2, `k${at}`);
    await world.makeCold('orders', 0, 4);
    await world.makeCold('orders', 1, 3);
    world.clock.nowIs = startMs + 100_000;
    for (const partition of [0, 1]) world.partition('orders', partition).restart('recovered', world.clock.nowIs);
    // The seventh is the first that is not in the table; of seventy seconds it has a cut every ten.
    expect(await count(startMs + 65_000)).toEqual([5, 59_999]);
    expect(await count(startMs + 95_000)).toEqual([6, 69_999]);
    await expect(count(startMs - 1)).rejects.toMatchObject({ code: 'as-of-unknown', facts: { sinceMs: startMs } });
    world.clock.nowIs = startMs + 110_000;
    expect(await count(startMs + 105_000)).toEqual([9, 105_000]);
  });

  it('holds for last values, several topics and records alike', async () => {
    world.createTopic('more');
    append(10_000, 0, 'a', '{"n":1}');
    append(20_000, 0, 'a', '{"n":2}');
    world.append('more', 0, [{ timestampMs: 1, key: 'x', value: '{"n":5}' }]);
    append(30_000, 0, 'a', '{"n":3}');
    expect(await count(startMs + 25_000, 'SELECT n FROM latest(orders)')).toEqual([2, 25_000]);
    expect(await count(startMs + 25_000, 'SELECT sum(n) FROM (SELECT n FROM orders UNION ALL SELECT n FROM more)')).toEqual([8, 25_000]);
    expect(await count(startMs + 15_000, 'SELECT count(*) FROM orders, more')).toEqual([0, 15_000]);
    const signal = new AbortController().signal;
    const asOf = String(startMs + 25_000);
    const asked = [
      () => world.service.records({ topic: 'orders', asOf }, signal),
      () => world.service.keyRecords({ topic: 'orders', key: Buffer.from('a'), isHistory: true, asOf }, signal),
    ];
    for (const ask of asked) {
      let text = '';
      for await (const line of (await ask()).lines) text += line;
      expect(text.trim().split('\n')).toHaveLength(2);
    }
  });

  it('has the columns of now, which are null where they came later, and keeps them for its token', async () => {
    append(10_000, 0, 'a', '{"n":1}');
    await world.ask('SELECT * FROM orders');
    append(20_000, 0, 'a', '{"gate":"B"}');
    append(30_000, 1, 'a', '{"seat":"B"}');
    world.clock.nowIs = startMs + 40_000;
    expect((await world.ask('SELECT gate, seat FROM orders')).rows).toHaveLength(3);
    const asOf = String(startMs + 15_000);
    const past = await world.ask({ sql: 'SELECT * EXCLUDE (_key, _value, _headers) FROM orders', asOf });
    expect(past.columns.map(({ name }) => name)).toEqual(expect.arrayContaining(['n', 'gate', 'seat']));
    expect(past.rows).toHaveLength(1);
    await world.makeCold('orders', 0, 2);
    await world.makeCold('orders', 1, 1);
    for (const again of [asOf, past.token])
      expect((await world.ask({ sql: 'SELECT * EXCLUDE (_key, _value, _headers) FROM orders', asOf: again })).rows.map(String)).toEqual(
        past.rows.map(String),
      );
  });
});
