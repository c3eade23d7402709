/**
 * Writes record batches (format v2) into one growing buffer, without garbage per record. Producers use it with offsets that
 * follow one another; the rebuild of cold data gives offset deltas with holes.
 */
import { invariant, KiB, type LeaderEpoch, type Offset, type TimestampMs } from '../kernel/index.js';
import { type CompressionCodec, codecId, compress } from './compression.js';
import { attributeBits, batchAt, batchHeaderBytes, computeBatchCrc, type TimestampType, writeInt64Number } from './record-batch.js';
import { varintBytes, writeVarint } from './varint.js';

export interface RecordHeader {
  /** UTF-8 where it is a text; bytes are written as they are. */
  readonly key: Buffer | string;
  readonly value: Buffer | null;
}

export interface BatchFields {
  readonly baseOffset?: Offset;
  readonly leaderEpoch?: LeaderEpoch;
  readonly compression?: CompressionCodec;
  readonly producerId?: bigint;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly timestampType?: TimestampType;
  readonly isTransactional?: boolean;
  readonly isControl?: boolean;
  /** Spans holes past the last record; default: the last record's delta. */
  readonly lastOffsetDelta?: number;
  /** Of a batch without records, or under `log-append`; default: the largest appended. */
  readonly maxTimestampMs?: TimestampMs;
}

/** What a header says of the records behind it. */
export interface BatchContents {
  readonly count: number;
  /** −1 where there is no record. */
  readonly lastOffsetDelta: number;
  readonly baseTimestampMs: TimestampMs;
  readonly maxTimestampMs: TimestampMs;
}

const noHeaders: readonly RecordHeader[] = [];
/** Below this a loop copies faster than a call. */
const loopCopyBytesMax = 48;
/** Below this a loop over words does, where source and target have views. */
const wordCopyBytesMax = 384;

/** Bytes among which those of many records lie; the view is of the whole buffer. */
export interface ByteSource {
  readonly buffer: Uint8Array;
  readonly view: DataView;
}
/** Room for a record's own numbers: length, attributes, two deltas, key and value length, header count. */
const recordOverheadBytesMax = 5 + 1 + 8 + 5 + 5 + 5 + 5;

function copyBytes(target: Buffer, at: number, source: Uint8Array, from: number, length: number): void {
  if (length <= loopCopyBytesMax) for (let i = 0; i < length; i++) target[at + i] = source[from + i] as number;
  else if (from === 0 && length === source.length) target.set(source, at);
  else target.set(source.subarray(from, from + length), at);
}

/** As `copyBytes`, four bytes at a time. */
function copyWords(target: Uint8Array, targetView: DataView, at: number, source: ByteSource, from: number, length: number): void {
  if (length > wordCopyBytesMax) {
    target.set(source.buffer.subarray(from, from + length), at);
    return;
  }
  const words = length & ~3;
  const { view, buffer } = source;
  for (let i = 0; i < words; i += 4) targetView.setInt32(at + i, view.getInt32(from + i, true), true);
  for (let i = words; i < length; i++) target[at + i] = buffer[from + i] as number;
}

/** One batch after the other: `append` records, then `finish`, which leaves the writer empty for the next. */
export class RecordBatchWriter {
  #buffer: Buffer;
  #view: DataView;
  #at = batchHeaderBytes;
  #count = 0;
  #lastOffsetDelta = -1;
  #baseTimestampMs = -1;
  #maxTimestampMs = -1;

  constructor(initialBytes = 16 * KiB) {
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(initialBytes, batchHeaderBytes));
    this.#view = viewOf(this.#buffer);
  }

  /** Records appended since the last `finish`. */
  get count(): number {
    return this.#count;
  }

  /** Bytes the batch would have uncompressed. */
  get bytes(): number {
    return this.#at;
  }

  get lastOffsetDelta(): number {
    return this.#lastOffsetDelta;
  }

  get maxTimestampMs(): TimestampMs {
    return this.#maxTimestampMs;
  }

  /** Copies one record in. `offsetDelta` defaults to the one after the last record's. */
  append(
    timestampMs: TimestampMs,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] = noHeaders,
    offsetDelta = this.#lastOffsetDelta + 1,
  ): void {
    const keyLength = key === null ? -1 : key.length;
    const valueLength = value === null ? -1 : value.length;
    let at = this.#begin(timestampMs, offsetDelta, keyLength, valueLength, headers);
    const buffer = this.#buffer;
    at = writeVarint(buffer, keyLength, at);
    if (key !== null) copyBytes(buffer, at, key, 0, keyLength);
    at = writeVarint(buffer, valueLength, at + Math.max(0, keyLength));
    if (value !== null) copyBytes(buffer, at, value, 0, valueLength);
    this.#end(at + Math.max(0, valueLength), headers);
  }

  /** As `append`, with key and value where they lie in larger buffers; a length of −1 is null. For bulk. */
  appendSlices(
    timestampMs: TimestampMs,
    key: ByteSource,
    keyAt: number,
    keyLength: number,
    value: ByteSource,
    valueAt: number,
    valueLength: number,
    headers: readonly RecordHeader[] = noHeaders,
    offsetDelta = this.#lastOffsetDelta + 1,
  ): void {
    let at = this.#begin(timestampMs, offsetDelta, keyLength, valueLength, headers);
    const buffer = this.#buffer;
    at = writeVarint(buffer, keyLength, at);
    if (keyLength > 0) {
      copyWords(buffer, this.#view, at, key, keyAt, keyLength);
      at += keyLength;
    }
    at = writeVarint(buffer, valueLength, at);
    if (valueLength > 0) {
      copyWords(buffer, this.#view, at, value, valueAt, valueLength);
      at += valueLength;
    }
    this.#end(at, headers);
  }

  /** Makes room for a record and writes its numbers up to the key's length; answers the position there. */
  #begin(timestampMs: TimestampMs, offsetDelta: number, keyLength: number, valueLength: number, headers: readonly RecordHeader[]): number {
    invariant(offsetDelta > this.#lastOffsetDelta, 'offset deltas grow', { offsetDelta, last: this.#lastOffsetDelta });
    if (this.#count === 0) {
      this.#baseTimestampMs = timestampMs;
      this.#maxTimestampMs = timestampMs;
    } else if (timestampMs > this.#maxTimestampMs) {
      this.#maxTimestampMs = timestampMs;
    }
    const timestampDelta = timestampMs - this.#baseTimestampMs;
    invariant(Number.isSafeInteger(timestampDelta), 'timestamps of a batch lie within 2^53 ms of its first', { timestampMs });
    this.#lastOffsetDelta = offsetDelta;
    this.#count++;
    const keyBytes = keyLength > 0 ? keyLength : 0;
    const valueBytes = valueLength > 0 ? valueLength : 0;
    const headersBytes = headers.length === 0 ? 0 : headersBytesOf(headers);
    const length =
      1 +
      varintBytes(timestampDelta) +
      varintBytes(offsetDelta) +
      varintBytes(keyLength) +
      keyBytes +
      varintBytes(valueLength) +
      valueBytes +
      varintBytes(headers.length) +
      headersBytes;
    this.#makeRoom(recordOverheadBytesMax + keyBytes + valueBytes + headersBytes);
    const buffer = this.#buffer;
    let at = writeVarint(buffer, length, this.#at);
    buffer[at++] = 0;
    at = writeVarint(buffer, timestampDelta, at);
    return writeVarint(buffer, offsetDelta, at);
  }

  /** Writes what follows a record's value. */
  #end(valueEnd: number, headers: readonly RecordHeader[]): void {
    let at = writeVarint(this.#buffer, headers.length, valueEnd);
    for (const header of headers) at = writeHeader(this.#buffer, header, at);
    this.#at = at;
  }

  /** The finished batch, in bytes of its own. A batch without records is valid where it stands for a range of holes. */
  finish(fields: BatchFields = {}): Buffer {
    const compression = fields.compression ?? 'none';
    const isCompressed = compression !== 'none' && this.#count > 0;
    const records = this.#buffer.subarray(batchHeaderBytes, this.#at);
    const body = isCompressed ? compress(compression, records) : records;
    const batch = Buffer.allocUnsafeSlow(batchHeaderBytes + body.length);
    batch.set(body, batchHeaderBytes);
    writeBatchHeader(batch, fields, this.#contents(), isCompressed ? codecId(compression) : 0);
    this.clear();
    return batch;
  }

  /** As `finish`, not compressed, without a copy: what it answers is valid until the next record is appended. */
  finishInPlace(fields: Omit<BatchFields, 'compression'> = {}): Buffer {
    const batch = this.#buffer.subarray(0, this.#at);
    writeBatchHeader(batch, fields, this.#contents());
    this.clear();
    return batch;
  }

  #contents(): BatchContents {
    return {
      count: this.#count,
      lastOffsetDelta: this.#lastOffsetDelta,
      baseTimestampMs: this.#baseTimestampMs,
      maxTimestampMs: this.#maxTimestampMs,
    };
  }

  /** Drops what was appended since the last `finish`. */
  clear(): void {
    this.#at = batchHeaderBytes;
    this.#count = 0;
    this.#lastOffsetDelta = -1;
    this.#baseTimestampMs = -1;
    this.#maxTimestampMs = -1;
  }

  #makeRoom(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
    this.#view = viewOf(grown);
  }
}

/** Writes the header before a batch's records, its checksum last. `codec` is what they are compressed with. */
export function writeBatchHeader(batch: Buffer, fields: BatchFields, contents: BatchContents, codec = 0): void {
  writeInt64Number(batch, fields.baseOffset ?? 0, batchAt.baseOffset);
  batch.writeInt32BE(batch.length - 12, batchAt.length);
  batch.writeInt32BE(fields.leaderEpoch ?? -1, batchAt.leaderEpoch);
  batch.writeInt8(2, batchAt.magic);
  batch.writeInt16BE(
    codec |
      (fields.timestampType === 'log-append' ? attributeBits.isLogAppendTime : 0) |
      (fields.isTransactional === true ? attributeBits.isTransactional : 0) |
      (fields.isControl === true ? attributeBits.isControl : 0),
    batchAt.attributes,
  );
  const lastOffsetDelta = fields.lastOffsetDelta ?? Math.max(0, contents.lastOffsetDelta);
  invariant(lastOffsetDelta >= contents.lastOffsetDelta, 'a batch spans all its records', { lastOffsetDelta });
  batch.writeInt32BE(lastOffsetDelta, batchAt.lastOffsetDelta);
  const maxTimestampMs = fields.maxTimestampMs ?? contents.maxTimestampMs;
  writeInt64Number(batch, contents.count === 0 ? maxTimestampMs : contents.baseTimestampMs, batchAt.baseTimestamp);
  writeInt64Number(batch, maxTimestampMs, batchAt.maxTimestamp);
  batch.writeBigInt64BE(fields.producerId ?? -1n, batchAt.producerId);
  batch.writeInt16BE(fields.producerEpoch ?? -1, batchAt.producerEpoch);
  batch.writeInt32BE(fields.baseSequence ?? -1, batchAt.baseSequence);
  batch.writeInt32BE(contents.count, batchAt.recordsCount);
  batch.writeUInt32BE(computeBatchCrc(batch, 0), batchAt.crc);
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}

function headersBytesOf(headers: readonly RecordHeader[]): number {
  let bytes = 0;
  for (const { key, value } of headers) {
    const keyBytes = Buffer.byteLength(key);
    bytes += varintBytes(keyBytes) + keyBytes + varintBytes(value === null ? -1 : value.length) + (value === null ? 0 : value.length);
  }
  return bytes;
}

function writeHeader(buffer: Buffer, header: RecordHeader, position: number): number {
  const keyBytes = Buffer.byteLength(header.key);
  let at = writeVarint(buffer, keyBytes, position);
  if (typeof header.key === 'string') buffer.write(header.key, at);
  else copyBytes(buffer, at, header.key, 0, keyBytes);
  at = writeVarint(buffer, header.value === null ? -1 : header.value.length, at + keyBytes);
  if (header.value === null) return at;
  copyBytes(buffer, at, header.value, 0, header.value.length);
  return at + header.value.length;
}

export interface NewRecord {
  readonly timestampMs: TimestampMs;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: readonly RecordHeader[];
  readonly offsetDelta?: number;
}

/** One batch of records given as objects, for paths that are not bulk. */
export function encodeBatch(batch: BatchFields & { readonly records: readonly NewRecord[] }): Buffer {
  const writer = new RecordBatchWriter();
  for (const record of batch.records) writer.append(record.timestampMs, record.key, record.value, record.headers, record.offsetDelta);
  return writer.finish(batch);
}
