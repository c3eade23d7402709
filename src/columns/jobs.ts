/**
 * What the column workers (child processes, which may die of memory without taking anything along) are asked to do, and
 * what they answer. Files are named by absolute path; a job writes only the paths it is given.
 */
import type { LeaderEpoch, Offset, PartitionId, TimestampMs } from '../kernel/index.js';

/** A typed column exists per (name, kind): a field's name in the JSON value, and one of four kinds. */
export const columnKinds = ['long', 'double', 'bool', 'text'] as const;
export type ColumnKind = (typeof columnKinds)[number];

export interface ColumnPair {
  readonly name: string;
  readonly kind: ColumnKind;
}

/** A pair that has a place in the table. */
export interface TypedColumn extends ColumnPair {
  readonly fieldId: number;
  /** The column's name in the table and in Parquet, as other engines see it: unique without regard to case. */
  readonly columnName: string;
}

export type ValueFormat = 'auto' | 'json' | 'string' | 'bytes';

/** Where one partition's range of the log lies: whole record batches, one after the other. */
export interface Spool {
  readonly path: string;
  readonly bytes: number;
}

/** Raw columns of one range of one partition, as PLAIN Parquet, with what was learnt on the way. */
export interface StageJob {
  readonly kind: 'stage';
  readonly spools: readonly Spool[];
  readonly partition: PartitionId;
  /** Records below are skipped (the first batch may begin earlier). */
  readonly baseOffset: Offset;
  /** Records at or above are skipped (the last batch may end later). */
  readonly endOffset: Offset;
  readonly abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: Offset }[];
  readonly valueFormat: ValueFormat;
  readonly outPath: string;
}

export interface StageResult {
  readonly path: string;
  readonly rows: number;
  readonly baseOffset: Offset;
  /** endOffset − 1 as asked: also where no row is left. */
  readonly lastOffset: Offset;
  /** Undefined where rows = 0. */
  readonly minTimestampMs: TimestampMs | undefined;
  readonly maxTimestampMs: TimestampMs | undefined;
  readonly lastLeaderEpoch: LeaderEpoch;
  /** Of the uncompressed record batches. */
  readonly rawBytes: number;
  /** Order-sensitive digest over the raw batches' records; see `digest.ts`. Composes by concatenation. */
  readonly digest: string;
  readonly pairs: readonly ColumnPair[];
  /** No field of a value is NaN or Infinity, which some writers of JSON put where a number is expected. */
  readonly isFinite: boolean;
  /** Batches that could not be decoded and went to `_raw_batch`. */
  readonly rawBatches: number;
  /** Base columns that are null in every row and need not be in the file. */
  readonly absentColumns: readonly string[];
  readonly cpuMs: number;
}

/** Staged files of one partition, in offset order, into one zstd Parquet file with typed columns and field ids. */
export interface EncodeJob {
  readonly kind: 'encode';
  readonly staged: readonly StageResult[];
  readonly typedColumns: readonly TypedColumn[];
  readonly valueFormat: ValueFormat;
  /** For the Parquet footer's key-value metadata, beside the digest and the range: topic, topic id, partition. */
  readonly footer?: Readonly<Record<string, string>>;
  /** Else for readers on this machine, to whom it does not matter where in the file a column lies. */
  readonly isForBucket: boolean;
  readonly outPath: string;
}

/** Per field id, as Iceberg's manifests want it. Bounds are Iceberg's single-value serialisation, base64. */
export interface ColumnMetrics {
  readonly fieldId: number;
  readonly bytes: number;
  readonly values: number;
  readonly nulls: number;
  readonly lower?: string;
  readonly upper?: string;
}

export interface EncodeResult {
  readonly path: string;
  readonly bytes: number;
  readonly rows: number;
  readonly digest: string;
  readonly metrics: readonly ColumnMetrics[];
  readonly splitOffsets: readonly number[];
  readonly cpuMs: number;
}

/** A cold file as a compaction takes it in; what is said here is what its footer says. */
export interface CompactInput {
  readonly path: string;
  readonly digest: string;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
}

/**
 * Cold files of one partition, in offset order, into one of the same records. Typed columns are taken over by field id, not
 * computed again; what a file lacks is null. With `fromOffset` only the rows at or above it.
 */
export interface CompactJob {
  readonly kind: 'compact';
  /** At most `compactInputsMax`. */
  readonly inputs: readonly CompactInput[];
  readonly partition: PartitionId;
  readonly fromOffset?: Offset;
  /** All that any input has. */
  readonly typedColumns: readonly TypedColumn[];
  readonly footer?: Readonly<Record<string, string>>;
  readonly outPath: string;
}

/**
 * `rows` may be 0 where all lie below `fromOffset`: then no file is written. The digest is the composition of the inputs' own,
 * not read from the output: a `verify` job of the output, as of any other file, shows that it holds their records.
 */
export interface CompactResult extends EncodeResult {
  /** `fromOffset` where it lies above the first input's. */
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  readonly minTimestampMs: TimestampMs | undefined;
  readonly maxTimestampMs: TimestampMs | undefined;
  /** Of the inputs; of one that is cut, in proportion to its rows. */
  readonly rawBytes: number;
  /** Over the typed columns of the inputs' rows, for the `verify` job. */
  readonly typedDigest: string;
}

/** Reads a Parquet file back (the very object, downloaded) and compares it with what the raw batches said. */
export interface VerifyJob {
  readonly kind: 'verify';
  readonly path: string;
  readonly partition: PartitionId;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  readonly rows: number;
  readonly digest: string;
  readonly typedColumns: readonly TypedColumn[];
  readonly valueFormat: ValueFormat;
  /** Row groups of which some thousand rows' typed columns are compared with DuckDB's own JSON functions; `all`: every row, in tests and scrub. */
  readonly typedRowGroups: number | 'all';
  /** Of a compaction: its typed columns are compared with those of its inputs, all of them, and not with the values. */
  readonly typedDigest?: string;
}

export interface VerifyResult {
  readonly rows: number;
  readonly digest: string;
  readonly cpuMs: number;
}

export interface ColumnJobs {
  stage: { job: StageJob; result: StageResult };
  encode: { job: EncodeJob; result: EncodeResult };
  compact: { job: CompactJob; result: CompactResult };
  verify: { job: VerifyJob; result: VerifyResult };
}

export type ColumnJobKind = keyof ColumnJobs;
export type ColumnJob = ColumnJobs[ColumnJobKind]['job'];

/** A bounded pool of column workers. A worker that dies fails its own job with `worker-died` and is replaced. */
export interface ColumnWorkers {
  run<K extends ColumnJobKind>(job: ColumnJobs[K]['job'] & { readonly kind: K }, signal?: AbortSignal): Promise<ColumnJobs[K]['result']>;
  /** Process ids of the children now alive (for tests that kill them). */
  readonly pids: readonly number[];
  close(): Promise<void>;
}
