/** Waiting with an end: every wait of the daemon on bucket, broker or worker has a deadline and ends when the daemon stops. */
import { type Clock, LakeError } from '../kernel/index.js';

/**
 * Runs `work` with a signal that is aborted after `ms`, and settles by then even where `work` does not heed it.
 * Errors: `timeout`, `cancelled` when `outer` is aborted, and those of `work`.
 */
export async function withDeadline<T>(
  what: string,
  ms: number,
  clock: Clock,
  outer: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  throwIfStopped(outer, what);
  const limit = new AbortController();
  const over = new AbortController();
  const stop = (): void => limit.abort(cancelled(what));
  outer.addEventListener('abort', stop, { once: true });
  clock.sleep(ms, over.signal).then(
    () => limit.abort(new LakeError('timeout', `${what} took longer than ${ms} ms`, { facts: { what, ms } })),
    () => undefined,
  );
  try {
    return await new Promise<T>((resolve, reject) => {
      limit.signal.addEventListener('abort', () => reject(limit.signal.reason as Error), { once: true });
      work(limit.signal).then(resolve, reject);
    });
  } finally {
    over.abort();
    outer.removeEventListener('abort', stop);
  }
}

export function throwIfStopped(signal: AbortSignal, what: string): void {
  if (signal.aborted) throw cancelled(what);
}

function cancelled(what: string): LakeError {
  return new LakeError('cancelled', `${what} was cancelled`, { facts: { what } });
}

/** A pause that can be ended early. One waiter, any number of callers of `wake`; a wake while nobody waits is kept. */
export class Wakeup {
  readonly #clock: Clock;
  #isSet = false;
  #pause: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wake(): void {
    this.#isSet = true;
    this.#pause?.abort();
  }

  /** Resolves after `ms`, on `wake`, or when `stop` is aborted, whichever is first. */
  async wait(ms: number, stop: AbortSignal): Promise<void> {
    if (!this.#isSet && !stop.aborted) {
      const pause = new AbortController();
      this.#pause = pause;
      const end = (): void => pause.abort();
      stop.addEventListener('abort', end, { once: true });
      await this.#clock.sleep(ms, pause.signal).catch(() => undefined);
      stop.removeEventListener('abort', end);
      this.#pause = undefined;
    }
    this.#isSet = false;
  }
}
