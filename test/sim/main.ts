/**
 * The simulation from the command line.
 *
 *     npm run sim -- --seed 7                  one seed, one run, exactly repeatable
 *     npm run sim -- --seeds 1..500            many, in as many processes as there are cores; stops at the first that breaks a promise
 *     npm run sim -- --seed 7 --steps 20       only the first steps
 *     npm run sim -- --seed 7 --shrink         as few steps as break the same promise
 *     npm run sim -- --seeds 1..50 --bug NAME  with a planted bug: see test/sim/bugs.ts
 *
 * Exits with 1 where a promise was broken; the trace of what happened before goes to stderr.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type BugName, bugs } from './bugs.js';
import { type RunOptions, type RunResult, run, shrink } from './scenario.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string' },
    steps: { type: 'string' },
    failures: { type: 'string', default: '1' },
    shrink: { type: 'boolean', default: false },
    bug: { type: 'string' },
    /** Of a child. */
    share: { type: 'string' },
  },
});
if (values.bug !== undefined && !(values.bug in bugs)) throw new Error(`--bug is one of ${Object.keys(bugs).join(', ')}`);

const more = (): Omit<RunOptions, 'seed'> => ({
  ...(values.steps === undefined ? {} : { steps: Number(values.steps) }),
  ...(values.bug === undefined ? {} : { plant: bugs[values.bug as BugName].plant() }),
});

function report(result: RunResult): void {
  const { seed, failure } = result;
  if (failure === undefined) return;
  process.exitCode = 1;
  for (const line of result.lines) console.error(line);
  console.error(failure.stack);
  console.error(
    `repeat: npm run sim -- --seed ${seed}${values.steps === undefined ? '' : ` --steps ${values.steps}`}${values.bug === undefined ? '' : ` --bug ${values.bug}`}`,
  );
}

function sum(result: RunResult): string {
  const { acknowledged, read, commits, files, filesRewritten, filesRemoved, requests, brokerLives, daemonLives } = result.figures;
  return [
    `seed ${result.seed}: ${result.failure?.message ?? 'every promise kept'}`,
    `  ${result.steps.length} steps, ${Math.round(result.virtualMs / 1000)} s of virtual time, ${result.events} events, trace ${result.digest}`,
    `  ${acknowledged} records acknowledged, ${read} read, ${commits} commits of ${files} files (${filesRewritten} in place of others, ${filesRemoved} removed), ${requests} requests to the bucket, ${brokerLives} lives of the broker, ${daemonLives} of daemons`,
  ].join('\n');
}

interface Sums {
  seeds: number;
  broken: number;
  events: number;
  commits: number;
  rewritten: number;
  removed: number;
  cpuMs: number;
}

const none = (): Sums => ({ seeds: 0, broken: 0, events: 0, commits: 0, rewritten: 0, removed: 0, cpuMs: 0 });
/** Of one process: few enough that all cores have work until nearly the end, and that progress is told now and then. */
const seedsPerShare = 100;

function add(sums: Sums, more: Sums): void {
  for (const name of Object.keys(more) as (keyof Sums)[]) sums[name] += more[name];
}

/** In this process. */
async function runSeeds(from: number, to: number): Promise<Sums> {
  const sums = none();
  for (let seed = from; seed <= to && sums.broken < Number(values.failures); seed++) {
    const result = await run({ seed, ...more() });
    const { commits, filesRewritten, filesRemoved } = result.figures;
    add(sums, { ...none(), seeds: 1, events: result.events, commits, rewritten: filesRewritten, removed: filesRemoved });
    if (result.failure === undefined) continue;
    sums.broken++;
    report(result);
    console.log(sum(result));
  }
  const { user, system } = process.cpuUsage();
  sums.cpuMs = (user + system) / 1000;
  return sums;
}

/** In processes of their own. */
async function many(range: string): Promise<void> {
  const [from = 1, to = from] = range.split('..').map(Number);
  const jobs = availableParallelism();
  const share = Math.min(seedsPerShare, Math.ceil((to - from + 1) / jobs));
  const sums = none();
  let next = from;
  const work = async (): Promise<void> => {
    while (next <= to && sums.broken < Number(values.failures)) {
      const first = next;
      const last = Math.min(to, first + share - 1);
      next = last + 1;
      const bug = values.bug === undefined ? [] : ['--bug', values.bug];
      const steps = values.steps === undefined ? [] : ['--steps', values.steps];
      const child = fork(fileURLToPath(import.meta.url), ['--share', `${first}..${last}`, '--failures', values.failures, ...bug, ...steps]);
      let told: Sums | undefined;
      child.once('message', (message) => (told = message as Sums));
      const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
      if (told === undefined) throw new Error(`the process of the seeds ${first} to ${last} ended with ${code}`);
      add(sums, told);
      process.stderr.write(`${sums.seeds} of ${to - from + 1} seeds, ${sums.broken} broken\n`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  if (sums.broken > 0) process.exitCode = 1;
  console.log(
    `${sums.seeds} seeds, ${sums.broken} broken; ${Math.round(sums.cpuMs / 1000)} s of CPU, ${sums.events} events, ${sums.commits} commits, ${sums.rewritten} files rewritten, ${sums.removed} removed`,
  );
}

async function one(seed: number): Promise<void> {
  let result = await run({ seed, ...more() });
  if (values.shrink && result.failure !== undefined) {
    result = await shrink(result, more(), (steps) => console.error(`${steps} steps still break it`));
    for (const step of result.steps) console.error(`${step.kind} ${step.seed}`);
  }
  report(result);
  console.log(sum(result));
}

if (values.share !== undefined) {
  const [from = 1, to = from] = values.share.split('..').map(Number);
  const sums = await runSeeds(from, to);
  process.send?.(sums, () => process.disconnect());
} else await (values.seeds === undefined ? one(Number(values.seed)) : many(values.seeds));
