import { describe, expect, it } from 'vitest';
import { holeBatches } from '../../../src/tier/hole-batches.js';
import { batchBaseOffset, batchLastOffset, decodeBatch, isBatchCrcValid, isControl } from '../../../src/wire/index.js';

const shape = (from: number, to: number) =>
  [...holeBatches(from, to)].map(({ bytes, nextOffset }) => {
    expect(isBatchCrcValid(bytes, 0) && isControl(bytes, 0)).toBe(true);
    expect(batchLastOffset(bytes, 0) + 1).toBe(nextOffset);
    // A client that only looks at records finds the last offset on one.
    expect(decodeBatch(bytes, 0).map((record) => record.offset)).toEqual([nextOffset - 1]);
    return [batchBaseOffset(bytes, 0), nextOffset];
  });

describe('a hole below the boundary', () => {
  it('is one batch that ends with a marker at its last offset', () => {
    expect(shape(100, 101)).toEqual([[100, 101]]);
    expect(shape(100, 67_108_964)).toEqual([[100, 67_108_964]]);
  });

  it('is several where it is wider than an offset delta', () => {
    expect(shape(5, 5 + 2 ** 31)).toEqual([[5, 5 + 2 ** 31]]);
    expect(shape(5, 6 + 2 ** 32)).toEqual([
      [5, 5 + 2 ** 31],
      [5 + 2 ** 31, 5 + 2 ** 32],
      [5 + 2 ** 32, 6 + 2 ** 32],
    ]);
  });
});
