/**
 * Rows of a cold file, read back through DuckDB: the file's base columns are copied into a plain temporary file, whose pages
 * are then walked without an object per row. Verification and the rebuild of record batches both stand on it, so what is
 * checked is what will be served.
 */
import { rm } from 'node:fs/promises';
import { LakeError, none, type Offset, type TimestampMs } from '../kernel/index.js';
import type { ColumnEngine } from './engine.js';
import { type BytesRows, type IntRows, type ListLevels, PlainFile } from './plain-reader.js';
import { baseColumns, quoteText, readSchemaMap, timestampMaxMs, timestampMinMs } from './schema.js';

/** Rows of the temporary file's row groups, of which one is in memory at a time: a multiple of DuckDB's vector. */
const readBackRows = 8192;
/** Definition level of a header's field in files of DuckDB: list, entry, element, field. */
const headerLevel = 4;
/** From this level on there is an entry at all. */
const entryLevel = 2;

/** A row group of the read-back file, valid until the next one is read. Null is −1 in numbers, as in a record batch. */
export class ReadRows {
  readonly rows: number;
  readonly key: BytesRows;
  readonly value: BytesRows;
  readonly rawBatch: BytesRows;
  readonly headerKey: BytesRows;
  readonly headerKeyRaw: BytesRows;
  readonly headerValue: BytesRows;
  readonly producerId: IntRows;
  readonly #levels: ListLevels;
  readonly #partition: IntRows;
  readonly #offset: IntRows;
  readonly #timestamp: IntRows;
  readonly #timestampRest: IntRows;
  readonly #timestampRaw: IntRows;
  readonly #timestampType: IntRows;
  readonly #leaderEpoch: IntRows;
  readonly #producerEpoch: IntRows;
  readonly #sequence: IntRows;

  constructor(file: PlainFile, group: number) {
    this.rows = file.rows(group);
    this.#partition = file.ints(group, '_partition_id');
    this.#offset = file.ints(group, '_offset');
    this.#timestamp = file.ints(group, '_timestamp');
    this.#timestampRest = file.ints(group, '_timestamp_rest');
    this.#timestampRaw = file.ints(group, '_timestamp_raw');
    this.#timestampType = file.ints(group, '_timestamp_type');
    this.#leaderEpoch = file.ints(group, '_leader_epoch');
    this.producerId = file.ints(group, '_producer_id');
    this.#producerEpoch = file.ints(group, '_producer_epoch');
    this.#sequence = file.ints(group, '_sequence');
    this.key = file.bytes(group, '_key');
    this.value = file.bytes(group, '_value');
    this.rawBatch = file.bytes(group, '_raw_batch');
    const keys = file.listBytes(group, '_headers.list.element.key', headerLevel);
    this.headerKey = keys.rows;
    this.#levels = keys.levels;
    this.headerKeyRaw = file.listBytes(group, '_headers.list.element.key_raw', headerLevel).rows;
    this.headerValue = file.listBytes(group, '_headers.list.element.value', headerLevel).rows;
  }

  partition(row: number): number {
    return this.#partition.or(row, none);
  }

  offset(row: number): Offset {
    return this.#offset.or(row, none);
  }

  /** The record's own timestamp, before it was clamped. */
  timestampMs(row: number): TimestampMs {
    return this.#timestampRaw.isThere[row] === 1 ? this.#timestampRaw.at(row) : this.#timestamp.or(row, none);
  }

  /** Whether both timestamp columns say the same: whole milliseconds, and a raw one only where the other is clamped. */
  isTimestampWhole(row: number): boolean {
    if (this.#timestamp.isThere[row] !== 1 || this.#timestampRest.at(row) !== 0) return false;
    if (this.#timestampRaw.isThere[row] !== 1) return true;
    const raw = this.#timestampRaw.at(row);
    const shown = this.#timestamp.at(row);
    return (raw < timestampMinMs && shown === timestampMinMs) || (raw > timestampMaxMs && shown === timestampMaxMs);
  }

  timestampType(row: number): number {
    return this.#timestampType.or(row, none);
  }

  leaderEpoch(row: number): number {
    return this.#leaderEpoch.or(row, none);
  }

  producerIdHigh(row: number): number {
    return this.producerId.isThere[row] === 1 ? (this.producerId.high[row] as number) : none;
  }

  producerIdLow(row: number): number {
    return this.producerId.isThere[row] === 1 ? (this.producerId.low[row] as number) : none;
  }

  producerEpoch(row: number): number {
    return this.#producerEpoch.or(row, none);
  }

  sequence(row: number): number {
    return this.#sequence.or(row, none);
  }

  isRawBatch(row: number): boolean {
    return (this.rawBatch.lengths[row] as number) >= 0;
  }

  /** First header entry of the row whose list begins at `entry`, and the one after its last; rows are asked for in order. */
  headersEnd(entry: number): number {
    const { repetition } = this.#levels;
    let end = entry + 1;
    while (end < repetition.length && repetition[end] !== 0) end++;
    return end;
  }

  /** False for the one entry that stands for no headers. */
  isHeader(entry: number): boolean {
    return (this.#levels.definition[entry] as number) >= entryLevel;
  }

  /** Where the entry's key lies: as text, or raw where it is no text. */
  headerKeyRows(entry: number): BytesRows {
    return (this.headerKeyRaw.lengths[entry] as number) >= 0 ? this.headerKeyRaw : this.headerKey;
  }
}

const columns = baseColumns
  .map((column) => {
    if (column.name !== '_timestamp') return `"${column.name}"`;
    return 'epoch_ms("_timestamp") AS "_timestamp", (epoch_us("_timestamp") % 1000)::INTEGER AS "_timestamp_rest"';
  })
  .join(', ');

export interface ReadBackOptions {
  /** Rows wanted, as SQL over the base columns. */
  readonly where?: string;
}

/**
 * Reads the rows of a cold file in file order and calls back for each row group of them; the walk ends early when it answers
 * false. Errors: `cold-corrupt`.
 */
export async function readBack(
  path: string,
  engine: ColumnEngine,
  options: ReadBackOptions,
  onRows: (rows: ReadRows) => boolean,
): Promise<void> {
  const temporary = engine.temporaryPath('read-back.parquet');
  const from = `read_parquet(${quoteText(path)}, schema=${readSchemaMap(baseColumns)})`;
  const where = options.where === undefined ? '' : ` WHERE ${options.where}`;
  const copy = `COPY (SELECT ${columns} FROM ${from}${where}) TO ${quoteText(temporary)}`;
  try {
    try {
      await engine.withConnection((connection) =>
        connection.run(`${copy} (FORMAT parquet, COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 1, ROW_GROUP_SIZE ${readBackRows})`),
      );
    } catch (error) {
      throw new LakeError('cold-corrupt', `${path} cannot be read back: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
        facts: { path },
      });
    }
    const file = new PlainFile(temporary);
    try {
      for (let group = 0; group < file.rowGroups; group++) {
        if (!onRows(new ReadRows(file, group))) break;
      }
    } finally {
      file.close();
    }
  } finally {
    await rm(temporary, { force: true });
  }
}
