/** One timer for everything that is due later: it rings at the earliest of the times that it was asked for. */
import type { Clock } from '../kernel/index.js';

export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | undefined;
  #atMs = Number.POSITIVE_INFINITY;
  #isStopped = false;

  /** `ring` asks anew for what is due later than the time it is called. */
  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Makes sure that it rings no later than `atMs` by the monotonic clock. */
  setFor(atMs: number): void {
    if (atMs >= this.#atMs || this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#atMs = atMs;
    this.#timer = setTimeout(
      () => {
        this.#atMs = Number.POSITIVE_INFINITY;
        this.#ring();
      },
      Math.max(0, atMs - this.#clock.monotonicMs()),
    );
  }

  /** It never rings again. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }
}
