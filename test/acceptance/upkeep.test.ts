// A service that is left alone keeps its tables fit: few files, nothing lost, and nothing left of what was replaced.
import { describe, expect, it } from 'vitest';
import { Lake } from '../support/lake.js';
import { eventually } from '../support/processes.js';

const settings = {
  'tier.upkeep.interval.ms': '1000',
  'tier.sweep.interval.ms': '1000',
  'tier.sweep.min.age.ms': '10000',
  'tier.sweep.grace.ms': '1000',
  'query.timeout.ms': '10000',
};
const flushes = 14;
const recordsEach = 40;

describe('a table that is flushed again and again', () => {
  it('has few files after a while, the same records for Kafka and SQL, and no object that nobody needs', { timeout: 180_000 }, async () => {
    await using lake = await Lake.start({ set: settings });
    await lake.createTopic('orders', 1, { 'lake.snapshot.max.age.ms': '1000' });
    for (let flush = 0; flush < flushes; flush++) {
      const records = Array.from({ length: recordsEach }, (_, i) => {
        const n = flush * recordsEach + i;
        const value = n % 7 === 3 ? null : Buffer.from(JSON.stringify(n % 2 === 0 ? { n, side: 'buy' } : { n, price: n / 4 }));
        return { key: n % 5 === 0 ? null : Buffer.from(`k${n}`), value, timestampMs: 1_700_000_000_000 + n, partition: 0 };
      });
      await lake.produce('orders', records);
      await lake.flush('orders');
    }
    const everything = 'SELECT _offset, _timestamp, text(_key), text(_value), n, side, price FROM orders ORDER BY _offset';
    const before = { sql: await lake.sql(everything), kafka: await lake.consume('orders') };
    expect(before.sql).toHaveLength(flushes * recordsEach);
    const coldFiles = async (): Promise<number> => (await lake.storage('orders'))[0]?.cold_files ?? Number.NaN;

    // A round that comes when there are eight files makes one of them, and leaves the six that follow.
    await eventually('small files are put together', async () => (await coldFiles()) <= flushes / 2 || undefined, 60_000);
    // What follows is read from the new files, and from nowhere else.
    await lake.evict('orders');
    expect((await lake.tiers('orders')).cold).toEqual([0, flushes * recordsEach]);
    expect(await lake.sql(everything)).toEqual(before.sql);
    expect(await lake.consume('orders')).toEqual(before.kafka);

    const dataObjects = (): number => [...lake.objects().keys()].filter((key) => key.includes('/data/')).length;
    await eventually('the files that were replaced are swept', async () => dataObjects() === (await coldFiles()) || undefined, 60_000);
    expect(await lake.sql(everything)).toEqual(before.sql);
    expect(await lake.consume('orders')).toEqual(before.kafka);
    const metrics = await (await lake.http('/metrics')).text();
    expect(Number(/^thermocline_tier_swept_objects_total (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(flushes);
    expect(Number(/^thermocline_tier_upkeep_failures_total (\d+)$/m.exec(metrics)?.[1])).toBe(0);
  });
});
