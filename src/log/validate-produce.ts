/**
 * What a produced batch must be before it may enter the log (Kafka's LogValidator and UnifiedLog). Compressed batches are
 * inflated, within a bound, and walked record by record, so that nothing is ever stored that a consumer cannot decode.
 */
import { LakeError, type TimestampMs } from '../kernel/index.js';
import {
  attributeBits,
  batchAt,
  batchAttributes,
  batchBaseOffset,
  batchBaseSequence,
  batchBytes,
  batchCompression,
  batchHeaderBytes,
  batchLastOffsetDelta,
  batchMagic,
  batchRecords,
  batchRecordsCount,
  computeBatchCrc,
  inflatedBytesMax,
  isBatchCrcValid,
  isControl,
  isInt64,
  isTransactional,
  RecordCursor,
  type TimestampType,
  timestampType,
  writeInt64Number,
} from '../wire/index.js';

export interface ProduceRules {
  /** `max.message.bytes`: of the batch as it came. */
  readonly maxMessageBytes: number;
  readonly nowMs: TimestampMs;
  /** `message.timestamp.type`. Under `log-append` the batch is stamped with `nowMs`, whatever its records say. Default: `create`. */
  readonly timestampType?: TimestampType;
  /** `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`; they bind under `create` only. */
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
  /** Of a compacted topic: each record has a key. */
  readonly isKeyRequired?: boolean;
  /** Of all inflated records. */
  readonly maxDecompressedBytes?: number;
  /** `max.decompressed.message.bytes`: of each record of a compressed batch, inflated, without its length field. */
  readonly maxRecordBytes?: number;
}

const formatMagic = 2;
const zstdApiVersion = 7;
/**
 * Checks the batch that `soleBatch` answered, all of its records. Where the batch names another largest timestamp than its records have,
 * that is put right in place, as Kafka does; under append time the largest timestamp becomes that of all records, and attribute bit 3
 * says so. The records' own bytes are never touched.
 *
 * Errors (Kafka's code): `batch-corrupt` (2), `decompression-bound` (2), `message-too-large` (10), `timestamp-invalid` (32),
 * `compression-unsupported` (76), `record-invalid` (87).
 */
export function validateProduceBatch(batch: Buffer, rules: ProduceRules): void {
  validateHeader(batch, rules);
  const createdMaxMs = validateRecords(batch, rules);
  if (rules.timestampType === 'log-append') setMaxTimestamp(batch, 'log-append', rules.nowMs);
  else if (timestampType(batch, 0) !== 'create') {
    setMaxTimestamp(batch, 'create', createdMaxMs);
    // Now its records have the times that were written into them, which count for nothing in a batch that has append time.
    requireRecords(batch, rules);
  } else if (!isInt64(batch, createdMaxMs, batchAt.maxTimestamp)) setMaxTimestamp(batch, 'create', createdMaxMs);
}

function requireRecords(batch: Buffer, rules: ProduceRules): void {
  const cursor = cursorOver(batch, rules);
  while (cursor.next());
}

function cursorOver(batch: Buffer, { maxDecompressedBytes = inflatedBytesMax }: ProduceRules): RecordCursor {
  const cursor = new RecordCursor();
  cursor.reset(batch, 0, batchRecords(batch, 0, maxDecompressedBytes));
  return cursor;
}

/** Kafka's DefaultRecordBatch.setMaxTimestamp. */
function setMaxTimestamp(batch: Buffer, type: TimestampType, maxTimestampMs: TimestampMs): void {
  const others = batchAttributes(batch, 0) & ~attributeBits.isLogAppendTime;
  batch.writeInt16BE(type === 'log-append' ? others | attributeBits.isLogAppendTime : others, batchAt.attributes);
  writeInt64Number(batch, maxTimestampMs, batchAt.maxTimestamp);
  batch.writeUInt32BE(computeBatchCrc(batch, 0), batchAt.crc);
}

/**
 * The one batch that a partition's part of a Produce request must be, a view of it, as far as its frame says, without a look at its
 * checksum. What is left of a further batch that was cut short is dropped, as in Kafka. `apiVersion` is of the request: zstd needs 7.
 * Errors: `batch-corrupt` (2), `compression-unsupported` (76), `record-invalid` (87).
 */
export function soleBatch(records: Buffer, apiVersion: number): Buffer {
  if (records.length === 0) throw invalid('there is no record batch');
  if (records.length <= batchAt.magic) throw corrupt(`${records.length} bytes are no record batch`);
  // Formats 0 and 1 have the magic byte at the same place.
  const magic = batchMagic(records, 0);
  if (magic > formatMagic || magic < 0) throw corrupt(`a record batch has the unknown format v${magic}`);
  if (magic !== formatMagic) throw invalid(`a record batch has format v${magic}, not v2`);
  if (records.length < batchHeaderBytes) throw corrupt(`${records.length} bytes are no record batch`);
  const bytes = batchBytes(records, 0);
  if (bytes < batchHeaderBytes) throw corrupt(`a batch says it has ${bytes} bytes`);
  // Cut short, it is no batch at all to Kafka.
  if (bytes > records.length) throw invalid(`a batch of ${bytes} bytes came in ${records.length}`);
  if (apiVersion < zstdApiVersion && batchCompression(records, 0) === 'zstd') {
    throw new LakeError('compression-unsupported', `zstd came in a Produce request of version ${apiVersion}`, {
      hint: 'Use a client that speaks Produce version 7 or later, or another compression.',
      facts: { apiVersion },
    });
  }
  const left = records.length - bytes;
  if (left > batchAt.magic && batchBytes(records, bytes) <= left) throw invalid('there is more than one record batch for a partition');
  return left === 0 ? records : records.subarray(0, bytes);
}

/** In Kafka's order, which decides what is said of a batch that is wrong in two ways: its UnifiedLog first, then its LogValidator. */
function validateHeader(batch: Buffer, rules: ProduceRules): void {
  if (batchBaseOffset(batch, 0) !== 0) throw invalid(`the base offset of a produced batch is ${batchBaseOffset(batch, 0)}, not 0`);
  if (batch.length > rules.maxMessageBytes) {
    throw new LakeError('message-too-large', `a batch of ${batch.length} bytes is larger than max.message.bytes=${rules.maxMessageBytes}`, {
      hint: 'Produce smaller batches, or raise max.message.bytes of the topic.',
      facts: { bytes: batch.length, maxMessageBytes: rules.maxMessageBytes },
    });
  }
  if (!isBatchCrcValid(batch, 0)) throw corrupt('the CRC of a batch does not match');
  // Throws where nobody knows the codec.
  batchCompression(batch, 0);
  const count = batchRecordsCount(batch, 0);
  if (count <= 0) throw invalid(`a batch says it has ${count} records`);
  if (batchLastOffsetDelta(batch, 0) !== count - 1) {
    throw invalid(`a batch of ${count} records has the last offset delta ${batchLastOffsetDelta(batch, 0)}`);
  }
  if (isControl(batch, 0)) throw invalid('clients may not write control batches');
  if (isTransactional(batch, 0)) throw invalid('transactions are not supported');
  const hasProducerId = batch.readInt32BE(batchAt.producerId) >= 0;
  if (hasProducerId && batchBaseSequence(batch, 0) < 0)
    throw invalid(`an idempotent batch has the sequence ${batchBaseSequence(batch, 0)}`);
}

/** Walks all records and answers the largest timestamp that their producer gave them. */
function validateRecords(batch: Buffer, rules: ProduceRules): TimestampMs {
  const { nowMs } = rules;
  const isCreateTime = rules.timestampType !== 'log-append';
  const earliestMs = isCreateTime ? nowMs - rules.timestampBeforeMaxMs : Number.NEGATIVE_INFINITY;
  const latestMs = isCreateTime ? nowMs + rules.timestampAfterMaxMs : Number.POSITIVE_INFINITY;
  const isStamped = timestampType(batch, 0) === 'log-append';
  const maxRecordBytes =
    batchCompression(batch, 0) === 'none' ? Number.POSITIVE_INFINITY : (rules.maxRecordBytes ?? Number.POSITIVE_INFINITY);
  let maxTimestampMs = -1;
  let refusal: LakeError | undefined;
  const baseTimestampMs = batch.readBigInt64BE(batchAt.baseTimestamp);
  if (!Number.isSafeInteger(Number(baseTimestampMs))) {
    throw new LakeError('timestamp-invalid', `the base timestamp ${baseTimestampMs} is beyond ±(2^53 − 1)`, {
      hint: "Check the producer's clock: timestamps are milliseconds.",
    });
  }
  const cursor = cursorOver(batch, rules);
  while (cursor.next()) {
    const { timestampMs } = cursor;
    // Refused as a whole, as from Kafka: it names no record.
    if (cursor.recordBytes > maxRecordBytes)
      throw invalid(`record ${cursor.index} has ${cursor.recordBytes} bytes, more than max.decompressed.message.bytes=${maxRecordBytes}`);
    if (cursor.offsetDelta !== cursor.index)
      throw invalid(`record ${cursor.index} has the offset delta ${cursor.offsetDelta}`, cursor.index);
    if (rules.isKeyRequired === true && cursor.keyLength < 0)
      refusal ??= invalid(`record ${cursor.index} has no key, and the topic is compacted`, cursor.index);
    // As from Kafka, a wrong time is told before a missing key, and both once all records have been read.
    else if (refusal?.code !== 'timestamp-invalid') {
      const isOutOfRange = timestampMs !== -1 && (timestampMs < earliestMs || timestampMs > latestMs);
      if (isOutOfRange) refusal = outOfRange(cursor.index, timestampMs, [earliestMs, latestMs]);
      // Kafka takes it under create time where the timestamp is one that it would take from a producer.
      else if (isStamped && (!isCreateTime || timestampMs === -1)) refusal = wronglyStamped(cursor.index);
    }
    if (cursor.index === 0 || timestampMs > maxTimestampMs) maxTimestampMs = timestampMs;
  }
  if (refusal !== undefined) throw refusal;
  return maxTimestampMs;
}

function outOfRange(batchIndex: number, timestampMs: TimestampMs, [earliestMs, latestMs]: readonly [number, number]): LakeError {
  const range = `[${earliestMs}, ${latestMs}]`;
  return new LakeError('timestamp-invalid', `the timestamp ${timestampMs} of record ${batchIndex} is outside ${range}`, {
    hint: "Check the producer's clock, or change message.timestamp.before.max.ms or message.timestamp.after.max.ms of the topic.",
    facts: { batchIndex, timestampMs },
  });
}

function wronglyStamped(batchIndex: number): LakeError {
  return new LakeError('timestamp-invalid', 'a producer may not set the timestamp type to log append time', {
    hint: 'Produce with create time.',
    facts: { batchIndex },
  });
}

function invalid(what: string, batchIndex?: number): LakeError {
  return new LakeError('record-invalid', what, batchIndex === undefined ? {} : { facts: { batchIndex } });
}

function corrupt(what: string): LakeError {
  return new LakeError('batch-corrupt', what);
}
