/**
 * A record batch (format v2) where it lies in a buffer: read, checked and patched without an object. Positions are of the
 * batch's first byte; all numbers are big-endian. Source: Kafka's DefaultRecordBatch, KIP-98.
 *
 * | at | field                                                     | at | field               |
 * |---:|-----------------------------------------------------------|---:|---------------------|
 * |  0 | base offset i64 (patched by the broker)                   | 27 | base timestamp i64  |
 * |  8 | bytes after this field i32 (whole batch: + 12)            | 35 | max timestamp i64   |
 * | 12 | leader epoch i32 (patched by the broker)                  | 43 | producer id i64     |
 * | 16 | magic i8 = 2                                              | 51 | producer epoch i16  |
 * | 17 | CRC-32C u32 over 21…end                                   | 53 | base sequence i32   |
 * | 21 | attributes i16                                            | 57 | records count i32   |
 * | 23 | last offset delta i32                                     | 61 | records             |
 *
 * Attributes: bits 0–2 codec, 3 timestamp type (1: log append), 4 transactional, 5 control, 6 delete horizon, rest 0.
 */
import { crc32c } from '@node-rs/crc32';
import { LakeError, type LeaderEpoch, type Offset, type TimestampMs } from '../kernel/index.js';
import { type CompressionCodec, codecById } from './compression.js';

export const batchHeaderBytes = 61;

export const batchAt = {
  baseOffset: 0,
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordsCount: 57,
  records: 61,
} as const;

/** Bytes before and in the length field, which it does not count. */
const lengthOverhead = 12;

export const attributeBits = {
  codec: 0x07,
  isLogAppendTime: 0x08,
  isTransactional: 0x10,
  isControl: 0x20,
  hasDeleteHorizon: 0x40,
} as const;

export type TimestampType = 'create' | 'log-append';

const two32 = 2 ** 32;

function nearestNumber(buf: Buffer, at: number): number {
  return buf.readInt32BE(at) * two32 + buf.readUInt32BE(at + 4);
}

/** Whether the int64 at `at` is one that `readInt64Number` reads. */
export function isSafeInt64(buf: Buffer, at: number): boolean {
  return Number.isSafeInteger(nearestNumber(buf, at));
}

/** An int64 as a number. Errors: `record-invalid` outside ±(2^53 − 1). */
export function readInt64Number(buf: Buffer, at: number): number {
  const value = nearestNumber(buf, at);
  if (!Number.isSafeInteger(value)) {
    throw new LakeError('record-invalid', `the int64 ${buf.readBigInt64BE(at)} at ${at} is beyond ±(2^53 − 1)`, { facts: { at } });
  }
  return value;
}

/** Whether the int64 at `at`, whichever it is, is this safe integer. */
export function isInt64(buf: Buffer, value: number, at: number): boolean {
  const hi = Math.floor(value / two32);
  return buf.readInt32BE(at) === hi && buf.readUInt32BE(at + 4) === value - hi * two32;
}

/** Writes a safe integer as an int64. */
export function writeInt64Number(buf: Buffer, value: number, at: number): void {
  const hi = Math.floor(value / two32);
  buf.writeInt32BE(hi, at);
  buf.writeUInt32BE(value - hi * two32, at + 4);
}

export function batchBaseOffset(buf: Buffer, at: number): Offset {
  return readInt64Number(buf, at + batchAt.baseOffset);
}

/** Bytes of the whole batch, header included, as its length field says. */
export function batchBytes(buf: Buffer, at: number): number {
  return buf.readInt32BE(at + batchAt.length) + lengthOverhead;
}

export function batchLeaderEpoch(buf: Buffer, at: number): LeaderEpoch {
  return buf.readInt32BE(at + batchAt.leaderEpoch);
}

export function batchMagic(buf: Buffer, at: number): number {
  return buf.readInt8(at + batchAt.magic);
}

export function batchCrc(buf: Buffer, at: number): number {
  return buf.readUInt32BE(at + batchAt.crc);
}

export function batchAttributes(buf: Buffer, at: number): number {
  return buf.readInt16BE(at + batchAt.attributes);
}

export function batchLastOffsetDelta(buf: Buffer, at: number): number {
  return buf.readInt32BE(at + batchAt.lastOffsetDelta);
}

/** Last offset the batch stands for (inclusive); may span holes past its last record. */
export function batchLastOffset(buf: Buffer, at: number): Offset {
  return batchBaseOffset(buf, at) + batchLastOffsetDelta(buf, at);
}

export function batchBaseTimestamp(buf: Buffer, at: number): TimestampMs {
  return readInt64Number(buf, at + batchAt.baseTimestamp);
}

export function batchMaxTimestamp(buf: Buffer, at: number): TimestampMs {
  return readInt64Number(buf, at + batchAt.maxTimestamp);
}

/** −1n: none. */
export function batchProducerId(buf: Buffer, at: number): bigint {
  return buf.readBigInt64BE(at + batchAt.producerId);
}

export function batchProducerEpoch(buf: Buffer, at: number): number {
  return buf.readInt16BE(at + batchAt.producerEpoch);
}

export function batchBaseSequence(buf: Buffer, at: number): number {
  return buf.readInt32BE(at + batchAt.baseSequence);
}

export function batchRecordsCount(buf: Buffer, at: number): number {
  return buf.readInt32BE(at + batchAt.recordsCount);
}

/** Errors: `compression-unsupported`. */
export function batchCompression(buf: Buffer, at: number): CompressionCodec {
  return codecById(batchAttributes(buf, at) & attributeBits.codec);
}

export function isTransactional(buf: Buffer, at: number): boolean {
  return (batchAttributes(buf, at) & attributeBits.isTransactional) !== 0;
}

export function isControl(buf: Buffer, at: number): boolean {
  return (batchAttributes(buf, at) & attributeBits.isControl) !== 0;
}

export function timestampType(buf: Buffer, at: number): TimestampType {
  return (batchAttributes(buf, at) & attributeBits.isLogAppendTime) === 0 ? 'create' : 'log-append';
}

/** Gives a batch its place in the log. Both fields lie outside the CRC on purpose. */
export function patchBatch(buf: Buffer, at: number, baseOffset: Offset, leaderEpoch: LeaderEpoch): void {
  writeInt64Number(buf, baseOffset, at + batchAt.baseOffset);
  buf.writeInt32BE(leaderEpoch, at + batchAt.leaderEpoch);
}

/** The CRC-32C the batch's bytes have; the batch must lie in the buffer as a whole. */
export function computeBatchCrc(buf: Buffer, at: number): number {
  return crc32c(buf.subarray(at + batchAt.attributes, at + batchBytes(buf, at)));
}

/** A batch of a header, whose length and checksum are written, and records that follow it, compressed as the header says. */
export function sealBatch(header: Buffer, body: Buffer): Buffer {
  const batch = Buffer.allocUnsafeSlow(header.length + body.length);
  batch.set(header);
  batch.set(body, header.length);
  batch.writeInt32BE(batch.length - lengthOverhead, batchAt.length);
  batch.writeUInt32BE(computeBatchCrc(batch, 0), batchAt.crc);
  return batch;
}

/** False also where the batch does not lie in the buffer as a whole. */
export function isBatchCrcValid(buf: Buffer, at: number): boolean {
  if (at + batchHeaderBytes > buf.length) return false;
  const bytes = batchBytes(buf, at);
  if (bytes < batchHeaderBytes || at + bytes > buf.length) return false;
  return batchCrc(buf, at) === computeBatchCrc(buf, at);
}

/**
 * Calls `onBatch` with the position and bytes of each whole batch from `from` on, and answers the position after the last
 * of them: less than the buffer's length where the end is truncated. `onBatch` stops the walk by returning false.
 * Errors: `batch-corrupt` where a length is impossible, so that nothing after it can be found.
 */
export function walkBatches(buf: Buffer, onBatch: (at: number, bytes: number) => boolean | void, from = 0): number {
  let at = from;
  while (at + lengthOverhead <= buf.length) {
    const bytes = batchBytes(buf, at);
    if (bytes < batchHeaderBytes) {
      throw new LakeError('batch-corrupt', `the batch at ${at} says it has ${bytes} bytes, fewer than its header`, {
        facts: { at, bytes },
      });
    }
    if (at + bytes > buf.length) break;
    const goesOn = onBatch(at, bytes);
    at += bytes;
    if (goesOn === false) break;
  }
  return at;
}

/** The positions of the whole batches in a buffer; as `walkBatches`, where a loop reads better. */
export function* batchPositions(buf: Buffer, from = 0): Generator<number, void, undefined> {
  const positions: number[] = [];
  walkBatches(buf, (at) => void positions.push(at), from);
  yield* positions;
}
