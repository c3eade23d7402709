// A small scenario, and in it a death at every call of a port: of the daemon, of the broker, and of the power.
import { describe, expect, it } from 'vitest';
import { type Death, run, type RunResult, type Step } from './scenario.js';
import { seedsWanted } from './seeds.js';

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
  retentionMs: -1,
  retentionBytes: -1,
  snapshotMaxAgeMs: 86_400_000,
};
const seed = 1;
/** Of the points, so that both cores have their share. */
const groups = 8;

/** Small files, deleted records and old objects: compaction, heads, expiry and sweeps as well. */
const upkept: readonly Step[] = [
  ...Array.from({ length: 9 }, (_, i) =>
    (['produce', 'produce', 'flush'] as const).map((kind, j) => ({ kind, seed: 3 * i + j + 1 })),
  ).flat(),
  ...(['wait', 'evict', 'delete-records', 'delete-records', 'wait', 'wait', 'consume', 'age', 'age', 'age'] as const).map((kind, i) => ({
    kind,
    seed: 28 + i,
  })),
];
const upkeptShape = { ...shape, fileBytes: 20_000, snapshotMaxAgeMs: 1_000 };
const upkeptSeed = 3;
/** Of its thousands of calls every so many is tried: more where there is time for thousands of seeds. */
const upkeptStride = seedsWanted >= 1000 ? 23 : 199;

const runOnce = (death?: Death): Promise<RunResult> => run({ seed, only: calm, shape, ...(death === undefined ? {} : { death }) });

describe.each<Death['of']>(['daemon', 'broker', 'power'])('a death of the %s at each call of a port', (of) => {
  it.each(Array.from({ length: groups }, (_, group) => group))('breaks no promise (part %i)', async (group) => {
    const whole = await runOnce();
    expect(whole.failure).toBeUndefined();
    const calls = of === 'daemon' ? whole.figures.daemonCalls : whole.figures.brokerCalls;
    expect(calls).toBeGreaterThan(100);
    // The last call of all is the one that ends the run.
    for (let at = group; at < calls - 1; at += groups) {
      for (const when of ['before', 'after'] as const) {
        const { failure, figures } = await runOnce({ of, calls: at, when });
        if (failure !== undefined) expect.fail(`${when} call ${at} of the ${of}: ${failure.message}`);
        // A call that fails has no moment after its effect.
        if (when === 'before') expect(figures.daemonLives + figures.brokerLives).toBeGreaterThan(2);
      }
    }
  });
});

describe('a death of the daemon among compaction, head, expiry and sweep', () => {
  it.each(Array.from({ length: groups }, (_, group) => group))('breaks no promise (part %i)', async (group) => {
    const options = { seed: upkeptSeed, only: upkept, shape: upkeptShape };
    const whole = await run(options);
    expect(whole.failure).toBeUndefined();
    expect(whole.figures).toMatchObject({ filesRewritten: 2, filesRemoved: 9 });
    for (let at = group * upkeptStride; at < whole.figures.daemonCalls - 1; at += groups * upkeptStride) {
      for (const when of ['before', 'after'] as const) {
        const { failure } = await run({ ...options, death: { of: 'daemon', calls: at, when } });
        if (failure !== undefined) expect.fail(`${when} call ${at}: ${failure.message}`);
      }
    }
  });
});
