import { describe, expect, it } from 'vitest';
import {
  addSample,
  formatPartitions,
  formatSamples,
  movePartitions,
  parsePartitions,
  parseSamples,
} from '../../../src/lake/partition-vector.js';
import type { BoundarySample } from '../../../src/lake/index.js';

const cold = (partition: number, boundary: number) => ({ partition, boundary, logStartOffset: 0, leaderEpoch: 0 });

describe('the partition vector', () => {
  it('is read as it was written', () => {
    const partitions = [cold(0, 5), { partition: 7, boundary: 2 ** 53 - 1, logStartOffset: 3, leaderEpoch: 12 }];
    expect(parsePartitions(formatPartitions(partitions))).toEqual(partitions);
    expect(parsePartitions(undefined)).toEqual([]);
  });

  it.each(['{', '{}', '[[0,1]]', '[[1,1,0,0],[0,1,0,0]]', '[[0,-1,0,0]]', '[[0,1.5,0,0]]'])(
    'is refused where it is damaged: %s',
    (text) => {
      expect(() => parsePartitions(text)).toThrow(expect.objectContaining({ code: 'table-corrupt' }));
    },
  );

  it('never goes back, in boundary, log start or epoch', () => {
    const before = [{ partition: 0, boundary: 5, logStartOffset: 3, leaderEpoch: 4 }];
    const after = movePartitions(before, [{ partition: 0, from: 5, to: 9, leaderEpoch: 2, logStartOffset: 1, files: [] }]);
    expect(after).toEqual([{ partition: 0, boundary: 9, logStartOffset: 3, leaderEpoch: 4 }]);
    expect(() => movePartitions(before, [{ partition: 0, from: 5, to: 5, leaderEpoch: 2, files: [] }])).toThrow(/boundary/);
    expect(() => movePartitions(before, [{ partition: 0, from: 0, to: 9, leaderEpoch: 2, files: [] }])).toThrow(/boundary/);
  });

  it('thins samples out with age and stays small over years', () => {
    let samples: BoundarySample[] = [];
    const minute = 60_000;
    for (let n = 0; n < 50_000; n++) samples = addSample(samples, [cold(0, n)], n * minute);
    expect(samples.length).toBeLessThan(250);
    expect(samples.length).toBeGreaterThan(40);
    expect(samples.at(-1)).toEqual({ atMs: 49_999 * minute, boundaries: [49_999] });
    expect(samples.slice(-4).map((sample) => 49_999 - sample.atMs / minute)).toEqual([3, 2, 1, 0]);
    expect(samples[0]?.atMs).toBe(0);
    // No gap is longer than about a fourth of the age at its newer end.
    for (const [index, sample] of samples.entries()) {
      const older = samples[index - 1];
      const ageMs = 49_999 * minute - sample.atMs;
      if (older !== undefined) expect(sample.atMs - older.atMs).toBeLessThanOrEqual(Math.max(minute, ageMs / 4 + minute));
    }
    expect(parseSamples(formatSamples(samples))).toEqual(samples);
  });

  it('keeps the oldest sample of a topic with many partitions, and has room for few beside it', () => {
    const minute = 60_000;
    for (const [width, atLeast] of [
      [1000, 20],
      [8000, 3],
      [30_000, 2],
    ] as const) {
      let samples: BoundarySample[] = [];
      for (let n = 0; n < 2000; n++) samples = addSample(samples, [cold(0, n), cold(width - 1, n)], n * minute);
      expect([width, samples[0]?.atMs]).toEqual([width, 0]);
      expect(samples.at(-1)?.atMs).toBe(1999 * minute);
      expect(samples.length).toBeGreaterThanOrEqual(atLeast);
      expect(samples.length * width).toBeLessThanOrEqual(60_000);
    }
  });

  it('keeps samples in order where the clock was set back', () => {
    const samples = addSample(addSample([], [cold(0, 1)], 1000), [cold(0, 2)], 500);
    expect(samples).toEqual([{ atMs: 1000, boundaries: [2] }]);
  });
});
