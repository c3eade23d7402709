/** Puts values through the column jobs in the test's own process, in a folder that is removed afterwards. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  baseColumns,
  ColumnEngine,
  type CompactResult,
  duckType,
  type EncodeResult,
  fieldIdsClause,
  readFileFooter,
  type RangedFile,
  readSchemaMap,
  tableColumns,
  type RebuildResult,
  runColumnJob,
  type StageJob,
  type StageResult,
  type TypedColumn,
  typedSelect,
} from '../../src/columns/index.js';
import { rebuild } from '../../src/columns/rebuild.js';
import { batchLastOffset, encodeBatch } from '../../src/wire/index.js';

/** A local file as one that is read in ranges; `read` is told of each. */
export function fileAt(path: string, onRead: (from: number, to: number) => void = () => undefined): RangedFile {
  const bytes = readFileSync(path);
  return {
    name: path,
    bytes: bytes.length,
    read: async (from, to) => {
      onRead(from, to);
      return bytes.subarray(from, to);
    },
  };
}

/** Rows of a file that `writeBase` writes. */
export const baseRows = 5000;
/** Expressions over `i` for the base columns that are not `_offset`; what is left out is null. */
export type BaseExpressions = Readonly<Record<string, string>>;
/** Lists of headers, with nulls wherever one may be. */
export const someHeaders = `CASE hash(i) % 5 WHEN 0 THEN NULL WHEN 1 THEN [] ELSE list_transform(range((hash(i, 1) % 4)::BIGINT + 1), lambda n:
  {'key': CASE WHEN n % 3 = 2 THEN NULL ELSE 'h' || n END, 'key_raw': CASE WHEN n % 3 = 2 THEN '\\xFF'::BLOB END,
   'value': CASE WHEN n % 2 = 1 THEN NULL ELSE (i::VARCHAR || n)::BLOB END}) END`;

export class ColumnFiles {
  readonly dir = mkdtempSync(join(tmpdir(), 'columns-'));
  readonly engine = new ColumnEngine({ tempDir: join(this.dir, 'tmp'), memoryBytes: 512 * 1024 * 1024 });
  #files = 0;

  close(): void {
    this.engine.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  path(suffix: string): string {
    return join(this.dir, `${this.#files++}-${suffix}`);
  }

  async stage(batches: readonly Buffer[], fields: Partial<StageJob> = {}): Promise<StageResult> {
    const path = this.path('spool');
    const bytes = Buffer.concat(batches);
    writeFileSync(path, bytes);
    const job: StageJob = {
      kind: 'stage',
      spools: [{ path, bytes: bytes.length }],
      partition: 3,
      baseOffset: 0,
      endOffset: Number.MAX_SAFE_INTEGER,
      abortedTransactions: [],
      valueFormat: 'auto',
      outPath: this.path('staged.parquet'),
      ...fields,
    };
    return await runColumnJob(job, this.engine);
  }

  /** One batch of values at offsets 0, 1, …. */
  async stageValues(values: readonly (Buffer | null)[]): Promise<StageResult> {
    const batch = encodeBatch({ baseOffset: 0, leaderEpoch: 0, records: values.map((value) => ({ timestampMs: 0, key: null, value })) });
    return await this.stage([batch], { endOffset: values.length });
  }

  async encode(staged: readonly StageResult[], typedColumns: readonly TypedColumn[] = []): Promise<EncodeResult> {
    return await runColumnJob(
      { kind: 'encode', staged, typedColumns, valueFormat: 'auto', isForBucket: true, outPath: this.path('cold.parquet') },
      this.engine,
    );
  }

  /** Compacts files by what their footers say of them. */
  async compact(paths: readonly string[], typedColumns: readonly TypedColumn[] = [], fromOffset?: number): Promise<CompactResult> {
    const inputs = paths.map((path) => ({ path, ...readFileFooter(path) }));
    const from = fromOffset === undefined ? {} : { fromOffset };
    return await runColumnJob(
      { kind: 'compact', inputs, partition: 3, typedColumns, ...from, outPath: this.path('compacted.parquet') },
      this.engine,
    );
  }

  async verify(
    staged: readonly StageResult[],
    encoded: Pick<EncodeResult, 'path' | 'rows' | 'digest'>,
    typedColumns: readonly TypedColumn[] = [],
    typedDigest?: string,
  ): Promise<void> {
    await runColumnJob(
      {
        kind: 'verify',
        path: encoded.path,
        partition: 3,
        baseOffset: (staged[0] as StageResult).baseOffset,
        lastOffset: (staged.at(-1) as StageResult).lastOffset,
        rows: encoded.rows,
        digest: encoded.digest,
        typedColumns,
        valueFormat: 'auto',
        typedRowGroups: 'all',
        ...(typedDigest === undefined ? {} : { typedDigest }),
      },
      this.engine,
    );
  }

  /** Batches of a cold file, in bytes. */
  rebuild(
    path: string,
    range: { fromOffset?: number; baseOffset: number; lastOffset: number; maxBytes?: number; maxBatchBytes?: number },
  ): RebuildResult & { readonly batchBytes: Buffer; readonly endOffset: number | undefined } {
    const batches: Buffer[] = [];
    let last: number | undefined;
    const job = { path, fromOffset: range.baseOffset, maxBytes: 2 ** 30, maxBatchBytes: 2 ** 20, ...range };
    const result = rebuild(job, (batch, nextOffset, endOffset) => {
      // It is valid during the call.
      batches.push(Buffer.from(batch));
      if (nextOffset !== batchLastOffset(batch, 0) + 1) throw new Error('the next offset is that after the batch');
      if (last !== undefined && endOffset !== last) throw new Error('the end stays what it was said to be');
      last = endOffset;
    });
    if (last !== undefined && result.nextOffset !== last) throw new Error(`it ended at ${result.nextOffset}, not at ${last}`);
    return { ...result, batchBytes: Buffer.concat(batches), endOffset: last };
  }

  /** What stands behind FROM for a cold file with all its columns, also those that are null in every row. */
  columnsOf(path: string, typedColumns: readonly TypedColumn[] = []): string {
    return `read_parquet('${path}', schema = ${readSchemaMap(tableColumns(typedColumns))})`;
  }

  /** Writes rows of all columns as a cold file that was not made by us. */
  async copy(select: string, path: string, typedColumns: readonly TypedColumn[] = []): Promise<void> {
    const fieldIds = fieldIdsClause(tableColumns(typedColumns));
    await this.rows(`COPY (${select}) TO '${path}' (FORMAT parquet, COMPRESSION zstd, FIELD_IDS ${fieldIds})`);
  }

  /** A file of the base columns alone, in several row groups, offsets with holes. */
  async writeBase(columns: BaseExpressions, shape: string): Promise<string> {
    const path = this.path('rows.parquet');
    const select = baseColumns.map((column) => {
      const expression = column.name === '_offset' ? '(i * 2 + (i // 1000) * 7)::BIGINT' : (columns[column.name] ?? 'NULL');
      return `(${expression})::${duckType(column)} AS "${column.name}"`;
    });
    await this.rows(`COPY (SELECT ${select.join(', ')} FROM range(${baseRows}) t(i)) TO '${path}'
      (FORMAT parquet, ${shape}, ROW_GROUP_SIZE 2048, FIELD_IDS ${fieldIdsClause(baseColumns)})`);
    return path;
  }

  async rows(sql: string): Promise<unknown[][]> {
    return await this.engine.withConnection(async (connection) => (await connection.runAndReadAll(sql)).getRows());
  }

  /** The typed columns of a staged file by the definition that COPY and the tail share, in offset order. */
  async typedRows(stagedPath: string, columns: readonly TypedColumn[]): Promise<unknown[][]> {
    if (columns.length === 0) return (await this.rows(`SELECT 1 FROM '${stagedPath}'`)).map(() => []);
    const outputs = columns.map((column) => ({ name: column.name, kind: column.kind, as: `c${column.fieldId}` }));
    const select = typedSelect(outputs, { from: `read_parquet('${stagedPath}')`, value: '_value', keep: ['_offset'] });
    return await this.rows(`SELECT * EXCLUDE (_offset) FROM (${select}) ORDER BY _offset`);
  }
}
