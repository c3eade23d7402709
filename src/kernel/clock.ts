/** Time as a port, so that a simulation can own it. Only this file reads the ambient clock. */
import { setTimeout as sleepFor } from 'node:timers/promises';

export interface Clock {
  /** Wall time in ms since the epoch. */
  nowMs(): number;
  /** Monotonic time in ms, for durations and deadlines. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await sleepFor(ms, undefined, signal === undefined ? {} : { signal });
  },
};
