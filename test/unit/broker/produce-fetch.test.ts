import { readlinkSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { describe, expect, it, vi } from 'vitest';
import { type Disk, systemDisk } from '../../../src/kernel/index.js';
import {
  batchBaseOffset,
  batchBaseSequence,
  batchCompression,
  batchPositions,
  compressionCodecs,
  decodeBatch,
  decodeResponse,
  deleteRecordsApi,
  deleteTopicsApi,
  encodeBatch,
  encodeRequest,
  fetchApi,
  incrementalAlterConfigsApi,
  initProducerIdApi,
  isBatchCrcValid,
  listOffsetsApi,
  metadataApi,
  produceApi,
  timestampType,
} from '../../../src/wire/index.js';
import { batchOf, temporaryFolder, testBroker, valuesOf, WireClient } from './broker-fixture.js';

/** The read of a disk that cannot give the bytes of some files. */
function readWithout(isBad: (path: string) => boolean): Disk['read'] {
  return (fd, into, at, length, position, done) => {
    if (isBad(readlinkSync(`/proc/self/fd/${fd}`))) queueMicrotask(() => done(Object.assign(new Error('EIO'), { code: 'EIO' }), 0));
    else systemDisk.read(fd, into, at, length, position, done);
  };
}

describe('Produce', () => {
  it.each([-1, 1])('appends and answers the offsets with acks=%i', async (acks) => {
    const client = await WireClient.open(await testBroker());
    const id = await client.createTopic('a');
    expect(await client.produce('a', batchOf(['x', 'y']), { acks })).toMatchObject({ errorCode: 0, baseOffset: 0, logStartOffset: 0 });
    expect(await client.produce('a', batchOf(['z']), { acks })).toMatchObject({ errorCode: 0, baseOffset: 2, logAppendTimeMs: -1 });
    expect(valuesOf((await client.fetch(id, 0)).records)).toEqual([
      [0, 'x'],
      [1, 'y'],
      [2, 'z'],
    ]);
  });

  it('answers acks=all only when the records are on disk', async () => {
    const broker = await testBroker();
    const client = await WireClient.open(broker);
    await client.createTopic('a');
    await client.produce('a', batchOf(['x', 'y']));
    const { topics } = await broker.controlHandlers['broker.describe']!({ topic: 'a' }, undefined as never);
    expect(topics[0]!.partitions[0]).toMatchObject({ highWatermark: 2, flushedOffset: 2 });
  });

  it('is silent for acks=0, and closes the connection where that fails', async () => {
    const client = await WireClient.open(await testBroker());
    const id = await client.createTopic('a');
    const send = (name: string): void =>
      client.send(produceApi, 7, { acks: 0, timeoutMs: 1, topicData: [{ name, partitionData: [{ index: 0, records: batchOf(['x']) }] }] });
    send('a');
    expect(valuesOf((await client.fetch(id, 0, { maxWaitMs: 2000 })).records)).toEqual([[0, 'x']]);
    send('unknown');
    await client.closed;
  });

  it('refuses what may not enter the log, partition by partition', async () => {
    const client = await WireClient.open(await testBroker({ flags: { 'num.partitions': '1' } }));
    await client.createTopic('a', 1, { 'max.message.bytes': '1000' });
    const good = batchOf(['x']);
    const broken = Buffer.from(good);
    broken[broken.length - 1]! ^= 1;
    const control = encodeBatch({ isControl: true, records: [{ timestampMs: 1, key: Buffer.alloc(4), value: null }] });
    const codes: [string, Buffer | null, number][] = [
      ['nothing', null, 87],
      ['a bad CRC', broken, 2],
      ['half a batch', good.subarray(0, 65), 87],
      ['two batches', Buffer.concat([good, good]), 87],
      ['too large', batchOf(['x'.repeat(2000)]), 10],
      ['a control batch', control, 87],
      ['the far future', batchOf(['x'], Date.now() + 7_200_000), 32],
      ['a transaction', encodeBatch({ isTransactional: true, producerId: 1n, producerEpoch: 0, baseSequence: 0, records: [] }), 53],
    ];
    for (const [what, records, code] of codes) {
      const answer = await client.produce('a', records);
      expect([what, answer.errorCode]).toEqual([what, code]);
      expect(answer.errorMessage).not.toBe('');
    }
    expect((await client.produce('none', batchOf(['x']))).errorCode).toBe(3);
    expect((await client.produce('a', batchOf(['x']), { partition: 5 })).errorCode).toBe(3);
    expect((await client.produce('a', batchOf(['x']), { acks: 2 })).errorCode).toBe(21);
    expect(await client.produce('a', batchOf(['x']))).toMatchObject({ errorCode: 0, baseOffset: 0 });
  });

  it('refuses transactional ids and writes to internal topics', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a');
    const topicData = [{ name: 'a', partitionData: [{ index: 0, records: batchOf(['x']) }] }];
    const { responses } = await client.call(produceApi, 9, { transactionalId: 't', acks: -1, timeoutMs: 1, topicData });
    expect(responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 53, errorMessage: expect.stringMatching(/transactions/) });
    await client.call(metadataApi, 4, { topics: [{ name: '__consumer_offsets' }] });
    expect((await client.produce('__consumer_offsets', batchOf(['x']))).errorCode).toBe(17);
  });

  it('succeeds again with the first offsets for a batch that an idempotent producer repeats, and refuses gaps', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    let client = await WireClient.open(broker);
    await client.createTopic('a');
    const { producerId, producerEpoch } = await client.call(initProducerIdApi, 4, { transactionalId: null, transactionTimeoutMs: 1 });
    const batch = (baseSequence: number): Buffer => batchOf(['x', 'y'], undefined, { producerId, producerEpoch, baseSequence });
    expect(await client.produce('a', batch(0))).toMatchObject({ errorCode: 0, baseOffset: 0 });
    expect(await client.produce('a', batch(2))).toMatchObject({ errorCode: 0, baseOffset: 2 });
    expect(await client.produce('a', batch(0))).toMatchObject({ errorCode: 0, baseOffset: 0 });
    // Kafka tells the timestamp of the first time, also of create time.
    expect((await client.produce('a', batch(0))).logAppendTimeMs).toBe(1_600_000_001_000);
    expect(await client.produce('a', batch(9))).toMatchObject({ errorCode: 45, logAppendTimeMs: -1 });
    await broker.close();
    client = await WireClient.open(await testBroker({ dataDir }));
    expect(await client.produce('a', batch(2))).toMatchObject({ errorCode: 0, baseOffset: 2 });
    expect(await client.produce('a', batch(4))).toMatchObject({ errorCode: 0, baseOffset: 4 });
    const next = await client.call(initProducerIdApi, 4, { transactionalId: null, transactionTimeoutMs: 1 });
    expect(next.producerId).toBeGreaterThan(producerId);
    expect((await client.call(initProducerIdApi, 4, { transactionalId: 't', transactionTimeoutMs: 1 })).errorCode).toBe(53);
  });

  it.each([...compressionCodecs])(
    'stamps %s batches with its own time under LogAppendTime, as long as that is configured',
    async (compression) => {
      const client = await WireClient.open(await testBroker());
      const id = await client.createTopic('a', 1, { 'message.timestamp.type': 'LogAppendTime' });
      const future = Date.now() + 1e10;
      const fields = { compression, producerId: 3n, producerEpoch: 0 };
      const before = Date.now();
      const first = await client.produce('a', batchOf(['x', 'y'], future, { ...fields, baseSequence: 0 }));
      expect(first).toMatchObject({ errorCode: 0, baseOffset: 0 });
      expect(first.logAppendTimeMs).toBeGreaterThanOrEqual(before);
      expect(first.logAppendTimeMs).toBeLessThanOrEqual(Date.now());
      expect(await client.produce('a', batchOf(['x', 'y'], future, { ...fields, baseSequence: 0 }))).toMatchObject(first);
      const { records } = await client.fetch(id, 0);
      expect([timestampType(records!, 0), isBatchCrcValid(records!, 0), batchCompression(records!, 0)]).toEqual([
        'log-append',
        true,
        compression,
      ]);
      expect(decodeBatch(records!).map(({ timestampMs }) => timestampMs)).toEqual([first.logAppendTimeMs, first.logAppendTimeMs]);
      expect(await client.listOffset('a', -3)).toMatchObject({ offset: 0, timestamp: first.logAppendTimeMs });
      expect(await client.listOffset('a', first.logAppendTimeMs)).toMatchObject({ offset: 0, timestamp: first.logAppendTimeMs });
      expect(await client.listOffset('a', first.logAppendTimeMs + 1)).toMatchObject({ offset: -1 });

      const configs = [{ name: 'message.timestamp.type', configOperation: 0, value: 'CreateTime' }];
      await client.call(incrementalAlterConfigsApi, 1, {
        resources: [{ resourceType: 2, resourceName: 'a', configs }],
        validateOnly: false,
      });
      expect(await client.produce('a', batchOf(['z'], future, { compression }))).toMatchObject({ errorCode: 32 });
      expect(await client.produce('a', batchOf(['z'], 5, { compression }))).toMatchObject({
        errorCode: 0,
        baseOffset: 2,
        logAppendTimeMs: -1,
      });
      const after = (await client.fetch(id, 2)).records!;
      expect([timestampType(after, 0), decodeBatch(after)[0]!.timestampMs]).toEqual(['create', 5]);
    },
  );

  it.each(['uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'] as const)(
    'stores what comes in any codec as compression.type=%s, in the order in which it came',
    async (type) => {
      const broker = await testBroker();
      const client = await WireClient.open(broker);
      const id = await client.createTopic('a', 1, { 'compression.type': type });
      const sent = Array.from({ length: 40 }, (_, i) =>
        batchOf([`v${i} ${'x'.repeat((i * 997) % 20_000)}`, 'y'], 1_600_000_000_000 + i, {
          compression: compressionCodecs[i % compressionCodecs.length]!,
          producerId: 3n,
          producerEpoch: 0,
          baseSequence: i * 2,
        }),
      );
      const answers = await Promise.all(sent.map((batch) => client.produce('a', Buffer.from(batch))));
      expect(answers.map(({ errorCode, baseOffset }) => [errorCode, baseOffset])).toEqual(sent.map((_, i) => [0, i * 2]));
      // Sent again: known, though its bytes are others.
      expect(await client.produce('a', Buffer.from(sent[39]!))).toMatchObject({ errorCode: 0, baseOffset: 78 });
      const records = (await client.fetch(id, 0)).records!;
      const stored = [...batchPositions(records)];
      const codec = type === 'uncompressed' ? 'none' : type;
      expect(stored.map((at) => [batchCompression(records, at), isBatchCrcValid(records, at), batchBaseSequence(records, at)])).toEqual(
        sent.map((_, i) => [codec, true, i * 2]),
      );
      expect(stored.flatMap((at) => decodeBatch(records, at).map(({ value }) => String(value)))).toEqual(
        sent.flatMap((batch) => decodeBatch(batch).map(({ value }) => String(value))),
      );
    },
  );

  it('refuses what grows beyond max.message.bytes when it is compressed anew, and what is behind it goes on', async () => {
    const client = await WireClient.open(await testBroker());
    const id = await client.createTopic('a', 1, { 'compression.type': 'uncompressed', 'max.message.bytes': '5000' });
    const large = batchOf(['x'.repeat(6000)], undefined, { compression: 'gzip' });
    const answers = await Promise.all([large, batchOf(['y'])].map((batch) => client.produce('a', batch)));
    expect(answers).toEqual([
      expect.objectContaining({ errorCode: 10, baseOffset: -1, errorMessage: expect.stringContaining('max.message.bytes=5000') as string }),
      expect.objectContaining({ errorCode: 0, baseOffset: 0 }),
    ]);
    expect(valuesOf((await client.fetch(id, 0)).records)).toEqual([[0, 'y']]);
    // Without an answer the connection tells.
    client.send(produceApi, 7, { acks: 0, timeoutMs: 1, topicData: [{ name: 'a', partitionData: [{ index: 0, records: large }] }] });
    await client.closed;
  });

  it('refuses what is larger than a segment, as it came or when it is compressed anew', async () => {
    const client = await WireClient.open(await testBroker());
    const sizes = { 'segment.bytes': '1048576', 'max.message.bytes': '4000000' };
    await client.createTopic('a', 1, sizes);
    await client.createTopic('b', 1, { ...sizes, 'compression.type': 'uncompressed' });
    const value = 'x'.repeat(2_000_000);
    expect(await client.produce('a', batchOf([value]))).toMatchObject({ errorCode: 18, baseOffset: -1 });
    const small = batchOf([value], undefined, { compression: 'gzip' });
    expect(await client.produce('b', small)).toMatchObject({ errorCode: 18, baseOffset: -1 });
    expect(await client.produce('a', small)).toMatchObject({ errorCode: 0, baseOffset: 0 });
  });

  it('goes on answering while a batch is compressed at the highest level', async () => {
    const broker = await testBroker();
    const [slow, other] = [await WireClient.open(broker), await WireClient.open(broker)];
    const id = await slow.createTopic('a', 1, { 'compression.type': 'zstd', 'compression.zstd.level': '22' });
    await other.createTopic('b');
    const values = Array.from({ length: 5000 }, (_, i) => `value ${i} ${(i * 7919) % 1000} ${'abcdefgh'.repeat(12)}`);
    const first = { isThere: false };
    const compressed = slow.produce('a', batchOf(values)).then((answer) => {
      first.isThere = true;
      return answer;
    });
    const behind = slow.produce('a', batchOf(['behind'], undefined, { compression: 'zstd' }));
    let answered = 0;
    for (; !first.isThere && answered < 20; answered++)
      expect(await other.produce('b', batchOf(['x']))).toMatchObject({ errorCode: 0, baseOffset: answered });
    expect(answered).toBeGreaterThan(3);
    expect(await compressed).toMatchObject({ errorCode: 0, baseOffset: 0 });
    expect(await behind).toMatchObject({ errorCode: 0, baseOffset: 5000 });
    expect(valuesOf((await slow.fetch(id, 0)).records)).toHaveLength(5001);
  });

  it('refuses produce below the disk’s reserve, and goes on serving reads', async () => {
    const disk = await statfs(tmpdir());
    const dataDir = await temporaryFolder();
    const before = await testBroker({ dataDir });
    let client = await WireClient.open(before);
    const id = await client.createTopic('a');
    await client.produce('a', batchOf(['x']));
    await before.close();
    const reserve = String(disk.blocks * disk.bsize);
    client = await WireClient.open(await testBroker({ dataDir, flags: { 'disk.reserve.bytes': reserve } }));
    expect(await client.produce('a', batchOf(['y']))).toMatchObject({ errorCode: 56 });
    expect(valuesOf((await client.fetch(id, 0)).records)).toEqual([[0, 'x']]);
  });

  it('keeps the order of requests that are sent without waiting', async () => {
    const client = await WireClient.open(await testBroker());
    const id = await client.createTopic('a');
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => client.produce('a', batchOf([`v${i}`]))));
    expect(answers.map(({ baseOffset }) => baseOffset)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(valuesOf((await client.fetch(id, 0)).records).map(([, value]) => value)).toEqual(Array.from({ length: 50 }, (_, i) => `v${i}`));
  });
});

describe('Fetch', () => {
  it.each(compressionCodecs)('gives %s batches back as they were produced', async (compression) => {
    const client = await WireClient.open(await testBroker());
    const id = await client.createTopic('a');
    const sent = batchOf(['x'.repeat(500), 'y'.repeat(500)], undefined, { compression });
    await client.produce('a', sent);
    const { records } = await client.fetch(id, 1);
    expect(records!.subarray(16)).toEqual(sent.subarray(16));
    expect(valuesOf(records, 1)).toEqual([[1, 'y'.repeat(500)]]);
  });

  it('returns whole batches from the one that covers the offset, at least one, within the limits', async () => {
    const client = await WireClient.open(await testBroker());
    const id = await client.createTopic('a', 2);
    for (let i = 0; i < 4; i++) await client.produce('a', batchOf(['x'.repeat(300), 'y']));
    await client.produce('a', batchOf(['z']), { partition: 1 });
    const { length } = batchOf(['x'.repeat(300), 'y']);
    const read = await client.fetch(id, 3, { maxBytes: 2 * length + 10 });
    expect(read.records!.length).toBe(2 * length);
    expect(batchBaseOffset(read.records!, 0)).toBe(2);
    expect((await client.fetch(id, 0, { maxBytes: 1 })).records!.length).toBe(length);
    const both = await client.call(fetchApi, 13, {
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 1,
      topics: [
        { topicId: id, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] },
        { topicId: id, partitions: [{ partition: 1, fetchOffset: 0, partitionMaxBytes: 1000 }] },
      ],
    });
    // Entries of one topic that follow each other are one in the answer, as in Kafka.
    expect(both.responses).toHaveLength(1);
    expect(both.responses[0]!.partitions.map(({ records }) => records!.length)).toEqual([length, 0]);
    expect(both.responses[0]!.partitions[1]).toMatchObject({ partitionIndex: 1, highWatermark: 1, errorCode: 0 });
  });

  it('gives one batch beyond its limit to the first partition that has any, and to no other', async () => {
    const client = await WireClient.open(await testBroker());
    const id = await client.createTopic('a', 4);
    const [large, small] = [batchOf(['x'.repeat(3000)]), batchOf(['y'])];
    await client.produce('a', large, { partition: 1 });
    await client.produce('a', large, { partition: 2 });
    await client.produce('a', small, { partition: 3 });
    const lengths = async (...indexes: readonly number[]): Promise<number[]> => {
      const partitions = indexes.map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1000 }));
      const answer = await client.call(fetchApi, 13, { maxWaitMs: 0, minBytes: 1, topics: [{ topicId: id, partitions }] });
      return answer.responses[0]!.partitions.map(({ records }) => records!.length);
    };
    expect(await lengths(0, 1, 2, 3)).toEqual([0, large.length, 0, small.length]);
    // Their limits fit beside each other, but not beside what the first one gives.
    expect(await lengths(1, 3)).toEqual([large.length, 0]);
  });

  it('reads partitions at the same time whose limits fit into one answer', async () => {
    let [open, most] = [0, 0];
    const disk: Disk = {
      ...systemDisk,
      read: (fd, into, at, length, position, callback) => {
        most = Math.max(most, ++open);
        systemDisk.read(fd, into, at, length, position, (...result) => {
          open--;
          callback(...result);
        });
      },
    };
    const client = await WireClient.open(await testBroker({ disk }));
    const id = await client.createTopic('a', 4);
    for (const partition of [0, 1, 2, 3]) await client.produce('a', batchOf(['x'.repeat(300)]), { partition });
    const ask = async (maxBytes: number): Promise<number> => {
      most = 0;
      const partitions = [0, 1, 2, 3].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1000 }));
      const answer = await client.call(fetchApi, 13, { maxWaitMs: 0, minBytes: 1, maxBytes, topics: [{ topicId: id, partitions }] });
      expect(answer.responses[0]!.partitions.every(({ records }) => records!.length > 0)).toBe(true);
      return most;
    };
    expect(await ask(4000)).toBe(4);
    expect(await ask(2500)).toBe(2);
  });

  it('sends each reader what it asked for while many read and the memory of their answers is used again', async () => {
    const broker = await testBroker();
    const writer = await WireClient.open(broker);
    const id = await writer.createTopic('a', 4);
    const partitions = [0, 1, 2, 3];
    for (const partition of partitions) {
      for (let i = 0; i < 12; i++)
        await writer.produce('a', batchOf([String.fromCharCode(65 + partition * 12 + i).repeat(150_000)]), { partition });
    }
    const readers = await Promise.all(Array.from({ length: 6 }, () => WireClient.open(broker)));
    const asks = readers.map(async (reader, at) => {
      for (let turn = 0; turn < 12; turn++) {
        const fetchOffset = (turn + at) % 12;
        const wanted = partitions.map((partition) => ({ partition, fetchOffset, partitionMaxBytes: 400_000 }));
        const answer = await reader.call(fetchApi, 13, { maxWaitMs: 0, minBytes: 1, topics: [{ topicId: id, partitions: wanted }] });
        for (const { partitionIndex, records } of answer.responses[0]!.partitions) {
          const read = valuesOf(records);
          expect(read.length).toBe(Math.min(2, 12 - fetchOffset));
          for (const [offset, value] of read) expect(value).toBe(String.fromCharCode(65 + partitionIndex * 12 + offset).repeat(150_000));
        }
      }
    });
    await Promise.all(asks);
  });

  it('is out of range only below the start and above the end', async () => {
    const client = await WireClient.open(await testBroker());
    const id = await client.createTopic('a');
    await client.produce('a', batchOf(['x']));
    expect(await client.fetch(id, 1)).toMatchObject({ errorCode: 0, highWatermark: 1, logStartOffset: 0 });
    expect(await client.fetch(id, 2)).toMatchObject({ errorCode: 1, highWatermark: -1, logStartOffset: -1, abortedTransactions: null });
    expect(await client.fetch(id, -1)).toMatchObject({ errorCode: 1 });
  });

  it('serves topics by name below v13, and refuses unknown ones', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a');
    await client.produce('a', batchOf(['x']));
    const fetch = async (topic: string, version: number): Promise<{ errorCode: number; records: Buffer | null }> => {
      const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }];
      const { responses } = await client.call(fetchApi, version, { maxWaitMs: 0, minBytes: 1, topics: [{ topic, partitions }] });
      return responses[0]!.partitions[0]!;
    };
    for (const version of [4, 11, 12]) expect(valuesOf((await fetch('a', version)).records)).toEqual([[0, 'x']]);
    expect((await fetch('none', 11)).errorCode).toBe(3);
  });

  it('waits for records, and is woken by an append', async () => {
    const broker = await testBroker();
    const [reader, writer] = [await WireClient.open(broker), await WireClient.open(broker)];
    const id = await writer.createTopic('a');
    const waiting = reader.fetch(id, 0, { maxWaitMs: 15_000 });
    await writer.produce('a', batchOf(['x']));
    expect(valuesOf((await waiting).records)).toEqual([[0, 'x']]);
  });

  it('waits until min_bytes are there', async () => {
    const broker = await testBroker();
    const [reader, writer] = [await WireClient.open(broker), await WireClient.open(broker)];
    const id = await writer.createTopic('a');
    const { length } = batchOf(['x']);
    const waiting = reader.fetch(id, 0, { maxWaitMs: 15_000, minBytes: 3 * length });
    for (let i = 0; i < 3; i++) await writer.produce('a', batchOf([String(i)]));
    expect(valuesOf((await waiting).records)).toHaveLength(3);
  });

  it.each([
    ['their partition', { partitionMaxBytes: 2_500 }, {}],
    ['two of them together', { partitions: [0, 1], partitionMaxBytes: 1_250 }, {}],
    ['the fetch', { maxBytes: 2_400 }, {}],
    ['an answer of this broker', {}, { 'fetch.max.bytes': '2400' }],
    ['all partitions, which is less', { partitionMaxBytes: 700 }, {}],
  ])('does not wait for more where the next batch would go beyond the limit of %s', async (_of, limits, flags) => {
    const client = await WireClient.open(await testBroker({ flags }));
    const topicId = await client.createTopic('a', 2);
    for (const partition of [0, 1]) for (let i = 0; i < 9; i++) await client.produce('a', batchOf(['x'.repeat(500)]), { partition });
    const { partitions = [0], partitionMaxBytes = 1 << 20, maxBytes = 1 << 20 } = limits as Readonly<Record<string, never>>;
    const asked = (partitions as number[]).map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes }));
    const topics = [{ topicId, partitions: asked }];
    const { responses } = await client.call(fetchApi, 13, { maxWaitMs: 60_000, minBytes: 2_500, maxBytes, topics });
    expect(valuesOf(responses[0]!.partitions[0]!.records)).not.toEqual([]);
  });

  it('does not read again what is appended to a partition that has given all it may', async () => {
    let reads = 0;
    const disk: Disk = {
      ...systemDisk,
      read: (...args) => {
        reads++;
        systemDisk.read(...args);
      },
    };
    const broker = await testBroker({ disk });
    const [reader, writer] = [await WireClient.open(broker), await WireClient.open(broker)];
    const topicId = await writer.createTopic('a', 2);
    const produce = (partition: number): Promise<unknown> => writer.produce('a', batchOf(['x'.repeat(500)]), { partition });
    for (let i = 0; i < 9; i++) await produce(0);
    reads = 0;
    const asked = [1_500, 1 << 20].map((partitionMaxBytes, partition) => ({ partition, fetchOffset: 0, partitionMaxBytes }));
    const waiting = reader.call(fetchApi, 13, { maxWaitMs: 60_000, minBytes: 3_900, topics: [{ topicId, partitions: asked }] });
    await vi.waitFor(() => expect(reads).toBe(1));
    for (let i = 0; i < 9; i++) await produce(0);
    for (let i = 0; i < 5; i++) await produce(1);
    const { responses } = await waiting;
    expect(responses[0]!.partitions.map(({ records }) => valuesOf(records).length)).toEqual([2, 5]);
    expect(reads).toBe(3);
  });

  it('answers with what there is when the wait is over', async () => {
    const client = await WireClient.open(await testBroker());
    const id = await client.createTopic('a');
    await client.produce('a', batchOf(['x']));
    expect(valuesOf((await client.fetch(id, 0, { maxWaitMs: 20, minBytes: 10_000 })).records)).toEqual([[0, 'x']]);
    expect((await client.fetch(id, 1, { maxWaitMs: 20 })).records!.length).toBe(0);
  });

  it('waits for the others where a partition is not there, and tells of it then', async () => {
    const broker = await testBroker();
    const [reader, writer] = [await WireClient.open(broker), await WireClient.open(broker)];
    const id = await writer.createTopic('a');
    const gone = await writer.createTopic('b');
    await writer.call(deleteTopicsApi, 1, { topicNames: ['b'], timeoutMs: 1 });
    const partition = (index: number) => ({ partition: index, fetchOffset: 0, partitionMaxBytes: 1000 });
    const topics = [
      { topicId: gone, partitions: [partition(0)] },
      { topicId: id, partitions: [partition(7), partition(0)] },
    ];
    const waiting = reader.call(fetchApi, 13, { maxWaitMs: 15_000, minBytes: 1, topics });
    await writer.produce('a', batchOf(['x']));
    const answers = (await waiting).responses.flatMap(({ partitions }) => partitions);
    expect(answers.map(({ partitionIndex, errorCode, records }) => [partitionIndex, errorCode, valuesOf(records).length])).toEqual([
      [0, 100, 0],
      [7, 3, 0],
      [0, 0, 1],
    ]);
  });

  it('is woken by the deletion of one of its topics, and by no other', async () => {
    const broker = await testBroker();
    const [reader, writer] = [await WireClient.open(broker), await WireClient.open(broker)];
    for (const topic of ['a', 'b', 'c']) await writer.createTopic(topic);
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }];
    const topics = ['a', 'b', 'unknown'].map((topic) => ({ topic, partitions }));
    const waiting = reader.call(fetchApi, 12, { maxWaitMs: 15_000, minBytes: 1, topics });
    let isOver = false;
    void waiting.then(() => (isOver = true));
    await writer.call(deleteTopicsApi, 1, { topicNames: ['c'], timeoutMs: 1 });
    expect(isOver).toBe(false);
    await writer.call(deleteTopicsApi, 1, { topicNames: ['b'], timeoutMs: 1 });
    expect((await waiting).responses.map((topic) => topic.partitions[0]!.errorCode)).toEqual([0, 3, 3]);
  });

  it('is woken by the deletion of its topic', async () => {
    const broker = await testBroker();
    const [reader, writer] = [await WireClient.open(broker), await WireClient.open(broker)];
    const id = await writer.createTopic('a');
    const waiting = reader.fetch(id, 0, { maxWaitMs: 15_000 });
    await writer.call(deleteTopicsApi, 1, { topicNames: ['a'], timeoutMs: 1 });
    // It was there when the fetch came.
    expect((await waiting).errorCode).toBe(3);
  });

  it('answers a partition whose file cannot be read with its own error, and the others in full', async () => {
    const disk = { ...systemDisk };
    const dataDir = await temporaryFolder();
    const producing = await testBroker({ dataDir });
    const before = await WireClient.open(producing);
    const topicId = await before.createTopic('a', 2);
    for (const partition of [0, 1]) await before.produce('a', batchOf(['x']), { partition });
    await producing.close();
    const client = await WireClient.open(await testBroker({ dataDir, disk }));
    disk.read = readWithout((path) => path.includes('a-0'));
    const { responses } = await client.call(fetchApi, 13, {
      maxWaitMs: 0,
      minBytes: 1,
      topics: [{ topicId, partitions: [0, 1].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1 << 20 })) }],
    });
    expect(responses[0]!.partitions[0]).toMatchObject({ errorCode: 56 });
    expect(valuesOf(responses[0]!.partitions[1]!.records)).toEqual([[0, 'x']]);
    // Clients of versions that do not know the error look for another leader instead.
    const topics = [{ topic: 'a', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }];
    const codes: number[] = [];
    for (const version of [4, 5, 6]) {
      const answer = await client.call(fetchApi, version, { maxWaitMs: 0, minBytes: 1, topics });
      codes.push(answer.responses[0]!.partitions[0]!.errorCode);
    }
    expect(codes).toEqual([6, 6, 56]);
  });

  it('gives at least one batch also to who asks for no bytes', async () => {
    const client = await WireClient.open(await testBroker());
    const topicId = await client.createTopic('a');
    await client.produce('a', batchOf(['x']));
    await client.produce('a', batchOf(['y']));
    expect(valuesOf((await client.fetch(topicId, 0, { maxBytes: 0 })).records)).toEqual([[0, 'x']]);
  });

  it('fences other leader epochs', async () => {
    const client = await WireClient.open(await testBroker());
    const topicId = await client.createTopic('a');
    const ask = async (currentLeaderEpoch: number): Promise<number> => {
      const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1, currentLeaderEpoch }];
      return (await client.call(fetchApi, 13, { maxWaitMs: 0, minBytes: 0, topics: [{ topicId, partitions }] })).responses[0]!
        .partitions[0]!.errorCode;
    };
    expect(await ask(-1)).toBe(0);
    expect(await ask(0)).toBe(0);
    expect(await ask(9)).toBe(75);
  });

  it('tells a client at once where the epoch that it read last ended (KIP-595)', async () => {
    const client = await WireClient.open(await testBroker());
    const topicId = await client.createTopic('a');
    await client.produce('a', batchOf(['x', 'y', 'z']));
    await client.call(deleteRecordsApi, 2, { topics: [{ name: 'a', partitions: [{ partitionIndex: 0, offset: 1 }] }], timeoutMs: 1_000 });
    const ask = async (fetchOffset: number, lastFetchedEpoch: number, version = 13): Promise<object> => {
      const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000, lastFetchedEpoch }];
      const topics = [{ topic: 'a', topicId, partitions }];
      const { responses } = await client.call(fetchApi, version, { maxWaitMs: 60_000, minBytes: 1, isolationLevel: 1, topics });
      const { errorCode, divergingEpoch, records, abortedTransactions } = responses[0]!.partitions[0]!;
      return { errorCode, divergingEpoch, count: valuesOf(records).length, abortedTransactions };
    };
    const none = { epoch: -1, endOffset: -1 };
    expect(await ask(2, 0, 12)).toEqual({ errorCode: 0, divergingEpoch: none, count: 3, abortedTransactions: [] });
    expect(await ask(5, 0)).toEqual({ errorCode: 0, divergingEpoch: { epoch: 0, endOffset: 3 }, count: 0, abortedTransactions: null });
    for (const [offset, epoch] of [
      [2, 7],
      [0, 0],
      [5, -1],
    ] as const)
      expect(await ask(offset, epoch)).toEqual({ errorCode: 1, divergingEpoch: none, count: 0, abortedTransactions: null });
  });
});

describe('ListOffsets', () => {
  it('finds the ends, the largest timestamp and the first offset at or after a time', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a');
    await client.produce('a', batchOf(['0', '1', '2'], 5000));
    await client.produce('a', batchOf(['3', '4'], 1000));
    expect(await client.listOffset('a', -1)).toMatchObject({ errorCode: 0, offset: 5 });
    expect(await client.listOffset('a', -2)).toMatchObject({ offset: 0 });
    expect(await client.listOffset('a', -3)).toMatchObject({ offset: 2, timestamp: 7000 });
    expect(await client.listOffset('a', -4)).toMatchObject({ offset: 0 });
    expect(await client.listOffset('a', -5)).toMatchObject({ offset: -1 });
    expect(await client.listOffset('a', -6, 11)).toMatchObject({ offset: 0 });
    expect(await client.listOffset('a', 6000)).toMatchObject({ offset: 1, timestamp: 6000 });
    expect(await client.listOffset('a', 1)).toMatchObject({ offset: 0, timestamp: 5000 });
    expect(await client.listOffset('a', 8000)).toMatchObject({ offset: -1, timestamp: -1 });
    expect(await client.listOffset('a', -3, 6)).toMatchObject({ errorCode: 35 });
    expect(await client.listOffset('a', -9)).toMatchObject({ errorCode: 35 });
    expect(await client.listOffset('none', -1)).toMatchObject({ errorCode: 3 });
  });

  it('says of a topic that is not tiered that nothing waits to be', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a', 1, { 'remote.storage.enable': 'false' });
    await client.produce('a', batchOf(['0']));
    expect(await client.listOffset('a', -6, 11)).toEqual({ errorCode: 0, offset: -1, timestamp: -1 });
  });

  it('answers numbers that no log has, such as the largest of 64 bits', async () => {
    const client = await WireClient.open(await testBroker());
    const id = await client.createTopic('a');
    await client.produce('a', batchOf(['0']));
    const ask = async (timestamp: bigint): Promise<unknown> => {
      // Version 1: the timestamp is the last field.
      const body = { replicaId: -1, topics: [{ name: 'a', partitions: [{ partitionIndex: 0, timestamp: 0 }] }] };
      const frame = Buffer.concat(encodeRequest(listOffsetsApi, 1, 1, 'test', body));
      frame.writeBigInt64BE(timestamp, frame.length - 8);
      return decodeResponse(listOffsetsApi, 1, await client.exchange(frame)).body.topics[0]!.partitions[0];
    };
    expect(await ask(2n ** 63n - 1n)).toMatchObject({ errorCode: 0, offset: -1, timestamp: -1 });
    expect(await ask(-(2n ** 63n))).toMatchObject({ errorCode: 35, offset: -1 });
    expect(await client.fetch(id, Number.MAX_SAFE_INTEGER)).toMatchObject({ errorCode: 1 });
  });
});
