/**
 * The two sparse indexes of a segment in Kafka's format, held in memory as the bytes they have on disk. Offsets are relative
 * to the segment's base; an entry stands for a batch by its last offset. Big-endian.
 *
 * | `.index` (8 bytes) | `.timeindex` (12 bytes)                                               |
 * |--------------------|-----------------------------------------------------------------------|
 * | last offset i32    | largest timestamp so far i64                                          |
 * | position i32       | last offset i32 of the first batch that has it                        |
 */
import { KiB, MiB, none, type Offset, type TimestampMs } from '../kernel/index.js';
import { readInt64Number, writeInt64Number } from '../wire/index.js';

export const offsetEntryBytes = 8;
export const timeEntryBytes = 12;

/** `segment.index.bytes` of Kafka: a full index rolls the segment. 10 MiB = 1.3 million entries. */
export const indexBytesMax = 10 * MiB;
const initialBytes = KiB;

/** Entries of one width that only grow at their end. */
class EntryBuffer {
  readonly width: number;
  #bytes: Buffer;
  #count: number;

  constructor(width: number, bytes: Buffer) {
    this.width = width;
    this.#bytes = bytes;
    this.#count = Math.floor(bytes.length / width);
  }

  get count(): number {
    return this.#count;
  }

  /** The entries as they go to disk: a view. */
  get used(): Buffer {
    return this.#bytes.subarray(0, this.#count * this.width);
  }

  get buffer(): Buffer {
    return this.#bytes;
  }

  isFull(): boolean {
    return (this.#count + 1) * this.width > indexBytesMax;
  }

  /** Makes room for one entry and answers its position. */
  add(): number {
    const at = this.#count * this.width;
    if (at + this.width > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(initialBytes, this.#bytes.length * 2));
      this.#bytes.copy(grown);
      this.#bytes = grown;
    }
    this.#count++;
    return at;
  }

  /** The last entry for which `isAtMost` holds, −1 where there is none; it holds for a prefix of the entries. */
  findLast(isAtMost: (at: number) => boolean): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isAtMost(middle * this.width)) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** Of an offset index: the batch at `position` ends with `lastOffset`. */
export interface OffsetEntry {
  readonly lastOffset: Offset;
  readonly position: number;
}

export class OffsetIndex {
  readonly baseOffset: Offset;
  readonly #entries: EntryBuffer;

  constructor(baseOffset: Offset, bytes: Buffer = Buffer.alloc(0)) {
    this.baseOffset = baseOffset;
    this.#entries = new EntryBuffer(offsetEntryBytes, bytes);
  }

  get count(): number {
    return this.#entries.count;
  }

  get bytes(): Buffer {
    return this.#entries.used;
  }

  isFull(): boolean {
    return this.#entries.isFull();
  }

  append(lastOffset: Offset, position: number): void {
    const at = this.#entries.add();
    this.#entries.buffer.writeInt32BE(lastOffset - this.baseOffset, at);
    this.#entries.buffer.writeInt32BE(position, at + 4);
  }

  /** Where to begin looking for `offset`: the last entry at or below it; `undefined`, for the beginning, where there is none. */
  lookup(offset: Offset): OffsetEntry | undefined {
    const relative = offset - this.baseOffset;
    const { buffer } = this.#entries;
    const found = this.#entries.findLast((at) => buffer.readInt32BE(at) <= relative);
    if (found < 0) return undefined;
    const at = found * offsetEntryBytes;
    return { lastOffset: buffer.readInt32BE(at) + this.baseOffset, position: buffer.readInt32BE(at + 4) };
  }

  /** The last position that an entry names at or below `position`, 0 where there is none. */
  positionAtMost(position: number): number {
    const { buffer } = this.#entries;
    const found = this.#entries.findLast((at) => buffer.readInt32BE(at + 4) <= position);
    return found < 0 ? 0 : buffer.readInt32BE(found * offsetEntryBytes + 4);
  }

  /** Position of the last entry's batch, 0 where there is none. */
  get lastPosition(): number {
    return this.count === 0 ? 0 : this.#entries.buffer.readInt32BE(this.count * offsetEntryBytes - 4);
  }

  /** Of the last entry; −1 where there is none. */
  get lastOffset(): Offset {
    return this.count === 0 ? none : this.#entries.buffer.readInt32BE((this.count - 1) * offsetEntryBytes) + this.baseOffset;
  }

  /** Whether entries ascend and lie within a segment of that many bytes: what a file that was never fsynced may fail. */
  isPlausible(segmentBytes: number): boolean {
    const { buffer } = this.#entries;
    let offset = none;
    let position = none;
    for (let at = 0; at < this.count * offsetEntryBytes; at += offsetEntryBytes) {
      const nextOffset = buffer.readInt32BE(at);
      const nextPosition = buffer.readInt32BE(at + 4);
      if (nextOffset <= offset || nextPosition <= position || nextPosition >= segmentBytes) return false;
      offset = nextOffset;
      position = nextPosition;
    }
    return true;
  }
}

export class TimeIndex {
  readonly baseOffset: Offset;
  readonly #entries: EntryBuffer;

  constructor(baseOffset: Offset, bytes: Buffer = Buffer.alloc(0)) {
    this.baseOffset = baseOffset;
    this.#entries = new EntryBuffer(timeEntryBytes, bytes);
  }

  get count(): number {
    return this.#entries.count;
  }

  get bytes(): Buffer {
    return this.#entries.used;
  }

  isFull(): boolean {
    return this.#entries.isFull();
  }

  /** Of the last entry; −1 where there is none. */
  get lastTimestamp(): TimestampMs {
    return this.count === 0 ? none : readInt64Number(this.#entries.buffer, (this.count - 1) * timeEntryBytes);
  }

  /** Of the last entry; −1 where there is none. */
  get lastOffset(): Offset {
    return this.count === 0 ? none : this.#entries.buffer.readInt32BE(this.count * timeEntryBytes - 4) + this.baseOffset;
  }

  /** Adds an entry where the timestamp is larger than the last one's: only those say something new. */
  appendIfLarger(timestampMs: TimestampMs, lastOffset: Offset): void {
    if (timestampMs <= this.lastTimestamp) return;
    const at = this.#entries.add();
    writeInt64Number(this.#entries.buffer, timestampMs, at);
    this.#entries.buffer.writeInt32BE(lastOffset - this.baseOffset, at + 8);
  }

  /**
   * An offset before which no record has a timestamp of `timestampMs` or more: the last offset of the batch named by the
   * last entry at or below it, the base offset where there is none.
   */
  lookup(timestampMs: TimestampMs): Offset {
    const { buffer } = this.#entries;
    const found = this.#entries.findLast((at) => readInt64Number(buffer, at) <= timestampMs);
    return found < 0 ? this.baseOffset : buffer.readInt32BE(found * 12 + 8) + this.baseOffset;
  }

  isPlausible(nextOffset: Offset): boolean {
    const { buffer } = this.#entries;
    let timestampMs = Number.NEGATIVE_INFINITY;
    let offset = none;
    for (let at = 0; at < this.count * 12; at += 12) {
      const nextTimestampMs = buffer.readInt32BE(at) * 2 ** 32 + buffer.readUInt32BE(at + 4);
      const relative = buffer.readInt32BE(at + 8);
      if (nextTimestampMs <= timestampMs || relative <= offset || relative + this.baseOffset >= nextOffset) return false;
      timestampMs = nextTimestampMs;
      offset = relative;
    }
    return true;
  }
}
