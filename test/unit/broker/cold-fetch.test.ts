import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Broker, ColdTier } from '../../../src/broker/index.js';
import type { ControlMethod, ControlParams, ControlResult } from '../../../src/control/index.js';
import { LakeError, type TopicId } from '../../../src/kernel/index.js';
import { batchBaseOffset, batchLastOffset, deleteTopicsApi, fetchApi, listOffsetsApi, walkBatches } from '../../../src/wire/index.js';
import { batchOf, temporaryFolder, testBroker, valuesOf, WireClient } from './broker-fixture.js';

function control<M extends ControlMethod>(broker: Broker, method: M, params: ControlParams<M>): Promise<ControlResult<M>> {
  const answer = broker.controlHandlers[method] as (params: ControlParams<M>, context: never) => Promise<ControlResult<M>>;
  return answer(params, undefined as never);
}

/** The cold side as a list of batches that were read from the broker before they were evicted. */
class RememberedTier implements ColdTier {
  batches: Buffer[] = [];
  readonly asked: number[] = [];
  isAway = false;
  /** Answers no question for a time before its asker gives up. */
  isSlow = false;
  partBatches = 2;
  topicChanges = 0;
  /** What a hydration waits for before it begins. */
  gate: Promise<void> = Promise.resolve();

  hydrate: ColdTier['hydrate'] = async ({ offset, maxBytes }, onPart, signal) => {
    this.asked.push(offset);
    await this.gate;
    signal.throwIfAborted();
    if (this.isAway) throw new LakeError('cold-unavailable', 'the bucket is away');
    let bytes = 0;
    let nextOffset = offset;
    const covering = this.batches.filter((batch) => batchLastOffset(batch, 0) >= offset);
    const parts = Math.min(Math.ceil(covering.length / this.partBatches), maxBytes === 1 ? 1 : Number.POSITIVE_INFINITY);
    const endOffset = batchLastOffset(covering[Math.min(covering.length, parts * this.partBatches) - 1]!, 0) + 1;
    for (let i = 0; i < covering.length && bytes < maxBytes; i += this.partBatches) {
      const part = Buffer.concat(covering.slice(i, i + this.partBatches));
      const last = covering.slice(i, i + this.partBatches).at(-1)!;
      nextOffset = batchLastOffset(last, 0) + 1;
      bytes += part.length;
      await onPart({ baseOffset: batchBaseOffset(part, 0), nextOffset, endOffset, batches: part });
    }
    return { nextOffset };
  };

  offsetForTimestamp: ColdTier['offsetForTimestamp'] = async ({ timestampMs, fromOffset }, signal) => {
    if (this.isSlow)
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new LakeError('timeout', 'too slow'))));
    if (this.isAway) throw new LakeError('cold-unavailable', 'the bucket is away');
    const found = this.#times().find(([offset, at]) => offset >= fromOffset && at >= timestampMs);
    await this.gate;
    return found === undefined ? null : { offset: found[0], timestampMs: found[1], leaderEpoch: 0 };
  };

  maxTimestamp: ColdTier['maxTimestamp'] = async () => {
    const [offset, timestampMs] = this.#times().reduce((best, one) => (one[1] > best[1] ? one : best));
    await this.gate;
    return { offset, timestampMs, leaderEpoch: 0 };
  };

  topicsChanged(): void {
    this.topicChanges++;
  }

  #times(): [number, number][] {
    // `batchOf` puts a record every second from the batch's first timestamp on.
    return this.batches.flatMap((batch) => {
      const base = batchBaseOffset(batch, 0);
      const first = Number(batch.readBigInt64BE(27));
      return Array.from({ length: batchLastOffset(batch, 0) - base + 1 }, (_, i): [number, number] => [base + i, first + i * 1000]);
    });
  }
}

interface World {
  readonly broker: Broker;
  readonly client: WireClient;
  readonly cold: RememberedTier;
  readonly topicId: TopicId;
  readonly dataDir: string;
}

const firstMs = 1_600_000_000_000;

/** Ten batches of two records; those below `boundary` are only cold. */
async function evicted(boundary: number, flags: Readonly<Record<string, string>> = {}): Promise<World> {
  const dataDir = await temporaryFolder();
  const cold = new RememberedTier();
  const broker = await testBroker({ dataDir, coldTier: cold, flags });
  const client = await WireClient.open(broker);
  const topicId = await client.createTopic('a');
  const produceFrom = async (from: number, to: number): Promise<void> => {
    for (let offset = from; offset < to; offset += 2) {
      await client.produce('a', batchOf([`v${offset}`, `v${offset + 1}`], firstMs + offset * 1000));
    }
  };
  await produceFrom(0, boundary);
  const { records } = await client.fetch(topicId, 0);
  walkBatches(records!, (at, bytes) => void cold.batches.push(Buffer.from(records!.subarray(at, at + bytes))));
  const moved = await control(broker, 'broker.boundary-moved', {
    topicId,
    commitId: 'c',
    partitions: [{ partition: 0, boundary, logStartOffset: 0, leaderEpoch: 0 }],
  });
  expect(moved).toEqual({ accepted: [0], alarms: [] });
  const { topics } = await control(broker, 'broker.evict', { topic: 'a' });
  expect(topics[0]!.partitions[0]).toMatchObject({ localStartOffset: boundary, boundary, logStartOffset: 0 });
  await produceFrom(boundary, 20);
  return { broker, client, cold, topicId, dataDir };
}

const all = Array.from({ length: 20 }, (_, i): [number, string] => [i, `v${i}`]);

async function readAll({ client, topicId }: World, maxBytes?: number): Promise<[number, string][]> {
  const seen: [number, string][] = [];
  while (seen.length < 20) {
    const offset = seen.length;
    const { records, errorCode } = await client.fetch(topicId, offset, { maxWaitMs: 100, ...(maxBytes === undefined ? {} : { maxBytes }) });
    expect(errorCode).toBe(0);
    seen.push(...valuesOf(records, offset));
  }
  return seen;
}

describe('a fetch below the local start', () => {
  it.each([undefined, 1])('serves every record of both tiers exactly once (max bytes %s)', async (maxBytes) => {
    const world = await evicted(12);
    expect(await readAll(world, maxBytes)).toEqual(all);
    expect(world.cold.asked).toEqual([0]);
  });

  it('begins in the middle of a cold batch', async () => {
    const { client, topicId } = await evicted(12);
    const { records } = await client.fetch(topicId, 5);
    expect(valuesOf(records, 5)[0]).toEqual([5, 'v5']);
  });

  it('serves parts as they arrive, one hydration for all who wait', async () => {
    const { broker, client, cold, topicId } = await evicted(12);
    let open = (): void => undefined;
    cold.gate = new Promise((resolve) => {
      open = resolve;
    });
    const other = await WireClient.open(broker);
    const waiting = [client.fetch(topicId, 0), other.fetch(topicId, 0)];
    await expect.poll(() => cold.asked).toEqual([0]);
    open();
    for (const { records } of await Promise.all(waiting)) expect(valuesOf(records)[0]).toEqual([0, 'v0']);
    expect(cold.asked).toEqual([0]);
  });

  it('is answered empty and without error while the cold side is away, and served when it is back', async () => {
    const { client, cold, topicId } = await evicted(12, { 'remote.fetch.max.wait.ms': '50' });
    cold.isAway = true;
    expect(await client.fetch(topicId, 0, { maxWaitMs: 1 })).toMatchObject({ errorCode: 0, highWatermark: 20, logStartOffset: 0 });
    expect(valuesOf((await client.fetch(topicId, 0)).records)).toEqual([]);
    cold.isAway = false;
    await expect.poll(async () => valuesOf((await client.fetch(topicId, 0)).records).length, { timeout: 5000 }).toBeGreaterThan(0);
  });

  it('does not wait for min_bytes: what is behind it is there', async () => {
    const { client, topicId } = await evicted(12);
    const { records } = await client.fetch(topicId, 0, { maxWaitMs: 60_000, minBytes: 100_000 });
    expect(valuesOf(records)[0]).toEqual([0, 'v0']);
  });

  it('does not hold up the hot partitions of the same fetch', async () => {
    const { client, cold } = await evicted(12, { 'remote.fetch.max.wait.ms': '15000' });
    cold.gate = new Promise(() => undefined);
    await client.createTopic('b');
    await client.produce('b', batchOf(['hot']));
    const { responses } = await client.call(fetchApi, 11, {
      maxWaitMs: 15_000,
      minBytes: 1,
      topics: ['a', 'b'].map((topic) => ({ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] })),
    });
    expect(responses.map(({ partitions }) => [partitions[0]!.errorCode, valuesOf(partitions[0]!.records).length])).toEqual([
      [0, 0],
      [0, 1],
    ]);
  });

  it('is out of range only below the log start', async () => {
    const { broker, client, topicId } = await evicted(12);
    await control(broker, 'broker.boundary-moved', {
      topicId,
      commitId: 'd',
      partitions: [{ partition: 0, boundary: 12, logStartOffset: 4, leaderEpoch: 0 }],
    });
    expect(await client.fetch(topicId, 3)).toMatchObject({ errorCode: 1, logStartOffset: -1 });
    expect(await client.fetch(topicId, 4)).toMatchObject({ errorCode: 0 });
    expect(await client.listOffset('a', -2)).toMatchObject({ offset: 4 });
  });

  it('fetches ahead for a reader that goes on in order', async () => {
    const world = await evicted(12);
    // Hydrations of one batch each.
    const { hydrate } = world.cold;
    world.cold.partBatches = 1;
    world.cold.hydrate = (from, onPart, signal) => hydrate({ ...from, maxBytes: 1 }, onPart, signal);
    await world.client.fetch(world.topicId, 0);
    await world.client.fetch(world.topicId, 2);
    await expect.poll(() => world.cold.asked).toEqual([0, 2, 4]);
    expect(await readAll(world)).toEqual(all);
  });

  it('forgets the hydrated chunks of a deleted topic', async () => {
    const { broker, client, topicId, dataDir } = await evicted(12);
    await client.fetch(topicId, 0);
    const chunks = join(dataDir, 'cache', 'chunks');
    expect(await readdir(chunks)).toHaveLength(1);
    await client.call(deleteTopicsApi, 1, { topicNames: ['a'], timeoutMs: 1 });
    await expect.poll(() => readdir(chunks)).toEqual([]);
    await expect(control(broker, 'broker.flush', { topicId, partitions: [] })).rejects.toThrow(/is deleted/);
  });
});

describe('ListOffsets over both tiers', () => {
  it('finds times in either tier and both ends', async () => {
    const { client, cold } = await evicted(12);
    expect(await client.listOffset('a', firstMs)).toMatchObject({ offset: 0 });
    expect(await client.listOffset('a', firstMs + 11_000)).toMatchObject({ offset: 11 });
    expect(await client.listOffset('a', firstMs + 11_001)).toMatchObject({ offset: 12 });
    expect(await client.listOffset('a', firstMs + 19_001)).toMatchObject({ offset: -1 });
    expect(await client.listOffset('a', -2)).toMatchObject({ offset: 0 });
    expect(await client.listOffset('a', -3)).toMatchObject({ offset: 19 });
    expect(await client.listOffset('a', -4)).toMatchObject({ offset: 12 });
    expect(await client.listOffset('a', -5)).toMatchObject({ offset: 11 });
    expect(await client.listOffset('a', -6, 11)).toMatchObject({ offset: 12 });
    expect(await client.listOffset('a', -6, 10)).toMatchObject({ errorCode: 35 });
    cold.isAway = true;
    expect(await client.listOffset('a', firstMs)).toMatchObject({ errorCode: 7 });
    expect(await client.listOffset('a', -1)).toMatchObject({ errorCode: 0, offset: 20 });
  });

  it('waits for the cold side as long as the request says, from v10 on', async () => {
    const { client, cold } = await evicted(12, { 'remote.fetch.max.wait.ms': '600000' });
    cold.isSlow = true;
    const ask = async (version: number, timeoutMs: number): Promise<number> => {
      const topics = [{ name: 'a', partitions: [{ partitionIndex: 0, timestamp: firstMs }] }];
      const answer = await client.call(listOffsetsApi, version, { replicaId: -1, topics, timeoutMs });
      return answer.topics[0]!.partitions[0]!.errorCode;
    };
    expect(await ask(10, 5)).toBe(7);
    cold.isSlow = false;
    expect(await ask(10, 60_000)).toBe(0);
    expect(await ask(11, 0)).toBe(0);
  });

  it('misses no record that goes cold while the cold side answers', async () => {
    const { broker, client, cold, topicId } = await evicted(12);
    await client.produce('a', batchOf(['early'], firstMs));
    let open = (): void => undefined;
    cold.gate = new Promise((resolve) => (open = resolve));
    const other = await WireClient.open(broker);
    const first = client.listOffset('a', firstMs + 13_000);
    const largest = other.listOffset('a', -3);
    // Both have asked the cold side before what follows on this connection is answered.
    await (await WireClient.open(broker)).listOffset('a', -1);
    const { records } = await (await WireClient.open(broker)).fetch(topicId, 12);
    walkBatches(
      records!,
      (at, bytes) => void (batchLastOffset(records!, at) < 20 && cold.batches.push(Buffer.from(records!.subarray(at, at + bytes)))),
    );
    await control(broker, 'broker.flush', { topicId, partitions: [{ partition: 0, upTo: 'end' }] });
    const partitions = [{ partition: 0, boundary: 20, logStartOffset: 0, leaderEpoch: 0 }];
    await control(broker, 'broker.boundary-moved', { topicId, commitId: 'd', partitions });
    await control(broker, 'broker.evict', { topic: 'a' });
    open();
    expect(await first).toMatchObject({ errorCode: 0, offset: 13 });
    expect(await largest).toMatchObject({ errorCode: 0, offset: 19 });
  });
});

describe('the control methods of the broker', () => {
  it('describe topics with their partitions and configuration', async () => {
    const { broker } = await evicted(12);
    const state = await control(broker, 'broker.describe', {});
    expect(state).toMatchObject({ clusterId: broker.clusterId, nodeId: 1, dropped: [] });
    expect(state.topics[0]).toMatchObject({ name: 'a', isTiered: true, isInternal: false, overrides: {} });
    expect(state.topics[0]!.config['cleanup.policy']).toBe('delete');
    expect(state.topics[0]!.partitions[0]).toMatchObject({ highWatermark: 20, boundary: 12, localStartOffset: 12 });
    await expect(control(broker, 'broker.describe', { topic: 'none' })).rejects.toThrow(/no topic none/);
  });

  it('flush to the end, or as far as asked', async () => {
    const broker = await testBroker();
    const client = await WireClient.open(broker);
    const topicId = await client.createTopic('a');
    await client.produce('a', batchOf(['x', 'y']), { acks: 1 });
    const { partitions } = await control(broker, 'broker.flush', { topicId, partitions: [{ partition: 0, upTo: 'end' }] });
    expect(partitions).toEqual([{ partition: 0, flushedOffset: 2, lastStableOffset: 2, leaderEpoch: 0 }]);
    await expect(control(broker, 'broker.flush', { topicId, partitions: [{ partition: 9, upTo: 1 }] })).rejects.toThrow(/no partition 9/);
  });

  it('raise an alarm for a boundary above the log end, and apply nothing', async () => {
    const { broker, topicId } = await evicted(12);
    const moved = await control(broker, 'broker.boundary-moved', {
      topicId,
      commitId: 'x',
      partitions: [{ partition: 0, boundary: 21, logStartOffset: 0, leaderEpoch: 0 }],
    });
    expect(moved).toMatchObject({ accepted: [], alarms: [expect.stringMatching(/above the log end 20/)] });
    expect((await control(broker, 'broker.describe', { topic: 'a' })).topics[0]!.partitions[0]!.boundary).toBe(12);
  });

  it('never take a boundary back', async () => {
    const { broker, topicId } = await evicted(12);
    const back = { topicId, commitId: 'x', partitions: [{ partition: 0, boundary: 3, logStartOffset: 0, leaderEpoch: 0 }] };
    expect(await control(broker, 'broker.boundary-moved', back)).toEqual({ accepted: [0], alarms: [] });
    expect((await control(broker, 'broker.describe', { topic: 'a' })).topics[0]!.partitions[0]!.boundary).toBe(12);
  });

  it('tell the cold side and whoever listens that topics changed', async () => {
    const cold = new RememberedTier();
    const broker = await testBroker({ coldTier: cold });
    let heard = 0;
    broker.onTopicsChanged(() => heard++);
    await (await WireClient.open(broker)).createTopic('a');
    expect([cold.topicChanges, heard]).toEqual([1, 1]);
  });
});

describe('the broker', () => {
  it('keeps boundary and both tiers readable over a restart', async () => {
    const world = await evicted(12);
    await world.broker.close();
    const broker = await testBroker({ dataDir: world.dataDir, coldTier: world.cold });
    expect(await readAll({ ...world, broker, client: await WireClient.open(broker) })).toEqual(all);
  });

  it('says in numbers what it did', async () => {
    const world = await evicted(12);
    await readAll(world);
    const samples = new Map(world.broker.metricsSnapshot().map(({ name, value }) => [name, value]));
    expect(samples.get('produced_records_total')).toBe(20);
    expect(samples.get('hydrations_total')).toBe(1);
    expect(samples.get('fetched_cold_bytes_total')).toBeGreaterThan(0);
    expect(samples.get('partition_boundary_offset')).toBe(12);
    expect(samples.get('evicted_bytes_total')).toBeGreaterThan(0);
  });

  it('drops its chunks when the disk is low', async () => {
    const world = await evicted(12, { 'disk.low.bytes': '9000000000000000' });
    expect(valuesOf((await world.client.fetch(world.topicId, 0)).records)[0]).toEqual([0, 'v0']);
    await expect.poll(() => readdir(join(world.dataDir, 'cache', 'chunks'))).toEqual([]);
  });

  it('refuses to listen everywhere without an address for clients', async () => {
    await expect(testBroker({ flags: { 'kafka.listen': '0.0.0.0:0' } })).rejects.toThrow(/no address that clients can be told/);
  });

  it('refuses an address that is taken', async () => {
    const { kafkaAddress } = await testBroker();
    const flags = { 'kafka.listen': `127.0.0.1:${kafkaAddress.port}` };
    await expect(testBroker({ flags })).rejects.toThrow(/cannot listen/);
  });
});
