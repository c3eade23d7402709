/**
 * Member ids that a classic group has given out by MEMBER_ID_REQUIRED (KIP-394) and that nobody has come back with yet. A rebalance waits
 * for them; each is forgotten after the session timeout of who asked for it.
 */
import type { Clock } from '../../kernel/index.js';
import { runAfter } from '../deadline.js';

/** Some 300 bytes each with their timers. */
const pendingIdsMax = 10_000;

export class PendingIds {
  readonly #clock: Clock;
  readonly #onExpired: () => void;
  /** What calls off their timers. */
  readonly #stops = new Map<string, () => void>();

  /** `onExpired` is called after an id was forgotten that nobody has used. */
  constructor(clock: Clock, onExpired: () => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  get isEmpty(): boolean {
    return this.#stops.size === 0;
  }

  get isFull(): boolean {
    return this.#stops.size >= pendingIdsMax;
  }

  has(id: string): boolean {
    return this.#stops.has(id);
  }

  add(id: string, sessionTimeoutMs: number): void {
    const stop = runAfter(this.#clock, sessionTimeoutMs, () => {
      this.#stops.delete(id);
      this.#onExpired();
    });
    this.#stops.set(id, stop);
  }

  /** Whether it was there; it is not any more. */
  take(id: string): boolean {
    this.#stops.get(id)?.();
    return this.#stops.delete(id);
  }

  /** Forgets all of them. */
  clear(): void {
    for (const stop of this.#stops.values()) stop();
    this.#stops.clear();
  }
}
