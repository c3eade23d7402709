/**
 * The NDJSON answer of a query that tells how far it is: a line `{"_progress":{…}}` before and between the rows, at most two a second. The
 * answer begins when the first is due: what fails before has its own status, what fails later is a line `_error`.
 */
import type { Clock } from '../kernel/index.js';
import type { QueryPhase, WatchedQuery, WrittenAnswer } from '../query/index.js';

/** Between two lines. */
const progressMs = 500;

export interface ProgressDocument {
  readonly phase: QueryPhase;
  readonly rows: number;
  readonly bytes: number;
  readonly files: number;
  readonly percent: number;
  readonly elapsed_ms: number;
}

/** How far a query is, as the gateway's documents say it. */
export function progressOf(query: WatchedQuery): ProgressDocument {
  const { phase, rows, bytes, files, percent, elapsedMs } = query.progress();
  return { phase, rows, bytes, files, percent: Math.round(percent * 10) / 10, elapsed_ms: Math.round(elapsedMs) };
}

export class ProgressLines {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  #dueMs: number;

  constructor(clock: Pick<Clock, 'monotonicMs' | 'sleep'>) {
    this.#clock = clock;
    this.#dueMs = clock.monotonicMs() + progressMs;
  }

  /** True where `work` is settled before the next line is due. */
  async #isSooner(work: Promise<unknown>): Promise<boolean> {
    const timer = new AbortController();
    const settled = work.then(
      () => true,
      () => true,
    );
    const due = this.#clock.sleep(Math.max(0, this.#dueMs - this.#clock.monotonicMs()), timer.signal).then(
      () => false,
      () => false,
    );
    try {
      return await Promise.race([settled, due]);
    } finally {
      timer.abort();
    }
  }

  /** Waits until the answer is there, or a line is due. Errors: those of the answer, where they come first. */
  async first(pending: Promise<WrittenAnswer>): Promise<WrittenAnswer | undefined> {
    return (await this.#isSooner(pending)) ? pending : undefined;
  }

  #line(query: WatchedQuery): Uint8Array {
    this.#dueMs = this.#clock.monotonicMs() + progressMs;
    return Buffer.from(`${JSON.stringify({ _progress: progressOf(query) })}\n`);
  }

  /** Lines of progress and the rows' bytes as they come; returns the answer once all have. */
  async *lines(pending: Promise<WrittenAnswer>, query: WatchedQuery): AsyncGenerator<Uint8Array, WrittenAnswer> {
    while (!(await this.#isSooner(pending))) yield this.#line(query);
    const answer = await pending;
    const pieces = answer.pieces[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = pieces.next();
        while (!(await this.#isSooner(next))) yield this.#line(query);
        const { done, value } = await next;
        if (done === true) return answer;
        yield value;
        // Rows that come without a pause leave room for a line as well.
        if (this.#clock.monotonicMs() >= this.#dueMs) yield this.#line(query);
      }
    } finally {
      await pieces.return?.();
    }
  }
}
