/**
 * The simulation from the command line.
 *
 *     npm run sim -- --seed 7                  one seed, one run, exactly repeatable
 *     npm run sim -- --seeds 1..500            many, in as many processes as there are cores; stops at the first that breaks a promise
 *     npm run sim -- --seed 7 --steps 20       only the first steps
 *     npm run sim -- --seed 7 --shrink         as few steps as break the same promise
 *     npm run sim -- --seeds 1..50 --bug NAME  with a planted bug: see test/sim/bugs.ts
 *     npm run sim -- --seeds 1..50 --sql       with real cold files, asked in SQL; else one seed in 41 is
 *     npm run sim -- --seeds 1..50 --rot       with a byte of the hot log that changes on the disk; else one seed in 10 has one
 *     npm run sim -- --crashes upkept          a death at every call of a port of a scenario: see test/sim/crash-points.ts
 *         [--of broker] [--stride 61] [--first 0]     only of one kind, only so many apart, from a call on
 *     npm run sim -- --crash upkept:broker:1234:after     one of them
 *
 * Exits with 1 where a promise was broken; the trace of what happened before goes to stderr.
 */
import { fork } from 'node:child_process';
import { existsSync, symlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { entryPath, packageRoot } from '../../src/kernel/index.js';
import { type BugName, bugs, plantedRun } from './bugs.js';
import {
  callsOf,
  type CrashScenarioName,
  crashScenarios,
  pointsOf,
  runWithDeath,
  undisturbed,
  type Victim,
  victims,
} from './crash-points.js';
import { type Death, type RunOptions, type RunResult, run, shrink } from './scenario.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string' },
    steps: { type: 'string' },
    failures: { type: 'string', default: '1' },
    shrink: { type: 'boolean', default: false },
    bug: { type: 'string' },
    sql: { type: 'boolean', default: false },
    rot: { type: 'boolean', default: false },
    crashes: { type: 'string' },
    of: { type: 'string' },
    stride: { type: 'string', default: '1' },
    first: { type: 'string', default: '0' },
    crash: { type: 'string' },
    /** Of a child: the seeds or the points that are its own. */
    share: { type: 'string' },
  },
});
if (values.bug !== undefined && !(values.bug in bugs)) throw new Error(`--bug is one of ${Object.keys(bugs).join(', ')}`);
const failuresMax = Number(values.failures);
// Engines of queries are processes of their own, whose code lies below `dist` of the package: here, that of this build.
if (!existsSync(entryPath('query/engine-main'))) symlinkSync('src', join(packageRoot, 'dist'));

const more = (): Omit<RunOptions, 'seed'> => ({
  ...(values.steps === undefined ? {} : { steps: Number(values.steps) }),
  ...(values.bug === undefined ? {} : plantedRun(bugs[values.bug as BugName])),
  ...(values.sql ? { sql: true } : {}),
  ...(values.rot ? { hasRot: true } : {}),
});

/** Options that a run has beside its seed, as they were given. */
const moreArguments: readonly string[] = [
  ...(values.steps === undefined ? [] : ['--steps', values.steps]),
  ...(values.bug === undefined ? [] : ['--bug', values.bug]),
  ...(values.sql ? ['--sql'] : []),
  ...(values.rot ? ['--rot'] : []),
];

function report({ lines, failure }: RunResult, repeat: readonly string[]): void {
  if (failure === undefined) return;
  process.exitCode = 1;
  for (const line of lines) console.error(line);
  console.error(failure.stack);
  console.error(`repeat: npm run sim -- ${repeat.join(' ')}`);
}

const repeatOf = ({ seed }: RunResult): readonly string[] => ['--seed', String(seed), ...moreArguments];

function sum(result: RunResult): string {
  const { acknowledged, read, commits, files, filesRewritten, filesRemoved, requests, brokerLives, daemonLives } = result.figures;
  return [
    `seed ${result.seed}: ${result.failure?.message ?? 'every promise kept'}`,
    `  ${result.steps.length} steps, ${Math.round(result.virtualMs / 1000)} s of virtual time, ${result.events} events, trace ${result.digest}`,
    `  ${acknowledged} records acknowledged, ${read} read, ${commits} commits of ${files} files (${filesRewritten} in place of others, ${filesRemoved} removed), ${requests} requests to the bucket, ${brokerLives} lives of the broker, ${daemonLives} of daemons`,
    ...(result.figures.queries === 0 ? [] : [`  ${result.figures.queries} queries in SQL of ${result.figures.queriedRows} rows`]),
  ].join('\n');
}

interface Sums {
  runs: number;
  broken: number;
  events: number;
  commits: number;
  rewritten: number;
  removed: number;
  cpuMs: number;
}

const none = (): Sums => ({ runs: 0, broken: 0, events: 0, commits: 0, rewritten: 0, removed: 0, cpuMs: 0 });
/** Of one process: few enough that all cores have work until nearly the end, and that progress is told now and then. */
const runsPerShare = 100;

function add(sums: Sums, more: Sums): void {
  for (const name of Object.keys(more) as (keyof Sums)[]) sums[name] += more[name];
}

/** Runs one after the other in this process, until enough of them have broken a promise. */
async function inTurn<T>(
  items: Iterable<T>,
  runOne: (item: T) => Promise<RunResult>,
  repeat: (result: RunResult, item: T) => readonly string[],
) {
  const sums = none();
  for (const item of items) {
    if (sums.broken >= failuresMax) break;
    const result = await runOne(item);
    const { commits, filesRewritten, filesRemoved } = result.figures;
    add(sums, { ...none(), runs: 1, events: result.events, commits, rewritten: filesRewritten, removed: filesRemoved });
    if (result.failure === undefined) continue;
    sums.broken++;
    report(result, repeat(result, item));
    console.log(sum(result));
  }
  const { user, system } = process.cpuUsage();
  sums.cpuMs = (user + system) / 1000;
  return sums;
}

/** Each share in a process of its own, as many at once as there are cores. */
async function inShares(runs: number, shares: readonly (readonly string[])[]): Promise<void> {
  const sums = none();
  const left = [...shares];
  const work = async (): Promise<void> => {
    for (let share = left.shift(); share !== undefined && sums.broken < failuresMax; share = left.shift()) {
      const child = fork(fileURLToPath(import.meta.url), [...share, '--failures', values.failures, ...moreArguments]);
      let told: Sums | undefined;
      child.once('message', (message) => (told = message as Sums));
      const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
      if (told === undefined) throw new Error(`the process of ${share.join(' ')} ended with ${code}`);
      add(sums, told);
      process.stderr.write(`${sums.runs} of ${runs} runs, ${sums.broken} broken\n`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  if (sums.broken > 0) process.exitCode = 1;
  console.log(
    `${sums.runs} runs, ${sums.broken} broken; ${Math.round(sums.cpuMs / 1000)} s of CPU, ${sums.events} events, ${sums.commits} commits, ${sums.rewritten} files rewritten, ${sums.removed} removed`,
  );
}

function shared<T>(all: readonly T[]): T[][] {
  const size = Math.min(runsPerShare, Math.ceil(all.length / availableParallelism()));
  return all.flatMap((_, at) => (at % size === 0 ? [all.slice(at, at + size)] : []));
}

function rangeOf(text: string): number[] {
  const [from = 1, to = from] = text.split('..').map(Number);
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

async function manySeeds(text: string): Promise<void> {
  const seeds = rangeOf(text);
  const shares = shared(seeds).map((share) => ['--share', `${share[0]}..${share.at(-1)}`]);
  await inShares(seeds.length, shares);
}

function scenarioOf(name: string): CrashScenarioName {
  if (name in crashScenarios) return name as CrashScenarioName;
  throw new Error(`a scenario with crashes is one of ${Object.keys(crashScenarios).join(', ')}`);
}

/** `upkept:broker:1234:after` */
function deathOf(text: string): { readonly name: CrashScenarioName; readonly death: Death } {
  const [name = '', of = '', calls = '', when = ''] = text.split(':');
  if (!victims.includes(of as Victim) || (when !== 'before' && when !== 'after')) throw new Error(`${text} is no death`);
  return { name: scenarioOf(name), death: { of: of as Victim, calls: Number(calls), when } };
}

const textOf = (name: string, { of, calls, when }: Death): string => `${name}:${of}:${calls}:${when}`;

async function manyCrashes(name: CrashScenarioName): Promise<void> {
  const whole = await undisturbed(crashScenarios[name]);
  const [first, stride] = [Number(values.first), Number(values.stride)];
  const points = victims
    .filter((of) => values.of === undefined || of === values.of)
    .flatMap((of) => [...pointsOf(of, callsOf(whole, of), first, stride)].map((death) => textOf(name, death)));
  await inShares(
    points.length,
    shared(points).map((share) => ['--crash', share.join(',')]),
  );
}

async function one(seed: number): Promise<void> {
  let result = await run({ seed, ...more() });
  if (values.shrink && result.failure !== undefined) {
    result = await shrink(result, more(), (steps) => console.error(`${steps} steps still break it`));
    for (const step of result.steps) console.error(`${step.kind} ${step.seed}`);
  }
  report(result, repeatOf(result));
  console.log(sum(result));
}

function tell(sums: Sums): void {
  if (process.send === undefined) console.log(`${sums.runs} runs, ${sums.broken} broken`);
  else process.send(sums, () => process.disconnect());
}

if (values.share !== undefined) tell(await inTurn(rangeOf(values.share), (seed) => run({ seed, ...more() }), repeatOf));
else if (values.crash !== undefined) {
  const deaths = values.crash.split(',').map(deathOf);
  tell(
    await inTurn(
      deaths,
      ({ name, death }) => runWithDeath(crashScenarios[name], death),
      (_, { name, death }) => ['--crash', textOf(name, death)],
    ),
  );
} else if (values.crashes !== undefined) await manyCrashes(scenarioOf(values.crashes));
else await (values.seeds === undefined ? one(Number(values.seed)) : manySeeds(values.seeds));
