import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LogReader, openLogReader, readBatches, readPartition } from '../../../src/client/index.js';
import { topicId, topicName } from '../../../src/kernel/index.js';
import { encodeBatch, fetchApi, type FetchRequest, listOffsetsApi, metadataApi } from '../../../src/wire/index.js';
import { ScriptedBroker } from '../../support/scripted-broker.js';

const id = topicId('AAAAAAAAAAAAAAAAAAAAAQ');
const otherId = topicId('AAAAAAAAAAAAAAAAAAAAAg');
const name = topicName('flights');
const options = { maxWaitMs: 100, minBytes: 1, maxBytes: 1_000_000, isolation: 'committed' } as const;

let broker: ScriptedBroker;
let reader: LogReader;

function batchOf(baseOffset: number, values: readonly string[], more: Parameters<typeof encodeBatch>[0] | object = {}): Buffer {
  return encodeBatch({ baseOffset, records: values.map((value) => ({ timestampMs: 1, key: null, value: Buffer.from(value) })), ...more });
}

/** A fetch's answer of one partition. */
function answer(body: FetchRequest, partition: object) {
  return {
    throttleTimeMs: 0,
    responses: [
      {
        topicId: body.topics[0]?.topicId ?? id,
        partitions: [
          {
            partitionIndex: 0,
            errorCode: 0,
            highWatermark: 100,
            lastStableOffset: 100,
            logStartOffset: 0,
            abortedTransactions: null,
            records: null,
            ...partition,
          },
        ],
      },
    ],
  };
}

async function valuesOf(from: Parameters<typeof readPartition>[1]): Promise<string[]> {
  const values: string[] = [];
  for await (const records of readPartition(reader, from))
    values.push(...records.map((record) => `${record.offset}:${record.value?.toString()}`));
  return values;
}

beforeEach(async () => {
  broker = new ScriptedBroker();
  await broker.listen();
  reader = openLogReader({ bootstrap: broker.bootstrap, clientId: 'test' });
});
afterEach(async () => {
  await reader.close();
  await broker.close();
});

describe('the log reader', () => {
  it('lists topics with ids, leaving out those in error', async () => {
    const partition = { errorCode: 0, leaderId: 1, replicaNodes: [1], isrNodes: [1] };
    broker.on(metadataApi, () => ({
      brokers: [{ nodeId: 1, host: 'h', port: 1 }],
      topics: [
        {
          errorCode: 0,
          name,
          topicId: id,
          isInternal: true,
          partitions: [2, 0, 1].map((partitionIndex) => ({ ...partition, partitionIndex })),
        },
        { errorCode: 5, name: 'creating', topicId: otherId, partitions: [] },
      ],
    }));
    expect(await reader.topics()).toEqual([{ name, id, partitions: [0, 1, 2], isInternal: true }]);
  });

  it('refuses a cluster of several brokers with a hint', async () => {
    broker.on(metadataApi, () => ({ brokers: [1, 2].map((nodeId) => ({ nodeId, host: 'h', port: 1 })), topics: [] }));
    await expect(reader.topics()).rejects.toMatchObject({ code: 'unsupported' });
  });

  it('fetches by topic id, outside of sessions, in the order asked for', async () => {
    let body: FetchRequest | undefined;
    broker.on(fetchApi, (asked) => {
      body = asked.body;
      return answer(asked.body, {
        records: [batchOf(0, ['a']), batchOf(1, ['b'])],
        abortedTransactions: [{ producerId: 7n, firstOffset: 3 }],
      });
    });
    const at = { partition: 0, offset: 5, maxBytes: 10 };
    const [fetched] = await reader.fetch(
      [
        { ...at, topicId: id },
        { ...at, topicId: id, partition: 1 },
        { ...at, topicId: otherId },
      ],
      options,
    );
    expect(body).toMatchObject({
      isolationLevel: 1,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [
        { topicId: id, partitions: [{ partition: 0, fetchOffset: 5, partitionMaxBytes: 10 }, { partition: 1 }] },
        { topicId: otherId, partitions: [{ partition: 0 }] },
      ],
    });
    expect(fetched).toMatchObject({
      topicId: id,
      errorCode: 0,
      highWatermark: 100,
      abortedTransactions: [{ producerId: 7n, firstOffset: 3 }],
    });
    expect(fetched?.records.equals(Buffer.concat([batchOf(0, ['a']), batchOf(1, ['b'])]))).toBe(true);
  });

  it('answers questions and other fetches while one waits', async () => {
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    broker.on(fetchApi, async ({ body }) => {
      if (body.maxWaitMs > 0) await held;
      return answer(body, {});
    });
    broker.on(listOffsetsApi, ({ body }) => ({
      topics: body.topics.map((topic) => ({
        name: topic.name,
        partitions: topic.partitions.map(({ partitionIndex }) => ({
          partitionIndex,
          errorCode: 0,
          timestamp: 3,
          offset: 9,
          leaderEpoch: 2,
        })),
      })),
    }));
    const at = { topicId: id, partition: 0, offset: 0, maxBytes: 1 };
    const waiting = reader.fetch([at], options);
    expect(await reader.listOffsets(name, [{ partition: 4, timestampMs: -1 }])).toEqual([
      { partition: 4, errorCode: 0, offset: 9, timestampMs: 3, leaderEpoch: 2 },
    ]);
    await reader.fetch([at], { ...options, maxWaitMs: 0 });
    release();
    await waiting;
    const { connections } = broker;
    await reader.fetch([at], { ...options, maxWaitMs: 0 });
    expect(broker.connections).toBe(connections);
  });

  it('does not put a fetch behind a cancelled one', async () => {
    broker.on(fetchApi, ({ body }) => (body.maxWaitMs > 0 ? undefined : answer(body, {})));
    const at = { topicId: id, partition: 0, offset: 0, maxBytes: 1 };
    const abort = new AbortController();
    const waiting = reader.fetch([at], { ...options, signal: abort.signal });
    while (!broker.seen.includes('Fetch')) await new Promise(setImmediate);
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    await reader.fetch([at], { ...options, maxWaitMs: 0 });
  });

  it('connects again at the call after a loss', async () => {
    broker.on(fetchApi, ({ body, socket, connection }) => (connection === 0 ? void socket.destroy() : answer(body, {})));
    const at = { topicId: id, partition: 0, offset: 0, maxBytes: 1 };
    await expect(reader.fetch([at], options)).rejects.toMatchObject({ code: 'peer-gone', retriable: true });
    expect(await reader.fetch([at], options)).toHaveLength(1);
  });
});

describe('reading a partition', () => {
  it('gives each record once, between the offsets asked for, over batches that begin before and end after', async () => {
    const log = [batchOf(0, ['a', 'b', 'c']), batchOf(3, ['d']), batchOf(4, ['e', 'f'], { lastOffsetDelta: 9 }), batchOf(14, ['g', 'h'])];
    broker.on(fetchApi, ({ body }) => {
      const offset = body.topics[0]?.partitions[0]?.fetchOffset ?? 0;
      const first = offset < 3 ? 0 : offset < 4 ? 1 : offset < 14 ? 2 : 3;
      return answer(body, { records: [...log.slice(first, first + 2), batchOf(16, ['cut off']).subarray(0, 30)] });
    });
    expect(await valuesOf({ topicId: id, partition: 0, offset: 1, endOffset: 15 })).toEqual(['1:b', '2:c', '3:d', '4:e', '5:f', '14:g']);
  });

  it('leaves out control batches and what was aborted, unless asked not to', async () => {
    const abortMarker = encodeBatch({
      baseOffset: 3,
      isControl: true,
      isTransactional: true,
      producerId: 7n,
      records: [{ timestampMs: 1, key: Buffer.from([0, 0, 0, 0]), value: Buffer.alloc(6) }],
    });
    const transactional = { isTransactional: true, producerId: 7n };
    const records = [batchOf(0, ['a']), batchOf(1, ['bad', 'bad'], transactional), abortMarker, batchOf(4, ['good'], transactional)];
    broker.on(fetchApi, ({ body }) => answer(body, { records, abortedTransactions: [{ producerId: 7n, firstOffset: 1 }] }));
    const from = { topicId: id, partition: 0, offset: 0, endOffset: 5 };
    expect(await valuesOf(from)).toEqual(['0:a', '4:good']);
    expect(await valuesOf({ ...from, isolation: 'uncommitted' })).toEqual(['0:a', '1:bad', '2:bad', '4:good']);
  });

  it('tries again after a loss and after errors that pass, and ends at those that do not', async () => {
    const script = [(): undefined => undefined, { errorCode: 6 }, {}, { records: batchOf(0, ['a']) }, { errorCode: 1 }];
    broker.on(fetchApi, ({ body, socket }) => {
      const step = script.shift();
      if (typeof step === 'function') return void socket.destroy();
      return answer(body, step ?? {});
    });
    const batches = readBatches(reader, { topicId: id, partition: 0, offset: 0 });
    expect((await batches.next()).value).toMatchObject({ at: 0, lastOffset: 0 });
    await expect(batches.next()).rejects.toMatchObject({ code: 'offset-out-of-range' });
  });

  it('asks for more where a batch did not fit', async () => {
    const asked: number[] = [];
    const batch = batchOf(0, ['x'.repeat(500)]);
    broker.on(fetchApi, ({ body }) => {
      const bytes = body.topics[0]?.partitions[0]?.partitionMaxBytes ?? 0;
      asked.push(bytes);
      return answer(body, { records: batch.subarray(0, bytes) });
    });
    expect(await valuesOf({ topicId: id, partition: 0, offset: 0, endOffset: 1, maxBytes: 200 })).toHaveLength(1);
    expect(asked).toEqual([200, 400, 800]);
  });
});
