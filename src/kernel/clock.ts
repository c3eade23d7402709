/** Time as a port, so that a simulation can own it. Only this file reads the ambient clock. */
import { setTimeout as sleepFor } from 'node:timers/promises';

export interface Clock {
  /** Wall time in ms since the epoch. */
  nowMs(): number;
  /** Monotonic time in ms, for durations and deadlines. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects when aborted: ask the signal for the reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** About 25 days; a timer that is to ring later rings at once. */
const timerMsMax = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    let leftMs = ms;
    do {
      await sleepFor(Math.min(leftMs, timerMsMax), undefined, signal === undefined ? {} : { signal });
      leftMs -= timerMsMax;
    } while (leftMs > 0);
  },
};
