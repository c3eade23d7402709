// Many seeds, in processes of their own, as `npm run sim -- --seeds` runs them. THERMOCLINE_TEST_SIM_SEEDS says how many.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { seedsWanted } from './seeds.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Half a second of CPU each. */
const secondsPerSeed = 2;

const run = (file: string, args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> =>
  promisify(execFile)(process.execPath, [file, ...args], { cwd: root, maxBuffer: 64 * 1024 * 1024 });

async function keepsEveryPromise(seeds: number): Promise<void> {
  await run(join(root, 'node_modules/typescript/bin/tsc'), ['-p', 'test/sim/tsconfig.json']);
  const done = await run(join(root, '.cache/sim/test/sim/main.js'), ['--seeds', `1..${seeds}`]).catch((error: unknown) => {
    const { stdout = '', stderr = '' } = error as { readonly stdout?: string; readonly stderr?: string };
    // What broke comes first: a summary may show a line of it. Progress tells nothing here.
    const trace = stderr.replaceAll(/^\d+ of \d+ runs, \d+ broken\n/gm, '');
    return expect.fail(`${stdout}\n${trace.slice(-40_000)}`);
  });
  expect(done.stdout).toMatch(new RegExp(`^${seeds} runs, 0 broken`, 'm'));
}

describe('the simulated world', () => {
  const timeout = 120_000 + seedsWanted * secondsPerSeed * 1000;
  it(`keeps every promise for the seeds 1 to ${seedsWanted}`, { timeout }, () => keepsEveryPromise(seedsWanted));
});
