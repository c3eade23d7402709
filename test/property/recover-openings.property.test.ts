// Where a partition opens whose log is lost: whatever is known of it, no offset is used twice and nothing that is cold is hidden.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openingOf, type PartitionFacts } from '../../src/tier/recover/opening.js';

const offset = fc.oneof(fc.nat(100), fc.nat(2 ** 31), fc.constantFrom(0, 2 ** 26, 2 ** 40));
const epoch = fc.integer({ min: -1, max: 50 });

/** Numbers of one log that can stand together: log start ≤ boundary ≤ high watermark, as they were at some moment of its life. */
const moment = fc.tuple(offset, offset, offset, epoch).map(([a, b, c, leaderEpoch]) => {
  const [logStartOffset, boundary, highWatermark] = [a, b, c].sort((x, y) => x - y) as [number, number, number];
  return { logStartOffset, boundary, highWatermark, leaderEpoch };
});
const facts: fc.Arbitrary<PartitionFacts> = fc.record({
  table: fc.option(moment, { nil: undefined }),
  noted: fc.option(moment, { nil: undefined }),
  committed: fc.array(fc.record({ offset, leaderEpoch: epoch }), { maxLength: 5 }),
  isCold: fc.boolean(),
  offsetGap: fc.constantFrom(1, 1000, 2 ** 26),
});

/** The largest end that any witness of the log speaks of and that can be true. */
function endOf({ table, noted, committed, isCold, offsetGap }: PartitionFacts): number {
  const end = Math.max(isCold ? (table?.boundary ?? 0) : 0, noted?.highWatermark ?? 0);
  return Math.max(end, ...committed.map((one) => one.offset).filter((one) => one <= end + offsetGap));
}

describe('where a partition opens', () => {
  it('is a gap above everything that was seen, in a newer epoch', () => {
    fc.assert(
      fc.property(facts, (known) => {
        const opening = openingOf(known);
        expect(opening.openOffset).toBe(endOf(known) + known.offsetGap);
        expect(opening.leaderEpoch).toBeGreaterThan(Math.max(known.table?.leaderEpoch ?? -1, known.noted?.leaderEpoch ?? -1));
        expect(opening.leaderEpoch).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('begins the hole where the table ends, and keeps what is cold from the later of both log starts on', () => {
    fc.assert(
      fc.property(facts, (known) => {
        const { boundary, logStartOffset, openOffset } = openingOf(known);
        expect(boundary).toBe(known.isCold ? (known.table?.boundary ?? 0) : 0);
        const begun = Math.max(known.table?.logStartOffset ?? 0, known.noted?.logStartOffset ?? 0);
        expect(logStartOffset).toBe(known.isCold ? begun : openOffset);
        expect(logStartOffset).toBeLessThanOrEqual(openOffset);
        expect(boundary).toBeLessThan(openOffset);
      }),
    );
  });

  it('says what is lost: exactly what was written, is not cold and was not deleted', () => {
    fc.assert(
      fc.property(facts, (known) => {
        const { lost } = openingOf(known);
        const begun = Math.max(known.table?.logStartOffset ?? 0, known.noted?.logStartOffset ?? 0);
        const coldEnd = known.isCold ? (known.table?.boundary ?? 0) : 0;
        const wasWritten = (at: number): boolean => at < endOf(known);
        const isGone = (at: number): boolean => lost !== null && at >= lost.from && at < lost.to;
        for (const at of [0, begun - 1, begun, coldEnd - 1, coldEnd, endOf(known) - 1, endOf(known), (lost?.from ?? 0) + 1]) {
          if (at < 0) continue;
          expect([at, isGone(at)]).toEqual([at, wasWritten(at) && at >= coldEnd && at >= begun]);
        }
      }),
    );
  });

  it('never goes back: what more is known only moves it up, and so does each further recovery', () => {
    fc.assert(
      fc.property(facts, fc.nat(1000), (known, produced) => {
        const first = openingOf(known);
        const without = openingOf({ ...known, committed: [] });
        expect(first.openOffset).toBeGreaterThanOrEqual(without.openOffset);
        // The recovered log took some records; the state in the bucket was written anew or is still the one of before.
        const { openOffset, leaderEpoch, logStartOffset } = first;
        const table = known.isCold ? { boundary: openOffset, logStartOffset, leaderEpoch } : undefined;
        const anew = { logStartOffset, boundary: openOffset, highWatermark: openOffset + produced, leaderEpoch };
        const afterNote = openingOf({ ...known, table, noted: anew });
        expect(afterNote.openOffset).toBeGreaterThan(openOffset + produced);
        expect(afterNote.leaderEpoch).toBeGreaterThan(leaderEpoch);
        if (known.isCold) expect(openingOf({ ...known, table }).openOffset).toBeGreaterThanOrEqual(openOffset + known.offsetGap);
      }),
    );
  });

  it('is not moved by a committed offset that the log cannot have reached', () => {
    const noted = { logStartOffset: 0, boundary: 0, highWatermark: 10, leaderEpoch: 0 };
    const committed = [{ offset: Number.MAX_SAFE_INTEGER, leaderEpoch: 0 }];
    expect(openingOf({ table: undefined, noted, committed, isCold: true, offsetGap: 5 })).toEqual({
      boundary: 0,
      logStartOffset: 0,
      openOffset: 15,
      leaderEpoch: 1,
      lost: { from: 0, to: 10 },
    });
  });
});
