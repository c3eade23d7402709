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

const noHeaders: readonly RecordHeader[] = [];
const noBytes = Buffer.alloc(0);
/** Below this a loop copies faster than a call. */
const loopCopyBytesMax = 48;
/** Room for a record's own numbers: length, attributes, two deltas, key and value length, header count. */
const recordOverheadBytesMax = 5 + 1 + 8 + 5 + 5 + 5 + 5;

function copyBytes(target: Buffer, at: number, source: Uint8Array, from: number, length: number): void {
  if (length <= loopCopyBytesMax) for (let i = 0; i < length; i++) target[at + i] = source[from + i] as number;
  else if (from === 0 && length === source.length) target.set(source, at);
  else target.set(source.subarray(from, from + length), at);
}

/** One batch after the other: `append` records, then `finish`, which leaves the writer empty for the next. */
export class RecordBatchWriter {
  #buffer: Buffer;
  #at = batchHeaderBytes;
  #count = 0;
  #lastOffsetDelta = -1;
  #baseTimestampMs = -1;
  #maxTimestampMs = -1;

  constructor(initialBytes = 16 * KiB) {
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(initialBytes, batchHeaderBytes));
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
    this.appendSlices(
      timestampMs,
      key ?? noBytes,
      0,
      key === null ? -1 : key.length,
      value ?? noBytes,
      0,
      value === null ? -1 : value.length,
      headers,
      offsetDelta,
    );
  }

  /** As `append`, with key and value where they lie in larger buffers; a length of −1 is null. */
  appendSlices(
    timestampMs: TimestampMs,
    keyBuffer: Uint8Array,
    keyAt: number,
    keyLength: number,
    valueBuffer: Uint8Array,
    valueAt: number,
    valueLength: number,
    headers: readonly RecordHeader[] = noHeaders,
    offsetDelta = this.#lastOffsetDelta + 1,
  ): void {
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

    const keyBytes = Math.max(0, keyLength);
    const valueBytes = Math.max(0, valueLength);
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
    at = writeVarint(buffer, offsetDelta, at);
    at = writeVarint(buffer, keyLength, at);
    copyBytes(buffer, at, keyBuffer, keyAt, keyBytes);
    at = writeVarint(buffer, valueLength, at + keyBytes);
    copyBytes(buffer, at, valueBuffer, valueAt, valueBytes);
    at = writeVarint(buffer, headers.length, at + valueBytes);
    for (const header of headers) at = writeHeader(buffer, header, at);
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

    writeInt64Number(batch, fields.baseOffset ?? 0, batchAt.baseOffset);
    batch.writeInt32BE(batch.length - 12, batchAt.length);
    batch.writeInt32BE(fields.leaderEpoch ?? -1, batchAt.leaderEpoch);
    batch.writeInt8(2, batchAt.magic);
    batch.writeInt16BE(
      (isCompressed ? codecId(compression) : 0) |
        (fields.timestampType === 'log-append' ? attributeBits.isLogAppendTime : 0) |
        (fields.isTransactional === true ? attributeBits.isTransactional : 0) |
        (fields.isControl === true ? attributeBits.isControl : 0),
      batchAt.attributes,
    );
    const lastOffsetDelta = fields.lastOffsetDelta ?? Math.max(0, this.#lastOffsetDelta);
    invariant(lastOffsetDelta >= this.#lastOffsetDelta, 'a batch spans all its records', { lastOffsetDelta });
    batch.writeInt32BE(lastOffsetDelta, batchAt.lastOffsetDelta);
    const maxTimestampMs = fields.maxTimestampMs ?? this.#maxTimestampMs;
    writeInt64Number(batch, this.#count === 0 ? maxTimestampMs : this.#baseTimestampMs, batchAt.baseTimestamp);
    writeInt64Number(batch, maxTimestampMs, batchAt.maxTimestamp);
    batch.writeBigInt64BE(fields.producerId ?? -1n, batchAt.producerId);
    batch.writeInt16BE(fields.producerEpoch ?? -1, batchAt.producerEpoch);
    batch.writeInt32BE(fields.baseSequence ?? -1, batchAt.baseSequence);
    batch.writeInt32BE(this.#count, batchAt.recordsCount);
    batch.writeUInt32BE(computeBatchCrc(batch, 0), batchAt.crc);
    this.clear();
    return batch;
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
  }
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
