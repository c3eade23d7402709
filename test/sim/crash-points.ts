/**
 * Small scenarios in which a run is repeated with a death at each call of a port, or at every so many: of the first daemon, of the
 * first broker, or of the power of their machine. A call is a moment before its effect and one after it.
 */
import { type Death, run, type RunOptions, type RunResult, type Step, type StepKind } from './scenario.js';
import type { WorldShape } from './world.js';

export type Victim = Death['of'];
export const victims: readonly Victim[] = ['daemon', 'broker', 'power'];

export interface CrashScenario extends RunOptions {
  readonly only: readonly Step[];
  readonly shape: WorldShape;
  /** Of the calls, so many apart are tried where there is time for thousands of seeds: primes, so that no rhythm is missed. */
  readonly strides: Readonly<Record<Victim, number>>;
  /** In `npm test`. */
  readonly longStrides: Readonly<Record<Victim, number>>;
}

const shape: WorldShape = {
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
  scrubBytesPerSecond: 8_000,
};

function stepsOf(kinds: readonly StepKind[]): Step[] {
  return kinds.map((kind, at) => ({ kind, seed: at + 1 }));
}

const everyCall = { daemon: 1, broker: 1, power: 1 };

export const crashScenarios = {
  /** Follow, cut, upload, verify, commit, report, evict, hydrate: each happens, and nothing fails by itself. */
  calm: {
    seed: 1,
    only: stepsOf(['produce', 'produce', 'flush', 'wait', 'evict', 'consume', 'produce', 'flush', 'wait', 'evict']),
    shape,
    strides: everyCall,
    longStrides: everyCall,
  },
  /** Small files, deleted records and old objects: compaction, heads, expiry and sweeps as well. A run takes most of a second. */
  upkept: {
    seed: 7,
    only: stepsOf([
      ...Array.from({ length: 9 }, () => ['produce', 'produce', 'flush'] as const).flat(),
      ...(['wait', 'evict', 'delete-records', 'delete-records', 'wait', 'wait', 'consume', 'age', 'age', 'age'] as const),
    ]),
    shape: { ...shape, fileBytes: 20_000, snapshotMaxAgeMs: 1_000 },
    strides: { daemon: 23, broker: 59, power: 61 },
    longStrides: { daemon: 199, broker: 397, power: 401 },
  },
} as const satisfies Readonly<Record<string, CrashScenario>>;

export type CrashScenarioName = keyof typeof crashScenarios;

function optionsOf({ seed, only, shape }: CrashScenario): RunOptions {
  return { seed, only, shape };
}

/** The run in which nobody dies; it says how many calls there are. */
export async function undisturbed(scenario: CrashScenario): Promise<RunResult> {
  const whole = await run(optionsOf(scenario));
  if (whole.failure !== undefined) throw whole.failure;
  return whole;
}

export function callsOf({ figures }: RunResult, of: Victim): number {
  return of === 'daemon' ? figures.daemonCalls : figures.brokerCalls;
}

/** Every `stride`th call from the `first` on, before and after; not the last of all, which is the one that ends the run. */
export function* pointsOf(of: Victim, calls: number, first: number, stride: number): Generator<Death> {
  for (let at = first; at < calls - 1; at += stride) {
    for (const when of ['before', 'after'] as const) yield { of, calls: at, when };
  }
}

export function runWithDeath(scenario: CrashScenario, death: Death): Promise<RunResult> {
  return run({ ...optionsOf(scenario), death });
}
