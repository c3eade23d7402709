/** What staging makes of batches, in plain TypeScript, an object a record: the compiled loops are held against it. */
import { type ColumnPair, type StageResult, timestampMaxMs, timestampMinMs } from '../../src/columns/index.js';
import { isLakeError } from '../../src/kernel/index.js';
import {
  batchBaseOffset,
  batchBaseSequence,
  batchBaseTimestamp,
  batchCompression,
  batchHeaderBytes,
  batchLastOffset,
  batchLeaderEpoch,
  batchProducerEpoch,
  batchProducerId,
  batchRecords,
  inflatedBytesMax,
  RecordCursor,
  timestampType,
} from '../../src/wire/index.js';
import { type DigestedBatch, type DigestedRecord, referenceDigest } from './reference-digest.js';
import { ReferenceLz4 } from './reference-lz4.js';
import { ReferenceScanner } from './reference-scanner.js';

export interface ReferenceStaged
  extends Pick<StageResult, 'rows' | 'digest' | 'isFinite' | 'rawBatches' | 'rawBytes' | 'minTimestampMs' | 'maxTimestampMs'> {
  readonly pairs: readonly ColumnPair[];
  readonly records: readonly (DigestedRecord | DigestedBatch)[];
}

const lz4 = new ReferenceLz4();

function inflated(batch: Buffer): Buffer {
  const frame = batch.subarray(batchHeaderBytes);
  return (batchCompression(batch, 0) === 'lz4' ? lz4.inflate(frame, inflatedBytesMax) : undefined) ?? batchRecords(batch, 0);
}

function recordsOf(batch: Buffer, records: Buffer): DigestedRecord[] {
  const baseSequence = batchBaseSequence(batch, 0);
  const cursor = new RecordCursor();
  cursor.reset(batch, 0, records);
  const slice = (at: number, length: number): Buffer | null => (length < 0 ? null : Buffer.from(records.subarray(at, at + length)));
  const found: DigestedRecord[] = [];
  while (cursor.next()) {
    const headers: [Buffer, Buffer | null][] = [];
    while (cursor.nextHeader()) {
      headers.push([slice(cursor.headerKeyAt, cursor.headerKeyLength) as Buffer, slice(cursor.headerValueAt, cursor.headerValueLength)]);
    }
    found.push({
      offset: cursor.offset,
      timestampMs: cursor.timestampMs,
      timestampType: timestampType(batch, 0) === 'create' ? 0 : 1,
      leaderEpoch: batchLeaderEpoch(batch, 0),
      producerId: batchProducerId(batch, 0),
      producerEpoch: batchProducerEpoch(batch, 0),
      sequence: baseSequence < 0 ? -1 : (baseSequence + cursor.offsetDelta) % 2 ** 31,
      key: slice(cursor.keyAt, cursor.keyLength),
      value: slice(cursor.valueAt, cursor.valueLength),
      headers,
    });
  }
  return found;
}

/** Of batches with a good header and CRC, whose offsets ascend; a record may be anything. */
export function referenceStage(batches: readonly Buffer[], range: { baseOffset: number; endOffset: number }): ReferenceStaged {
  const scanner = new ReferenceScanner();
  const records: (DigestedRecord | DigestedBatch)[] = [];
  const timestamps: number[] = [];
  let rawBytes = 0;
  let rawBatches = 0;
  for (const batch of batches) {
    if (batchLastOffset(batch, 0) < range.baseOffset || batchBaseOffset(batch, 0) >= range.endOffset) continue;
    try {
      const inflatedRecords = inflated(batch);
      const decoded = recordsOf(batch, inflatedRecords).filter((one) => one.offset >= range.baseOffset && one.offset < range.endOffset);
      records.push(...decoded);
      timestamps.push(...decoded.map((one) => one.timestampMs));
      for (const { value } of decoded) if (value !== null) scanner.scan(value, 0, value.length);
      rawBytes += batchHeaderBytes + inflatedRecords.length;
    } catch (error) {
      if (!isLakeError(error)) throw error;
      records.push({ offset: Math.max(batchBaseOffset(batch, 0), range.baseOffset), rawBatch: batch });
      const timestampMs = batchBaseTimestamp(batch, 0);
      timestamps.push(timestampMs >= timestampMinMs && timestampMs <= timestampMaxMs ? timestampMs : -1);
      rawBytes += batch.length;
      rawBatches++;
    }
  }
  return {
    rows: records.length,
    digest: referenceDigest(records),
    isFinite: scanner.isFinite,
    pairs: scanner.pairs(),
    minTimestampMs: timestamps.length === 0 ? undefined : Math.min(...timestamps),
    maxTimestampMs: timestamps.length === 0 ? undefined : Math.max(...timestamps),
    rawBytes,
    rawBatches,
    records,
  };
}
