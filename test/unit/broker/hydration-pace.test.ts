import { describe, expect, it } from 'vitest';
import { HydrationPace } from '../../../src/broker/cold/hydration-pace.js';
import { ManualClock } from './manual-clock.js';

/** Time in steps of 5 ms: a producer's answer in each, hydrations of 100 ms as soon as they may begin. */
class Steps {
  readonly clock = new ManualClock();
  readonly pace = new HydrationPace(this.clock);
  hydratedMs = 0;
  #leftMs = 0;

  /** Goes on for `ms`; `latencyMs` says what a producer feels. */
  async go(ms: number, latencyMs: (isHydrating: boolean) => number): Promise<void> {
    for (let at = 0; at < ms; at += 5) {
      if (this.#leftMs === 0 && this.pace.waitMs() === 0) {
        this.pace.begin();
        this.#leftMs = 100;
      }
      this.pace.noteProduced(latencyMs(this.#leftMs > 0));
      await this.clock.advance(5);
      if (this.#leftMs === 0) continue;
      this.hydratedMs += 5;
      this.#leftMs -= 5;
      if (this.#leftMs === 0) this.pace.end();
    }
  }
}

describe('the pace of hydrations', () => {
  it('lets them run one after the other and side by side while nobody writes', async () => {
    const { clock, pace } = new Steps();
    pace.begin();
    expect(pace.waitMs()).toBe(0);
    await clock.advance(100);
    pace.end();
    expect(pace.waitMs()).toBe(0);
    expect(pace.share).toBe(1);
  });

  it('rests three times as long as it has worked where it knows nothing yet of what producers feel', async () => {
    const { clock, pace } = new Steps();
    pace.noteProduced(1);
    pace.begin();
    expect(pace.waitMs()).toBeUndefined();
    await clock.advance(100);
    pace.end();
    pace.noteProduced(1);
    expect(pace.waitMs()).toBe(300);
    await clock.advance(300);
    expect(pace.waitMs()).toBe(0);
  });

  it('takes ever less of the time while producers feel it, and never nothing', async () => {
    const steps = new Steps();
    await steps.go(60_000, (isHydrating) => (isHydrating ? 30 : 2));
    expect(steps.pace.share).toBe(0.05);
    steps.hydratedMs = 0;
    await steps.go(20_000, (isHydrating) => (isHydrating ? 30 : 2));
    expect(steps.hydratedMs).toBeGreaterThan(0);
    expect(steps.hydratedMs).toBeLessThan(20_000 * 0.1);
  });

  it('takes all the time where producers feel nothing, but for listening now and then', async () => {
    const steps = new Steps();
    await steps.go(60_000, () => 2);
    expect(steps.pace.share).toBe(1);
    steps.hydratedMs = 0;
    await steps.go(60_000, () => 2);
    expect(steps.hydratedMs).toBeGreaterThan(58_000);
    expect(steps.hydratedMs).toBeLessThan(60_000);
  });

  it('gives way again when producers begin to feel it', async () => {
    const steps = new Steps();
    await steps.go(60_000, () => 2);
    await steps.go(120_000, (isHydrating) => (isHydrating ? 30 : 2));
    expect(steps.pace.share).toBeLessThan(0.2);
  });

  it('goes on at once when producers fall silent', async () => {
    const steps = new Steps();
    await steps.go(60_000, (isHydrating) => (isHydrating ? 30 : 2));
    await steps.clock.advance(2000);
    expect(steps.pace.waitMs()).toBe(0);
  });
});
