// kafkajs, unmodified, against the broker.
import { CompressionCodecs, CompressionTypes, ConfigResourceTypes, type Consumer, Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MiB } from '../../src/kernel/index.js';
import { type CompressionCodec, compress, decompress } from '../../src/wire/index.js';
import { temporaryFolder, testBroker } from '../unit/broker/broker-fixture.js';

const codecs = [
  ['none', CompressionTypes.None],
  ['gzip', CompressionTypes.GZIP],
  ['snappy', CompressionTypes.Snappy],
  ['lz4', CompressionTypes.LZ4],
  ['zstd', CompressionTypes.ZSTD],
] as const;

beforeAll(() => {
  // kafkajs brings gzip only; the others are plugged in from outside, as its users do.
  for (const [name, type] of codecs.slice(2)) {
    (CompressionCodecs as Record<number, unknown>)[type] = () => ({
      compress: async (encoder: { buffer: Buffer }) => compress(name as CompressionCodec, encoder.buffer),
      decompress: async (bytes: Buffer) => decompress(name as CompressionCodec, bytes, 64 * MiB),
    });
  }
});

const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(ending.splice(0).map((end) => end()));
});

async function serve(dataDir?: string): Promise<{ kafka: Kafka; close: () => Promise<void> }> {
  const broker = await testBroker(dataDir === undefined ? {} : { dataDir });
  const { host, port } = broker.kafkaAddress;
  return { kafka: new Kafka({ brokers: [`${host}:${port}`], clientId: 'js', logLevel: logLevel.NOTHING }), close: () => broker.close() };
}

async function withAdmin<T>(kafka: Kafka, work: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

interface Seen {
  readonly partition: number;
  readonly offset: string;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** A running consumer and what it has seen. */
async function consume(kafka: Kafka, groupId: string, topic: string): Promise<{ consumer: Consumer; seen: Seen[]; joins: string[][] }> {
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 10_000,
    heartbeatInterval: 200,
    rebalanceTimeout: 10_000,
    maxWaitTimeInMs: 200,
  });
  ending.push(() => consumer.disconnect());
  const seen: Seen[] = [];
  const joins: string[][] = [];
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => void joins.push((payload.memberAssignment[topic] ?? []).map(String)));
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ partition, message }) => {
      const headers = Object.fromEntries(Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]));
      const { offset, key, value } = message;
      seen.push({ partition, offset, key: key === null ? null : key.toString(), value: value === null ? null : value.toString(), headers });
    },
  });
  return { consumer, seen, joins };
}

async function produce(
  kafka: Kafka,
  topic: string,
  messages: { key?: string | null; value: string | null; headers?: Record<string, string>; partition?: number; timestamp?: string }[],
  compression: CompressionTypes = CompressionTypes.None,
): Promise<void> {
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  await producer.send({ topic, compression, messages });
  await producer.disconnect();
}

describe('kafkajs', () => {
  it('creates, describes, lists and deletes topics', async () => {
    const { kafka } = await serve();
    await withAdmin(kafka, async (admin) => {
      expect(
        await admin.createTopics({ topics: [{ topic: 'a', numPartitions: 3, configEntries: [{ name: 'segment.ms', value: '9999' }] }] }),
      ).toBe(true);
      expect(await admin.listTopics()).toContain('a');
      expect((await admin.fetchTopicMetadata({ topics: ['a'] })).topics[0]!.partitions).toHaveLength(3);
      const { resources } = await admin.describeConfigs({
        resources: [{ type: ConfigResourceTypes.TOPIC, name: 'a' }],
        includeSynonyms: true,
      });
      expect(resources[0]!.configEntries.find(({ configName }) => configName === 'segment.ms')?.configValue).toBe('9999');
      await expect(admin.createTopics({ topics: [{ topic: 'A' }] })).rejects.toThrow();
      await admin.deleteTopics({ topics: ['a'] });
      expect(await admin.listTopics()).not.toContain('a');
    });
  });

  it('deletes records, and a consumer below the log start goes on at it', async () => {
    const { kafka } = await serve();
    await produce(
      kafka,
      't',
      Array.from({ length: 10 }, (_none, i) => ({ value: String(i) })),
    );
    await withAdmin(kafka, async (admin) => {
      expect(await admin.fetchTopicOffsets('t')).toEqual([{ partition: 0, offset: '10', high: '10', low: '0' }]);
      await admin.deleteTopicRecords({ topic: 't', partitions: [{ partition: 0, offset: '6' }] });
      expect(await admin.fetchTopicOffsets('t')).toEqual([{ partition: 0, offset: '10', high: '10', low: '6' }]);
      const { consumer, seen } = await consume(kafka, 'g', 't');
      await expect.poll(() => seen.map(({ value }) => value), { timeout: 15_000 }).toEqual(['6', '7', '8', '9']);
      consumer.seek({ topic: 't', partition: 0, offset: '2' });
      await expect.poll(() => seen.slice(4).map(({ value }) => value), { timeout: 15_000 }).toEqual(['6', '7', '8', '9']);
      await expect(admin.deleteTopicRecords({ topic: 't', partitions: [{ partition: 0, offset: '11' }] })).rejects.toThrow();
      await admin.deleteTopicRecords({ topic: 't', partitions: [{ partition: 0, offset: '-1' }] });
      expect(await admin.fetchTopicOffsets('t')).toEqual([{ partition: 0, offset: '10', high: '10', low: '10' }]);
    });
  });

  it.each(codecs)('produces and consumes %s batches with headers, null and empty keys and values', async (_, type) => {
    const { kafka } = await serve();
    const messages = [
      { key: 'k', value: 'v'.repeat(300), headers: { h: 'x', empty: '' } },
      { key: '', value: '' },
      { key: null, value: 'no key' },
      { key: 'tombstone', value: null },
    ];
    await produce(kafka, 't', messages, type);
    const { seen } = await consume(kafka, 'g', 't');
    await expect.poll(() => seen.length, { timeout: 15_000 }).toBe(4);
    expect(seen.map(({ offset, key, value, headers }) => ({ offset, key, value, headers }))).toEqual([
      { offset: '0', key: 'k', value: 'v'.repeat(300), headers: { h: 'x', empty: '' } },
      { offset: '1', key: '', value: '', headers: {} },
      { offset: '2', key: null, value: 'no key', headers: {} },
      { offset: '3', key: 'tombstone', value: null, headers: {} },
    ]);
  });

  it('finds offsets for times', async () => {
    const { kafka } = await serve();
    await produce(
      kafka,
      't',
      [1000, 2000, 3000].map((ms) => ({ value: 'x', timestamp: String(ms) })),
    );
    await withAdmin(kafka, async (admin) => {
      const at = async (ms: number): Promise<string> => (await admin.fetchTopicOffsetsByTimestamp('t', ms))[0]!.offset;
      expect([await at(1), await at(2000), await at(2001)]).toEqual(['0', '1', '2']);
      expect((await admin.fetchTopicOffsets('t'))[0]).toMatchObject({ low: '0', high: '3' });
    });
  });

  it('shares a topic among three members, and rebalances when one leaves', async () => {
    const { kafka } = await serve();
    await withAdmin(kafka, (admin) => admin.createTopics({ topics: [{ topic: 't', numPartitions: 6 }] }));
    const members = [await consume(kafka, 'g', 't'), await consume(kafka, 'g', 't'), await consume(kafka, 'g', 't')];
    const assigned = (): number[] => members.map(({ joins }) => joins.at(-1)?.length ?? 0);
    await expect.poll(assigned, { timeout: 30_000 }).toEqual([2, 2, 2]);
    await members[1]!.consumer.disconnect();
    members.splice(1, 1);
    await expect.poll(assigned, { timeout: 30_000 }).toEqual([3, 3]);
    const messages = Array.from({ length: 60 }, (_, i) => ({ value: String(i), partition: i % 6 }));
    await produce(kafka, 't', messages);
    const values = (): string[] => members.flatMap(({ seen }) => seen.map(({ value }) => value!)).sort();
    await expect.poll(() => values().length, { timeout: 15_000 }).toBe(60);
    expect(new Set(values()).size).toBe(60);
  });

  it('goes on from committed offsets after the broker was restarted', async () => {
    const dataDir = await temporaryFolder();
    const first = await serve(dataDir);
    await produce(first.kafka, 't', [{ value: 'a' }, { value: 'b' }]);
    const before = await consume(first.kafka, 'g', 't');
    await expect.poll(() => before.seen.length, { timeout: 15_000 }).toBe(2);
    await before.consumer.disconnect();
    await first.close();
    const second = await serve(dataDir);
    await produce(second.kafka, 't', [{ value: 'c' }]);
    const after = await consume(second.kafka, 'g', 't');
    await expect.poll(() => after.seen.map(({ value }) => value), { timeout: 15_000 }).toEqual(['c']);
  });
});
