// The demo is the main job: flights in through Kafka's protocol, cold in the bucket, asked and consumed, compared with the original.
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { objectsIn } from '../support/lake.js';
import { type CommandResult, runCommand, temporaryFolder } from '../support/service.js';

const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function demo(...more: string[]): Promise<CommandResult & { readonly dataDir: string; readonly lastLine: string }> {
  const folder = await temporaryFolder();
  ending.push(() => folder.remove());
  const dataDir = join(folder.path, 'data');
  const listen = ['--kafka-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0'];
  const result = await runCommand(['demo', '--exit', '--data-dir', dataDir, ...listen, ...more]);
  return { ...result, dataDir, lastLine: result.stdout.trimEnd().split('\n').at(-1) ?? '' };
}

const coldFiles = (dataDir: string): string[] => [...objectsIn(join(dataDir, 'bucket')).keys()].filter((key) => key.endsWith('.parquet'));

describe('the demo', () => {
  it('finds everything equal to the original flights, cold, hot and across', async () => {
    const { code, stdout, stderr, dataDir, lastLine } = await demo('--records', '60000');
    expect([code, stderr.match(/^error.*$/m)?.[0]]).toEqual([0, undefined]);
    expect(lastLine).toBe('demo: 60000 records produced; 3 questions and 60000 consumed records compared with the original: all equal');
    expect(JSON.parse(stdout.slice(0, stdout.indexOf('\n')))).toMatchObject({
      event: 'ready',
      kafka: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    });
    expect(stdout.match(/^equal to the original file, all \d+ rows$/gm)).toHaveLength(3);
    expect(stdout).not.toContain('DIFFERENT');
    // One question lies cold, one hot, one on both sides.
    const made = [...stdout.matchAll(/· ([\d,]+) hot rows · (\d+) cold files/g)].map(([, hot, files]) => [
      Number(hot!.replaceAll(',', '')) > 0,
      Number(files) > 0,
    ]);
    expect(made).toHaveLength(3);
    expect(made).toContainEqual([false, true]);
    expect(made.some(([hot]) => hot)).toBe(true);
    expect(coldFiles(dataDir).length).toBeGreaterThanOrEqual(6);
  });

  it('runs on synthetic flights, and again over what an earlier run has left', async () => {
    const { code, lastLine, dataDir } = await demo('--records', '20000', '--synthetic');
    expect([code, lastLine]).toEqual([0, expect.stringMatching(/^demo: 20000 records produced; .*: all equal$/)]);
    const again = await demo('--records', '5000', '--synthetic', '--data-dir', dataDir);
    expect([again.code, again.lastLine]).toEqual([0, expect.stringMatching(/^demo: 5000 records produced; .*: all equal$/)]);
    expect(again.stdout).toContain('The topic flights of an earlier run was deleted.');
  });

  it('says what is wrong with its options before it starts anything', async () => {
    const { code, stdout, stderr } = await demo('--records', 'many');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^error: --records many is not a number/m);
    expect(stderr).toMatch(/^hint: Write --records 100000/m);
  });
});
