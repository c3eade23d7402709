/**
 * The simulation from the command line.
 *
 *     npm run sim -- --seed 7                  one seed, one run, exactly repeatable
 *     npm run sim -- --seeds 1..500            many; stops at the first that breaks a promise
 *     npm run sim -- --seed 7 --steps 20       only the first steps
 *     npm run sim -- --seed 7 --shrink         as few steps as break the same promise
 *     npm run sim -- --seeds 1..50 --bug NAME  with a planted bug: see test/sim/bugs.ts
 *
 * Exits with 1 where a promise was broken; the trace of what happened before goes to stderr.
 */
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

async function many(range: string): Promise<void> {
  const [from = 1, to = from] = range.split('..').map(Number);
  const failures: RunResult[] = [];
  let events = 0;
  let [commits, rewritten, removed] = [0, 0, 0];
  let seed = from;
  for (; seed <= to && failures.length < Number(values.failures); seed++) {
    const result = await run({ seed, ...more() });
    events += result.events;
    commits += result.figures.commits;
    rewritten += result.figures.filesRewritten;
    removed += result.figures.filesRemoved;
    if (result.failure !== undefined) failures.push(result);
  }
  if (failures[0] !== undefined) report(failures[0]);
  for (const failed of failures) console.log(sum(failed));
  const { user, system } = process.cpuUsage();
  console.log(
    `${seed - from} seeds, ${failures.length} broken; ${Math.round((user + system) / 1000)} ms of CPU, ${events} events, ${commits} commits, ${rewritten} files rewritten, ${removed} removed`,
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

await (values.seeds === undefined ? one(Number(values.seed)) : many(values.seeds));
