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

/** Entries in their order, and how many. */
export interface SnapshotEntries extends Iterable<ProducerSnapshotEntry> {
  readonly length: number;
}

/** Entries encoded at once: about a millisecond. In one go those of 100,000 producers would hold up everybody for a quarter of a second. */
const entriesPerStep = 4096;

/** Encodes a snapshot step by step, between which others may have their turn. */
export class ProducerSnapshotEncoding {
  readonly bytes: Buffer;
  readonly #entries: Iterator<ProducerSnapshotEntry>;
  #at = entriesAt;
  #crc: number;

  constructor(entries: SnapshotEntries) {
    this.bytes = Buffer.alloc(entriesAt + entries.length * entryBytes);
    this.#entries = entries[Symbol.iterator]();
    this.bytes.writeInt16BE(version, 0);
    this.bytes.writeInt32BE(entries.length, countAt);
    this.#crc = crc32c(this.bytes.subarray(countAt, entriesAt));
  }

  /** False where `bytes` are whole now. */
  step(): boolean {
    const { bytes } = this;
    const from = this.#at;
    const to = Math.min(bytes.length, from + entriesPerStep * entryBytes);
    for (; this.#at < to; this.#at += entryBytes) writeEntry(bytes, this.#at, this.#entries.next().value as ProducerSnapshotEntry);
    this.#crc = crc32c(bytes.subarray(from, to), this.#crc);
    if (to < bytes.length) return true;
    bytes.writeUInt32BE(this.#crc, crcAt);
    return false;
  }
}

function writeEntry(bytes: Buffer, at: number, entry: ProducerSnapshotEntry): void {
  bytes.writeBigInt64BE(entry.producerId, at);
  bytes.writeInt16BE(entry.producerEpoch, at + 8);
  bytes.writeInt32BE(entry.lastSequence, at + 10);
  writeInt64Number(bytes, entry.lastOffset, at + 14);
  bytes.writeInt32BE(entry.offsetDelta, at + 22);
  writeInt64Number(bytes, entry.timestampMs, at + 26);
  bytes.writeInt32BE(none, at + 34);
  writeInt64Number(bytes, none, at + 38);
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
