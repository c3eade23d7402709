/** What staging makes of batches, in plain TypeScript, an object a record: the compiled loops are held against it. */
import { type ColumnPair, type StageResult, timestampMaxMs, timestampMinMs } from '../../src/columns/index.js';
import { isLakeError } from '../../src/kernel/index.js';
import {
  batchBaseOffset,
  batchBaseSequence,
  batchBaseTimestamp,
  batchHeaderBytes,
  batchLastOffset,
  batchLeaderEpoch,
  batchProducerEpoch,
  batchProducerId,
  batchRecords,
  decodeBatch,
  timestampType,
} from '../../src/wire/index.js';
import { type DigestedBatch, type DigestedRecord, referenceDigest } from './reference-digest.js';
import { ReferenceScanner } from './reference-scanner.js';

export interface ReferenceStaged
  extends Pick<StageResult, 'rows' | 'digest' | 'isFinite' | 'rawBatches' | 'rawBytes' | 'minTimestampMs' | 'maxTimestampMs'> {
  readonly pairs: readonly ColumnPair[];
  readonly records: readonly (DigestedRecord | DigestedBatch)[];
}

function recordsOf(batch: Buffer): DigestedRecord[] {
  const baseSequence = batchBaseSequence(batch, 0);
  return decodeBatch(batch).map(({ offset, timestampMs, key, value, headers }) => ({
    offset,
    timestampMs,
    timestampType: timestampType(batch, 0) === 'create' ? 0 : 1,
    leaderEpoch: batchLeaderEpoch(batch, 0),
    producerId: batchProducerId(batch, 0),
    producerEpoch: batchProducerEpoch(batch, 0),
    sequence: baseSequence < 0 ? -1 : (baseSequence + offset - batchBaseOffset(batch, 0)) % 2 ** 31,
    key,
    value,
    headers: headers.map((header) => [header.key, header.value] as const),
  }));
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
      const decoded = recordsOf(batch).filter((one) => one.offset >= range.baseOffset && one.offset < range.endOffset);
      records.push(...decoded);
      timestamps.push(...decoded.map((one) => one.timestampMs));
      for (const { value } of decoded) if (value !== null) scanner.scan(value, 0, value.length);
      rawBytes += batchHeaderBytes + batchRecords(batch, 0).length;
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
