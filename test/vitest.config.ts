import { defineConfig } from 'vitest/config';

// One project a suite, so that each gets its own share of time and its own place in `.ci/run`. Two files at a time: most wait as much as
// they compute.
type Apart =
  /** Files share what they import: the product keeps no state in its modules, and loading it anew for each took a third of the time. */
  | 'shared'
  /** Each file has a process of its own, whose end takes down the services it left running. */
  | 'isolated'
  /** Isolated, and one after another: they measure, or talk to peers that stand alone. */
  | 'alone';

const suite = (name: string, include: string[], testTimeout: number, apart: Apart = 'shared', order = 0) => ({
  extends: true as const,
  test: {
    name,
    include,
    testTimeout,
    hookTimeout: Math.max(testTimeout, 30_000),
    isolate: apart !== 'shared',
    fileParallelism: apart !== 'alone',
    sequence: { groupOrder: order },
  },
});

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    globalSetup: ['test/support/build.ts'],
    reporters: ['default', './test/support/tally.ts'],
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      suite('unit', ['test/*.test.ts', 'test/{unit,golden}/**/*.test.ts'], 30_000),
      suite('integration', ['test/integration/**/*.test.ts'], 60_000),
      suite('property', ['test/{property,contract}/**/*.test.ts'], 240_000),
      suite('sim', ['test/sim/**/*.test.ts'], 300_000),
      // When the others have ended: services that must answer in time beside a simulation that takes every core would answer late.
      suite('acceptance', ['test/acceptance/**/*.test.ts'], 180_000, 'isolated', 1),
      // For as long as it is told to: a day at most.
      suite('soak', ['test/soak/**/*.test.ts'], 24 * 3_600_000, 'alone'),
      suite('conformance', ['test/conformance/**/*.test.ts'], 300_000, 'alone'),
    ],
  },
});
