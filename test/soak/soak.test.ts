// `npm run soak -- --minutes 10`: as long as it is told to.
import { describe, expect, it } from 'vitest';
import { soak, verdict } from './soak.js';

const minutes = Number(process.env['THERMOCLINE_TEST_SOAK_MINUTES'] ?? 10);

describe('a soak', () => {
  it(`gives no wrong answer and grows nowhere in ${minutes} minutes of everything at once`, async () => {
    const report = await soak(minutes);
    process.stdout.write(`${verdict(report)}\n`);
    expect(report.findings.join('\n')).toBe('');
  });
});
