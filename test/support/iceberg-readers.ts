// Asks pyiceberg and DuckDB's Iceberg extension, in a Python of their own, what they see in a table.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { readersPython } from './outside-tools.js';

const script = fileURLToPath(new URL('iceberg-readers.py', import.meta.url));
const answerBytesMax = 256 * 1024 * 1024;

export interface ReadRequest {
  /** Where the table is. */
  readonly location: string;
  /** Its metadata file. */
  readonly metadata: string;
  readonly s3?: { readonly endpoint: string; readonly accessKey: string; readonly secretKey: string; readonly region: string };
  /** Computed for each partition by the reader's own engine. */
  readonly aggregates?: readonly (readonly [column: string, by: 'sum' | 'count'])[];
}

export interface ReaderAnswer {
  readonly error?: string;
  readonly columns: readonly string[];
  /** By partition and offset; bytes as `0x…`, times in ms. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** Partition, count, smallest and largest offset, then the aggregates asked for. */
  readonly partitions: readonly (readonly unknown[])[];
  /** Files that `_offset >= 1000000` leaves, as pyiceberg plans. */
  readonly pruned_to?: number;
  readonly snapshots?: number;
  /** Of each snapshot, oldest first: its summary, and the rows that a scan of it finds. */
  readonly summaries?: readonly Readonly<Record<string, string>>[];
  readonly counts?: readonly number[];
}

export type ReaderName = 'pyiceberg' | 'duckdb';

export async function readIceberg(request: ReadRequest): Promise<Record<ReaderName, ReaderAnswer>> {
  const { stdout } = await promisify(execFile)(readersPython.path ?? '', ['-B', script, JSON.stringify(request)], {
    maxBuffer: answerBytesMax,
  });
  return JSON.parse(stdout) as Record<ReaderName, ReaderAnswer>;
}
