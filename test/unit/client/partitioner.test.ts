import { describe, expect, it } from 'vitest';
import { murmur2, partitionOfKey } from '../../../src/client/index.js';

describe('the partitioner', () => {
  // The worked values of Kafka's own UtilsTest.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('hashes %s as Java does', (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash);
  });

  it('gives a partition that exists, always the same for a key', () => {
    for (let i = 0; i < 1_000; i++) {
      const key = Buffer.from(`key-${i}`);
      const partition = partitionOfKey(key, 7);
      expect(partition).toBeGreaterThanOrEqual(0);
      expect(partition).toBeLessThan(7);
      expect(partitionOfKey(key, 7)).toBe(partition);
    }
  });
});
