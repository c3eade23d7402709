// Pages of the records route: together they are one answer, whatever happens to the log between them.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lake } from '../support/lake.js';

let lake: Lake;
beforeAll(async () => {
  lake = await Lake.start({ set: { 'log.level': 'warn' } });
  await lake.createTopic('events', 3);
});
afterAll(() => lake[Symbol.asyncDispose]());

/** Times come twice and out of order, over all partitions. */
async function produce(from: number, count: number): Promise<void> {
  await lake.produce(
    'events',
    Array.from({ length: count }, (_, i) => ({
      key: null,
      value: Buffer.from(String(from + i)),
      partition: (i * 7) % 3,
      timestampMs: 1_000_000_000_000 + ((i * 37) % 20) * 1000,
    })),
  );
}

async function lines(query: string): Promise<string[]> {
  const text = await (await lake.http(`/v1/topics/events/records?${query}`)).text();
  return text.split('\n').filter((line) => line !== '');
}

interface End {
  readonly records: number;
  readonly next?: string;
  readonly snapshot: string;
}

describe('pages of records', () => {
  it.each(['', 'order=time', 'partition=1', 'order=time&from=2001-09-09T01:46:43Z&to=2001-09-09T01:46:55Z', 'offset=5'])(
    'are one answer while the log grows and cools: %s',
    async (query) => {
      await produce(0, 60);
      await lake.flush('events');
      await produce(60, 45);
      const whole = await lines(query);
      const pages: string[] = [];
      let asked = `${query}&page=true&limit=7`;
      let snapshot: string | undefined;
      for (let page = 0; page < 200; page++) {
        const read = await lines(asked);
        const { _end: end } = JSON.parse(read.pop()!) as { _end: End };
        expect(end.records).toBe(read.length);
        snapshot ??= end.snapshot;
        expect(end.snapshot).toBe(snapshot);
        pages.push(...read);
        if (end.next === undefined) break;
        asked = `cursor=${end.next}`;
        // Between the pages records come, and what was hot becomes cold.
        if (page === 1) await produce(1000, 20);
        if (page === 2) await lake.cool('events');
      }
      expect(pages).toEqual(whole);
    },
  );

  it('refuses a cursor that is damaged, of another topic, or that is to be changed', async () => {
    const page = await lines('page=true&limit=1');
    const { _end: end } = JSON.parse(page.at(-1)!) as { _end: End };
    const code = async (path: string): Promise<string> => {
      try {
        await lake.http(path);
        return 'answered';
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(await code('/v1/topics/events/records?cursor=nonsense')).toMatch(/request-invalid/);
    expect(await code(`/v1/topics/other/records?cursor=${end.next}`)).toMatch(/of topic events/);
    expect(await code(`/v1/topics/events/records?cursor=${end.next}&from=2001-01-01`)).toMatch(/from cannot be changed/);
    expect(await code('/v1/topics/events/records?page=true&limit=0')).toMatch(/never ends/);
    expect(await lines(`cursor=${end.next}&limit=3`)).toHaveLength(4);
  });
});
