// A file of the bucket is changed behind the service's back: `tier scrub` names it, and says nothing of the others.
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { Lake } from '../support/lake.js';
import { runCommand } from '../support/service.js';

const lines = (text: string): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('thermocline tier scrub', () => {
  it('reads every cold file, names a damaged or missing one, and ends with 10 only then', { timeout: 120_000 }, async () => {
    await using lake = await Lake.start();
    await lake.createTopic('orders', 1);
    for (let flush = 0; flush < 3; flush++) {
      const records = Array.from({ length: 500 }, (_, i) => ({
        key: null,
        value: Buffer.from(JSON.stringify({ n: flush * 500 + i, text: `record ${i} of flush ${flush}` })),
        timestampMs: 1_700_000_000_000 + i,
        partition: 0,
      }));
      await lake.produce('orders', records);
      await lake.flush('orders');
    }
    const scrub = (...args: readonly string[]): ReturnType<typeof runCommand> =>
      runCommand(['tier', 'scrub', ...args], { environment: { THERMOCLINE_SERVER: lake.service.http } });
    const whole = await scrub();
    expect([whole.code, whole.stderr]).toEqual([0, expect.stringMatching(/^3 cold files, .* read; 0 damaged; 0 ranges/)]);
    const files = lines(whole.stdout);
    expect(files.map((file) => [file['topic'], file['rows'], file['problem']])).toEqual(
      Array.from({ length: 3 }, () => ['orders', 500, undefined]),
    );

    // One bit of the page of values in one, which comes first and takes a quarter of it; no byte at all of another.
    const objects = lake.objects();
    const [first, second] = files.map((file) => String(file['key']));
    const path = objects.get(first ?? '')?.path ?? '';
    const bytes = await readFile(path);
    bytes[Math.floor(bytes.length / 8)]! ^= 1;
    await chmod(path, 0o644);
    await writeFile(path, bytes);
    await rm(objects.get(second ?? '')?.path ?? '');
    const damaged = await scrub('orders');
    expect(damaged.code).toBe(10);
    expect(
      lines(damaged.stdout)
        .filter((file) => file['problem'] !== undefined)
        .map((file) => file['key']),
    ).toEqual([first, second]);
    expect(damaged.stderr).toContain(`damaged: ${second}: the object is not in the bucket`);
    expect(damaged.stderr).toMatch(/hint: Restore the object from a copy of the bucket/);
    expect(damaged.stderr).toMatch(/^3 cold files, .* read; 2 damaged;/m);
    expect((await scrub('nobody')).code).toBe(3);
  });
});
