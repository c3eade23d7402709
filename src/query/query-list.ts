/** The queries of a service: those that run, the last ones that ended, and what is counted over all of them. */
import { type Clock, LakeError } from '../kernel/index.js';
import type { QueryProgress } from './progress.js';
import type { RunRecord } from './query-stats.js';
import type { QuerySummary } from './system-tables.js';

/** Ended queries that `system.queries` still shows. */
const endedKept = 100;
/** How much of a query's text the list keeps. */
const listedSqlChars = 2000;

export interface ListedQuery {
  readonly id: string;
  readonly sql: string;
  readonly startedMs: number;
  readonly startedMonotonicMs: number;
  state: QuerySummary['state'];
  endedMonotonicMs?: number;
  rows: number;
  /** As the engine estimates it; −1 where it does not. */
  percent: number;
  /** Once it has its turn. */
  record?: RunRecord;
  error?: string;
  readonly abort: AbortController;
}

export interface Ended {
  readonly state: 'done' | 'failed' | 'cancelled';
  readonly error?: LakeError;
}

export interface QueryCounts {
  readonly done: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly rows: number;
  /** Rows of the tail and bytes of cold files within reach of the queries that have ended. */
  readonly hotRows: number;
  readonly stagedRows: number;
  readonly coldBytes: number;
  /** Failed, cancelled and refused ones by their error's code. */
  readonly errors: Readonly<Record<string, number>>;
}

export function endedBy(error: LakeError): Ended {
  return { state: error.code === 'cancelled' ? 'cancelled' : 'failed', error };
}

export class QueryList {
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #queries: ListedQuery[] = [];
  readonly #counts = { done: 0, failed: 0, cancelled: 0, rows: 0, hotRows: 0, stagedRows: 0, coldBytes: 0 };
  readonly #errors = new Map<string, number>();
  #serial = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(sql: string): ListedQuery {
    const query: ListedQuery = {
      id: String(++this.#serial),
      sql: sql.slice(0, listedSqlChars),
      startedMs: this.#clock.nowMs(),
      startedMonotonicMs: this.#clock.monotonicMs(),
      state: 'running',
      rows: 0,
      percent: -1,
      abort: new AbortController(),
    };
    this.#queries.push(query);
    return query;
  }

  end(query: ListedQuery, { state, error }: Ended): void {
    query.state = state;
    query.endedMonotonicMs = this.#clock.monotonicMs();
    if (error !== undefined) {
      query.error = `${error.code}: ${error.message}`;
      this.countError(error);
    }
    const { record } = query;
    if (record !== undefined) {
      record.stats.elapsed_ms = Math.round(query.endedMonotonicMs - query.startedMonotonicMs);
      this.#counts.hotRows += record.stats.hot_rows;
      this.#counts.stagedRows += record.stats.staged_rows;
      this.#counts.coldBytes += record.stats.cold_bytes;
    }
    this.#counts[state]++;
    this.#counts.rows += query.rows;
    const ended = this.#queries.filter((one) => one.state !== 'running');
    const [oldest] = ended;
    if (ended.length > endedKept && oldest !== undefined) this.#queries.splice(this.#queries.indexOf(oldest), 1);
  }

  /** Also of what was refused before it was listed. */
  countError({ code }: LakeError): void {
    this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1);
  }

  progressOf({ record, rows, percent, startedMonotonicMs, endedMonotonicMs }: ListedQuery): QueryProgress {
    const { hot_bytes = 0, cold_bytes = 0, cold_files = 0 } = record?.stats ?? {};
    return {
      phase: record?.phase ?? 'queued',
      rows,
      bytes: hot_bytes + cold_bytes,
      files: cold_files,
      percent,
      elapsedMs: (endedMonotonicMs ?? this.#clock.monotonicMs()) - startedMonotonicMs,
    };
  }

  /** Oldest first. */
  summaries(): readonly QuerySummary[] {
    return this.#queries.map((query) => ({
      id: query.id,
      sql: query.sql,
      state: query.state,
      startedMs: query.startedMs,
      ...this.progressOf(query),
      ...(query.error === undefined ? {} : { error: query.error }),
    }));
  }

  get running(): number {
    return this.#queries.filter((query) => query.state === 'running').length;
  }

  /** False where none of that id runs. */
  cancel(id: string): boolean {
    const found = this.#queries.find((query) => query.id === id && query.state === 'running');
    found?.abort.abort(new LakeError('cancelled', `query ${id} was cancelled`));
    return found !== undefined;
  }

  cancelAll(reason: LakeError): void {
    for (const query of this.#queries) if (query.state === 'running') query.abort.abort(reason);
  }

  get counts(): QueryCounts {
    return { ...this.#counts, errors: Object.fromEntries(this.#errors) };
  }
}
