/** What a run counts, and how far it is: written by its steps, read by whoever watches it. */
import type { StageTimes } from './analyzed.js';
import type { PartitionId } from '../kernel/index.js';
import type { QueryPhase } from './progress.js';

export interface QueryStats {
  hot_rows: number;
  hot_bytes: number;
  /** Of the hot log, rows fetched and staged for this query: the others were there from earlier ones. */
  staged_rows: number;
  cold_files: number;
  cold_rows: number;
  /** Of what is within reach of the query: of cold files that are read in parts, the parts. */
  cold_bytes: number;
  /** Fetched from the bucket for this query, and in how many requests. */
  read_bytes: number;
  requests: number;
  cache_hits: number;
  pruned_files: number;
  /** Cold files that were not opened: the table's metadata says what was asked of them. */
  metadata_files: number;
  /** Cold files of which the last row of each key was kept, and read in their place. */
  remembered_files: number;
  rows: number;
  /** Per topic and partition: the first offset read from the hot log. */
  boundary: Record<string, Record<string, number>>;
  /**
   * Of a query as of a time: the time that the topics are as of, at most the one asked for; what had been appended up to then is in the
   * answer and nothing later. Of several topics, each exactly as it was at some time from this to the one asked for.
   */
  as_of_ms?: number;
  plan_ms: number;
  elapsed_ms: number;
}

export interface RunRecord {
  phase: QueryPhase;
  /** Partitions of which cold files that may hold rows were left out, as newer ones may do. */
  unread: ReadonlySet<PartitionId>;
  readonly stages: StageTimes;
  readonly stats: QueryStats;
}

export function newRunRecord(stages: StageTimes): RunRecord {
  return {
    phase: 'planning',
    stages,
    unread: new Set(),
    stats: {
      hot_rows: 0,
      hot_bytes: 0,
      staged_rows: 0,
      cold_files: 0,
      cold_rows: 0,
      cold_bytes: 0,
      read_bytes: 0,
      requests: 0,
      cache_hits: 0,
      pruned_files: 0,
      metadata_files: 0,
      remembered_files: 0,
      rows: 0,
      boundary: {},
      plan_ms: 0,
      elapsed_ms: 0,
    },
  };
}
