import { describe, expect, it } from 'vitest';
import { formatHoles, parseHoles } from '../../../src/lake/holes.js';
import { change, memoryStore, move, openTable } from './table-fixture.js';

describe('the holes of a table', () => {
  it('are written with the move of the boundary over them, and found again with their epoch', async () => {
    const store = memoryStore();
    const table = openTable(store);
    await table.commit(change([move(table, 0, 0, 10), move(table, 1, 0, 5)]));
    expect(table.snapshot?.holes).toEqual([]);
    const hole = { ...move(table, 0, 10, 1000, { isEmpty: true }), leaderEpoch: 7, isHole: true };
    await table.commit({ ...change([hole, move(table, 1, 5, 6, { isEmpty: true })]), nowMs: 42.5 });
    const found = await openTable(store).load();
    expect(found.holes).toEqual([{ partition: 0, from: 10, to: 1000, leaderEpoch: 7, atMs: 42 }]);
    await table.commit(change([move(table, 0, 1000, 1010)]));
    expect((await openTable(store).load()).holes).toEqual(found.holes);
  });

  it('are the newest four of each partition, in order', () => {
    let text: string | undefined;
    for (let n = 0; n < 7; n++) {
      for (const partition of [1, 0]) {
        text = formatHoles(parseHoles(text), [{ partition, from: n * 10, to: n * 10 + 5, leaderEpoch: n, files: [], isHole: true }], n);
      }
    }
    expect(parseHoles(text).map(({ partition, from }) => [partition, from])).toEqual(
      [0, 1].flatMap((p) => [30, 40, 50, 60].map((from) => [p, from])),
    );
    expect(formatHoles([], [], 1)).toBeUndefined();
  });

  it.each(['{', '{}', '[[1,2,3]]', '[[1,2,3,4,"5"]]', '[null]'])('are not read out of %s', (text) => {
    expect(() => parseHoles(text)).toThrow(expect.objectContaining({ code: 'table-corrupt' }) as Error);
  });
});
