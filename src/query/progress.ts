/** How far a query is, for whoever waits for it. */

/**
 * What it does at the moment: waits for its turn; parses, pins and plans; stages the hot tail; puts cold files within reach (from S3:
 * downloads them); or runs and answers.
 */
export type QueryPhase = 'queued' | 'planning' | 'staging' | 'reading' | 'running';

export interface QueryProgress {
  readonly phase: QueryPhase;
  /** Of the answer, so far. */
  readonly rows: number;
  /** Hot and cold, within reach of the query so far. */
  readonly bytes: number;
  /** Cold ones, within reach so far. */
  readonly files: number;
  /** 0 to 100, as DuckDB estimates it while the query runs; −1 where it does not. */
  readonly percent: number;
  readonly elapsedMs: number;
}

/** A query that has been taken, also before it has an answer. */
export interface WatchedQuery {
  readonly id: string;
  progress(): QueryProgress;
}

/** How often an engine says how far it is. */
export const engineProgressMs = 250;
