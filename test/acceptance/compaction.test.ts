// A compacted topic in a running service: an unmodified client writes and reads it, SQL counts what is there, and a kill changes nothing.
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, expect, it } from 'vitest';
import { Lake } from '../support/lake.js';
import { temporaryFolder } from '../support/service.js';

const set = {
  'log.level': 'info',
  'log.cleaner.backoff.ms': '50',
  'log.retention.check.interval.ms': '50',
  'offsets.topic.num.partitions': '1',
};
const configs = {
  'cleanup.policy': 'compact',
  'segment.ms': '100',
  'min.cleanable.dirty.ratio': '0.01',
  'delete.retention.ms': '86400000',
};
const keys = 20;
const rounds = 15;

const ending: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const end of ending.reverse()) await end();
});

function client(lake: Lake): Kafka {
  return new Kafka({ brokers: [lake.service.kafka], clientId: 'js', logLevel: logLevel.NOTHING });
}

/** What a consumer that begins at the beginning sees, until it has seen `until`. */
async function consumed(kafka: Kafka, groupId: string, until: number): Promise<Map<string, string | null>> {
  const consumer = kafka.consumer({ groupId });
  await consumer.connect();
  const seen = new Map<string, string | null>();
  try {
    await consumer.subscribe({ topics: ['planes'], fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      consumer
        .run({
          eachMessage: async ({ message }) => {
            seen.set(`${message.offset}:${String(message.key)}`, message.value === null ? null : message.value.toString());
            if (Number(message.offset) >= until) resolve();
          },
        })
        .catch(reject);
    });
  } finally {
    await consumer.disconnect();
  }
  return seen;
}

const countOf = async (lake: Lake): Promise<number> => Number((await lake.sql('SELECT count(*) FROM planes'))[0]![0]);

it('keeps the last of each key for clients and SQL, over a kill', { timeout: 120_000 }, async () => {
  const folder = await temporaryFolder();
  ending.push(() => folder.remove());
  const dataDir = join(folder.path, 'data');
  let lake = await Lake.start({ dataDir, set });
  ending.push(() => lake[Symbol.asyncDispose]());
  const kafka = client(lake);
  const admin = kafka.admin();
  await admin.connect();
  const wanted = { topic: 'planes', numPartitions: 1, configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })) };
  const tiered = { ...wanted, configEntries: [...wanted.configEntries, { name: 'remote.storage.enable', value: 'true' }] };
  await expect(admin.createTopics({ topics: [tiered] })).rejects.toMatchObject({ errors: [{ type: 'INVALID_CONFIG' }] });
  await admin.createTopics({ topics: [wanted] });
  await admin.disconnect();

  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  await expect(producer.send({ topic: 'planes', messages: [{ value: 'no key' }] })).rejects.toMatchObject({ type: 'INVALID_RECORD' });
  for (let round = 0; round < rounds; round++) {
    const messages = Array.from({ length: keys }, (_none, i) => ({ key: `k${i}`, value: `{"round":${round},"plane":${i}}` }));
    await producer.send({ topic: 'planes', messages });
    if (round === 0) expect(await countOf(lake)).toBe(keys);
  }
  await producer.send({ topic: 'planes', messages: [{ key: 'k0', value: null }] });
  await producer.disconnect();

  // All of it is older than segment.ms soon, and rolled.
  await expect.poll(() => countOf(lake), { timeout: 30_000, interval: 100 }).toBe(keys);
  const lasts = new Map<string, string | null>();
  for (let i = 1; i < keys; i++) lasts.set(`${(rounds - 1) * keys + i}:k${i}`, `{"round":${rounds - 1},"plane":${i}}`);
  lasts.set(`${rounds * keys}:k0`, null);
  expect(await consumed(kafka, 'first', rounds * keys)).toEqual(lasts);
  const rows = await lake.sql('SELECT min(_offset), max(_offset), sum(plane), count(DISTINCT round) FROM planes');
  expect(rows[0]!.map(Number)).toEqual([(rounds - 1) * keys + 1, rounds * keys, (keys * (keys - 1)) / 2, 1]);
  expect((await lake.sql('SELECT count(*) FROM planes WHERE _offset >= 310'))[0]!.map(Number)).toEqual([0]);
  expect((await lake.sql('SELECT count(*) FROM latest(planes)'))[0]!.map(Number)).toEqual([keys - 1]);

  lake.service.kill('SIGKILL');
  await lake.service.ended;
  lake = await Lake.start({ dataDir, set });
  expect(await countOf(lake)).toBe(keys);
  expect(await consumed(client(lake), 'second', rounds * keys)).toEqual(lasts);
});
