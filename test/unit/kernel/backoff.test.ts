import { describe, expect, it } from 'vitest';
import { LakeError, retry, RetryBudget, retryAfterFact, type Clock } from '../../../src/kernel/index.js';

const policy = { firstMs: 100, maxMs: 1000, tries: 5 };
/** A clock that only sleeping moves. */
function sleptClock(): Clock & { readonly slept: number[] } {
  let now = 0;
  const slept: number[] = [];
  return {
    slept,
    nowMs: () => now,
    monotonicMs: () => now,
    sleep: async (ms) => {
      slept.push(ms);
      now += ms;
    },
  };
}
const random = { uuid: () => '', bytes: (length: number) => Buffer.alloc(length), float: () => 0.5 };
const away = (facts = {}): LakeError => new LakeError('store-unavailable', 'away', { facts });

describe('retry', () => {
  it('waits longer each time, and throws the last error as it is', async () => {
    const clock = sleptClock();
    const error = away();
    await expect(retry(() => Promise.reject(error), policy, { clock, random })).rejects.toBe(error);
    expect(clock.slept).toEqual([75, 150, 300, 600]);
  });

  it('waits as long as the peer asks', async () => {
    const clock = sleptClock();
    let tries = 0;
    const work = async (): Promise<string> => {
      if (tries++ === 0) throw away({ [retryAfterFact]: 7000 });
      return 'done';
    };
    expect(await retry(work, policy, { clock, random })).toBe('done');
    expect(clock.slept).toEqual([7000]);
  });

  it('begins no wait that would end after its time', async () => {
    const clock = sleptClock();
    await expect(
      retry(() => Promise.reject(away({ [retryAfterFact]: 7000 })), policy, { clock, random }, undefined, { untilMs: () => 7000 }),
    ).rejects.toMatchObject({ code: 'store-unavailable' });
    expect(clock.slept).toEqual([]);
  });

  it('of many callers of a peer that is down sends no more than the budget, and a part of what succeeds', async () => {
    const budget = new RetryBudget(10, 0.25);
    let sent = 0;
    let isDown = true;
    const work = async (): Promise<void> => {
      sent++;
      if (isDown) throw away();
    };
    const ask = (): Promise<unknown> => retry(work, policy, { clock: sleptClock(), random }, undefined, { budget }).catch(() => undefined);
    for (let caller = 0; caller < 50; caller++) await ask();
    expect(sent).toBe(50 + 10);
    expect(budget.refused).toBeGreaterThan(40);
    isDown = false;
    for (let caller = 0; caller < 12; caller++) await ask();
    isDown = true;
    sent = 0;
    for (let caller = 0; caller < 5; caller++) await ask();
    expect(sent).toBe(5 + 3);
  });

  it('does not try again what cannot help', async () => {
    const error = new LakeError('store-refused', 'no');
    let tries = 0;
    const work = (): Promise<never> => {
      tries++;
      return Promise.reject(error);
    };
    await expect(retry(work, policy, { clock: sleptClock(), random })).rejects.toBe(error);
    expect(tries).toBe(1);
  });
});
