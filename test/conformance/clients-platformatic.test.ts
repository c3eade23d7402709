// @platformatic/kafka, unmodified, against the broker: the newest versions of every API.
import {
  Admin,
  Consumer,
  ListOffsetTimestamps,
  type MessagesStream,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka';
import { afterEach, describe, expect, it } from 'vitest';
import { temporaryFolder, testBroker } from '../unit/broker/broker-fixture.js';

const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

interface Served {
  readonly bootstrapBrokers: string[];
  readonly clientId: string;
  readonly close: () => Promise<void>;
}

async function serve(dataDir?: string): Promise<Served> {
  const broker = await testBroker(dataDir === undefined ? {} : { dataDir });
  const { host, port } = broker.kafkaAddress;
  return { bootstrapBrokers: [`${host}:${port}`], clientId: 'platformatic', close: () => broker.close() };
}

function adminOf({ bootstrapBrokers, clientId }: Served): Admin {
  const admin = new Admin({ bootstrapBrokers, clientId });
  ending.push(() => admin.close());
  return admin;
}

function producerOf({ bootstrapBrokers, clientId }: Served): Producer<string, string, string, string> {
  const producer = new Producer({ bootstrapBrokers, clientId, serializers: stringSerializers, autocreateTopics: true, idempotent: true });
  ending.push(() => producer.close());
  return producer;
}

type StringStream = MessagesStream<string, string, string, string>;

interface Member {
  readonly consumer: Consumer<string, string, string, string>;
  readonly stream: StringStream;
  readonly seen: { partition: number; offset: bigint; key: string | undefined; value: string | undefined; headers: [string, string][] }[];
  stop(): Promise<void>;
}

async function consume({ bootstrapBrokers, clientId }: Served, mode: 'earliest' | 'committed' = 'earliest'): Promise<Member> {
  const consumer = new Consumer({ bootstrapBrokers, clientId, groupId: 'g', deserializers: stringDeserializers });
  const stream = (await consumer.consume({
    topics: ['t'],
    mode,
    fallbackMode: 'earliest',
    autocommit: true,
    maxWaitTime: 100,
    sessionTimeout: 10_000,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 200,
  })) as StringStream;
  const seen: Member['seen'] = [];
  stream.on(
    'data',
    ({ partition, offset, key, value, headers }) => void seen.push({ partition, offset, key, value, headers: [...headers] }),
  );
  stream.on('error', () => undefined);
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await stream.close();
    await new Promise<void>((resolve) => {
      consumer.close(true, () => resolve());
    });
  };
  ending.push(stop);
  return { consumer, stream, seen, stop };
}

const codecs = ['none', 'gzip', 'snappy', 'lz4'] as const;

describe('@platformatic/kafka', () => {
  it('creates and deletes topics', async () => {
    const admin = adminOf(await serve());
    const [created] = await admin.createTopics({ topics: ['t'], partitions: 3, replicas: 1 });
    expect(created).toMatchObject({ name: 't', partitions: 3, replicas: 1 });
    expect(await admin.listTopics()).toContain('t');
    await admin.deleteTopics({ topics: ['t'] });
    expect(await admin.listTopics()).not.toContain('t');
  });

  it.each(codecs)('produces and consumes with codec %s, with headers, empty keys and tombstones', async (compression) => {
    const served = await serve();
    const producer = producerOf(served);
    await producer.send({
      compression,
      messages: [
        { topic: 't', key: 'k', value: 'v'.repeat(300), headers: { h: 'x' } },
        { topic: 't', value: 'no key' },
        { topic: 't', key: '', value: '' },
        { topic: 't', key: 'tombstone' },
      ],
    });
    const { seen } = await consume(served);
    await expect.poll(() => seen.length, { timeout: 15_000 }).toBe(4);
    expect(seen.map(({ offset }) => offset)).toEqual([0n, 1n, 2n, 3n]);
    expect(seen[0]).toMatchObject({ key: 'k', value: 'v'.repeat(300), headers: [['h', 'x']] });
    expect(seen.slice(1).map(({ key, value }) => [key ?? '', value ?? ''])).toEqual([
      ['', 'no key'],
      ['', ''],
      ['tombstone', ''],
    ]);
  });

  it('lists offsets for times', async () => {
    const served = await serve();
    const timestamps = [1000n, 2000n, 3000n];
    await producerOf(served).send({ messages: timestamps.map((timestamp) => ({ topic: 't', value: 'x', timestamp })) });
    const { consumer } = await consume(served);
    const list = async (timestamp: bigint): Promise<bigint | undefined> =>
      (await consumer.listOffsets({ topics: ['t'], timestamp })).get('t')?.[0];
    expect([await list(1n), await list(1500n), await list(3000n)]).toEqual([0n, 1n, 2n]);
    expect(await list(ListOffsetTimestamps.LATEST)).toBe(3n);
  });

  it('shares a topic among three members, and rebalances when one leaves', async () => {
    const served = await serve();
    await adminOf(served).createTopics({ topics: ['t'], partitions: 6, replicas: 1 });
    const members = [await consume(served), await consume(served), await consume(served)];
    const assigned = (): number[] =>
      members.map(({ consumer }) => consumer.assignments?.find(({ topic }) => topic === 't')?.partitions.length ?? 0);
    await expect.poll(assigned, { timeout: 30_000 }).toEqual([2, 2, 2]);
    await members.pop()!.stop();
    await expect.poll(assigned, { timeout: 30_000 }).toEqual([3, 3]);
    await producerOf(served).send({ messages: Array.from({ length: 60 }, (_, i) => ({ topic: 't', value: String(i), partition: i % 6 })) });
    const values = (): (string | undefined)[] => members.flatMap(({ seen }) => seen.map(({ value }) => value));
    await expect.poll(() => new Set(values()).size, { timeout: 15_000 }).toBe(60);
  });

  it('goes on from committed offsets after the broker was restarted', async () => {
    const dataDir = await temporaryFolder();
    const first = await serve(dataDir);
    const producer = producerOf(first);
    await producer.send({
      messages: [
        { topic: 't', value: 'a' },
        { topic: 't', value: 'b' },
      ],
    });
    await producer.close();
    const before = await consume(first, 'committed');
    await expect.poll(() => before.seen.length, { timeout: 15_000 }).toBe(2);
    await before.stop();
    await first.close();
    const second = await serve(dataDir);
    await producerOf(second).send({ messages: [{ topic: 't', value: 'c' }] });
    const after = await consume(second, 'committed');
    await expect.poll(() => after.seen.map(({ value }) => value), { timeout: 15_000 }).toEqual(['c']);
  });
});
