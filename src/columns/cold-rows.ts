/**
 * Rows of a cold file, row group by row group, straight from its pages: the base columns by field id, without an object per
 * row and without DuckDB. It shares nothing with the code that wrote the file.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { ColumnMetaData, FileMetaData } from 'hyparquet';
import { isLakeError, LakeError, none, type Offset, type TimestampMs } from '../kernel/index.js';
import { type BytesRows, ColumnChunkReader, type ColumnRooms, type IntRows, type ListLevels } from './column-chunk.js';
import { definitionLevel, leafFieldIds, readFooter, type RowGroupSpan, rowGroupSpans } from './parquet-footer.js';
import { timestampMaxMs, timestampMinMs } from './schema.js';

/** From this level on there is an entry at all. */
const entryLevel = 2;
const usPerMs = 1000;

/** Field ids of the base columns' leaves. */
export const leafIdOf = {
  partition: 1,
  offset: 2,
  timestamp: 3,
  timestampRaw: 4,
  key: 5,
  value: 6,
  headerKey: 9,
  headerKeyRaw: 10,
  headerValue: 11,
  timestampType: 12,
  leaderEpoch: 13,
  producerId: 14,
  producerEpoch: 15,
  sequence: 16,
  rawBatch: 17,
} as const;
export type LeafName = keyof typeof leafIdOf;

/** In what files of DuckDB and those that are only staged differ. */
interface RowsShape {
  /** The definition level of a header's field. */
  readonly headerLevel: number;
  /** Timestamps are in ms, not in µs. */
  readonly isInMs: boolean;
}

/** A row group's base columns, valid until another is read into the same rooms. Null is −1 in numbers, as in a record batch. */
export class ColdRows {
  readonly rows: number;
  readonly key: BytesRows;
  readonly value: BytesRows;
  readonly rawBatch: BytesRows;
  readonly headerKey: BytesRows;
  readonly headerKeyRaw: BytesRows;
  readonly headerValue: BytesRows;
  readonly producerId: IntRows;
  /** No row has a header. */
  readonly isHeaderless: boolean;
  /** Which row each entry of the header columns belongs to, and whether it is a header at all. */
  readonly headerLevels: ListLevels;
  /** By row. */
  readonly offsets: Float64Array;
  /** By row: the record's own timestamp, before it was clamped. */
  readonly timestampsMs: Float64Array;
  readonly #partition: IntRows;
  readonly #timestamp: IntRows;
  readonly #timestampRaw: IntRows;
  readonly #timestampType: IntRows;
  readonly #leaderEpoch: IntRows;
  readonly #producerEpoch: IntRows;
  readonly #sequence: IntRows;
  #isUniform: boolean | undefined;

  constructor(reader: ColumnChunkReader, rows: number, shape: RowsShape, metaOf: (leaf: LeafName) => ColumnMetaData | undefined) {
    const ints = (leaf: LeafName): IntRows => reader.ints(leaf, metaOf(leaf), rows);
    this.rows = rows;
    this.#partition = ints('partition');
    const offsets = ints('offset');
    if (offsets.isThere.includes(0)) throw new LakeError('cold-corrupt', 'a row has no offset');
    this.offsets = offsets.values;
    this.#timestamp = ints('timestamp');
    this.#timestampRaw = ints('timestampRaw');
    this.timestampsMs = reader.doubles('timestampsMs', rows);
    ownTimestampsMs(this.#timestamp, this.#timestampRaw, shape.isInMs, this.timestampsMs);
    this.#timestampType = ints('timestampType');
    this.#leaderEpoch = ints('leaderEpoch');
    this.producerId = ints('producerId');
    this.#producerEpoch = ints('producerEpoch');
    this.#sequence = ints('sequence');
    this.key = reader.bytes('key', metaOf('key'), rows);
    this.value = reader.bytes('value', metaOf('value'), rows);
    this.rawBatch = reader.bytes('rawBatch', metaOf('rawBatch'), rows);
    const keys = reader.listBytes('headerKey', metaOf('headerKey'), rows, shape.headerLevel);
    this.headerKey = keys.rows;
    this.headerLevels = keys.levels;
    this.headerKeyRaw = reader.listBytes('headerKeyRaw', metaOf('headerKeyRaw'), rows, shape.headerLevel).rows;
    this.headerValue = reader.listBytes('headerValue', metaOf('headerValue'), rows, shape.headerLevel).rows;
    this.isHeaderless = typeof keys.levels.definition === 'number' && keys.levels.definition < entryLevel;
  }

  /** The columns of numbers. */
  get numbers(): Readonly<
    Record<
      'partition' | 'timestamp' | 'timestampRaw' | 'timestampType' | 'leaderEpoch' | 'producerId' | 'producerEpoch' | 'sequence',
      IntRows
    >
  > {
    return {
      partition: this.#partition,
      timestamp: this.#timestamp,
      timestampRaw: this.#timestampRaw,
      timestampType: this.#timestampType,
      leaderEpoch: this.#leaderEpoch,
      producerId: this.producerId,
      producerEpoch: this.#producerEpoch,
      sequence: this.#sequence,
    };
  }

  partition(row: number): number {
    return this.#partition.or(row, none);
  }

  /** Whether the columns of headers have as many entries each. */
  get hasWholeHeaders(): boolean {
    const { length } = this.headerKey.lengths;
    return this.isHeaderless || (this.headerKeyRaw.lengths.length === length && this.headerValue.lengths.length === length);
  }

  /** The last row whose offset is at or below this one; −1 where there is none. */
  rowAtOrBelow(offset: Offset): number {
    const values = this.offsets;
    let low = -1;
    let high = this.rows - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((values[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Whether both timestamp columns say the same: whole milliseconds, and a raw one only where the other is clamped. */
  isTimestampWhole(row: number): boolean {
    const { wide, values, isThere } = this.#timestamp;
    if (isThere[row] !== 1) return false;
    if (wide === undefined ? (values[row] as number) % usPerMs !== 0 : (wide[row] as bigint) % 1000n !== 0n) return false;
    if (this.#timestampRaw.isThere[row] !== 1) return true;
    const raw = this.#timestampRaw.values[row] as number;
    const shown = shownMs(this.#timestamp, row);
    return (raw < timestampMinMs && shown === timestampMinMs) || (raw > timestampMaxMs && shown === timestampMaxMs);
  }

  timestampType(row: number): number {
    return this.#timestampType.or(row, none);
  }

  leaderEpoch(row: number): number {
    return this.#leaderEpoch.or(row, none);
  }

  producerIdHigh(row: number): number {
    return this.producerId.isThere[row] === 1 ? this.producerId.high(row) : none;
  }

  producerIdLow(row: number): number {
    return this.producerId.isThere[row] === 1 ? this.producerId.low(row) : none;
  }

  producerEpoch(row: number): number {
    return this.#producerEpoch.or(row, none);
  }

  sequence(row: number): number {
    return this.#sequence.or(row, none);
  }

  /** Whether rows differ only in offset, timestamp, key and value: no headers, no producers, one leader epoch. */
  isUniform(): boolean {
    return (this.#isUniform ??=
      this.isHeaderless &&
      this.rawBatch.isAbsent &&
      this.producerId.isAbsent &&
      this.#producerEpoch.isAbsent &&
      this.#sequence.isAbsent &&
      isOneValue(this.#leaderEpoch, this.rows) &&
      isOneValue(this.#timestampType, this.rows));
  }

  isRawBatch(row: number): boolean {
    return (this.rawBatch.lengths[row] as number) >= 0;
  }

  /** First header entry of the row whose list begins at `entry`, and the one after its last; rows are asked for in order. */
  headersEnd(entry: number): number {
    const { repetition } = this.headerLevels;
    let end = entry + 1;
    if (typeof repetition === 'number') return end;
    while (end < repetition.length && repetition[end] !== 0) end++;
    return end;
  }

  /** False for the one entry that stands for no headers. */
  isHeader(entry: number): boolean {
    const { definition } = this.headerLevels;
    return (typeof definition === 'number' ? definition : (definition[entry] as number)) >= entryLevel;
  }

  /** Where the entry's key lies: as text, or raw where it is no text. */
  headerKeyRows(entry: number): BytesRows {
    return (this.headerKeyRaw.lengths[entry] as number) >= 0 ? this.headerKeyRaw : this.headerKey;
  }
}

function ownTimestampsMs(timestamp: IntRows, raw: IntRows, isInMs: boolean, out: Float64Array): void {
  const { values } = timestamp;
  if (isInMs) {
    for (let row = 0; row < out.length; row++) out[row] = raw.or(row, timestamp.or(row, none));
  } else if (raw.isAbsent && timestamp.wide === undefined && !timestamp.isThere.includes(0)) {
    for (let row = 0; row < out.length; row++) out[row] = Math.floor((values[row] as number) / usPerMs);
  } else for (let row = 0; row < out.length; row++) out[row] = ownTimestampMs(timestamp, raw, row);
}

/** A record's own timestamp, before it was clamped. */
export function ownTimestampMs(timestamp: IntRows, raw: IntRows, row: number): TimestampMs {
  if (raw.isThere[row] === 1) return raw.values[row] as number;
  return timestamp.isThere[row] === 1 ? shownMs(timestamp, row) : none;
}

function shownMs({ wide, values }: IntRows, row: number): TimestampMs {
  if (wide === undefined) return Math.floor((values[row] as number) / usPerMs);
  const us = wide[row] as bigint;
  return Number((us - (((us % 1000n) + 1000n) % 1000n)) / 1000n);
}

function isOneValue({ values, isThere, isAbsent }: IntRows, rows: number): boolean {
  if (isAbsent) return true;
  if (isThere.includes(0)) return false;
  const first = values[0];
  for (let row = 1; row < rows; row++) if (values[row] !== first) return false;
  return true;
}

function readFully(file: number, into: Buffer, position: number): boolean {
  for (let done = 0; done < into.length; ) {
    const read = readSync(file, into, done, into.length - done, position + done);
    if (read === 0) return false;
    done += read;
  }
  return true;
}

/** A cold file, or any file with some of the base columns, opened for reading. */
export class ColdFileReader {
  /** Row groups with rows, in order. */
  readonly spans: readonly RowGroupSpan[];
  readonly #path: string;
  readonly #file: number;
  readonly #footer: FileMetaData;
  readonly #reader: ColumnChunkReader;
  readonly #rooms: ColumnRooms;
  readonly #leaves: readonly (number | undefined)[];
  readonly #shape: RowsShape;

  /** Errors: `cold-corrupt`. */
  constructor(path: string, rooms: ColumnRooms) {
    this.#path = path;
    this.#rooms = rooms;
    this.#footer = readFooter(path);
    this.spans = rowGroupSpans(path, this.#footer);
    this.#leaves = leafFieldIds(this.#footer.schema);
    const { schema } = this.#footer;
    const isInMs = schema.some((element) => element.field_id === leafIdOf.timestamp && element.converted_type === 'TIMESTAMP_MILLIS');
    this.#shape = { headerLevel: definitionLevel(schema, leafIdOf.headerKey), isInMs };
    this.#file = openSync(path, 'r');
    this.#reader = this.#readerInto(rooms);
  }

  /** All rows of one of the spans. Errors: `cold-corrupt`. */
  rows(span: RowGroupSpan): ColdRows {
    return this.#rowsBy(this.#reader, this.#rooms, span);
  }

  /** Of each row its key, without the other columns. Valid as rows are. Errors: `cold-corrupt`. */
  keys(span: RowGroupSpan): BytesRows {
    return this.#reader.bytes('key', this.#metaOf(span, 'key'), span.rows);
  }

  /** What the keys of a row group take, inflated. */
  keyBytes(span: RowGroupSpan): number {
    return Number(this.#metaOf(span, 'key')?.total_uncompressed_size ?? 0n);
  }

  /** As `rows`, in rooms of their own. */
  rowsIn(span: RowGroupSpan, rooms: ColumnRooms): ColdRows {
    return this.#rowsBy(this.#readerInto(rooms), rooms, span);
  }

  #readerInto(rooms: ColumnRooms): ColumnChunkReader {
    return new ColumnChunkReader(this.#path, (into, position) => readFully(this.#file, into, position), rooms);
  }

  #rowsBy(reader: ColumnChunkReader, rooms: ColumnRooms, span: RowGroupSpan): ColdRows {
    const metaOf = (leaf: LeafName): ColumnMetaData | undefined => this.#metaOf(span, leaf);
    try {
      rooms.begin((Object.keys(leafIdOf) as LeafName[]).map(metaOf), span.rows);
      return new ColdRows(reader, span.rows, this.#shape, metaOf);
    } catch (error) {
      if (isLakeError(error)) throw error;
      // Lengths that lead outside of a page.
      throw new LakeError('cold-corrupt', `${this.#path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
        facts: { path: this.#path },
      });
    }
  }

  #metaOf({ group }: RowGroupSpan, leaf: LeafName): ColumnMetaData | undefined {
    return this.#footer.row_groups[group]?.columns[this.#leaves.indexOf(leafIdOf[leaf])]?.meta_data;
  }

  close(): void {
    closeSync(this.#file);
  }
}
