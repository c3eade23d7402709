import { describe, expect, it } from 'vitest';
import { isLakeError } from '../../../src/kernel/index.js';
import {
  batchAt,
  batchBaseOffset,
  batchBytes,
  batchCompression,
  batchHeaderBytes,
  batchLastOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
  batchPositions,
  batchProducerId,
  batchRecordsCount,
  batchRecords,
  compressionCodecs,
  decodeBatch,
  encodeBatch,
  isBatchCrcValid,
  isControl,
  isTransactional,
  patchBatch,
  readInt64Number,
  RecordBatchWriter,
  RecordCursor,
  timestampType,
  walkBatches,
  writeInt64Number,
} from '../../../src/wire/index.js';

const at0 = Date.UTC(2001, 0, 1);

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isLakeError(error)) return error.code;
    throw error;
  }
  return 'ok';
}

const records = [
  { timestampMs: at0, key: Buffer.from('ORD'), value: Buffer.from('{"delay":1}') },
  {
    timestampMs: at0 - 5_000,
    key: null,
    value: Buffer.alloc(0),
    headers: [
      { key: 'a', value: null },
      { key: 'a', value: Buffer.alloc(0) },
    ],
  },
  {
    timestampMs: at0 + 86_400_000 * 400,
    key: Buffer.alloc(0),
    value: null,
    headers: [{ key: Buffer.from([0xff]), value: Buffer.alloc(70, 7) }],
  },
];

describe('record batches', () => {
  it.each(compressionCodecs)('come back field by field under %s', (compression) => {
    const batch = encodeBatch({
      records,
      compression,
      producerId: 2n ** 60n,
      producerEpoch: 3,
      baseSequence: 9,
      baseOffset: 100,
      leaderEpoch: 4,
    });
    expect(isBatchCrcValid(batch, 0)).toBe(true);
    expect(batchBytes(batch, 0)).toBe(batch.length);
    expect(batchCompression(batch, 0)).toBe(compression);
    expect([batchBaseOffset(batch, 0), batchLastOffset(batch, 0), batchRecordsCount(batch, 0)]).toEqual([100, 102, 3]);
    expect([batchLeaderEpoch(batch, 0), batchProducerId(batch, 0), batchMaxTimestamp(batch, 0)]).toEqual([
      4,
      2n ** 60n,
      records[2]?.timestampMs,
    ]);
    expect([isTransactional(batch, 0), isControl(batch, 0), timestampType(batch, 0)]).toEqual([false, false, 'create']);
    const decoded = decodeBatch(batch);
    expect(decoded.map((r) => [r.offset, r.timestampMs, r.key, r.value])).toEqual(
      records.map((r, i) => [100 + i, r.timestampMs, r.key, r.value]),
    );
    expect(decoded.map((r) => r.headers)).toEqual([
      [],
      [
        { key: Buffer.from('a'), value: null },
        { key: Buffer.from('a'), value: Buffer.alloc(0) },
      ],
      [{ key: Buffer.from([0xff]), value: Buffer.alloc(70, 7) }],
    ]);
  });

  it('are given their place without touching the CRC', () => {
    const batch = encodeBatch({ records });
    const shifted = Buffer.concat([Buffer.alloc(13), batch]);
    patchBatch(shifted, 13, 2 ** 40 + 5, 77);
    expect([batchBaseOffset(shifted, 13), batchLeaderEpoch(shifted, 13), isBatchCrcValid(shifted, 13)]).toEqual([2 ** 40 + 5, 77, true]);
    shifted[13 + batchAt.attributes] = 0x10;
    expect(isBatchCrcValid(shifted, 13)).toBe(false);
  });

  it('span holes, before, between and after their records', () => {
    const writer = new RecordBatchWriter(0);
    writer.append(at0, null, Buffer.from('x'), [], 3);
    writer.append(at0, null, Buffer.from('y'), [], 9);
    const batch = writer.finish({ baseOffset: 50, lastOffsetDelta: 20 });
    expect([batchLastOffset(batch, 0), batchRecordsCount(batch, 0), writer.count]).toEqual([70, 2, 0]);
    expect(decodeBatch(batch).map((r) => r.offset)).toEqual([53, 59]);
  });

  it('may be empty, to stand for a range in which nothing is left', () => {
    const batch = encodeBatch({ records: [], baseOffset: 10, lastOffsetDelta: 5, compression: 'zstd', maxTimestampMs: at0 });
    expect([batch.length, batchLastOffset(batch, 0), batchRecordsCount(batch, 0), isBatchCrcValid(batch, 0)]).toEqual([
      batchHeaderBytes,
      15,
      0,
      true,
    ]);
    expect(decodeBatch(batch)).toEqual([]);
  });

  it('give every record the append time where that is their timestamp type', () => {
    const batch = encodeBatch({ records, timestampType: 'log-append', maxTimestampMs: at0 + 1 });
    expect(decodeBatch(batch).map((r) => r.timestampMs)).toEqual([at0 + 1, at0 + 1, at0 + 1]);
  });

  it('are walked up to a truncated tail', () => {
    const one = encodeBatch({ records });
    const two = encodeBatch({ records, compression: 'gzip' });
    for (const cut of [1, 11, 12, 60, one.length - 1]) {
      const run = Buffer.concat([one, two, one.subarray(0, cut)]);
      expect([...batchPositions(run)]).toEqual([0, one.length]);
      expect(walkBatches(run, () => {})).toBe(one.length + two.length);
    }
    expect(walkBatches(Buffer.concat([one, two]), () => false)).toBe(one.length);
    expect(codeOf(() => walkBatches(Buffer.alloc(40), () => {}))).toBe('batch-corrupt');
  });

  it('keep a slice of a larger buffer apart from its surroundings', () => {
    const writer = new RecordBatchWriter();
    const buffer = Buffer.from(`....key.value....${'abcdefghij'.repeat(100)}`);
    const page = { buffer, view: new DataView(buffer.buffer, buffer.byteOffset, buffer.length) };
    const lengths = [0, 1, 2, 3, 4, 5, 99, 383, 384, 385, 1000];
    writer.appendSlices(at0, page, 4, 3, page, 8, 5);
    for (const length of lengths) writer.appendSlices(at0, page, 0, -1, page, 17, length);
    const expected = [['key', 'value'], ...lengths.map((length) => [null, 'abcdefghij'.repeat(100).slice(0, length)])];
    const read = (batch: Buffer) => decodeBatch(batch).map((r) => [r.key?.toString() ?? null, r.value?.toString()]);
    expect(read(Buffer.from(writer.finishInPlace()))).toEqual(expected);
    writer.append(at0, null, Buffer.from('next'));
    expect(read(writer.finish())).toEqual([[null, 'next']]);
  });
});

describe('int64 as number', () => {
  it('is exact up to 2^53 − 1 and refused beyond', () => {
    const buf = Buffer.alloc(8);
    for (const value of [0, -1, 1, 2 ** 32, -(2 ** 32), -(2 ** 32) - 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
      writeInt64Number(buf, value, 0);
      expect([buf.readBigInt64BE(0), readInt64Number(buf, 0)]).toEqual([BigInt(value), value]);
    }
    for (const value of [2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n]) {
      buf.writeBigInt64BE(value);
      expect(codeOf(() => readInt64Number(buf, 0))).toBe('record-invalid');
    }
  });
});

describe('RecordCursor', () => {
  it('walks headers as often as asked', () => {
    const batch = encodeBatch({ records });
    const cursor = new RecordCursor();
    cursor.reset(batch, 0, batchRecords(batch, 0));
    cursor.next();
    expect(cursor.nextHeader()).toBe(false);
    cursor.next();
    const lengths = (): number[] => {
      const seen: number[] = [];
      while (cursor.nextHeader()) seen.push(cursor.headerKeyLength, cursor.headerValueLength);
      return seen;
    };
    expect(lengths()).toEqual([1, -1, 1, 0]);
    cursor.rewindHeaders();
    expect(lengths()).toEqual([1, -1, 1, 0]);
    expect(cursor.next()).toBe(true);
    expect(cursor.recordEnd).toBe(cursor.buffer.length);
  });

  it('refuses framing that does not add up', () => {
    const good = encodeBatch({ records });
    const walk = (batch: Buffer, bytes = batchRecords(batch, 0)): string =>
      codeOf(() => {
        const cursor = new RecordCursor();
        cursor.reset(batch, 0, bytes);
        while (cursor.next()) while (cursor.nextHeader());
      });
    expect(walk(good)).toBe('ok');
    const recordBytes = batchRecords(good, 0);
    expect(walk(good, recordBytes.subarray(0, recordBytes.length - 1))).toBe('record-invalid');
    expect(walk(good, Buffer.concat([recordBytes, Buffer.alloc(1)]))).toBe('record-invalid');
    const fewer = Buffer.from(good);
    fewer.writeInt32BE(2, batchAt.recordsCount);
    expect(walk(fewer)).toBe('record-invalid');
    fewer.writeInt32BE(-2, batchAt.recordsCount);
    expect(walk(fewer)).toBe('record-invalid');
    const narrow = Buffer.from(good);
    narrow.writeInt32BE(1, batchAt.lastOffsetDelta);
    expect(walk(narrow)).toBe('record-invalid');
    expect(walk(good, Buffer.alloc(recordBytes.length, 0xff))).toBe('record-invalid');
    for (let at = 0; at < recordBytes.length; at++) {
      for (const byte of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
        const bad = Buffer.from(recordBytes);
        bad[at] = byte;
        expect(['ok', 'record-invalid']).toContain(walk(good, bad));
      }
    }
  });
});
