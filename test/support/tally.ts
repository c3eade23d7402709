// Appends the sums of a run to the file that THERMOCLINE_TEST_TALLY names, so that `.ci/run` can add up several suites.
import { appendFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

export default class Tally implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const path = process.env['THERMOCLINE_TEST_TALLY'];
    if (path === undefined) return;
    const sums = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      // A file that cannot even be loaded has no tests, and is a failure all the same.
      sums.failed += module.errors().length;
      for (const test of module.children.allTests()) {
        const state = test.result().state;
        if (state === 'passed' || state === 'failed' || state === 'skipped') sums[state]++;
        else sums.failed++;
      }
    }
    appendFileSync(path, `${sums.passed} ${sums.failed} ${sums.skipped}\n`);
  }
}
