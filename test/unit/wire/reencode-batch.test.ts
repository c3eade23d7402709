import { describe, expect, it } from 'vitest';
import {
  batchAt,
  batchCompression,
  batchHeaderBytes,
  batchRecords,
  compressionCodecs,
  encodeBatch,
  isBatchCrcValid,
  reencodeBatch,
} from '../../../src/wire/index.js';

const records = Array.from({ length: 200 }, (_, i) => ({
  timestampMs: 1_700_000_000_000 + i * 7 - (i % 3) * 1000,
  key: i % 4 === 0 ? null : Buffer.from(`key ${i}`),
  value: i % 9 === 0 ? null : Buffer.from(JSON.stringify({ n: i, text: 'the same again and again' })),
  headers:
    i % 5 === 0
      ? [
          { key: 'h', value: Buffer.from([i]) },
          { key: 'h', value: null },
        ]
      : [],
}));
const fields = { baseOffset: 7, leaderEpoch: 3, producerId: 2n ** 40n, producerEpoch: 5, baseSequence: 2_147_483_600 } as const;

/** A header without what compression changes: length, checksum and codec. */
function lasting(batch: Buffer): Buffer {
  const header = Buffer.from(batch.subarray(0, batchHeaderBytes));
  header.fill(0, batchAt.length, batchAt.leaderEpoch).fill(0, batchAt.crc, batchAt.attributes);
  header.writeInt16BE(header.readInt16BE(batchAt.attributes) & ~7, batchAt.attributes);
  return header;
}

describe('a batch that is compressed anew', () => {
  it.each(compressionCodecs.flatMap((from) => compressionCodecs.map((to) => [from, to] as const)))(
    'from %s to %s keeps header and records',
    (from, to) => {
      for (const more of [{}, { timestampType: 'log-append', maxTimestampMs: 1_800_000_000_000 } as const]) {
        const batch = encodeBatch({ ...fields, ...more, compression: from, records });
        const before = Buffer.from(batch);
        const anew = reencodeBatch(batch, { codec: to }, 1 << 20);
        expect(batch).toEqual(before);
        expect([batchCompression(anew, 0), isBatchCrcValid(anew, 0)]).toEqual([to, true]);
        expect(lasting(anew)).toEqual(lasting(batch));
        expect(batchRecords(anew, 0)).toEqual(batchRecords(batch, 0));
      }
    },
  );

  it('takes the level of gzip and zstd', () => {
    const batch = encodeBatch({ records });
    const bytesAt = (codec: 'gzip' | 'zstd', level: number): number => reencodeBatch(batch, { codec, level }, 1 << 20).length;
    expect(bytesAt('gzip', 9)).toBeLessThan(bytesAt('gzip', 1));
    expect(bytesAt('gzip', -1)).toBe(reencodeBatch(batch, { codec: 'gzip' }, 1 << 20).length);
    const ofZstd = [-131_072, -20, 1, 19].map((level) => bytesAt('zstd', level));
    expect(ofZstd).toEqual(ofZstd.toSorted((a, b) => b - a));
    expect(new Set(ofZstd).size).toBe(4);
    expect(bytesAt('zstd', 3)).toBe(reencodeBatch(batch, { codec: 'zstd' }, 1 << 20).length);
  });

  it.each(['none', 'lz4'] as const)('is refused where it grows beyond max.message.bytes as %s', (codec) => {
    const batch = encodeBatch({ compression: 'zstd', records });
    const { length } = reencodeBatch(batch, { codec }, 1 << 20);
    expect(length).toBeGreaterThan(batch.length);
    expect(reencodeBatch(batch, { codec }, length)).toHaveLength(length);
    expect(() => reencodeBatch(batch, { codec }, length - 1)).toThrow(
      expect.objectContaining({ code: 'message-too-large', kafkaCode: 10 }),
    );
  });
});
