/**
 * One batch as compaction leaves it (Kafka's MemoryRecords.filterTo and RecordRetention). Offsets, producer fields and leader epoch stay;
 * records that go leave holes. A batch all of whose records stay is not touched, so its bytes are those of its producer.
 *
 * A tombstone is kept until its **delete horizon**, which the first compaction that meets it writes into the batch (KIP-534): attribute
 * bit 6 is set, the base timestamp becomes the horizon, and the records' deltas count from there.
 */
import type { TimestampMs } from '../kernel/index.js';
import {
  attributeBits,
  batchAt,
  batchAttributes,
  batchBaseTimestamp,
  batchCompression,
  batchHeaderBytes,
  batchMaxTimestamp,
  batchRecords,
  codecId,
  compress,
  isControl,
  RecordCursor,
  sealBatch,
  timestampType,
  VarintReader,
  varintBytes,
  writeInt64Number,
  writeVarint,
} from '../wire/index.js';

/** What becomes of a record. */
export type IsKept = (cursor: RecordCursor, isTombstoneKept: boolean) => boolean;

export interface BatchRules {
  readonly nowMs: TimestampMs;
  readonly deleteRetentionMs: number;
  /** The batch stays even without records: it has its producer's last sequence, or is the last of its segment. */
  readonly mustStay: boolean;
}

export interface CompactedBatch {
  /** `undefined`: it goes. The batch that was given: it stays as it is. */
  readonly batch: Buffer | undefined;
  readonly keptRecords: number;
  readonly droppedRecords: number;
}

/** What a record's own numbers may take more when its timestamp counts from another base. */
const growthBytesMax = 16;
/** Deltas from a horizon to timestamps within this are exact; 2^51 ms are 71,000 years. Tombstones further out stay for ever. */
const horizonMsMax = 2 ** 51;
/** Kafka's NO_TIMESTAMP: a batch without records has none, so that a search by time never finds it. */
const noTimestamp = -1;

/** `batch` is exactly one batch. Errors: `record-invalid`, `batch-corrupt` and others of a batch that cannot be read. */
export function compactBatch(batch: Buffer, rules: BatchRules, isKept: IsKept): CompactedBatch {
  // There are no transactions: what says how one ended stays.
  if (isControl(batch, 0)) return { batch, keptRecords: 0, droppedRecords: 0 };
  const records = batchRecords(batch, 0);
  const cursor = new RecordCursor();
  cursor.reset(batch, 0, records);
  const horizonMs = deleteHorizonMs(batch);
  const isTombstoneKept = horizonMs === undefined || rules.nowMs < horizonMs;
  const kept: number[] = [];
  let hasTombstone = false;
  let isFar = false;
  let maxTimestampMs = noTimestamp;
  while (cursor.next()) {
    if (!isKept(cursor, isTombstoneKept)) continue;
    if (kept.length === 0 || cursor.timestampMs > maxTimestampMs) maxTimestampMs = cursor.timestampMs;
    hasTombstone ||= cursor.valueLength < 0;
    isFar ||= Math.abs(cursor.timestampMs) > horizonMsMax;
    kept.push(cursor.recordAt, cursor.recordEnd);
  }
  const keptRecords = kept.length / 2;
  const droppedRecords = cursor.count - keptRecords;
  if (keptRecords === 0) {
    if (!rules.mustStay) return { batch: undefined, keptRecords, droppedRecords };
    return { batch: cursor.count === 0 ? batch : emptied(batch), keptRecords, droppedRecords };
  }
  const isCreateTime = timestampType(batch, 0) === 'create';
  const mustSetHorizon = hasTombstone && horizonMs === undefined && !isFar;
  if (droppedRecords === 0 && !mustSetHorizon) return { batch, keptRecords, droppedRecords };
  const oldBaseMs = batchBaseTimestamp(batch, 0);
  const baseMs = mustSetHorizon ? Math.min(rules.nowMs + rules.deleteRetentionMs, horizonMsMax) : oldBaseMs;
  // Of append time deltas mean nothing.
  const body = copyRecords(records, kept, isCreateTime ? oldBaseMs - baseMs : 0);
  const header = Buffer.from(batch.subarray(0, batchHeaderBytes));
  if (mustSetHorizon) header.writeInt16BE(batchAttributes(batch, 0) | attributeBits.hasDeleteHorizon, batchAt.attributes);
  writeInt64Number(header, baseMs, batchAt.baseTimestamp);
  // Of append time it is the records' time, whichever of them are left.
  writeInt64Number(header, isCreateTime ? maxTimestampMs : batchMaxTimestamp(batch, 0), batchAt.maxTimestamp);
  header.writeInt32BE(keptRecords, batchAt.recordsCount);
  const codec = batchCompression(batch, 0);
  return { batch: sealBatch(header, codec === 'none' ? body : compress(codec, body)), keptRecords, droppedRecords };
}

/** Until when the batch's tombstones stay; `undefined` where no compaction has met them. */
function deleteHorizonMs(batch: Buffer): TimestampMs | undefined {
  return (batchAttributes(batch, 0) & attributeBits.hasDeleteHorizon) === 0 ? undefined : batchBaseTimestamp(batch, 0);
}

/** The header alone: offsets and producer fields, no records. */
function emptied(batch: Buffer): Buffer {
  const header = Buffer.from(batch.subarray(0, batchHeaderBytes));
  const attributes = batchAttributes(batch, 0) & ~(attributeBits.codec | attributeBits.hasDeleteHorizon);
  header.writeInt16BE(attributes | codecId('none'), batchAt.attributes);
  writeInt64Number(header, noTimestamp, batchAt.baseTimestamp);
  writeInt64Number(header, noTimestamp, batchAt.maxTimestamp);
  header.writeInt32BE(0, batchAt.recordsCount);
  return sealBatch(header, Buffer.alloc(0));
}

/** Records that lie at [from, to) pairs, their timestamps counted from a base that is `shiftMs` lower than theirs was. */
function copyRecords(records: Buffer, kept: readonly number[], shiftMs: number): Buffer {
  let bytes = 0;
  for (let i = 0; i < kept.length; i += 2) bytes += (kept[i + 1] as number) - (kept[i] as number) + growthBytesMax;
  const body = Buffer.allocUnsafe(bytes);
  const reader = new VarintReader(records);
  let at = 0;
  for (let i = 0; i < kept.length; i += 2) {
    const from = kept[i] as number;
    const to = kept[i + 1] as number;
    if (shiftMs === 0) {
      at += records.copy(body, at, from, to);
      continue;
    }
    // length · attributes · timestamp delta · the rest, which stays.
    reader.position = from;
    reader.end = to;
    reader.varint();
    const attributes = records[reader.position++] as number;
    const delta = reader.varlong() + shiftMs;
    at = writeVarint(body, 1 + varintBytes(delta) + (to - reader.position), at);
    body[at++] = attributes;
    at = writeVarint(body, delta, at);
    at += records.copy(body, at, reader.position, to);
  }
  return body.subarray(0, at);
}
