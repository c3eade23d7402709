/**
 * Walks the records of one batch without an object per record: the fields of the cursor are the record it stands on. Every
 * length is checked against the bytes that are there, so damaged framing is an error and never a wild read.
 */
import { LakeError, type Offset, type TimestampMs } from '../kernel/index.js';
import { decompress, inflatedBytesMax } from './compression.js';
import {
  batchAt,
  batchBaseOffset,
  batchBaseTimestamp,
  batchBytes,
  batchCompression,
  batchLastOffsetDelta,
  batchMaxTimestamp,
  batchRecordsCount,
  timestampType,
} from './record-batch.js';
import { VarintReader } from './varint.js';

/**
 * The records of a batch, inflated where they are compressed, else a view of the same bytes.
 * Errors: `decompression-bound`, `batch-corrupt`, `compression-unsupported`.
 */
export function batchRecords(buf: Buffer, at: number, maxBytes = inflatedBytesMax): Buffer {
  return decompress(batchCompression(buf, at), buf.subarray(at + batchAt.records, at + batchBytes(buf, at)), maxBytes);
}

/**
 * Positions (`…At`) are in `buffer`; a length of −1 is null. Fields are valid until the next `next` or `reset`.
 *
 * ```ts
 * cursor.reset(buf, at, batchRecords(buf, at));
 * while (cursor.next()) use(cursor.buffer, cursor.valueAt, cursor.valueLength);
 * ```
 */
export class RecordCursor {
  /** The inflated records. */
  buffer: Buffer = Buffer.alloc(0);
  /** Of this record in the batch, from 0. */
  index = -1;
  /** Records the batch says it has. */
  count = 0;
  offset: Offset = -1;
  offsetDelta = -1;
  /** The batch's append time where that is its timestamp type. */
  timestampMs: TimestampMs = -1;
  keyAt = 0;
  keyLength = -1;
  valueAt = 0;
  valueLength = -1;
  headersAt = 0;
  headerCount = 0;
  /** First byte of the record, its length field included. */
  recordAt = 0;
  recordEnd = 0;
  /** Of this record without its length field. */
  recordBytes = 0;

  /** Of the header `nextHeader` stands on. */
  headerKeyAt = 0;
  headerKeyLength = 0;
  headerValueAt = 0;
  headerValueLength = -1;

  readonly #reader = new VarintReader(this.buffer);
  readonly #headers = new VarintReader(this.buffer);
  #headersLeft = 0;
  #end = 0;
  #baseOffset = 0;
  #lastOffsetDelta = 0;
  #baseTimestampMs = 0;
  #appendTimeMs: number | undefined;

  /** Stands before the first record of the batch at `at`, whose inflated records are `records`. */
  reset(batch: Buffer, at: number, records: Buffer): void {
    this.buffer = records;
    this.index = -1;
    this.count = batchRecordsCount(batch, at);
    this.#baseOffset = batchBaseOffset(batch, at);
    this.#lastOffsetDelta = batchLastOffsetDelta(batch, at);
    this.#baseTimestampMs = batchBaseTimestamp(batch, at);
    this.#appendTimeMs = timestampType(batch, at) === 'create' ? undefined : batchMaxTimestamp(batch, at);
    this.#end = records.length;
    this.#reader.buffer = records;
    this.#reader.position = 0;
    this.#reader.end = records.length;
    this.#headers.buffer = records;
    this.#headersLeft = 0;
    if (this.count < 0) throw this.#invalid(`the batch says it has ${this.count} records`);
  }

  /** Moves to the next record; false after the last. Errors: `record-invalid`. */
  next(): boolean {
    const reader = this.#reader;
    if (this.index + 1 >= this.count) {
      if (reader.position !== this.#end) throw this.#invalid('bytes are left after the last record');
      this.index = this.count;
      return false;
    }
    this.index++;
    this.recordAt = reader.position;
    reader.end = this.#end;
    const length = reader.varint();
    const recordEnd = reader.position + length;
    if (length < 0 || recordEnd > this.#end) throw this.#invalid(`a record of ${length} bytes does not fit`);
    reader.end = recordEnd;
    // The attributes byte of a record has no meaning yet.
    reader.position++;
    const timestampDelta = reader.varlong();
    const offsetDelta = reader.varint();
    if (offsetDelta < 0 || offsetDelta > this.#lastOffsetDelta) throw this.#invalid(`the offset delta ${offsetDelta} is out of range`);
    const keyLength = reader.varint();
    this.keyAt = reader.position;
    this.keyLength = keyLength;
    if (keyLength > 0) reader.position += keyLength;
    else if (keyLength < -1) throw this.#invalid(`a key of ${keyLength} bytes`);
    const valueLength = reader.varint();
    this.valueAt = reader.position;
    this.valueLength = valueLength;
    if (valueLength > 0) reader.position += valueLength;
    else if (valueLength < -1) throw this.#invalid(`a value of ${valueLength} bytes`);
    const headerCount = reader.varint();
    if (headerCount < 0) throw this.#invalid(`${headerCount} headers`);
    this.headersAt = reader.position;
    this.headerCount = headerCount;
    if (headerCount > 0) this.#skipHeaders();
    if (reader.position !== recordEnd) throw this.#invalid('a record is longer or shorter than its fields');
    this.recordEnd = recordEnd;
    this.recordBytes = length;
    this.offsetDelta = offsetDelta;
    this.offset = this.#baseOffset + offsetDelta;
    this.timestampMs = this.#appendTimeMs ?? this.#baseTimestampMs + timestampDelta;
    if (!Number.isSafeInteger(this.timestampMs)) throw this.#invalid('a timestamp is beyond ±(2^53 − 1)');
    this.#headers.position = this.headersAt;
    this.#headers.end = recordEnd;
    this.#headersLeft = headerCount;
    return true;
  }

  /** Moves to the next header of this record; false after the last. Headers keep their order; keys may repeat. */
  nextHeader(): boolean {
    if (this.#headersLeft === 0) return false;
    this.#headersLeft--;
    const headers = this.#headers;
    this.headerKeyLength = headers.varint();
    this.headerKeyAt = headers.position;
    headers.position += this.headerKeyLength;
    this.headerValueLength = headers.varint();
    this.headerValueAt = headers.position;
    if (this.headerValueLength > 0) headers.position += this.headerValueLength;
    return true;
  }

  /** Begins again at the first header of this record. */
  rewindHeaders(): void {
    this.#headers.position = this.headersAt;
    this.#headersLeft = this.headerCount;
  }

  /** Checks the framing of all headers, so that `nextHeader` need not. */
  #skipHeaders(): void {
    const reader = this.#reader;
    for (let left = this.headerCount; left > 0; left--) {
      const keyLength = reader.varint();
      if (keyLength < 0) throw this.#invalid(`a header key of ${keyLength} bytes`);
      reader.position += keyLength;
      const valueLength = reader.varint();
      if (valueLength < -1) throw this.#invalid(`a header value of ${valueLength} bytes`);
      if (valueLength > 0) reader.position += valueLength;
    }
  }

  #invalid(what: string): LakeError {
    return new LakeError('record-invalid', `${what} (record ${this.index} of the batch at offset ${this.#baseOffset})`, {
      facts: { baseOffset: this.#baseOffset, index: this.index, count: this.count, at: this.#reader.position, bytes: this.#end },
    });
  }
}

export interface DecodedHeader {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

export interface DecodedRecord {
  readonly offset: Offset;
  readonly timestampMs: TimestampMs;
  /** Views of the batch's (inflated) bytes. */
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly DecodedHeader[];
}

/**
 * The records of one batch as objects, for paths that are not bulk (the CLI, the group offsets topic, tests).
 * Errors: `record-invalid`, `batch-corrupt`, `decompression-bound`.
 */
export function decodeBatch(buf: Buffer, at = 0, maxBytes = inflatedBytesMax): DecodedRecord[] {
  const cursor = new RecordCursor();
  cursor.reset(buf, at, batchRecords(buf, at, maxBytes));
  const records: DecodedRecord[] = [];
  while (cursor.next()) {
    const headers: DecodedHeader[] = [];
    while (cursor.nextHeader()) {
      headers.push({
        key: cursor.buffer.subarray(cursor.headerKeyAt, cursor.headerKeyAt + cursor.headerKeyLength),
        value: slice(cursor.buffer, cursor.headerValueAt, cursor.headerValueLength),
      });
    }
    records.push({
      offset: cursor.offset,
      timestampMs: cursor.timestampMs,
      key: slice(cursor.buffer, cursor.keyAt, cursor.keyLength),
      value: slice(cursor.buffer, cursor.valueAt, cursor.valueLength),
      headers,
    });
  }
  return records;
}

function slice(buffer: Buffer, at: number, length: number): Buffer | null {
  return length < 0 ? null : buffer.subarray(at, at + length);
}
