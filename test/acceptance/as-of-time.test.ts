// The log as it was at a time, asked of a whole service: while it runs, tiered, killed, stopped, recovered, and of its bucket alone.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Answer, Lake } from '../support/lake.js';
import { eventually } from '../support/processes.js';
import { runCommand, temporaryFolder } from '../support/service.js';

const sql = 'SELECT count(*) AS n, max(n) AS last FROM events';
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

async function produce(lake: Lake, from: number, to: number): Promise<void> {
  const records = Array.from({ length: to - from }, (_, at) => ({
    key: null,
    value: Buffer.from(JSON.stringify({ n: from + at })),
    partition: (from + at) % 3,
  }));
  await lake.produce('events', records);
}

const asOfMs = ({ stats }: Answer): number => stats['as_of_ms']!;

/** A time of which the answer is all that was produced so far. */
async function present(lake: Lake, count: number): Promise<number> {
  return eventually('a time after what was appended', async () => {
    const answer = await lake.ask(sql, { as_of: Date.now() });
    return Number(answer.rows[0]?.[0]) === count ? asOfMs(answer) : undefined;
  });
}

it('answers the same in every state of the service', async () => {
  const dataDir = join(folder.path, 'data');
  const bucketUrl = pathToFileURL(join(folder.path, 'bucket')).href;
  const set = { 'bucket.url': bucketUrl };
  let first: number;
  let second: number;
  let token: string;
  const holds = async (lake: Lake): Promise<void> => {
    for (const [atMs, count] of [
      [first, 10],
      [second, 25],
    ] as const) {
      const iso = new Date(atMs).toISOString();
      for (const as_of of [atMs, iso]) {
        const answer = await lake.ask(sql, { as_of });
        expect([Number(answer.rows[0]?.[0]), Number(answer.rows[0]?.[1])]).toEqual([count, count - 1]);
        expect(asOfMs(answer)).toBeLessThanOrEqual(atMs);
      }
    }
    expect((await lake.ask('SELECT n FROM events ORDER BY n', { as_of: token })).rows.map(Number)).toEqual([...Array(10).keys()]);
    await expect(lake.ask(sql, { as_of: '2001-01-01' })).rejects.toMatchObject({ problem: { code: 'as-of-unknown' } });
    await expect(lake.ask(sql, { as_of: '2999-01-01' })).rejects.toMatchObject({ problem: { code: 'as-of-future' } });
  };
  {
    await using lake = await Lake.start({ dataDir, set });
    await lake.createTopic('events', 3);
    await produce(lake, 0, 10);
    // What a commit brings into the table, the table knows as of the commit.
    await lake.flush('events');
    first = await present(lake, 10);
    token = (await lake.ask(sql, { as_of: first })).snapshot;
    await produce(lake, 10, 25);
    await lake.flush('events');
    second = await present(lake, 25);
    await produce(lake, 25, 40);
    await holds(lake);
    await lake.cool('events');
    await holds(lake);
    lake.service.kill('SIGKILL');
    await lake.service.ended;
  }
  {
    await using lake = await Lake.start({ dataDir, set });
    await holds(lake);
  }
  const bucket = await runCommand(['sql', sql, '--bucket', bucketUrl, '--as-of', String(second), '--format', 'csv']);
  expect(bucket).toMatchObject({ code: 0, stdout: 'n,last\r\n25,24\r\n' });
  const recovered = join(folder.path, 'recovered');
  expect(await runCommand(['recover', '--bucket', bucketUrl, '--data-dir', recovered])).toMatchObject({ code: 0 });
  await using lake = await Lake.start({ dataDir: recovered, set });
  await holds(lake);
});
