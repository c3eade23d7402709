/** The one place that decides how long to wait before a next try, and whether there is one. */
import type { Clock } from './clock.js';
import { isLakeError } from './errors.js';
import { invariant } from './invariant.js';
import type { Random } from './random.js';

export interface BackoffPolicy {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Tries in all, the first included. */
  readonly tries: number;
}

/** Wait before try `attempt` (1 = the second try): exponential, full jitter. */
export function backoffMs(policy: BackoffPolicy, attempt: number, random: Random): number {
  const ceiling = Math.min(policy.maxMs, policy.firstMs * 2 ** (attempt - 1));
  return ceiling * (0.5 + random.float() / 2);
}

/**
 * How many tries all users of one peer may make beyond their first ones: at most `capacity + refund × successes`. Where the
 * peer is down the tokens are soon gone, and each caller asks once instead of many times.
 */
export class RetryBudget {
  readonly #capacity: number;
  readonly #refund: number;
  #tokens: number;
  #refused = 0;

  constructor(capacity: number, refund: number) {
    invariant(capacity >= 1 && refund >= 0 && refund < 1, 'a retry budget has whole tokens and gives back parts', { capacity, refund });
    this.#capacity = capacity;
    this.#refund = refund;
    this.#tokens = capacity;
  }

  /** Retries that were not made because the tokens were used up. */
  get refused(): number {
    return this.#refused;
  }

  /** Takes one token for one retry, where there is one. */
  take(): boolean {
    if (this.#tokens < 1) {
      this.#refused++;
      return false;
    }
    this.#tokens--;
    return true;
  }

  /** To be told of every success. */
  succeeded(): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + this.#refund);
  }
}

export interface RetryLimits {
  /** Shared by all who ask the same peer. */
  readonly budget?: RetryBudget;
  /** Monotonic time in ms at which no wait may end any more; read before each wait, since it may move. */
  readonly untilMs?: () => number;
  /** Called for each retry, before its wait. */
  readonly onRetry?: () => void;
}

/** Fact of an error in which a peer says how many ms to wait before the next try. */
export const retryAfterFact = 'retryAfterMs';

/**
 * Runs `work` until it succeeds, fails with an error that is not retriable, or the tries, the time or the budget are used
 * up; then the last error is thrown as it is. An error with the fact `retryAfterMs` is waited for at least that long.
 */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  policy: BackoffPolicy,
  ports: { readonly clock: Clock; readonly random: Random },
  signal?: AbortSignal,
  limits: RetryLimits = {},
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      const done = await work(attempt);
      limits.budget?.succeeded();
      return done;
    } catch (error) {
      if (attempt >= policy.tries || !isLakeError(error) || !error.retriable || signal?.aborted === true) throw error;
      const asked = error.facts[retryAfterFact];
      const waitMs = Math.max(backoffMs(policy, attempt, ports.random), typeof asked === 'number' ? asked : 0);
      if (limits.untilMs !== undefined && ports.clock.monotonicMs() + waitMs >= limits.untilMs()) throw error;
      if (limits.budget?.take() === false) throw error;
      limits.onRetry?.();
      await ports.clock.sleep(waitMs, signal);
    }
  }
}
