import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/index.js';
import { faultyStore, MemoryStore, unavailable } from '../../../src/objects/index.js';
import { batchBaseOffset, batchLastOffset, decodeBatch, isControl, walkBatches } from '../../../src/wire/index.js';
import { SimBroker } from '../../support/sim-broker.js';
import { records, type Running, startingDaemons, until } from '../../support/daemon-fixture.js';

const start = startingDaemons();
const memory = (): MemoryStore => new MemoryStore({ clock: systemClock });

interface Read {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: string;
  readonly value: string;
}
function read(bytes: Buffer): Read[] {
  const found: Read[] = [];
  walkBatches(bytes, (at) => {
    for (const { offset, timestampMs, key, value } of decodeBatch(bytes, at)) {
      found.push({ offset, timestampMs, key: String(key), value: String(value) });
    }
  });
  return found;
}

/** Three files of one partition, with what a consumer should read. */
async function threeFiles(): Promise<{ tier: Running; broker: SimBroker; topicId: string; all: Read[]; store: MemoryStore }> {
  const broker = new SimBroker();
  const store = memory();
  const { id } = broker.create('orders', 1);
  const tier = await start(broker, store);
  for (const from of [0, 30, 60]) {
    broker.append('orders', 0, records(from, 30));
    await tier.call('tier.flush', {});
  }
  return { tier, broker, topicId: id, all: read(broker.bytesOf('orders', 0)), store };
}

describe('hydration', () => {
  it('gives back exactly what was produced, in whole batches without gap or overlap, from any offset', async () => {
    const { tier, topicId, all } = await threeFiles();
    for (const offset of [0, 1, 29, 30, 59, 60, 89]) {
      const { parts, result } = await tier.hydrate({ topicId: topicId as never, partition: 0, offset, maxBytes: 1e9 });
      expect(result.nextOffset).toBe(90);
      let next = offset;
      const got: Read[] = [];
      for (const part of parts) {
        expect(part.baseOffset).toBeLessThanOrEqual(next);
        expect(batchBaseOffset(part.payload, 0)).toBeGreaterThanOrEqual(part.baseOffset);
        let last = -1;
        expect(walkBatches(part.payload, (at) => void (last = batchLastOffset(part.payload, at)))).toBe(part.payload.length);
        expect(last + 1).toBe(part.nextOffset);
        next = part.nextOffset;
        got.push(...read(part.payload));
      }
      expect(next).toBe(90);
      expect(got.filter((record) => record.offset >= offset)).toEqual(all.slice(offset));
    }
  });

  it('stops near the bytes asked for, and goes on from there', async () => {
    const { tier, topicId, all } = await threeFiles();
    const got: Read[] = [];
    let offset = 0;
    let calls = 0;
    while (offset < 90) {
      const { parts, result } = await tier.hydrate({ topicId: topicId as never, partition: 0, offset, maxBytes: 500 });
      expect(result.bytes).toBeLessThan(700);
      got.push(...parts.flatMap((part) => read(part.payload)));
      offset = result.nextOffset;
      calls++;
    }
    expect(calls).toBeGreaterThan(5);
    expect(got).toEqual(all);
  });

  it('cuts parts at batches, and sends a batch larger than a part alone', async () => {
    const broker = new SimBroker();
    const { id } = broker.create('orders', 1);
    const tier = await start(broker, memory(), { settings: { hydratePartBytes: 300 } });
    broker.append('orders', 0, [
      ...records(0, 4),
      { timestampMs: 5, key: Buffer.from('big'), value: Buffer.alloc(2000, 65) },
      ...records(5, 4),
    ]);
    await tier.call('tier.flush', {});
    const { parts } = await tier.hydrate({ topicId: id, partition: 0, offset: 0, maxBytes: 1e9 });
    expect(parts.length).toBeGreaterThan(3);
    expect(parts.filter((part) => part.payload.length > 300)).toHaveLength(1);
    expect(parts.flatMap((part) => read(part.payload))).toEqual(read(broker.bytesOf('orders', 0)));
  });

  it('gives holes that have no file as markers, which a client steps over', async () => {
    const broker = new SimBroker();
    const { id } = broker.create('orders', 1);
    const tier = await start(broker, memory());
    const marker = { isControl: true, isTransactional: true };
    broker.append('orders', 0, records(0, 2), marker);
    await tier.call('tier.flush', {});
    broker.append('orders', 0, records(2, 3));
    await tier.call('tier.flush', {});
    broker.append('orders', 0, records(5, 2), marker);
    await tier.call('tier.flush', {});
    expect(broker.partition('orders', 0).boundary).toBe(7);
    const hydrated = async (offset: number): Promise<string[]> => {
      const { parts, result } = await tier.hydrate({ topicId: id, partition: 0, offset, maxBytes: 1e9 });
      expect(result.nextOffset).toBe(7);
      const told: string[] = [];
      for (const { payload } of parts) {
        walkBatches(payload, (at) => {
          const kind = isControl(payload, at) ? 'marker' : 'record';
          const last = batchLastOffset(payload, at);
          told.push(...decodeBatch(payload, at).map((record) => `${kind} ${record.offset}${record.offset === last ? '' : `…${last}`}`));
        });
      }
      return told;
    };
    expect(await hydrated(0)).toEqual(['marker 1', 'record 2', 'record 3', 'record 4', 'marker 6']);
    expect(await hydrated(5)).toEqual(['marker 6']);
    expect(await hydrated(6)).toEqual(['marker 6']);
  });

  it('says of a partition without any file that there is nothing up to its boundary', async () => {
    const broker = new SimBroker();
    const { id } = broker.create('orders', 1);
    const tier = await start(broker, memory());
    broker.append('orders', 0, records(0, 2), { isControl: true, isTransactional: true });
    await tier.call('tier.flush', {});
    const { parts, result } = await tier.hydrate({ topicId: id, partition: 0, offset: 0, maxBytes: 1e9 });
    expect(result.nextOffset).toBe(2);
    expect(parts.map(({ payload }) => [isControl(payload, 0), batchLastOffset(payload, 0)])).toEqual([[true, 1]]);
  });

  it('refuses an offset at the boundary, and finds what another daemon committed', async () => {
    const { tier, broker, topicId, store } = await threeFiles();
    await expect(tier.hydrate({ topicId: topicId as never, partition: 0, offset: 90, maxBytes: 1 })).rejects.toMatchObject({
      code: 'offset-out-of-range',
    });
    const other = await start(broker, store);
    broker.append('orders', 0, records(90, 10));
    await other.call('tier.flush', {});
    await until(() => broker.partition('orders', 0).boundary === 100, 'the other commits');
    const { result } = await tier.hydrate({ topicId: topicId as never, partition: 0, offset: 95, maxBytes: 1e9 });
    expect(result.nextOffset).toBe(100);
  });

  it('says that the cold side is away while the bucket is', async () => {
    const broker = new SimBroker();
    let isAway = false;
    const store = faultyStore(memory(), {
      before: (call) => {
        if (isAway) throw unavailable(call);
      },
    });
    const { id } = broker.create('orders', 1);
    broker.append('orders', 0, records(0, 5));
    const tier = await start(broker, store);
    await tier.call('tier.flush', {});
    isAway = true;
    await expect(tier.hydrate({ topicId: id, partition: 0, offset: 0, maxBytes: 1 })).rejects.toMatchObject({ code: 'cold-unavailable' });
  });
});

describe('time lookups in cold files', () => {
  it('answer with the first offset at or after a time, opening only files that can have it', async () => {
    const broker = new SimBroker();
    const opened: string[] = [];
    const store = faultyStore(memory(), {
      before: (call) => void (call.operation === 'get' && call.key.endsWith('.parquet') && opened.push(call.key)),
    });
    const { id: topicId } = broker.create('orders', 1);
    const tier = await start(broker, store);
    const at = (offset: number, timestampMs: number) => ({ timestampMs, key: null, value: Buffer.from(String(offset)) });
    for (const times of [
      [10, 50, 20],
      [5, 5, 5],
      [60, 40, 100],
    ]) {
      broker.append(
        'orders',
        0,
        times.map((time, index) => at(index, time)),
      );
      await tier.call('tier.flush', {});
    }
    const lookUp = async (timestampMs: number, fromOffset = 0) =>
      (await tier.call('tier.offset-for-timestamp', { topicId, partition: 0, timestampMs, fromOffset, belowOffset: 9 })).found;
    expect(await lookUp(0)).toMatchObject({ offset: 0, timestampMs: 10 });
    expect(await lookUp(15)).toMatchObject({ offset: 1, timestampMs: 50 });
    expect(await lookUp(15, 2)).toMatchObject({ offset: 2, timestampMs: 20 });
    opened.length = 0;
    expect(await lookUp(51)).toMatchObject({ offset: 6, timestampMs: 60 });
    expect(await lookUp(101)).toBeNull();
    expect(new Set(opened).size).toBeLessThanOrEqual(1);
    expect((await tier.call('tier.max-timestamp', { topicId, partition: 0, fromOffset: 0, belowOffset: 9 })).found).toMatchObject({
      offset: 8,
      timestampMs: 100,
    });
  });

  it('answer null for a partition without files', async () => {
    const broker = new SimBroker();
    const { id: topicId } = broker.create('orders', 1);
    const tier = await start(broker, memory());
    const range = { topicId, partition: 0, fromOffset: 0, belowOffset: 0 };
    expect((await tier.call('tier.max-timestamp', range)).found).toBeNull();
    expect((await tier.call('tier.offset-for-timestamp', { ...range, timestampMs: 0 })).found).toBeNull();
  });

  it('speak for everything below the boundary that the broker knows, whichever daemon moved it', async () => {
    const broker = new SimBroker();
    const store = memory();
    const { id: topicId } = broker.create('orders', 1);
    const first = await start(broker, store);
    broker.append('orders', 0, records(0, 30));
    await first.call('tier.flush', {});
    const second = await start(broker, store);
    await until(() => broker.partition('orders', 0).boundary === 30, 'the first commit is known');
    const timeOf = (offset: number) => read(broker.bytesOf('orders', 0)).find((record) => record.offset === offset)!.timestampMs;
    const early = { topicId, partition: 0, fromOffset: 0, belowOffset: 30, timestampMs: timeOf(29) };
    expect((await second.call('tier.offset-for-timestamp', early)).found).toMatchObject({ offset: 29 });
    broker.append('orders', 0, records(30, 30));
    await first.call('tier.flush', {});
    const range = { topicId, partition: 0, fromOffset: 0, belowOffset: 60 };
    const late = timeOf(45);
    expect((await second.call('tier.offset-for-timestamp', { ...range, timestampMs: late })).found).toMatchObject({ offset: 45 });
    expect((await second.call('tier.max-timestamp', range)).found).toMatchObject({ timestampMs: timeOf(59) });
    await expect(second.call('tier.max-timestamp', { ...range, belowOffset: 61 })).rejects.toMatchObject({ code: 'cold-unavailable' });
  });
});
