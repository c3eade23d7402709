import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ColdFile } from '../../../src/lake/index.js';
import { type RetainedPartition, retainedFrom } from '../../../src/tier/retention.js';

const now = 1_000_000;
const future = Number.MAX_SAFE_INTEGER;

function file(baseOffset: number, lastOffset: number, maxTimestampMs: number, bytes = 100): ColdFile {
  const key = `${baseOffset}`;
  return { key, partition: 0, baseOffset, lastOffset, rows: 1, bytes, minTimestampMs: 0, maxTimestampMs, fieldIds: [] };
}

function partition(over: Partial<RetainedPartition> = {}): RetainedPartition {
  const files = [file(0, 9, 100), file(10, 19, 200), file(25, 34, 300)];
  return { partition: 0, files, logStartOffset: 0, tailBytes: 50, samples: [{ atMs: now - 10, boundaries: [40] }], ...over };
}

describe('retention over both tiers', () => {
  it('keeps everything without a bound', () => {
    expect(retainedFrom(partition(), { ms: -1, bytes: -1 }, future)).toBe(0);
  });

  it('by time: whole files whose newest record is too old, up to the first that is not', () => {
    expect(retainedFrom(partition(), { ms: 100, bytes: -1 }, 200)).toBe(0);
    expect(retainedFrom(partition(), { ms: 100, bytes: -1 }, 201)).toBe(10);
    expect(retainedFrom(partition(), { ms: 100, bytes: -1 }, 301)).toBe(20);
    // What is hot only is nobody's here, and holes are not passed over before a file behind them goes.
    expect(retainedFrom(partition(), { ms: 100, bytes: -1 }, 401)).toBe(35);
    const outOfOrder = partition({ files: [file(0, 9, 100), file(10, 19, 900), file(20, 29, 300)] });
    expect(retainedFrom(outOfOrder, { ms: 100, bytes: -1 }, 500)).toBe(10);
  });

  it('by size: while the rest is as large as the bound, counting what is hot only', () => {
    expect(retainedFrom(partition(), { ms: -1, bytes: 350 }, now)).toBe(0);
    expect(retainedFrom(partition(), { ms: -1, bytes: 251 }, now)).toBe(0);
    expect(retainedFrom(partition(), { ms: -1, bytes: 250 }, now)).toBe(10);
    expect(retainedFrom(partition(), { ms: -1, bytes: 150 }, now)).toBe(20);
    expect(retainedFrom(partition({ tailBytes: 1000 }), { ms: -1, bytes: 1000 }, now)).toBe(35);
    expect(retainedFrom(partition(), { ms: -1, bytes: 0 }, now)).toBe(35);
  });

  it('never goes back, nor below a file that the log start falls into', () => {
    expect(retainedFrom(partition({ logStartOffset: 27 }), { ms: 100, bytes: -1 }, 201)).toBe(27);
    expect(retainedFrom(partition({ files: [], logStartOffset: 7 }), { ms: 0, bytes: 0 }, future)).toBe(7);
  });

  it('lets no timestamp from the future keep a file, nor the files behind it', () => {
    const samples = [
      { atMs: 500, boundaries: [10] },
      { atMs: 600, boundaries: [20, 7] },
      { atMs: 900, boundaries: [40, 7] },
    ];
    const files = [file(0, 9, future), file(10, 19, 550), file(20, 29, 950)];
    const at = (nowMs: number): number => retainedFrom(partition({ files, samples }), { ms: 100, bytes: -1 }, nowMs);
    expect([at(600), at(601), at(650), at(651), at(1000), at(1001)]).toEqual([0, 10, 10, 20, 20, 30]);
  });

  it('counts the age of records without a timestamp from when they were in the table', () => {
    const files = [file(0, 9, -1), file(10, 19, -1)];
    const samples = [{ atMs: 500, boundaries: [10] }];
    expect(retainedFrom(partition({ files, samples }), { ms: 100, bytes: -1 }, 600)).toBe(0);
    expect(retainedFrom(partition({ files, samples }), { ms: 100, bytes: -1 }, future)).toBe(10);
  });

  it('is what Kafka does to a list of segments, whatever the files', () => {
    const files = fc.array(
      fc.record({ maxTimestampMs: fc.integer({ min: -1, max: 2000 }), bytes: fc.nat(100), rows: fc.integer({ min: 1, max: 9 }) }),
    );
    const rule = fc.record({ ms: fc.integer({ min: -1, max: 1000 }), bytes: fc.integer({ min: -1, max: 500 }) });
    fc.assert(
      fc.property(files, rule, fc.nat(100), fc.nat(3000), fc.nat(8), (drawn, bound, tailBytes, nowMs, logStart) => {
        // No file of a table lies wholly below its log start.
        const logStartOffset = Math.min(logStart, (drawn[0]?.rows ?? 1) - 1);
        let next = 0;
        const list = drawn.map(({ maxTimestampMs, bytes, rows }) => {
          const base = next;
          next += rows;
          return file(base, next - 1, maxTimestampMs, bytes);
        });
        const samples = list.map(({ lastOffset }, i) => ({ atMs: 100 * i, boundaries: [lastOffset + 1] }));
        const from = retainedFrom({ partition: 0, files: list, logStartOffset, tailBytes, samples }, bound, nowMs);
        expect(from).toBeGreaterThanOrEqual(logStartOffset);
        const kept = list.filter(({ lastOffset }) => lastOffset >= from);
        const gone = list.slice(0, list.length - kept.length);
        const ageMs = (one: ColdFile): number => {
          const committedMs = 100 * list.indexOf(one);
          return nowMs - (one.maxTimestampMs < 0 ? committedMs : Math.min(one.maxTimestampMs, committedMs));
        };
        const size = (of: readonly ColdFile[]): number => of.reduce((sum, one) => sum + one.bytes, tailBytes);
        // What is kept is at least the bound, and each that went by retention was beyond one of them.
        if (bound.ms < 0 && bound.bytes >= 0 && from > logStartOffset) expect(size(kept)).toBeGreaterThanOrEqual(bound.bytes);
        for (const [i, one] of gone.entries()) {
          if (one.lastOffset < logStartOffset) continue;
          const isTooOld = bound.ms >= 0 && ageMs(one) > bound.ms;
          const isTooMuch = bound.bytes >= 0 && size(list.slice(i + 1)) >= bound.bytes;
          expect(isTooOld || isTooMuch).toBe(true);
        }
        const [first] = kept;
        if (first !== undefined && logStartOffset <= first.baseOffset) {
          expect(bound.ms >= 0 && ageMs(first) > bound.ms).toBe(false);
          expect(bound.bytes >= 0 && size(kept.slice(1)) >= bound.bytes).toBe(false);
        }
      }),
    );
  });
});
