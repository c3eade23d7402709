/**
 * The COPY by which every cold file is written, from staged columns as from other cold files, and what its footer says of it
 * afterwards: digest and range in the key-value metadata, figures per field id for Iceberg's manifests.
 */
import { statSync } from 'node:fs';
import { type Disk, LakeError, MiB, type Offset, systemDisk } from '../kernel/index.js';
import type { ColumnEngine } from './engine.js';
import type { EncodeResult, TypedColumn } from './jobs.js';
import { longTexts } from './long-texts.js';
import { columnMetrics, readFooter, rowGroupSpans } from './parquet-footer.js';
import {
  type BaseColumnName,
  fieldIdsClause,
  firstTypedFieldId,
  inFileOrder,
  quoteName,
  quoteText,
  tableColumns,
  wideFieldIds,
} from './schema.js';
import { setWideApart } from './wide-apart.js';

/** Raw bytes a row group aims at: enough to compress well, little enough to read one for a few records. */
const rowGroupBytes = 16 * MiB;
/** DuckDB writes no smaller row groups. */
const rowGroupRowsMin = 2048;
/** A quarter of DuckDB's own: who asks for little looks through few rows, and with the narrow columns side by side a row group more is no request more. */
const rowGroupRowsMax = 32_768;

/** Keys of the Parquet footer's key-value metadata. */
export const footerKeys = {
  digest: 'thermocline.digest',
  baseOffset: 'thermocline.base-offset',
  lastOffset: 'thermocline.last-offset',
  rawBytes: 'thermocline.raw-bytes',
} as const;

/** Rows per row group for so many rows of so many raw bytes in all. */
export function rowGroupRows(rows: number, rawBytes: number): number {
  const rowsOfTarget = Math.floor(rowGroupBytes / Math.max(1, rawBytes / Math.max(1, rows)));
  // DuckDB rounds down to whole vectors of 2,048 rows.
  return Math.max(rowGroupRowsMin, Math.min(rowGroupRowsMax, rowsOfTarget - (rowsOfTarget % rowGroupRowsMin)));
}

export interface ColdFileOrder {
  /** Rows of these base columns and the typed ones, under their names in the table, in offset order. */
  readonly select: string;
  /** What stands behind FROM for rows with `_value`, of which the first tell which texts are long. */
  readonly values: string;
  /** Those that it is to have: a column of nulls costs as much CPU as one of small numbers, and what a file lacks is null. */
  readonly baseColumns: readonly BaseColumnName[];
  readonly typedColumns: readonly TypedColumn[];
  readonly rows: number;
  readonly rawBytes: number;
  readonly digest: string;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  /** Further key-value metadata. */
  readonly footer: Readonly<Record<string, string>> | undefined;
  /** zstd's. */
  readonly compressionLevel: number;
  /** Read in ranges by who is far away: then wide columns lie apart where that spares requests. */
  readonly isForBucket: boolean;
  readonly outPath: string;
}

/** Writes the file. Errors: `internal` where DuckDB fails, with its message. */
export async function writeColdFile(order: ColdFileOrder, engine: ColumnEngine): Promise<Omit<EncodeResult, 'cpuMs'>> {
  const { rows, rawBytes, digest, outPath } = order;
  const present: ReadonlySet<string> = new Set(order.baseColumns);
  const held = tableColumns(order.typedColumns).filter(({ fieldId, name }) => fieldId >= firstTypedFieldId || present.has(name));
  const keyValues = {
    ...order.footer,
    [footerKeys.digest]: digest,
    [footerKeys.baseOffset]: String(order.baseOffset),
    [footerKeys.lastOffset]: String(order.lastOffset),
    [footerKeys.rawBytes]: String(rawBytes),
  };
  const options = [
    'FORMAT parquet',
    'COMPRESSION zstd',
    `COMPRESSION_LEVEL ${order.compressionLevel}`,
    'PARQUET_VERSION v2',
    // DuckDB 1.5 hashes the constant of a BLOB as it is shown, `\xFF`, and takes the filter's no for the row group's (its issue 24994).
    'WRITE_BLOOM_FILTER false',
    `ROW_GROUP_SIZE ${rowGroupRows(rows, rawBytes)}`,
    `FIELD_IDS ${fieldIdsClause(held)}`,
    `KV_METADATA {${Object.entries(keyValues)
      .map(([key, value]) => `${quoteName(key)}: ${quoteText(value)}`)
      .join(', ')}}`,
  ];
  try {
    const long = await longTexts(order.values, rawBytes, order.typedColumns, engine);
    const columns = inFileOrder(held, long);
    const select = `SELECT ${columns.map(({ name }) => quoteName(name)).join(', ')} FROM (${order.select})`;
    await engine.withConnection((connection) => connection.run(`COPY (${select}) TO ${quoteText(outPath)} (${options.join(', ')})`));
    if (order.isForBucket) setWideApart(outPath, wideFieldIds(long));
  } catch (error) {
    throw new LakeError('internal', `encoding ${outPath} failed: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
      facts: { rows, rawBytes, columns: held.length },
    });
  }
  const footer = readFooter(outPath);
  return {
    path: outPath,
    bytes: statSync(outPath).size,
    rows: Number(footer.num_rows),
    digest,
    metrics: columnMetrics(footer, held),
    splitOffsets: rowGroupSpans(outPath, footer).map((span) => span.at),
  };
}

/** What a cold file says of itself. */
export interface ColdFileFooter {
  readonly digest: string;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  readonly rawBytes: number;
  readonly rows: number;
  /** Of the columns it has, leaves and lists. */
  readonly fieldIds: readonly number[];
  /** Of these, the typed columns'. */
  readonly typedFieldIds: readonly number[];
}

/** Reads a cold file's own figures; the file is on this machine. Errors: `cold-corrupt`, also where it is no file of ours. */
export function readFileFooter(path: string, disk: Disk = systemDisk): ColdFileFooter {
  const footer = readFooter(path, disk);
  const values = new Map((footer.key_value_metadata ?? []).map(({ key, value }) => [key, value]));
  const text = (key: string): string => {
    const value = values.get(key);
    if (value === undefined) throw new LakeError('cold-corrupt', `${path} does not say its ${key}`, { facts: { path, key } });
    return value;
  };
  const number = (key: string): number => {
    const value = Number(text(key));
    if (!Number.isSafeInteger(value)) throw new LakeError('cold-corrupt', `${path}: ${key} is no number`, { facts: { path, key } });
    return value;
  };
  const fieldIds = footer.schema.flatMap(({ field_id: id }) => (id === undefined ? [] : [id]));
  return {
    digest: text(footerKeys.digest),
    baseOffset: number(footerKeys.baseOffset),
    lastOffset: number(footerKeys.lastOffset),
    rawBytes: number(footerKeys.rawBytes),
    rows: Number(footer.num_rows),
    fieldIds,
    typedFieldIds: fieldIds.filter((id) => id >= firstTypedFieldId),
  };
}
