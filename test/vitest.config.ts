import { defineConfig } from 'vitest/config';

// One project a suite, so that each gets its own share of time and its own place in `.ci/run`. Files of a suite that run side by side
// share what they import: the product keeps no state in its modules, and loading it anew for each file took a third of the time.
const suite = (name: string, include: string[], testTimeout: number, fileParallelism = true) => ({
  extends: true as const,
  test: { name, include, testTimeout, hookTimeout: Math.max(testTimeout, 30_000), fileParallelism, isolate: !fileParallelism },
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
      suite('property', ['test/{property,contract}/**/*.test.ts'], 240_000),
      suite('sim', ['test/sim/**/*.test.ts'], 300_000),
      suite('acceptance', ['test/acceptance/**/*.test.ts'], 180_000, false),
      // For as long as it is told to: a day at most.
      suite('soak', ['test/soak/**/*.test.ts'], 24 * 3_600_000, false),
      suite('conformance', ['test/conformance/**/*.test.ts'], 300_000, false),
    ],
  },
});
