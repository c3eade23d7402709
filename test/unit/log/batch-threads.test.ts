import { afterAll, describe, expect, it } from 'vitest';
import { BatchThreads, inflatedHereBytesMax } from '../../../src/log/batch-threads.js';
import type { ProduceRules } from '../../../src/log/index.js';
import { type CompressionCodec, decodeBatch, encodeBatch, isBatchCrcValid, batchMaxTimestamp } from '../../../src/wire/index.js';

const timestampMs = 900_000;
const rules: ProduceRules = {
  maxMessageBytes: 20 << 20,
  nowMs: 1_000_000,
  timestampBeforeMaxMs: 500_000,
  timestampAfterMaxMs: 3_600_000,
};
const threads = new BatchThreads();
afterAll(() => threads.close());

/** Zeros, so many in all. */
function zeros(codec: CompressionCodec, bytes: number, key: Buffer | null = null): Buffer {
  const value = Buffer.alloc(1 << 20);
  const records = Array.from({ length: Math.ceil(bytes / value.length) }, () => ({ timestampMs, key, value }));
  return encodeBatch({ records, compression: codec });
}

describe('a batch that inflates to little', () => {
  it('is validated at once, where it lies', () => {
    const batch = zeros('gzip', 4 << 20);
    expect(threads.validate(batch, rules)).toBe(batch);
    const plain = zeros('none', inflatedHereBytesMax + (4 << 20));
    expect(threads.validate(plain, rules)).toBe(plain);
    expect(() => threads.validate(batch, { ...rules, isKeyRequired: true })).toThrow(expect.objectContaining({ code: 'record-invalid' }));
  });
});

describe.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)('a %s batch that inflates to much', (codec) => {
  it('is validated in a thread, and stamped there', async () => {
    const batch = zeros(codec, inflatedHereBytesMax + (2 << 20));
    const before = Buffer.from(batch);
    const validating = threads.validate(batch, { ...rules, timestampType: 'log-append' });
    expect(validating).toBeInstanceOf(Promise);
    const validated = await validating;
    expect(batch.equals(before)).toBe(true);
    expect([batchMaxTimestamp(validated, 0), isBatchCrcValid(validated, 0)]).toEqual([rules.nowMs, true]);
    expect(decodeBatch(validated)).toHaveLength(10);
  });

  it('is refused for what is wrong with it, by the same names', async () => {
    const validate = async (overrides: Partial<ProduceRules>): Promise<Buffer> =>
      threads.validate(zeros(codec, inflatedHereBytesMax + 1), { ...rules, ...overrides });
    await expect(validate({ isKeyRequired: true })).rejects.toMatchObject({
      code: 'record-invalid',
      kafkaCode: 87,
      facts: { batchIndex: 0 },
    });
    await expect(validate({ nowMs: 10_000_000 })).rejects.toMatchObject({ code: 'timestamp-invalid', kafkaCode: 32 });
    await expect(validate({ maxDecompressedBytes: 10 << 20 })).resolves.toBeInstanceOf(Buffer);
    await expect(validate({ maxDecompressedBytes: 8 << 20 })).rejects.toMatchObject({ code: 'decompression-bound', kafkaCode: 2 });
  });
});
