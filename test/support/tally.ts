// Appends the sums of a run to the file that THERMOCLINE_TEST_TALLY names, so that `.ci/run` can add up several suites; beside it, under
// `….failed`, a line for each failure, so that it can end with them all however long its output was.
import { appendFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/** How much of a failure's message its line keeps. */
const messageChars = 1000;

interface Failure {
  readonly where: string;
  readonly message: string;
}

export default class Tally implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const path = process.env['THERMOCLINE_TEST_TALLY'];
    if (path === undefined) return;
    const sums = { passed: 0, failed: errors.length, skipped: 0 };
    const failures: Failure[] = errors.map((error) => ({ where: 'outside of any test', message: messageOf(error) }));
    for (const module of modules) {
      const file = module.relativeModuleId;
      // A file that cannot even be loaded has no tests, and is a failure all the same.
      sums.failed += module.errors().length;
      failures.push(...module.errors().map((error) => ({ where: file, message: messageOf(error) })));
      for (const test of module.children.allTests()) {
        const { state, errors: reasons } = test.result();
        if (state === 'passed' || state === 'skipped') sums[state]++;
        else {
          sums.failed++;
          failures.push({ where: `${file} > ${test.fullName}`, message: messageOf(reasons?.[0] ?? state) });
        }
      }
    }
    appendFileSync(path, `${sums.passed} ${sums.failed} ${sums.skipped}\n`);
    appendFileSync(`${path}.failed`, failures.map(({ where, message }) => `${where}: ${message}\n`).join(''));
  }
}

function messageOf(error: unknown): string {
  const text = typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);
  return text.replaceAll(/\s+/g, ' ').slice(0, messageChars);
}
