// The soak in short: everything at once for about a minute, before every merge. `npm run soak` goes on for as long as it is told.
import { describe, expect, it } from 'vitest';
import { soak, verdict } from '../soak/soak.js';
import { canSeeProcesses } from '../support/processes.js';

const minutes = 1;
/** What was asked last may take until its limits on a machine that has other work. */
const withinMs = 8 * 60_000;

describe.skipIf(!canSeeProcesses)('a service under everything at once', () => {
  it(
    'gives no wrong answer, keeps every token, and grows nowhere',
    async () => {
      const report = await soak(minutes);
      process.stderr.write(`${verdict(report)}\n`);
      // As a message, so that whoever only sees that reads what was found.
      if (report.findings.length > 0) expect.fail(report.findings.join('\n'));
      // Something was met at all.
      expect(report.answers).toBeGreaterThan(5);
      for (const what of ['engine kill', 'gateway kill']) expect(report.disturbances[what] ?? 0).toBeGreaterThan(0);
    },
    withinMs,
  );
});
