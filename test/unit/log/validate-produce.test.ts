import { describe, expect, it } from 'vitest';
import { type ProduceRules, soleBatch, validateProduceBatch } from '../../../src/log/index.js';
import {
  attributeBits,
  batchAt,
  batchMaxTimestamp,
  batchRecords,
  computeBatchCrc,
  decodeBatch,
  encodeBatch,
  isBatchCrcValid,
  patchBatch,
  RecordCursor,
  timestampType,
  writeInt64Number,
} from '../../../src/wire/index.js';
import { batch, type BatchWishes } from './hot-world.js';

const rules: ProduceRules = {
  maxMessageBytes: 100_000,
  nowMs: 1_000_000,
  timestampBeforeMaxMs: 500_000,
  timestampAfterMaxMs: 3_600_000,
};

/** What of a request's bytes is taken. */
function taken(records: Buffer, overrides: Partial<ProduceRules> = {}, apiVersion = 9): Buffer {
  const sole = soleBatch(records, apiVersion);
  validateProduceBatch(sole, { ...rules, ...overrides });
  return sole;
}

/** A batch altered behind its producer's back, with a CRC that holds. */
function altered(alter: (bytes: Buffer) => void, wishes: BatchWishes = {}): Buffer {
  const bytes = batch({ timestampMs: 900_000, count: 3, ...wishes });
  alter(bytes);
  bytes.writeUInt32BE(computeBatchCrc(bytes, 0), batchAt.crc);
  return bytes;
}

/** With a CRC that does not hold. */
function broken(bytes: Buffer): Buffer {
  bytes.writeUInt32BE((bytes.readUInt32BE(batchAt.crc) ^ 1) >>> 0, batchAt.crc);
  return bytes;
}

const good = (wishes: BatchWishes = {}): Buffer => batch({ timestampMs: 900_000, count: 3, ...wishes });

describe('a produced batch', () => {
  it.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)('of codec %s is taken as it is', (compression) => {
    const bytes = good({ compression, valueBytes: 300 });
    const before = Buffer.from(bytes);
    expect(taken(bytes)).toEqual(before);
  });

  it('of a codec has no record above max.decompressed.message.bytes, of none may have one', () => {
    const bytesOf = (compression: 'gzip' | 'none'): [Buffer, number] => {
      const bytes = good({ compression, valueBytes: 300 });
      const cursor = new RecordCursor();
      cursor.reset(bytes, 0, batchRecords(bytes, 0));
      cursor.next();
      return [bytes, cursor.recordBytes];
    };
    const [compressed, recordBytes] = bytesOf('gzip');
    expect(recordBytes).toBeGreaterThan(300);
    expect(taken(compressed, { maxRecordBytes: recordBytes })).toEqual(compressed);
    expect(() => taken(compressed, { maxRecordBytes: recordBytes - 1 })).toThrow(
      `more than max.decompressed.message.bytes=${recordBytes - 1}`,
    );
    const [plain] = bytesOf('none');
    expect(taken(plain, { maxRecordBytes: 1 })).toEqual(plain);
  });

  it.each<[string, number, () => Buffer, Partial<ProduceRules>?, number?]>([
    ['no batch at all', 87, () => Buffer.alloc(0)],
    ['two batches', 87, () => Buffer.concat([good(), good()])],
    ['a few bytes', 2, () => Buffer.alloc(10)],
    ['a batch cut short', 87, () => good().subarray(0, 70)],
    ['a header cut short', 2, () => good().subarray(0, 40)],
    ['format v-1', 2, () => altered((b) => b.writeInt8(-1, batchAt.magic))],
    ['format v1', 87, () => altered((b) => b.writeInt8(1, batchAt.magic))],
    [
      'a wrong CRC',
      2,
      () => {
        const b = good();
        b.writeUInt8(1, b.length - 1);
        return b;
      },
    ],
    ['a wrong value under its CRC', 87, () => altered((b) => b.writeUInt8(0x7f, batchAt.records))],
    ['more bytes than max.message.bytes', 10, () => good({ valueBytes: 40_000 })],
    ['no records', 87, () => altered((b) => b.writeInt32BE(0, batchAt.recordsCount))],
    [
      'fewer records than it says',
      87,
      () =>
        altered((b) => {
          b.writeInt32BE(4, batchAt.recordsCount);
          b.writeInt32BE(3, batchAt.lastOffsetDelta);
        }),
    ],
    [
      'more records than it says',
      87,
      () =>
        altered((b) => {
          b.writeInt32BE(2, batchAt.recordsCount);
          b.writeInt32BE(1, batchAt.lastOffsetDelta);
        }),
    ],
    ['a last offset delta of another count', 87, () => altered((b) => b.writeInt32BE(5, batchAt.lastOffsetDelta))],
    ['a base offset', 87, () => altered((b) => patchBatch(b, 0, 7, 0))],
    ['a control batch', 87, () => good({ isControl: true })],
    ['a transactional batch', 87, () => good({ isTransactional: true, producerId: 1n, producerEpoch: 0, baseSequence: 0 })],
    ['a producer id without a sequence', 87, () => good({ producerId: 1n, producerEpoch: 0 })],
    ['a codec that is not known', 76, () => altered((b) => b.writeInt16BE(5, batchAt.attributes))],
    ['zstd before version 7', 76, () => good({ compression: 'zstd' }), {}, 6],
    ['log append time, too old', 32, () => good({ timestampType: 'log-append', timestampMs: 1 })],
    ['log append time, and none', 32, () => good({ timestampType: 'log-append', timestampMs: -1 })],
    ['a timestamp too old', 32, () => good({ timestampMs: 499_999 })],
    ['a timestamp too new', 32, () => good({ timestampMs: 4_600_001 })],
    ['a timestamp beyond all numbers', 32, () => altered((b) => b.writeInt32BE(0x7fffffff, batchAt.baseTimestamp))],
    ['one below all numbers', 32, () => altered((b) => b.writeInt32BE(-0x7fffffff, batchAt.baseTimestamp))],
    ['what would inflate too far', 2, () => good({ compression: 'gzip', valueBytes: 20_000 }), { maxDecompressedBytes: 50_000 }],
    ['what does not inflate', 2, () => altered((b) => b.fill(0xaa, batchAt.records + 4), { compression: 'gzip', valueBytes: 300 })],
  ])('with %s is refused with %i', (_what, kafkaCode, make, overrides, apiVersion) => {
    expect(() => taken(make(), overrides, apiVersion)).toThrow(expect.objectContaining({ name: 'LakeError', kafkaCode }));
  });

  it.each<[string, number, () => Buffer]>([
    ['a base offset before its size', 87, () => altered((b) => patchBatch(b, 0, 7, 0), { valueBytes: 40_000 })],
    ['a base offset before its CRC', 87, () => broken(altered((b) => patchBatch(b, 0, 7, 0)))],
    ['its size before its CRC', 10, () => broken(good({ valueBytes: 40_000 }))],
    ['its CRC before its codec', 2, () => broken(altered((b) => b.writeInt16BE(5, batchAt.attributes)))],
    [
      'its codec before its count',
      76,
      () => altered((b) => b.writeInt16BE(5, batchAt.attributes) && b.writeInt32BE(0, batchAt.recordsCount)),
    ],
    [
      'its count before its timestamp type',
      87,
      () => altered((b) => b.writeInt32BE(0, batchAt.recordsCount), { timestampType: 'log-append' }),
    ],
  ])('that is wrong twice is told %s', (_what, kafkaCode, make) => {
    expect(() => taken(make())).toThrow(expect.objectContaining({ kafkaCode }));
  });

  it('is told of a record’s time before the missing key of another, and which record it was', () => {
    const bytes = good({ timestamps: [900_000, 1, 2] });
    expect(() => taken(bytes, { isKeyRequired: true })).toThrow(expect.objectContaining({ kafkaCode: 87 }));
    const keyed = encodeBatch({
      records: [null, Buffer.from('k'), Buffer.from('k')].map((key, i) => ({ timestampMs: i, key, value: null })),
    });
    expect(() => taken(keyed, { isKeyRequired: true, nowMs: 600_001, timestampBeforeMaxMs: 600_000 })).toThrow(
      expect.objectContaining({ kafkaCode: 87, facts: { batchIndex: 0 } }),
    );
    expect(() => taken(keyed, { isKeyRequired: true, nowMs: 600_002, timestampBeforeMaxMs: 600_000 })).toThrow(
      expect.objectContaining({ kafkaCode: 32, facts: { batchIndex: 1, timestampMs: 1 } }),
    );
  });

  it('that says it has append time is taken under create time as one that does not say so', () => {
    const stamped = taken(good({ timestampType: 'log-append' }));
    expect([timestampType(stamped, 0), batchMaxTimestamp(stamped, 0), isBatchCrcValid(stamped, 0)]).toEqual(['create', 900_000, true]);
  });

  it('without a timestamp is taken', () => {
    expect(batchMaxTimestamp(taken(good({ timestampMs: -1 })), 0)).toBe(-1);
  });

  it.each([[2n ** 60n], [-(2n ** 60n)], [900_000n + 2n ** 32n]])(
    'gets the largest timestamp its records have for the %d that it names',
    (named) => {
      const bytes = taken(altered((b) => b.writeBigInt64BE(named, batchAt.maxTimestamp), { timestamps: [900_000, 800_000, 900_000] }));
      expect([batchMaxTimestamp(bytes, 0), isBatchCrcValid(bytes, 0)]).toEqual([900_000, true]);
    },
  );

  it('gets the largest timestamp its records have', () => {
    const bytes = altered((b) => writeInt64Number(b, 999_999, batchAt.maxTimestamp), { timestamps: [900_000, 950_000, 920_000] });
    const whole = taken(bytes);
    expect(batchMaxTimestamp(whole, 0)).toBe(950_000);
    expect(isBatchCrcValid(whole, 0)).toBe(true);
  });

  it.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)(
    'of codec %s is stamped under append time, and its records are not touched',
    (compression) => {
      const bytes = good({
        compression,
        timestamps: [1, 2, 9_000_000],
        valueBytes: 300,
        producerId: 5n,
        producerEpoch: 1,
        baseSequence: 7,
      });
      const before = Buffer.from(bytes);
      const stamped = taken(bytes, { timestampType: 'log-append' });
      expect(decodeBatch(stamped).map(({ timestampMs }) => timestampMs)).toEqual([1_000_000, 1_000_000, 1_000_000]);
      expect([timestampType(stamped, 0), isBatchCrcValid(stamped, 0)]).toEqual(['log-append', true]);
      for (const at of [batchAt.crc, batchAt.crc + 1, batchAt.crc + 2, batchAt.crc + 3]) before[at] = stamped[at]!;
      before.writeInt16BE(before.readInt16BE(batchAt.attributes) | attributeBits.isLogAppendTime, batchAt.attributes);
      writeInt64Number(before, 1_000_000, batchAt.maxTimestamp);
      expect(stamped).toEqual(before);
    },
  );

  it('that says it has append time already is refused under append time too', () => {
    expect(() => taken(good({ timestampType: 'log-append' }), { timestampType: 'log-append' })).toThrow(
      expect.objectContaining({ kafkaCode: 32 }),
    );
  });
});
