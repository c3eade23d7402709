import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ColdFile } from '../../../src/lake/index.js';
import { chooseMerge, mergeFilesMax } from '../../../src/tier/compaction.js';

const target = 1000;
const rules = { targetBytes: target, rawBytesOf: (file: ColdFile): number => file.rows };

/** Files of so many rows each, one after the other; a negative number leaves a hole. */
function files(...sizes: readonly number[]): ColdFile[] {
  let next = 0;
  return sizes.flatMap((rows) => {
    const baseOffset = next;
    next += Math.abs(rows);
    if (rows < 0) return [];
    return [
      {
        key: `${baseOffset}`,
        partition: 0,
        baseOffset,
        lastOffset: next - 1,
        rows,
        bytes: rows,
        minTimestampMs: 0,
        maxTimestampMs: 0,
        fieldIds: [],
      },
    ];
  });
}

const chosen = (...sizes: readonly number[]): number[] => chooseMerge(files(...sizes), rules).map((file) => file.rows);

function merged(all: readonly ColdFile[], inputs: readonly ColdFile[]): ColdFile[] {
  const [first, last] = [inputs[0], inputs.at(-1)];
  if (first === undefined || last === undefined) return [...all];
  const one = { ...first, lastOffset: last.lastOffset, rows: inputs.reduce((sum, file) => sum + file.rows, 0) };
  return all.flatMap((file) => (file === first ? [one] : inputs.includes(file) ? [] : [file]));
}

describe('what is merged next', () => {
  it('is nothing of few files, of full ones, or of one', () => {
    expect(chosen()).toEqual([]);
    expect(chosen(10)).toEqual([]);
    expect(chosen(10, 10, 10)).toEqual([]);
    expect(chosen(500, 900, 1000, 1200)).toEqual([]);
    expect(chosen(900, 10)).toEqual([]);
  });

  it('is the oldest neighbours that make a full file, and no more', () => {
    expect(chosen(400, 400, 100)).toEqual([400, 400]);
    expect(chosen(300, 300, 300, 300)).toEqual([300, 300, 300]);
    expect(chosen(300, 450, 450, 10)).toEqual([300, 450]);
    // Two are too little, three a little too much.
    expect(chosen(350, 350, 350)).toEqual([350, 350, 350]);
  });

  it('is eight neighbours of about one size, and all that are beside them', () => {
    expect(chosen(...Array.from({ length: 7 }, () => 10))).toEqual([]);
    expect(chosen(...Array.from({ length: 8 }, () => 10))).toHaveLength(8);
    expect(chosen(...Array.from({ length: 20 }, () => 10))).toHaveLength(20);
    // One that has most of the bytes is not written again for a few small ones.
    expect(chosen(400, 1, 1, 1, 1, 1, 1, 1, 1)).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
  });

  it('is never across a hole or a full file', () => {
    expect(chosen(10, 10, 10, 10, -5, 10, 10, 10)).toEqual([10, 10, 10, 10]);
    expect(chosen(40, -1, 10, 10, 10)).toEqual([]);
    expect(chosen(10, 10, 900, 10, 10)).toEqual([10, 10]);
  });

  it('is what lies between full files once, and then nothing', () => {
    const between = files(900, 5, 7, 900);
    const inputs = chooseMerge(between, rules);
    expect(inputs.map((file) => file.rows)).toEqual([5, 7]);
    expect(chooseMerge(merged(between, inputs), rules)).toEqual([]);
  });

  it('is no more than a worker takes', () => {
    const many = files(...Array.from({ length: 5000 }, () => 1));
    expect(chooseMerge(many, { ...rules, targetBytes: 1_000_000 })).toHaveLength(mergeFilesMax);
  });

  it('ends, keeps the files few and writes no record too often, whatever sizes arrive', { timeout: 60_000 }, () => {
    const arrivals = fc.array(
      fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 300 }), fc.integer({ min: -9, max: 1200 })),
      {
        minLength: 1,
        maxLength: 250,
      },
    );
    fc.assert(
      fc.property(arrivals, (sizes) => {
        // What arrived, at its offsets, and the files there are; each with how often the bytes of its smallest part were written.
        const incoming = files(...sizes);
        let all: ColdFile[] = [];
        const writes = new Map<ColdFile, { readonly times: number; readonly smallest: number }>();
        for (const file of incoming) {
          all.push(file);
          writes.set(file, { times: 1, smallest: file.rows });
          for (let round = 0; ; round++) {
            expect(round).toBeLessThan(20);
            const inputs = chooseMerge(all, rules);
            if (inputs.length === 0) break;
            expect(inputs.length).toBeGreaterThan(1);
            expect(inputs.reduce((sum, input) => sum + input.rows, 0)).toBeLessThanOrEqual(target * 1.5);
            const before = all;
            all = merged(all, inputs);
            const one = all.find((candidate) => !before.includes(candidate));
            if (one === undefined) throw new Error('no merged file');
            const of = inputs.map((input) => writes.get(input) ?? { times: 0, smallest: 1 });
            writes.set(one, { times: Math.max(...of.map((w) => w.times)) + 1, smallest: Math.min(...of.map((w) => w.smallest)) });
          }
        }
        for (const file of all) {
          const { times, smallest } = writes.get(file) ?? { times: 0, smallest: 1 };
          expect(times).toBeLessThanOrEqual(Math.log2(target / smallest) / 2 + 3);
        }
        const holes = sizes.filter((size) => size < 0).length;
        const full = all.filter((file) => file.rows >= target / 2).length;
        expect(all.length).toBeLessThanOrEqual(2 * full + 2 * holes + 32);
        expect(all.reduce((sum, file) => sum + file.rows, 0)).toBe(incoming.reduce((sum, file) => sum + file.rows, 0));
      }),
      { numRuns: 200 },
    );
  });
});
