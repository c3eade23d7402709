import { expect, it } from 'vitest';
import { dayMs, systemClock } from '../../../src/kernel/index.js';

/** A timer takes 2³¹ − 1 ms at most; one that is to ring later rings at once, before any that is set after it. */
it.each([2 ** 31, 25 * dayMs, 365 * dayMs, Number.POSITIVE_INFINITY])(
  'sleeps %d ms, and no shorter, until it is told to wake up',
  async (ms) => {
    const stop = new AbortController();
    let isOver = false;
    const long = systemClock.sleep(ms, stop.signal).then(() => {
      isOver = true;
    });
    await systemClock.sleep(5);
    expect(isOver).toBe(false);
    stop.abort();
    await expect(long).rejects.toThrow();
  },
);
