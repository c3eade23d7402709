/**
 * Staged files of one partition into one cold file: DuckDB's COPY with zstd, field ids and the typed columns computed from
 * the values on the way.
 */
import { statSync } from 'node:fs';
import { invariant, LakeError, MiB } from '../kernel/index.js';
import { composeDigests } from './digest.js';
import type { ColumnEngine } from './engine.js';
import type { EncodeJob, EncodeResult } from './jobs.js';
import { columnMetrics, readFooter, rowGroupSpans } from './parquet-footer.js';
import { baseColumnNames, fieldIdsClause, quoteName, quoteText, tableColumns } from './schema.js';
import { typedSelect, untypedSelect } from './typed-sql.js';

/** Raw bytes a row group aims at: enough to compress well, little enough to read one for a few records. */
const rowGroupBytes = 16 * MiB;
/** DuckDB writes no smaller row groups; its own size is the largest. */
const rowGroupRowsMin = 2048;
const rowGroupRowsMax = 122_880;

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

/** Does an `encode` job. Errors: `internal` where DuckDB fails. */
export async function encode(job: EncodeJob, engine: ColumnEngine): Promise<Omit<EncodeResult, 'cpuMs'>> {
  const staged = job.staged.filter((part) => part.rows > 0);
  invariant(staged.length > 0, 'a file is made of at least one row', { outPath: job.outPath });
  const rows = staged.reduce((sum, part) => sum + part.rows, 0);
  const rawBytes = staged.reduce((sum, part) => sum + part.rawBytes, 0);
  const digest = composeDigests(...staged.map((part) => part.digest));
  const columns = tableColumns(job.typedColumns);
  const outputs = job.typedColumns.map((column) => ({ name: column.name, kind: column.kind, as: column.columnName }));
  const source = {
    from: `read_parquet([${staged.map((part) => quoteText(part.path)).join(', ')}])`,
    value: quoteName('_value'),
    keep: baseColumnNames.map(quoteName),
  };
  const isTyped = job.valueFormat === 'auto' || job.valueFormat === 'json';
  const keyValues = {
    ...job.footer,
    [footerKeys.digest]: digest,
    [footerKeys.baseOffset]: String((job.staged[0] as { baseOffset: number }).baseOffset),
    [footerKeys.lastOffset]: String((job.staged.at(-1) as { lastOffset: number }).lastOffset),
    [footerKeys.rawBytes]: String(rawBytes),
  };
  const options = [
    'FORMAT parquet',
    'COMPRESSION zstd',
    'PARQUET_VERSION v2',
    `ROW_GROUP_SIZE ${rowGroupRows(rows, rawBytes)}`,
    `FIELD_IDS ${fieldIdsClause(columns)}`,
    `KV_METADATA {${Object.entries(keyValues)
      .map(([key, value]) => `${quoteName(key)}: ${quoteText(value)}`)
      .join(', ')}}`,
  ];
  const select = isTyped ? typedSelect(outputs, source) : untypedSelect(outputs, source);
  try {
    await engine.withConnection((connection) => connection.run(`COPY (${select}) TO ${quoteText(job.outPath)} (${options.join(', ')})`));
  } catch (error) {
    throw new LakeError('internal', `encoding ${job.outPath} failed: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
      facts: { rows, rawBytes, columns: columns.length },
    });
  }
  const footer = readFooter(job.outPath);
  return {
    path: job.outPath,
    bytes: statSync(job.outPath).size,
    rows,
    digest,
    metrics: columnMetrics(footer, columns),
    splitOffsets: rowGroupSpans(job.outPath, footer).map((span) => span.at),
  };
}
