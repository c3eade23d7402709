// Batches → staged columns → cold file → verified → batches again keeps every field of every record, however they are cut.
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { afterAll, describe, expect, it } from 'vitest';
import { assignColumns, composeDigests, type StageResult } from '../../src/columns/index.js';
import {
  batchBaseSequence,
  batchLastOffset,
  batchLeaderEpoch,
  batchProducerEpoch,
  batchProducerId,
  batchRecords,
  type CompressionCodec,
  compressionCodecs,
  encodeBatch,
  isBatchCrcValid,
  type NewRecord,
  RecordCursor,
  timestampType,
  walkBatches,
} from '../../src/wire/index.js';
import { ColumnFiles } from '../support/column-files.js';
import { oracleFields } from '../support/json-oracle.js';

const files = new ColumnFiles();
afterAll(() => files.close());

interface SeenRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly timestampType: string;
  readonly leaderEpoch: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly sequence: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [Buffer, Buffer | null])[];
}

function recordsOf(log: Buffer): { records: SeenRecord[]; lastOffset: number; largestBatchRecords: number } {
  const records: SeenRecord[] = [];
  const cursor = new RecordCursor();
  let lastOffset = -1;
  let largestBatchRecords = 0;
  const end = walkBatches(log, (at) => {
    expect(isBatchCrcValid(log, at)).toBe(true);
    cursor.reset(log, at, batchRecords(log, at));
    largestBatchRecords = Math.max(largestBatchRecords, cursor.count);
    const baseSequence = batchBaseSequence(log, at);
    while (cursor.next()) {
      const slice = (from: number, length: number): Buffer | null =>
        length < 0 ? null : Buffer.from(cursor.buffer.subarray(from, from + length));
      const headers: [Buffer, Buffer | null][] = [];
      while (cursor.nextHeader()) {
        headers.push([slice(cursor.headerKeyAt, cursor.headerKeyLength) as Buffer, slice(cursor.headerValueAt, cursor.headerValueLength)]);
      }
      records.push({
        offset: cursor.offset,
        timestampMs: cursor.timestampMs,
        timestampType: timestampType(log, at),
        leaderEpoch: batchLeaderEpoch(log, at),
        producerId: batchProducerId(log, at),
        producerEpoch: batchProducerEpoch(log, at),
        sequence: baseSequence < 0 ? -1 : (baseSequence + cursor.offsetDelta) % 2 ** 31,
        key: slice(cursor.keyAt, cursor.keyLength),
        value: slice(cursor.valueAt, cursor.valueLength),
        headers,
      });
    }
    expect(batchLastOffset(log, at)).toBeGreaterThan(lastOffset);
    lastOffset = batchLastOffset(log, at);
  });
  expect(end).toBe(log.length);
  return { records, lastOffset, largestBatchRecords };
}

const bytes = fc.uint8Array({ maxLength: 12 }).map((array) => Buffer.from(array));
const value = fc.oneof(
  fc.constant(null),
  bytes,
  fc
    .record(
      {
        n: fc.oneof(fc.integer(), fc.double({ noNaN: true }), fc.string(), fc.boolean(), fc.constant(null)),
        s: fc.string(),
        deep: fc.array(fc.nat(9)),
        N: fc.nat(),
      },
      { requiredKeys: [] },
    )
    .map((object) => Buffer.from(JSON.stringify(object))),
  fc.constantFrom('{"n":', '[1]', '{}', '', '{"s":"\\ud800"}').map((text) => Buffer.from(text)),
);
const timestampMs = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1_600_000_000_000, max: 1_600_000_100_000 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(-1, 0, -62_135_596_800_000, -62_135_596_800_001, 253_402_300_799_999, 253_402_300_800_000, 4e15, -4e15),
  },
);
const record = fc.record({
  timestampMs,
  key: fc.option(bytes),
  value,
  headers: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc.array(fc.record({ key: fc.oneof(fc.constantFrom('a', 'a', 'é', ''), bytes), value: fc.option(bytes) }), {
        maxLength: 4,
      }),
    },
  ),
  gap: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
});
const batch = fc.record({
  records: fc.array(record, { minLength: 1, maxLength: 12 }),
  compression: fc.constantFrom<CompressionCodec[]>(...compressionCodecs),
  isAppendTime: fc.boolean(),
  leaderEpoch: fc.nat(2),
  producer: fc.option(
    fc.record({
      id: fc.constantFrom(0n, 7n, 2n ** 40n + 5n, 2n ** 62n),
      epoch: fc.nat(2),
      sequence: fc.constantFrom(0, 1, 5, 2 ** 31 - 2),
    }),
  ),
  gapBefore: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(5) }),
  gapAfter: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(5) }),
});

/** Batches with growing offsets. */
function buildLog(batches: readonly (typeof batch extends fc.Arbitrary<infer T> ? T : never)[]): { buffers: Buffer[]; endOffset: number } {
  let nextOffset = 0;
  const buffers = batches.map((of) => {
    nextOffset += of.gapBefore;
    let delta = -1;
    const records: NewRecord[] = of.records.map((one) => {
      delta += 1 + one.gap;
      return { ...one, offsetDelta: delta };
    });
    const built = encodeBatch({
      baseOffset: nextOffset,
      leaderEpoch: of.leaderEpoch,
      compression: of.compression,
      timestampType: of.isAppendTime ? 'log-append' : 'create',
      lastOffsetDelta: delta + of.gapAfter,
      ...(of.producer === null ? {} : { producerId: of.producer.id, producerEpoch: of.producer.epoch, baseSequence: of.producer.sequence }),
      records,
    });
    nextOffset += delta + of.gapAfter + 1;
    return built;
  });
  return { buffers, endOffset: nextOffset };
}

describe('batches through a cold file', () => {
  it('keep every field, with typed columns equal in file and tail, for any cut and any first offset', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(batch, { minLength: 1, maxLength: 8 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom(200, 1000, 2 ** 20),
        async (batches, cutAt, fromAt, maxBatchBytes) => {
          const { buffers, endOffset } = buildLog(batches);
          const expected = recordsOf(Buffer.concat(buffers)).records;
          const cut = Math.floor(cutAt * (endOffset + 1));
          const whole = await files.stage(buffers, { endOffset });
          const parts: StageResult[] = [];
          for (const [baseOffset, end] of [
            [0, cut],
            [cut, endOffset],
          ] as const) {
            if (baseOffset < end) parts.push(await files.stage(buffers, { baseOffset, endOffset: end }));
          }
          expect(composeDigests(...parts.map((part) => part.digest))).toBe(whole.digest);
          expect(whole.rows).toBe(expected.length);

          const columns = assignColumns([], whole.pairs);
          const encoded = await files.encode(parts, columns);
          expect(encoded.digest).toBe(whole.digest);
          await files.verify(parts, encoded, columns);

          const fromOffset = Math.min(endOffset - 1, Math.floor(fromAt * endOffset));
          const range = { fromOffset, baseOffset: 0, lastOffset: endOffset - 1, maxBatchBytes };
          const rebuilt = files.rebuild(encoded.path, range);
          const again = recordsOf(rebuilt.batchBytes);
          expect(rebuilt.baseOffset).toBeLessThanOrEqual(fromOffset);
          expect(rebuilt.nextOffset).toBe(endOffset);
          expect(again.lastOffset).toBe(endOffset - 1);
          expect(again.records).toEqual(expected.filter((one) => one.offset >= rebuilt.baseOffset));

          const cold = await files.rows(
            `SELECT ${['_offset', ...columns.map((column) => `"${column.columnName.replaceAll('"', '""')}"`)].join(', ')} FROM '${encoded.path}' ORDER BY _offset`,
          );
          const tail = await files.typedRows(whole.path, columns);
          expect(cold.map((row) => row.slice(1))).toEqual(tail);
          const oracle = expected.map((one) => {
            const fields = oracleFields(one.value);
            return columns.map((column) => (fields.get(column.name)?.kind === column.kind ? fields.get(column.name)?.value : null));
          });
          expect(tail).toEqual(oracle);
        },
      ),
      { numRuns: 40 },
    );
  }, 60_000);

  it('are read by hyparquet with the same offsets, keys and values', async () => {
    const values = [Buffer.from('{"x":1,"y":"a"}'), null, Buffer.alloc(0), Buffer.from([0xff, 0x00]), Buffer.from('{"x":2.5}')];
    const records = values.map((one, index) => ({
      timestampMs: 1_600_000_000_000 + index,
      key: index % 2 === 0 ? Buffer.from(`k${index}`) : null,
      value: one,
      headers: index === 1 ? [{ key: 'h', value: Buffer.from([0xfe]) }] : [],
    }));
    const staged = await files.stage([encodeBatch({ baseOffset: 10, records, compression: 'zstd' })], { baseOffset: 10, endOffset: 15 });
    const encoded = await files.encode([staged], assignColumns([], staged.pairs));
    const content = readFileSync(encoded.path);
    const file = content.buffer.slice(content.byteOffset, content.byteOffset + content.length) as ArrayBuffer;
    const rows = await parquetReadObjects({ file, compressors, utf8: false });
    expect(rows.map((row) => Number(row['_offset']))).toEqual([10, 11, 12, 13, 14]);
    expect(
      rows.map((row) => (row['_value'] === undefined || row['_value'] === null ? null : Buffer.from(row['_value'] as Uint8Array))),
    ).toEqual(values);
    expect(rows.map((row) => row['x'] ?? null)).toEqual([1n, null, null, null, null]);
    expect(rows[0]?.['_timestamp']).toEqual(new Date(1_600_000_000_000));
  });
});
