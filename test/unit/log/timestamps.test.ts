import { describe, expect, it } from 'vitest';
import { batch, openIn, state, topic, world } from './hot-world.js';

describe('a look-up by timestamp', () => {
  it('is exact where timestamps go up and down, in any segment and codec', async () => {
    const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
    const { dir, log, partition } = await world({ segmentBytes: 1500, indexIntervalBytes: 100 });
    const all: number[] = [];
    for (let i = 0; i < 80; i++) {
      const timestamps = Array.from({ length: 3 }, (_none, j) => ((i * 37 + j * 11) % 50) * 10 + i * 3);
      all.push(...timestamps);
      partition.append(batch({ timestamps, compression: codecs[i % 5] ?? 'none' }), 1);
    }
    expect(partition.segmentCount).toBeGreaterThan(2);
    await log.close();
    const again = (await openIn(dir)).partition(topic, 0);
    if (again === undefined) throw new Error('the partition is not there');
    for (const from of [0, 1, 100, 239]) {
      for (let t = -20; t <= 760; t += 13) {
        const expected = all.findIndex((timestampMs, offset) => offset >= from && timestampMs >= t);
        const found = await again.offsetForTimestamp(t, from);
        expect(found, `from ${from}, t ${t}`).toEqual(
          expected < 0 ? null : { offset: expected, timestampMs: all[expected], leaderEpoch: 0 },
        );
      }
    }
    const largest = Math.max(...all);
    expect(await again.maxTimestamp()).toEqual({ offset: all.indexOf(largest), timestampMs: largest, leaderEpoch: 0 });
  });

  it('finds the first of several batches with the same timestamp', async () => {
    const { dir, log, partition } = await world();
    partition.append(batch({ timestamps: [100] }), 1);
    for (let i = 0; i < 3; i++) partition.append(batch({ timestamps: [300] }), 1);
    await log.close();
    const again = (await openIn(dir)).partition(topic, 0);
    expect(await again?.offsetForTimestamp(300, 0)).toMatchObject({ offset: 1 });
    expect(await again?.maxTimestamp()).toMatchObject({ offset: 1 });
  });

  it('finds records whose timestamps lie before 1970', async () => {
    const { partition } = await world();
    partition.append(batch({ timestamps: [-5000, -3000] }), 1);
    partition.append(batch({ timestamps: [-4000] }), 1);
    expect(await partition.offsetForTimestamp(-3500, 0)).toMatchObject({ offset: 1 });
    expect(await partition.offsetForTimestamp(-2000, 0)).toBeNull();
    expect(await partition.maxTimestamp()).toMatchObject({ offset: 1, timestampMs: -3000 });
  });

  it('of the largest leaves out what lies below the log start', async () => {
    const { partition } = await world();
    partition.append(batch({ timestamps: [100, 900] }), 1);
    partition.append(batch({ timestamps: [300, 200, 300] }), 1);
    await partition.flush();
    await partition.moveBoundary(2, 2);
    expect(await partition.maxTimestamp()).toMatchObject({ offset: 2, timestampMs: 300 });
    await partition.moveBoundary(3, 3);
    expect(await partition.maxTimestamp()).toMatchObject({ offset: 4, timestampMs: 300 });
  });

  it('finds nothing in an empty log', async () => {
    const { partition } = await world();
    expect(await partition.offsetForTimestamp(0, 0)).toBeNull();
    expect(await partition.maxTimestamp()).toBeNull();
    expect(state(partition)).toMatchObject({ segmentCount: 1, hotBytes: 0 });
  });
});
