/**
 * Producer state as Kafka keeps it on disk (`<offset>.snapshot`, ProducerSnapshot version 1). Kafka writes one entry a producer, with its
 * last batch; we write one for each batch that may be sent again, the newest last, which is the one that Kafka keeps. Big-endian.
 *
 * | at | header                          | at | entry (46 bytes each)                    |
 * |---:|---------------------------------|---:|------------------------------------------|
 * |  0 | version i16 = 1                 |  0 | producer id i64                          |
 * |  2 | CRC-32C u32 of everything after |  8 | producer epoch i16                       |
 * |  6 | count i32                       | 10 | last sequence i32                        |
 * | 10 | entries                         | 14 | last offset i64                          |
 * |    |                                 | 22 | offset delta i32: last − first of a batch|
 * |    |                                 | 26 | timestamp i64                            |
 * |    |                                 | 34 | coordinator epoch i32, −1 none           |
 * |    |                                 | 38 | first offset of the open transaction i64 |
 */
import { crc32c } from '@node-rs/crc32';
import { LakeError, none, type Offset, type TimestampMs } from '../kernel/index.js';
import { readInt64Number, writeInt64Number } from '../wire/index.js';

export interface ProducerSnapshotEntry {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** −1: it has no batch. */
  readonly lastSequence: number;
  readonly lastOffset: Offset;
  readonly offsetDelta: number;
  readonly timestampMs: TimestampMs;
}

const version = 1;
const crcAt = 2;
const countAt = 6;
const entriesAt = 10;
const entryBytes = 46;

export function encodeProducerSnapshot(entries: readonly ProducerSnapshotEntry[]): Buffer {
  const bytes = Buffer.alloc(entriesAt + entries.length * entryBytes);
  bytes.writeInt16BE(version, 0);
  bytes.writeInt32BE(entries.length, countAt);
  let at = entriesAt;
  for (const entry of entries) {
    bytes.writeBigInt64BE(entry.producerId, at);
    bytes.writeInt16BE(entry.producerEpoch, at + 8);
    bytes.writeInt32BE(entry.lastSequence, at + 10);
    writeInt64Number(bytes, entry.lastOffset, at + 14);
    bytes.writeInt32BE(entry.offsetDelta, at + 22);
    writeInt64Number(bytes, entry.timestampMs, at + 26);
    bytes.writeInt32BE(none, at + 34);
    writeInt64Number(bytes, none, at + 38);
    at += entryBytes;
  }
  bytes.writeUInt32BE(crc32c(bytes.subarray(countAt)), crcAt);
  return bytes;
}

/** Errors: `log-damaged` where version, length or CRC are not right. */
export function decodeProducerSnapshot(bytes: Buffer, file: string): ProducerSnapshotEntry[] {
  const isWhole =
    bytes.length >= entriesAt &&
    bytes.readInt16BE(0) === version &&
    bytes.readUInt32BE(crcAt) === crc32c(bytes.subarray(countAt)) &&
    bytes.length === entriesAt + bytes.readInt32BE(countAt) * entryBytes;
  if (!isWhole) throw new LakeError('log-damaged', `${file} is not a producer snapshot`, { facts: { file, bytes: bytes.length } });
  const entries: ProducerSnapshotEntry[] = [];
  for (let at = entriesAt; at < bytes.length; at += entryBytes) {
    entries.push({
      producerId: bytes.readBigInt64BE(at),
      producerEpoch: bytes.readInt16BE(at + 8),
      lastSequence: bytes.readInt32BE(at + 10),
      lastOffset: readInt64Number(bytes, at + 14),
      offsetDelta: bytes.readInt32BE(at + 22),
      timestampMs: readInt64Number(bytes, at + 26),
    });
  }
  return entries;
}
