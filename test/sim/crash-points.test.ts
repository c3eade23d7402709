// A small scenario, and in it a death at every call of a port: of the daemon, of the broker, and of the power.
import { describe, expect, it } from 'vitest';
import { type Death, run, type RunResult, type Step } from './scenario.js';

/** Follow, cut, upload, verify, commit, report, evict, hydrate: each happens, and nothing fails by itself. */
const calm: readonly Step[] = [
  { kind: 'produce', seed: 1 },
  { kind: 'produce', seed: 2 },
  { kind: 'flush', seed: 3 },
  { kind: 'wait', seed: 4 },
  { kind: 'evict', seed: 5 },
  { kind: 'consume', seed: 6 },
  { kind: 'produce', seed: 7 },
  { kind: 'flush', seed: 8 },
  { kind: 'wait', seed: 9 },
  { kind: 'evict', seed: 10 },
];
const shape = {
  daemons: 1,
  segmentBytes: 4_000,
  fileBytes: 3_000,
  commitIntervalMs: 2_000,
  localRetentionMs: 0,
  spoolBytes: 100_000,
  wallSpeed: 1,
};
const seed = 1;
/** Of the points, so that both cores have their share. */
const groups = 8;

const runOnce = (death?: Death): Promise<RunResult> => run({ seed, only: calm, shape, ...(death === undefined ? {} : { death }) });

describe.each<Death['of']>(['daemon', 'broker', 'power'])('a death of the %s at each call of a port', (of) => {
  it.each(Array.from({ length: groups }, (_, group) => group))('breaks no promise (part %i)', async (group) => {
    const whole = await runOnce();
    expect(whole.failure).toBeUndefined();
    const calls = of === 'daemon' ? whole.figures.daemonCalls : whole.figures.brokerCalls;
    expect(calls).toBeGreaterThan(100);
    for (let at = group; at < calls; at += groups) {
      for (const when of ['before', 'after'] as const) {
        const { failure, figures } = await runOnce({ of, calls: at, when });
        if (failure !== undefined) expect.fail(`${when} call ${at} of the ${of}: ${failure.message}`);
        // A call that fails has no moment after its effect.
        if (when === 'before') expect(figures.daemonLives + figures.brokerLives).toBeGreaterThan(2);
      }
    }
  });
});
