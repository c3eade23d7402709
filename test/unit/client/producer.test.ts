import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openProducer, partitionOfKey, type Producer, type ProducerOptions } from '../../../src/client/index.js';
import {
  batchBaseSequence,
  batchProducerId,
  batchRecordsCount,
  decodeBatch,
  encodeBatch,
  initProducerIdApi,
  isBatchCrcValid,
  metadataApi,
  produceApi,
} from '../../../src/wire/index.js';
import { ScriptedBroker } from '../../support/scripted-broker.js';

/** A log that checks sequences as Kafka's brokers do. */
class Partition {
  records: string[] = [];
  nextSequence = 0;
  appended: { sequence: number; baseOffset: number }[] = [];

  append(batch: Buffer): { errorCode: number; baseOffset: number } {
    if (!isBatchCrcValid(batch, 0)) return { errorCode: 2, baseOffset: -1 };
    const sequence = batchBaseSequence(batch, 0);
    if (sequence >= 0) {
      const known = this.appended.find((one) => one.sequence === sequence);
      if (known !== undefined) return { errorCode: 0, baseOffset: known.baseOffset };
      // Of a producer it does not know, a broker takes any sequence.
      if (this.appended.length > 0 && sequence !== this.nextSequence) return { errorCode: 45, baseOffset: -1 };
      this.nextSequence = sequence + batchRecordsCount(batch, 0);
    }
    const baseOffset = this.records.length;
    this.appended.push({ sequence, baseOffset });
    this.records.push(...decodeBatch(batch).map((record) => String(record.value)));
    return { errorCode: 0, baseOffset };
  }
}

let broker: ScriptedBroker;
let log: Partition[];
const producers: Producer[] = [];
/** What happens to the nth batch of a produce request, before (`code`) or after (`lose`) it is appended. */
let fault: (count: number, batch: Buffer) => { code: number } | 'lose' | 'hold' | undefined = () => undefined;
let release: () => void = () => {};
let count = 0;
let requestsUnderWay = 0;
let requestsUnderWayMax = 0;

function open(options: Partial<ProducerOptions> = {}): Producer {
  const producer = openProducer({ bootstrap: broker.bootstrap, clientId: 'test', ...options });
  producers.push(producer);
  return producer;
}

/** The last failure, or the deadline itself, whichever comes to it. */
const atDeadline = expect.stringMatching(/^(peer-gone|log-offline|timeout)$/) as string;

const bytes = (text: string): Buffer => Buffer.from(text);

beforeEach(async () => {
  broker = new ScriptedBroker();
  await broker.listen();
  log = [new Partition(), new Partition(), new Partition()];
  fault = () => undefined;
  count = 0;
  requestsUnderWay = 0;
  requestsUnderWayMax = 0;
  broker.on(metadataApi, ({ body }) => ({
    brokers: [{ nodeId: 1, host: 'h', port: 1 }],
    topics: (body.topics ?? []).map(({ name }) => ({
      errorCode: name === 'missing' ? 3 : 0,
      name,
      partitions: log.map((_, partitionIndex) => ({ errorCode: 0, partitionIndex, leaderId: 1, replicaNodes: [1], isrNodes: [1] })),
    })),
  }));
  broker.on(initProducerIdApi, () => ({ errorCode: 0, producerId: 77n, producerEpoch: 0 }));
  const held = new Promise<void>((resolve) => (release = resolve));
  broker.on(produceApi, async ({ body, socket }) => {
    requestsUnderWay++;
    requestsUnderWayMax = Math.max(requestsUnderWayMax, requestsUnderWay);
    const responses = [];
    for (const topic of body.topicData) {
      const partitionResponses = [];
      for (const { index, records } of topic.partitionData) {
        const batch = records ?? Buffer.alloc(0);
        const what = fault(count++, batch);
        if (what === 'hold') await held;
        const answer = typeof what === 'object' ? { errorCode: what.code, baseOffset: -1 } : (log[index] as Partition).append(batch);
        if (what === 'lose') socket.destroy();
        partitionResponses.push({ index, ...answer });
      }
      responses.push({ name: topic.name, partitionResponses });
    }
    requestsUnderWay--;
    return body.acks === 0 ? undefined : { responses };
  });
});
afterEach(async () => {
  release();
  for (const producer of producers.splice(0)) await producer.close().catch(() => {});
  await broker.close();
});

describe('the producer', () => {
  it('delivers records to the partition of their key and says where they lie', async () => {
    const producer = open();
    const keys = ['a', 'b', 'c', 'd', 'e'].map(bytes);
    const deliveries = await Promise.all(keys.map((key) => producer.send('t', { key, value: key, headers: [{ key: 'h', value: null }] })));
    expect(deliveries.map(({ partition }) => partition)).toEqual(keys.map((key) => partitionOfKey(key, 3)));
    for (const [index, { partition, offset }] of deliveries.entries()) expect(log[partition]?.records[offset]).toBe(String(keys[index]));
    await expect(producer.send('t', { key: null, value: null, partition: 3 })).rejects.toMatchObject({ code: 'partition-unknown' });
    await expect(open({ createTopics: false }).send('missing', { key: null, value: null })).rejects.toMatchObject({
      code: 'topic-unknown',
    });
  });

  it('keeps a partition’s order over many batches and several requests', async () => {
    const producer = open({ batchBytes: 1_000, compression: 'lz4' });
    const topic = await producer.topic('t');
    for (let i = 0; i < 3_000; i++) {
      const wait = topic.append(i % 3, 1_000 + i, null, bytes(`v${i}`));
      if (wait !== undefined) await wait;
    }
    await producer.flush();
    for (const partition of [0, 1, 2]) {
      expect(log[partition]?.records).toEqual(Array.from({ length: 1_000 }, (_, i) => `v${i * 3 + partition}`));
      expect(log[partition]?.appended.length).toBeGreaterThan(10);
    }
  });

  it('lets no batch of a partition overtake its first one, which a partition without a leader yet refuses', async () => {
    fault = (nth) => (nth === 0 ? { code: 6 } : undefined);
    const producer = open();
    const topic = await producer.topic('t');
    const batches = ['a', 'b', 'c', 'd'].map((value) => encodeBatch({ records: [{ timestampMs: 1, key: null, value: bytes(value) }] }));
    for (const batch of batches) void topic.appendBatch(0, batch);
    await producer.flush();
    expect(log[0]?.records).toEqual(['a', 'b', 'c', 'd']);
  });

  it('makes whoever appends wait when enough is buffered', async () => {
    fault = () => 'hold';
    const producer = open({ batchBytes: 1_000, bufferBytes: 10_000 });
    const topic = await producer.topic('t');
    const value = Buffer.alloc(100);
    let appended = 0;
    let wait: Promise<void> | undefined;
    for (; wait === undefined; appended++) wait = topic.append(0, 1, null, value);
    expect(appended).toBeGreaterThan(60);
    expect(appended).toBeLessThan(100);
    expect(() => {
      for (;;) void topic.append(0, 1, null, value);
    }).toThrow(expect.objectContaining({ code: 'overloaded' }) as Error);
    release();
    await wait;
    await producer.flush();
  });

  it('appends each record once and in order, whatever is lost or fails on the way', async () => {
    fault = (n) => (n % 7 === 3 ? 'lose' : n % 5 === 2 ? { code: 56 } : undefined);
    const producer = open({ batchBytes: 500 });
    const topic = await producer.topic('t');
    for (let i = 0; i < 300; i++) await topic.append(0, 1, null, bytes(`value-${i}`));
    await producer.flush();
    expect(log[0]?.records).toEqual(Array.from({ length: 300 }, (_, i) => `value-${i}`));
  });

  it('goes on after a batch that is refused for good, without a gap', async () => {
    fault = (n) => (n === 1 ? { code: 10 } : undefined);
    const producer = open({ batchBytes: 1 });
    const outcomes = await Promise.allSettled(
      ['a', 'b', 'c', 'd'].map((v) => producer.send('t', { key: null, value: bytes(v), partition: 0 })),
    );
    expect(outcomes.map((o) => o.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'record-invalid', facts: { kafkaError: 10 } } });
    expect(log[0]?.records).toEqual(['a', 'c', 'd']);
    await producer.flush();
  });

  it('tells of a failure that nobody waited for at the next append and at flush', async () => {
    fault = () => ({ code: 10 });
    const producer = open({ batchBytes: 1 });
    const topic = await producer.topic('t');
    void topic.append(0, 1, null, bytes('x'));
    await expect(producer.flush()).rejects.toMatchObject({ code: 'record-invalid' });
    await producer.flush();
    void topic.append(0, 1, null, bytes('y'));
    let told: unknown;
    while (told === undefined) {
      await new Promise(setImmediate);
      try {
        void topic.append(0, 1, null, bytes('z'));
      } catch (error) {
        told = error;
      }
    }
    expect(told).toMatchObject({ code: 'record-invalid' });
  });

  it('gives up at the deadline, and does not go on where it cannot know what was appended', async () => {
    fault = () => 'lose';
    const producer = open({ deliveryTimeoutMs: 150 });
    await expect(producer.send('t', { key: null, value: bytes('x'), partition: 0 })).rejects.toMatchObject({ code: atDeadline });
    await expect(producer.send('t', { key: null, value: bytes('y'), partition: 0 })).rejects.toMatchObject({
      code: 'peer-gone',
      hint: 'Open a new producer.',
    });
  });

  it('reuses no sequence of a batch that the broker could not put on disk: it may come back with the log', async () => {
    const producer = open({ deliveryTimeoutMs: 300 });
    await producer.send('t', { key: null, value: bytes('first'), partition: 0 });
    let isFailing = true;
    // A broker whose flush fails after the append answers KAFKA_STORAGE_ERROR.
    fault = (_count, batch) => {
      if (!isFailing) return undefined;
      (log[0] as Partition).append(batch);
      return { code: 56 };
    };
    await expect(producer.send('t', { key: null, value: bytes('lost'), partition: 0 })).rejects.toMatchObject({ code: atDeadline });
    isFailing = false;
    await expect(producer.send('t', { key: null, value: bytes('other'), partition: 0 })).rejects.toMatchObject({ code: 'peer-gone' });
    expect(log[0]?.records).toEqual(['first', 'lost']);
  });

  it('gives up where no broker is', async () => {
    const producer = open({ deliveryTimeoutMs: 100 });
    const topic = await producer.topic('t');
    await broker.close();
    void topic.append(0, 1, null, bytes('x'));
    await expect(producer.flush()).rejects.toMatchObject({ code: 'timeout' });
    broker = new ScriptedBroker();
    await broker.listen();
  });

  it('sends whole batches as they are, stamped only where it is idempotent', async () => {
    const batch = (): Buffer =>
      encodeBatch({ compression: 'zstd', records: ['a', 'b'].map((v) => ({ timestampMs: 1, key: null, value: bytes(v) })) });
    const ids: bigint[] = [];
    fault = (_n, sent) => void ids.push(batchProducerId(sent, 0));
    expect(await open({ idempotent: false }).sendBatch('t', 1, batch())).toEqual({ partition: 1, offset: 0 });
    const producer = open();
    expect(await Promise.all([producer.sendBatch('t', 1, batch()), producer.sendBatch('t', 1, batch())])).toEqual([
      { partition: 1, offset: 2 },
      { partition: 1, offset: 4 },
    ]);
    expect(ids).toEqual([-1n, 77n, 77n]);
    expect(log[1]?.records).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('waits for no answer with acks=0', async () => {
    const producer = open({ acks: 0 });
    expect(await producer.send('t', { key: null, value: bytes('x'), partition: 2 })).toEqual({ partition: 2, offset: -1 });
    while (log[2]?.records.length === 0) await new Promise(setImmediate);
    expect(() => open({ acks: 1, idempotent: true })).toThrow(expect.objectContaining({ code: 'config-invalid-value' }) as Error);
  });

  it('spreads records without a key, a batch at a time', async () => {
    const producer = open({ acks: 1 });
    const topic = await producer.topic('t');
    for (let batch = 0; batch < 3; batch++) {
      for (let i = 0; i < 10; i++) void topic.append(topic.partitionOf(null), 1, null, bytes('x'));
      await producer.flush();
    }
    expect(log.map((partition) => partition.records.length)).toEqual([10, 10, 10]);
  });
});
