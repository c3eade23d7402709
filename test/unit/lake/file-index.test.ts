import { describe, expect, it } from 'vitest';
import { blocksOf } from '../../../src/lake/file-index.js';
import type { ColdFile, TableSnapshot } from '../../../src/lake/table-snapshot.js';

const file = (partition: number, at: number): ColdFile => ({
  key: `${partition}/${at}`,
  partition,
  baseOffset: at * 10,
  lastOffset: at * 10 + 9,
  rows: 10,
  bytes: 100,
  // Not monotone.
  minTimestampMs: 1000 * ((at * 7) % 300),
  maxTimestampMs: 1000 * ((at * 7) % 300) + 500,
  fieldIds: [],
});

describe('the files of a snapshot in blocks', () => {
  const counts = [300, 0, 1, 128];
  const files = counts.flatMap((count, partition) => Array.from({ length: count }, (_, at) => file(partition, at)));
  const snapshot = { files } as unknown as TableSnapshot;

  it('are all there once, in order, each block within one partition', () => {
    const all = counts.flatMap((_, partition) => blocksOf(snapshot, partition).flatMap((block) => block.files));
    expect(all).toEqual(files);
    for (const [partition, count] of counts.entries()) {
      const blocks = blocksOf(snapshot, partition);
      expect(blocks).toHaveLength(Math.ceil(count / 128));
      expect(blocks.every((block) => block.files.every((one) => one.partition === partition))).toBe(true);
    }
  });

  it('lie within what their block says of them', () => {
    for (const partition of [0, 2, 3]) {
      for (const block of blocksOf(snapshot, partition)) {
        expect(block.minTimestampMs).toBe(Math.min(...block.files.map((one) => one.minTimestampMs)));
        expect(block.maxTimestampMs).toBe(Math.max(...block.files.map((one) => one.maxTimestampMs)));
        expect(block.baseOffset).toBe(block.files[0]!.baseOffset);
        expect(block.lastOffset).toBe(block.files.at(-1)!.lastOffset);
      }
    }
  });
});
