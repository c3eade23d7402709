/** The batch that rows of a row group are written into: `loops/records.ts` appends the records, this opens it and closes it. */
import { LakeError, none, type Offset } from '../kernel/index.js';
import { type BatchFields, batchHeaderBytes, writeBatchHeader } from '../wire/index.js';
import type { ColdRows } from './cold-rows.js';
import type { BytesRows, Levels } from './column-chunk.js';
import type { PageMemory } from './page-memory.js';

/** `OpenBatch` of `loops/records.ts`: words of 32 bits, then numbers of 64. */
const word = { from: 0, at: 1, end: 2, records: 3, lastOffsetDelta: 4, entry: 5, isOneTimestamp: 6, problem: 7 } as const;
const double = { baseOffset: 4, baseTimestampMs: 5, maxTimestampMs: 6 } as const;
const stateBytes = 56;
/** `RowColumns` there: words. */
const columnsBytes = 72;
/** `Problem` there. */
const problems = ['', 'its offsets do not ascend', 'a header has no key'] as const;
/** Numbers around a record's bytes, at most, and around a header's. */
const recordOverheadBytes = 40;
const headerOverheadBytes = 10;

/** Address of a level for each entry, or the one of all. */
function placeOfLevels(levels: Levels): readonly [number, number] {
  return typeof levels === 'number' ? [0, levels] : [levels.byteOffset, 0];
}

function placeOfBytes({ starts, lengths }: BytesRows): readonly [number, number] {
  return [starts.byteOffset, lengths.byteOffset];
}

export class OpenBatch {
  readonly #memory: PageMemory;
  readonly #rows: ColdRows;
  readonly #maxBytes: number;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #columnsAt: number;
  /** Where batches lie, but for one of a single record that is larger. */
  readonly #roomAt: number;

  /** Of rows that lie in this memory, the first one first. Errors: `cold-corrupt`. */
  constructor(memory: PageMemory, rows: ColdRows, maxBytes: number) {
    this.#memory = memory;
    this.#rows = rows;
    this.#maxBytes = maxBytes;
    const stateAt = memory.take(stateBytes);
    this.#words = new Int32Array(memory.bytes.buffer, stateAt, stateBytes / 4).fill(0);
    this.#doubles = new Float64Array(memory.bytes.buffer, stateAt, stateBytes / 8);
    this.#columnsAt = memory.take(columnsBytes);
    this.#roomAt = memory.take(maxBytes);
    const { headerKey, headerKeyRaw, headerValue, headerLevels } = rows;
    const entries = headerKey.lengths.length;
    if (!rows.isHeaderless && (headerKeyRaw.lengths.length !== entries || headerValue.lengths.length !== entries)) {
      throw new LakeError('cold-corrupt', 'the columns of headers of a cold file differ in length');
    }
    const [repetitions, everyRepetition] = placeOfLevels(headerLevels.repetition);
    const [definitions, everyDefinition] = placeOfLevels(headerLevels.definition);
    const ofRecords = [rows.offsets.byteOffset, rows.timestampsMs.byteOffset, ...placeOfBytes(rows.key), ...placeOfBytes(rows.value)];
    const ofLevels = [rows.isHeaderless ? 0 : 1, entries, repetitions, definitions, everyRepetition, everyDefinition];
    const ofHeaders = [...placeOfBytes(headerKey), ...placeOfBytes(headerKeyRaw), ...placeOfBytes(headerValue)];
    new Uint32Array(memory.bytes.buffer, this.#columnsAt, columnsBytes / 4).set([...ofRecords, ...ofLevels, ...ofHeaders]);
  }

  /** Records in it. */
  get count(): number {
    return this.#words[word.records] as number;
  }

  /** Of the last of them. */
  get lastOffsetDelta(): number {
    return this.#words[word.lastOffsetDelta] as number;
  }

  /** Opens a batch from this offset on that begins with a row's record. Its records may have to share one timestamp. */
  open(baseOffset: Offset, row: number, isOneTimestamp: boolean): void {
    this.#openIn(this.#roomAt, this.#maxBytes);
    this.#words[word.isOneTimestamp] = isOneTimestamp ? 1 : 0;
    this.#doubles[double.baseOffset] = baseOffset;
    this.#doubles[double.baseTimestampMs] = this.#rows.timestampsMs[row] as number;
    this.#doubles[double.maxTimestampMs] = this.#rows.timestampsMs[row] as number;
  }

  /** Appends rows of [row, endRow) as far as they go into this batch; answers the row after the last one. Errors: `cold-corrupt`. */
  append(row: number, endRow: number): number {
    const next = this.#appendRows(row, endRow);
    if (next > row || this.count > 0) return next;
    // A record that is larger than a batch is one by itself.
    const bytes = batchHeaderBytes + this.#recordBytesMax(row);
    this.#openIn(this.#memory.take(bytes), bytes);
    return this.#appendRows(row, row + 1);
  }

  /** Passes over rows that are not appended. */
  skip(rows: number): void {
    if (!this.#rows.isHeaderless) this.#memory.loops.skipHeaders(this.#words.byteOffset, this.#columnsAt, rows);
  }

  /** The batch; valid until the next is opened. */
  finish(fields: BatchFields): Buffer {
    const from = this.#words[word.from] as number;
    const batch = this.#memory.bytes.subarray(from, this.#words[word.at]);
    writeBatchHeader(batch, fields, {
      count: this.count,
      lastOffsetDelta: this.lastOffsetDelta,
      baseTimestampMs: this.#doubles[double.baseTimestampMs] as number,
      maxTimestampMs: this.#doubles[double.maxTimestampMs] as number,
    });
    if (from !== this.#roomAt) this.#memory.giveBack(from);
    this.#words[word.records] = 0;
    return batch;
  }

  #openIn(from: number, bytes: number): void {
    const words = this.#words;
    words[word.from] = from;
    words[word.at] = from + batchHeaderBytes;
    words[word.end] = from + bytes;
    words[word.records] = 0;
    words[word.lastOffsetDelta] = none;
  }

  #appendRows(row: number, endRow: number): number {
    const next = this.#memory.loops.writeRecords(this.#words.byteOffset, this.#columnsAt, row, endRow);
    const problem = this.#words[word.problem] as number;
    if (problem !== 0) throw new LakeError('cold-corrupt', `a cold file cannot be read: ${problems[problem]}`);
    return next;
  }

  #recordBytesMax(row: number): number {
    const { key, value, headerKey, headerKeyRaw, headerValue, isHeaderless } = this.#rows;
    let bytes = recordOverheadBytes + Math.max(0, key.lengths[row] as number) + Math.max(0, value.lengths[row] as number);
    if (isHeaderless) return bytes;
    const entry = this.#words[word.entry] as number;
    for (let i = entry; i < this.#rows.headersEnd(entry); i++) {
      bytes += headerOverheadBytes;
      for (const { lengths } of [headerKey, headerKeyRaw, headerValue]) bytes += Math.max(0, lengths[i] as number);
    }
    return bytes;
  }
}
