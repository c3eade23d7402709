/** The one place that decides how long to wait before a next try. */
import type { Clock } from './clock.js';
import { isLakeError } from './errors.js';
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
 * Runs `work` until it succeeds, fails with an error that is not retriable, or the tries are used up; then the last
 * error is thrown as it is.
 */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  policy: BackoffPolicy,
  ports: { readonly clock: Clock; readonly random: Random },
  signal?: AbortSignal,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (attempt >= policy.tries || !isLakeError(error) || !error.retriable || signal?.aborted === true) throw error;
      await ports.clock.sleep(backoffMs(policy, attempt, ports.random), signal);
    }
  }
}
