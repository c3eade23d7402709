// Clients that ask for more than they take, and send faster than anyone should: the broker's memory stays within its bound, and whoever
// is honest is served meanwhile.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeBatch, encodeRequest, fetchApi, metadataApi, produceApi } from '../../src/wire/index.js';
import { Lake } from '../support/lake.js';
import { canSeeProcesses, eventually, processesBelow, peakMemoryBytes } from '../support/processes.js';
import { batchOf, type RawConnection, rawConnection } from '../support/raw-kafka.js';

const MiB = 2 ** 20;
const partitions = 4;
const topic = 'wide';

/** What the broker may hold for all its clients: answers that nobody takes, and requests that wait. */
const unsentBytesMax = 256 * MiB;
const queuedRequestBytes = 32 * MiB;
/** What was let go is collected late, and buffers are kept for what is read next. */
const slackBytes = 288 * MiB;

const fetchAll = (from: number): Buffer =>
  Buffer.concat(
    encodeRequest(fetchApi, 12, 1, 'greedy', {
      replicaId: -1,
      maxWaitMs: 500,
      minBytes: 1,
      maxBytes: 55 * MiB,
      isolationLevel: 0,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [
        {
          topic,
          partitions: Array.from({ length: partitions }, (_, partition) => ({
            partition,
            currentLeaderEpoch: -1,
            fetchOffset: from,
            lastFetchedEpoch: -1,
            logStartOffset: -1,
            partitionMaxBytes: 55 * MiB,
          })),
        },
      ],
      forgottenTopicsData: [],
      rackId: '',
    }),
  );

describe.skipIf(!canSeeProcesses)('a broker among clients without manners', () => {
  let lake: Lake;
  const raw: RawConnection[] = [];

  beforeAll(async () => {
    lake = await Lake.start({ set: { 'log.level': 'warn', 'queued.max.request.bytes': String(queuedRequestBytes) } });
    await lake.createTopic(topic, partitions, { 'remote.storage.enable': 'false' });
    await lake.createTopic('tiny', 1, { 'remote.storage.enable': 'false' });
    const value = Buffer.alloc(512 * 1024, 7);
    for (let round = 0; round < 4; round++)
      await lake.produce(
        topic,
        Array.from({ length: 40 }, (_, at) => ({ key: null, value, partition: at % partitions })),
      );
  });
  afterAll(async () => {
    for (const { socket } of raw) socket.destroy();
    await lake[Symbol.asyncDispose]();
  });

  const brokerPid = (): number => processesBelow(lake.service.pid).find(({ kind }) => kind === 'broker')!.pid;
  const connected = async (count: number): Promise<RawConnection[]> => {
    const made = await Promise.all(Array.from({ length: count }, () => rawConnection(lake.service.kafka)));
    raw.push(...made);
    return made;
  };

  it('holds no more than its bound for readers that ask for everything and take nothing', async () => {
    const pid = brokerPid();
    const before = peakMemoryBytes(pid);
    for (const { socket } of await connected(800)) {
      socket.pause();
      socket.write(Buffer.concat(Array.from({ length: 50 }, () => fetchAll(0))));
    }
    for (let n = 0; n < 3; n++) {
      await lake.produce('tiny', [{ key: null, value: Buffer.from('{"n":1}') }]);
      expect(await lake.consume(topic, 1, 39)).toHaveLength(1);
      await sleep(200);
    }
    expect(peakMemoryBytes(pid) - before).toBeLessThan(unsentBytesMax + slackBytes);
    for (const { socket } of raw.splice(0)) socket.destroy();
    await lake.consume(topic, 1, 39);
  });

  it('takes a hundred thousand batches of one record from clients that wait for no answer before the next, and forgets none', async () => {
    const pid = brokerPid();
    const before = peakMemoryBytes(pid);
    const [[, start]] = (await lake.ends('tiny')) as [[number, number]];
    const [clients, each] = [20, 5000];
    const requests = Buffer.concat(
      Array.from({ length: each }, (_, n) =>
        Buffer.concat(
          encodeRequest(produceApi, 9, n, 'flood', {
            transactionalId: null,
            acks: 1,
            timeoutMs: 10_000,
            topicData: [{ name: 'tiny', partitionData: [{ index: 0, records: batchOf('x') }] }],
          }),
        ),
      ),
    );
    const flood = await connected(clients);
    for (const { socket } of flood) socket.write(requests);
    const received = await eventually(
      'all answers',
      () => (flood.every(({ frames }) => frames.length === each) ? true : undefined),
      120_000,
    );
    expect(received).toBe(true);
    expect((await lake.ends('tiny'))[0]![1]).toBe(start + clients * each);
    expect(await lake.consume('tiny', 0, start)).toHaveLength(clients * each);
    expect(peakMemoryBytes(pid) - before).toBeLessThan(queuedRequestBytes + 64 * MiB);
  });

  it('answers others while it inflates what was made to inflate', async () => {
    const [[, start]] = (await lake.ends('tiny')) as [[number, number]];
    // 200 MiB of zeros, half a second each.
    const value = Buffer.alloc(MiB);
    const bomb = encodeBatch({
      records: Array.from({ length: 200 }, () => ({ timestampMs: Date.now(), key: null, value })),
      compression: 'gzip',
    });
    const bombs = 8;
    const request = (n: number): Buffer =>
      Buffer.concat(
        encodeRequest(produceApi, 9, n, 'bombs', {
          transactionalId: null,
          acks: 1,
          timeoutMs: 10_000,
          topicData: [{ name: 'tiny', partitionData: [{ index: 0, records: bomb }] }],
        }),
      );
    const [hostile, honest] = (await connected(2)) as [RawConnection, RawConnection];
    hostile.socket.write(Buffer.concat(Array.from({ length: bombs }, (_, n) => request(n))));
    await eventually('the first to be taken', () => (hostile.frames.length > 0 ? true : undefined), 60_000);
    const ask = Buffer.concat(encodeRequest(metadataApi, 12, 1, 'honest', { topics: [], allowAutoTopicCreation: false }));
    const taken = hostile.frames.length;
    for (let n = 1; n <= 20; n++) {
      honest.socket.write(ask);
      await eventually('an answer', () => (honest.frames.length === n ? true : undefined), 60_000);
    }
    // On one thread each of the twenty would have waited for a bomb.
    expect(hostile.frames.length - taken).toBeLessThan(bombs - taken);
    await eventually('all to be taken', () => (hostile.frames.length === bombs ? true : undefined), 120_000);
    expect((await lake.ends('tiny'))[0]![1]).toBe(start + bombs * 200);
  });
});
