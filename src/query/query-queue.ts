/** The short queue before the engines: bounded in number and in time, so that whoever cannot be served soon hears of it soon. */
import { type Clock, LakeError, Semaphore } from '../kernel/index.js';

/** Seconds that a client is told to wait before it asks again, as a share of how long it may wait here. */
const retryShare = 0.2;

export interface QueueLimits {
  /** Queries that run at once. */
  readonly running: number;
  /** Queries that wait for one of them to end; further ones are refused. */
  readonly waiting: number;
  readonly waitMs: number;
}

export class QueryQueue {
  readonly #limits: QueueLimits;
  readonly #clock: Clock;
  readonly #turns: Semaphore;
  /** Of turns that are given up for a query. */
  readonly #givers = new Set<() => void>();

  constructor(limits: QueueLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#turns = new Semaphore(limits.running, Number.POSITIVE_INFINITY);
  }

  get running(): number {
    return this.#turns.held;
  }

  get waiting(): number {
    return this.#turns.queued;
  }

  /** Resolves to what frees the turn, to be called once. Errors: `overloaded`, and the reason of the signal. */
  async enter(signal: AbortSignal): Promise<() => void> {
    if (this.#turns.held >= this.#limits.running) {
      for (const giveWay of this.#givers) giveWay();
      this.#givers.clear();
    }
    return this.#enter(signal);
  }

  async #enter(signal: AbortSignal): Promise<() => void> {
    const { running, waiting, waitMs } = this.#limits;
    if (this.#turns.held < running) return this.#turns.acquire(signal);
    if (this.#turns.queued >= waiting) throw this.#overloaded(`${waiting} wait already`);
    const timer = new AbortController();
    const late = new AbortController();
    this.#clock.sleep(waitMs, timer.signal).then(
      () => late.abort(this.#overloaded(`none ended within ${waitMs} ms`)),
      () => undefined,
    );
    try {
      return await this.#turns.acquire(AbortSignal.any([signal, late.signal]));
    } finally {
      timer.abort();
    }
  }

  /**
   * A turn of work that can wait: `giveWay` is called once, when a query has to wait, or where one does already. Errors: as `enter`.
   */
  async enterBehind(giveWay: (() => void) | undefined, signal: AbortSignal): Promise<() => void> {
    const leave = await this.#enter(signal);
    if (giveWay === undefined) return leave;
    if (this.#turns.queued > 0) giveWay();
    else this.#givers.add(giveWay);
    return () => {
      this.#givers.delete(giveWay);
      leave();
    };
  }

  #overloaded(why: string): LakeError {
    return new LakeError('overloaded', `${this.#turns.held} queries run and ${why}`, {
      hint: 'Ask again a little later, or raise query.concurrency, query.queue.max or query.queue.wait.ms.',
      facts: { running: this.#turns.held, waiting: this.#turns.queued, retryAfterMs: Math.max(1000, this.#limits.waitMs * retryShare) },
    });
  }
}
