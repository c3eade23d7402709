/**
 * One partition's flushes: one under way at a time, everyone who asks meanwhile shares the next. What a flush covers is
 * captured before it starts. A flush that failed is never tried again: the kernel may have dropped the pages and say yes the
 * second time.
 *
 * ```
 *             ask                      start
 *   idle ───────────► due (this turn) ───────► running ──► idle, or due again where somebody asked meanwhile
 *                                                 └─ error ──► failed (for good)
 * ```
 */
import type { Offset } from '../kernel/index.js';

/** What is to be made durable now, and what to do about it. */
export interface FlushWork {
  /** Captured before the flush starts. */
  readonly endOffset: Offset;
  run(): Promise<void>;
}

interface Waiter {
  readonly upTo: Offset;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class GroupFlush {
  readonly #prepare: () => FlushWork;
  readonly #afterTurn: (work: () => void) => void;
  #waiting: Waiter[] = [];
  #state: 'idle' | 'due' | 'running' = 'idle';

  constructor(prepare: () => FlushWork, afterTurn: (work: () => void) => void) {
    this.#prepare = prepare;
    this.#afterTurn = afterTurn;
  }

  /** Resolves once a flush that covers everything below `upTo` is through. */
  ask(upTo: Offset): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ upTo, resolve, reject });
      this.#becomeDue();
    });
  }

  /** Starts after this turn of the event loop, so that all requests that came in with it share the flush. */
  #becomeDue(): void {
    if (this.#state !== 'idle' || this.#waiting.length === 0) return;
    this.#state = 'due';
    this.#afterTurn(() => {
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#state = 'running';
    try {
      const work = this.#prepare();
      await work.run();
      const covered = this.#waiting.filter((waiter) => waiter.upTo <= work.endOffset);
      this.#waiting = this.#waiting.filter((waiter) => waiter.upTo > work.endOffset);
      for (const waiter of covered) waiter.resolve();
    } catch (error) {
      for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
    }
    this.#state = 'idle';
    this.#becomeDue();
  }
}
