// message.timestamp.type=LogAppendTime over both tiers: one time for Kafka, SQL and searches by time, whatever producers say.
import { describe, expect, it } from 'vitest';
import { alterTopic } from '../../src/client/index.js';
import { batchLastOffset, batchPositions, timestampType } from '../../src/wire/index.js';
import { Lake } from '../support/lake.js';
import { runCommand } from '../support/service.js';

const topic = 'stamped';
const type = 'message.timestamp.type';

/** What is served of a partition: each record's offset, type of time and time. */
async function served(lake: Lake): Promise<{ readonly types: readonly string[]; readonly times: readonly (readonly [number, number])[] }> {
  const { id } = await lake.topic(topic);
  const types: string[] = [];
  const [[, end]] = (await lake.ends(topic)) as [[number, number]];
  for (let next = 0; next < end; ) {
    const [answer] = await lake.reader.fetch([{ topicId: id, partition: 0, offset: next, maxBytes: 1 << 20 }], {
      isolation: 'committed',
      maxWaitMs: 500,
      minBytes: 1,
      maxBytes: 1 << 20,
    });
    const records = answer!.records ?? Buffer.alloc(0);
    for (const at of batchPositions(records)) {
      const last = batchLastOffset(records, at);
      for (; next <= last; next++) types.push(timestampType(records, at));
    }
  }
  const records = await lake.consume(topic);
  return { types, times: records.map(({ offset, timestampMs }) => [offset, timestampMs]) };
}

const values = (from: number, count: number, timestampMs: number) =>
  Array.from({ length: count }, (_, i) => ({ partition: 0, timestampMs, key: null, value: Buffer.from(JSON.stringify({ n: from + i })) }));

describe('log append time', () => {
  it('is the time of records for consumers, SQL and searches, hot and cold, and changes with the configuration', async () => {
    await using lake = await Lake.start();
    await lake.createTopic(topic, 1, { [type]: 'LogAppendTime' });
    const beganMs = Date.now();
    for (const [round, compression] of (['none', 'gzip', 'zstd'] as const).entries()) {
      // Some lie in the year 2603, some in 1970: neither matters.
      await lake.produce(topic, values(round * 20, 20, round === 1 ? 20_000_000_000_000 : 5), { compression });
    }
    const endedMs = Date.now();
    await alterTopic(lake.client, topic, { [type]: 'CreateTime' });
    await lake.produce(topic, values(60, 5, 1_700_000_000_000));
    await alterTopic(lake.client, topic, { [type]: 'LogAppendTime' });
    await lake.produce(topic, values(65, 5, 7));

    const hot = await served(lake);
    expect(hot.types.map((one) => one === 'log-append')).toEqual(Array.from({ length: 70 }, (_, i) => i < 60 || i >= 65));
    for (const [offset, timestampMs] of hot.times) {
      if (offset >= 60 && offset < 65) expect(timestampMs).toBe(1_700_000_000_000);
      else expect(timestampMs).toBeGreaterThanOrEqual(beganMs);
      if (offset < 60) expect(timestampMs).toBeLessThanOrEqual(endedMs);
    }

    const rows = `SELECT _offset::INT, epoch_ms(_timestamp)::BIGINT FROM "${topic}" ORDER BY 1`;
    const expectedRows = hot.times.map((pair) => [...pair]);
    const asNumbers = (found: readonly (readonly unknown[])[]): number[][] => found.map((row) => row.map(Number));
    const timeOf20 = hot.times[20]![1];
    const since = `SELECT min(_offset)::INT FROM "${topic}" WHERE _timestamp >= make_timestamptz(${timeOf20} * 1000)`;
    const firstSince = hot.times.find(([, timestampMs]) => timestampMs >= timeOf20)![0];
    const search = async (timestampMs: number): Promise<number> =>
      (await lake.reader.listOffsets((await lake.topic(topic)).name, [{ partition: 0, timestampMs }]))[0]!.offset;
    const largest = Math.max(...hot.times.map(([, timestampMs]) => timestampMs));
    const firstLargest = hot.times.find(([, timestampMs]) => timestampMs === largest)![0];

    for (const tier of ['hot', 'cold'] as const) {
      if (tier === 'cold') await lake.cool(topic);
      expect((await lake.tiers(topic))[tier], tier).toEqual([0, 70]);
      expect(await served(lake), tier).toEqual(hot);
      expect(asNumbers(await lake.sql(rows)), tier).toEqual(expectedRows);
      expect(asNumbers(await lake.sql(since)), tier).toEqual([[firstSince]]);
      expect(await search(timeOf20), tier).toBe(firstSince);
      expect(await search(-3), tier).toBe(firstLargest);
      expect(await search(largest + 1), tier).toBe(-1);
    }
    // Its digests were computed from the batches, by other code, and hold.
    const scrub = await runCommand(['tier', 'scrub', topic], { environment: { THERMOCLINE_SERVER: lake.service.http } });
    expect([scrub.code, scrub.stderr]).toEqual([0, expect.stringContaining('0 damaged')]);
  });
});
