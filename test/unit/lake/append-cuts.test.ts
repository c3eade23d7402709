// What a table keeps of when records were appended: read as written, bounded, thinned with age, and never beyond the boundary.
import { describe, expect, it } from 'vitest';
import { addAppended, formatAppended, parseAppended } from '../../../src/lake/append-cuts.js';

const cut = (atMs: number, ...endOffsets: number[]) => ({ atMs, endOffsets });
const boundaries = (...all: number[]) => all.map((boundary, partition) => ({ partition, boundary, logStartOffset: 0, leaderEpoch: 0 }));

describe('append cuts of a table', () => {
  it('are read as they were written, in differences, also where partitions are added', () => {
    const cuts = [cut(1_764_151_200_000, 5), cut(1_764_151_201_000, 7, 2), cut(1_764_151_260_000, 7, 9, 1)];
    const text = formatAppended(cuts);
    expect(text).toBe('[[1764151200000,[5]],[1000,[2,2]],[59000,[0,7,1]]]');
    expect(parseAppended(text)).toEqual(cuts);
    expect(parseAppended(undefined)).toEqual([]);
  });

  it.each(['{}', '[1]', '[[1]]', '[["1",[1]]]', '[[1,[1]],[0,[1]]]', '[[1,[1]],[5,[-1]]]', '[[1,[1.5]]]'])('are refused as %s', (text) => {
    expect(() => parseAppended(text)).toThrow(expect.objectContaining({ code: 'table-corrupt' }));
  });

  it('hold what is in the table after the commit, ascending in time and offsets, and nothing else', () => {
    const known = [cut(1000, 3, 0)];
    const later = [cut(900, 3, 0), cut(1500, 4, 1), cut(1600, 3, 2), cut(1700, 5, 2), cut(1800, 6, 2)];
    expect(addAppended(known, later, boundaries(5, 2), 2000)).toEqual([...known, cut(1500, 4, 1), cut(1700, 5, 2)]);
    expect(addAppended(known, [cut(1800, 6, 0)], boundaries(5, 2), 2000)).toBe(known);
  });

  it('become fewer with age, the same however often they are thinned, and stay within their bound', () => {
    const second = 1000;
    let cuts: ReturnType<typeof parseAppended> = [];
    const commitEvery = 300;
    for (let at = 0; at < 5 * 24 * 3600; at += commitEvery) {
      const later = Array.from({ length: 30 }, (_, step) => cut((at + 10 * (step + 1)) * second, at + 10 * (step + 1)));
      cuts = [...addAppended(cuts, later, boundaries(Number.MAX_SAFE_INTEGER), (at + commitEvery) * second)];
    }
    const endMs = 5 * 24 * 3600 * second;
    expect(cuts.length).toBeLessThan(4000);
    // For any time, what is known of it is not older than a hundredth of its age, or of a few of the steps.
    for (const ageS of [60, 3600, 86_400, 4 * 86_400]) {
      const askedMs = endMs - ageS * second;
      const found = cuts.findLast(({ atMs }) => atMs <= askedMs);
      expect(askedMs - (found?.atMs ?? 0)).toBeLessThanOrEqual(Math.max(20, ageS / 60) * second);
    }
    const wide = Array.from({ length: 3000 }, (_, at) => cut(1 + at, ...Array.from({ length: 50 }, () => at)));
    const kept = addAppended([], wide, boundaries(...Array.from({ length: 50 }, () => 10_000)), 3001);
    expect(kept.length * 51).toBeLessThanOrEqual(20_000);
    expect([kept[0], kept.at(-1)]).toEqual([wide[0], wide.at(-1)]);
    expect(formatAppended(kept).length).toBeLessThan(200_000);
  });
});
