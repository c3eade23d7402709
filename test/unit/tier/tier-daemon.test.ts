import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isLakeError, LakeError, MiB, systemClock } from '../../../src/kernel/index.js';
import { claimBucket } from '../../../src/lake/index.js';
import { faultyStore, MemoryStore, type ObjectStore, unavailable } from '../../../src/objects/index.js';
import { SimBroker } from '../../support/sim-broker.js';
import { simFile, simWorkers } from '../../support/sim-workers.js';
import { expectLakeIsLog, loadTable, records, type Running, startDaemon, startingDaemons, until } from '../../support/daemon-fixture.js';

const start = startingDaemons();
const memory = (): MemoryStore => new MemoryStore({ clock: systemClock });
async function keys(store: ObjectStore, prefix = ''): Promise<string[]> {
  const found: string[] = [];
  for await (const object of store.list(prefix)) found.push(object.key);
  return found;
}

describe('the tier daemon', () => {
  it('commits everything acknowledged before a flush, all partitions in one commit, and tells the broker', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 3);
    for (let p = 0; p < 3; p++) broker.append('orders', p, records(0, 20 + p));
    const tier = await start(broker, store);
    const flushed = await tier.call('tier.flush', { topic: 'orders' });
    expect(flushed.topics[0]?.partitions.map((p) => p.boundary)).toEqual([20, 21, 22]);
    const snapshot = await expectLakeIsLog(broker, store, 'orders');
    expect(snapshot.metadataVersion).toBe(1);
    expect(snapshot.columns.map((column) => column.columnName)).toEqual(['n']);
    expect([0, 1, 2].map((p) => broker.partition('orders', p).boundary)).toEqual([20, 21, 22]);
    broker.append('orders', 1, records(21, 5));
    await tier.call('tier.flush', {});
    expect((await expectLakeIsLog(broker, store, 'orders')).files).toHaveLength(4);
    const { topics } = await tier.call('tier.status', {});
    expect(topics[0]).toMatchObject({ topic: 'orders', metadataVersion: 2, files: 4, coldRows: 68 });
    expect(topics[0]?.partitions.map((p) => p.pendingBytes)).toEqual([0, 0, 0]);
  });

  it('cuts when the commit interval has passed, and asks the bucket nothing while a topic is idle', async () => {
    const broker = new SimBroker();
    let requests = 0;
    const store = faultyStore(memory(), { before: () => void requests++ });
    broker.create('orders', 2, { 'lake.commit.interval.ms': '50' });
    await start(broker, store);
    broker.append('orders', 0, records(0, 3));
    await until(() => broker.partition('orders', 0).boundary === 3, 'the interval');
    const before = requests;
    await systemClock.sleep(300);
    expect(requests).toBe(before);
  });

  it('cuts when a file is full, long before the interval', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1, { 'lake.file.bytes': '2000' });
    await start(broker, store);
    for (let n = 0; n < 200; n += 10) broker.append('orders', 0, records(n, 10));
    await until(() => broker.partition('orders', 0).boundary >= 150, 'files');
    expect((await expectLakeIsLog(broker, store, 'orders')).files.length).toBeGreaterThan(0);
  });

  it('cuts files of large records at a row group, so that reading one record never means reading a whole file of them', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('images', 1, { 'lake.file.bytes': String(1024 * MiB) });
    const value = randomBytes(256 * 1024);
    for (let n = 0; n < 88; n++) broker.append('images', 0, [{ timestampMs: n, key: null, value }]);
    const sizes: number[] = [];
    const workers = simWorkers((job) => {
      if (job.kind === 'encode') sizes.push(job.staged.reduce((sum, staged) => sum + staged.rawBytes, 0));
    });
    const tier = await start(broker, store, { workers, settings: { pieceBytes: 4 * MiB } });
    await tier.call('tier.flush', {});
    expect(sizes.length).toBeGreaterThan(1);
    // 16 MiB, a piece, and the fetch that filled it.
    expect(Math.max(...sizes)).toBeLessThanOrEqual(24 * MiB);
  });

  it('goes on after a restart where the table says', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    broker.append('orders', 0, records(0, 10));
    const first = await start(broker, store);
    await first.call('tier.flush', {});
    await first.close();
    broker.partition('orders', 0).boundary = 0;
    broker.append('orders', 0, records(10, 10));
    const second = await start(broker, store);
    await until(() => broker.partition('orders', 0).boundary === 10, 'the boundary is told at start');
    await second.call('tier.flush', {});
    expect((await expectLakeIsLog(broker, store, 'orders')).partitions[0]?.boundary).toBe(20);
  });

  it('tells the boundary at start although the broker was away between the first look at the table and its own', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    broker.append('orders', 0, records(0, 10));
    const first = await start(broker, store);
    await first.call('tier.flush', {});
    await first.close();
    broker.partition('orders', 0).boundary = 0;
    let described = 0;
    broker.onCall = (method) => {
      if (method === 'broker.describe' && ++described === 2) throw new LakeError('peer-gone', 'the broker is away');
    };
    await start(broker, store);
    await until(() => broker.partition('orders', 0).boundary === 10, 'the boundary is told');
  });

  it('tells a boundary again that the broker heard of and could not keep', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    broker.append('orders', 0, records(0, 10));
    const tier = await start(broker, store);
    await tier.call('tier.flush', {});
    broker.partition('orders', 0).boundary = 0;
    await until(() => broker.partition('orders', 0).boundary === 10, 'the boundary is told again');
  });

  it('never commits what was fetched before a power cut took it', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    broker.append('orders', 0, records(0, 10));
    const tier = await start(broker, store);
    await tier.call('tier.flush', {});
    broker.append('orders', 0, records(10, 10));
    const pending = async () => (await tier.call('tier.status', {})).topics[0]?.partitions[0]?.pendingBytes ?? 0;
    await until(async () => (await pending()) > 0, 'fetched');
    broker.loseUnflushed('orders', 0);
    broker.append('orders', 0, records(900, 12));
    await tier.call('tier.flush', {});
    const snapshot = await expectLakeIsLog(broker, store, 'orders');
    expect(snapshot.partitions[0]).toMatchObject({ boundary: 22, leaderEpoch: 1 });
  });

  it('fetches again from the boundary where the log became shorter than what was fetched', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    const tier = await start(broker, store);
    broker.append('orders', 0, records(0, 10));
    await until(async () => ((await tier.call('tier.status', {})).topics[0]?.partitions[0]?.pendingBytes ?? 0) > 0, 'fetched');
    broker.loseUnflushed('orders', 0);
    broker.append('orders', 0, records(500, 4));
    await tier.call('tier.flush', {});
    expect((await expectLakeIsLog(broker, store, 'orders')).partitions[0]?.boundary).toBe(4);
  });

  it('does not tier a partition whose boundary lies above the log end, and says so', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 2);
    broker.append('orders', 0, records(0, 10));
    const first = await start(broker, store);
    await first.call('tier.flush', {});
    await first.close();
    Object.assign(broker.partition('orders', 0), { batches: [], end: 0, flushed: 0, boundary: 0 });
    const second = await start(broker, store);
    await until(async () => (await second.call('tier.status', {})).topics[0]?.partitions[0]?.error !== undefined, 'the alarm');
    broker.append('orders', 0, records(0, 20));
    broker.append('orders', 1, records(0, 5));
    await expect(second.call('tier.flush', {})).rejects.toMatchObject({ code: 'log-damaged' });
    await until(() => broker.partition('orders', 1).boundary === 5, 'the other partition');
    expect((await loadTable(broker, store, 'orders')).partitions[0]?.boundary).toBe(10);
  });

  it('does not tier into a bucket that has lost what was committed', async () => {
    const broker = new SimBroker();
    broker.create('orders', 1);
    broker.append('orders', 0, records(0, 10));
    broker.partition('orders', 0).boundary = 5;
    const tier = await start(broker, memory());
    await expect(tier.call('tier.flush', {})).rejects.toMatchObject({ code: 'table-corrupt' });
  });

  it('opens a partition at once, however long another one waits that is offline', async () => {
    const broker = new SimBroker();
    const topic = broker.create('orders', 1, { 'lake.commit.interval.ms': '10' });
    broker.partition('orders', 0).offline = 'x.log is damaged at 7';
    const slow = { firstMs: 600_000, maxMs: 600_000, tries: Number.POSITIVE_INFINITY };
    const tier = await start(broker, memory(), { settings: { retry: slow } });
    const errorOfFirst = async () => (await tier.call('tier.status', {})).topics[0]?.partitions[0]?.error;
    await until(async () => (await errorOfFirst()) === 'orders-0 is offline: x.log is damaged at 7', 'the first to wait');
    topic.partitions.push({ batches: [], logStart: 0, end: 0, flushed: 0, leaderEpoch: 0, boundary: 0, moves: [] });
    broker.append('orders', 1, records(0, 10));
    await tier.call('tier.topics-changed', {});
    await until(() => broker.partition('orders', 1).boundary === 10, 'the second to be tiered');
  });

  it('counts as lag also what it cannot begin to fetch', async () => {
    const broker = new SimBroker();
    broker.create('orders', 2);
    for (const partition of [0, 1]) broker.append('orders', partition, records(0, 10));
    broker.deleteBelow('orders', 1, 10);
    const store = faultyStore(memory(), {
      before: (call) => {
        if (call.key.startsWith('topics/orders')) throw unavailable(call);
      },
    });
    const tier = await start(broker, store);
    const lag = () => tier.daemon.metricsSnapshot().find(({ name }) => name === 'tier_upload_lag_records')?.value;
    expect(lag()).toBe(10);
    broker.append('orders', 0, records(10, 5));
    await tier.call('tier.topics-changed', {});
    await until(() => lag() === 15, 'the lag to grow');
  });

  it('is refused on the bucket of another cluster', async () => {
    const store = memory();
    await claimBucket(store, new SimBroker().cluster, systemClock);
    await expect(startDaemon(new SimBroker(), store)).rejects.toSatisfy((error) => isLakeError(error, 'data-dir-foreign'));
  });

  it('is refused on a bucket whose conditional writes do not hold', async () => {
    const inner = memory();
    const store: ObjectStore = new Proxy(inner, {
      get: (target, name) => {
        if (name === 'put') return (key: string, body: Uint8Array) => target.put(key, body);
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    await expect(startDaemon(new SimBroker(), store)).rejects.toSatisfy((error) => isLakeError(error, 'store-unsafe'));
  });

  it('starts while the bucket is away, fetches, and commits once it is back', async () => {
    const broker = new SimBroker();
    const inner = memory();
    let isAway = true;
    const store = faultyStore(inner, {
      before: (call) => {
        if (isAway) throw unavailable(call);
      },
    });
    broker.create('orders', 1);
    broker.append('orders', 0, records(0, 10));
    const tier = await start(broker, store);
    await expect(tier.call('tier.status', {}))
      .resolves.toBeDefined()
      .catch(() => undefined);
    isAway = false;
    await tier.daemon.ready;
    await tier.call('tier.flush', {});
    isAway = true;
    broker.append('orders', 0, records(10, 10));
    await expect(tier.call('tier.flush', {})).rejects.toMatchObject({ code: 'store-unavailable' });
    isAway = false;
    await until(() => broker.partition('orders', 0).boundary === 20, 'the bucket is back');
    await expectLakeIsLog(broker, inner, 'orders');
  });

  it('starts while the bucket hangs, and learns later that it may not use it', async () => {
    const foreign = memory();
    await claimBucket(foreign, new SimBroker().cluster, systemClock);
    let answer: () => void = () => undefined;
    const hang = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const tier = await start(new SimBroker(), faultyStore(foreign, { before: () => hang }), { settings: { firstTryMs: 20 } });
    await expect(tier.call('tier.status', {})).rejects.toMatchObject({ code: 'cold-unavailable' });
    answer();
    expect(await tier.daemon.failed).toMatchObject({ code: 'data-dir-foreign' });
  });

  it('commits one partition while another cannot be encoded', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 2);
    let isBroken = true;
    const workers = simWorkers((job) => {
      if (isBroken && job.kind === 'stage' && job.partition === 0) throw new LakeError('internal', 'cannot stage');
    });
    const tier = await start(broker, store, { workers });
    broker.append('orders', 0, records(0, 10));
    broker.append('orders', 1, records(0, 10));
    await expect(tier.call('tier.flush', {})).rejects.toMatchObject({ message: 'cannot stage' });
    await until(() => broker.partition('orders', 1).boundary === 10, 'the sound partition');
    const { topics } = await tier.call('tier.status', {});
    expect(topics[0]?.partitions[0]?.error).toBe('cannot stage');
    isBroken = false;
    await until(() => broker.partition('orders', 0).boundary === 10, 'the other, later');
    await expectLakeIsLog(broker, store, 'orders');
  });

  it('tiers nothing of a batch that is damaged, has the broker look at its log, and fetches anew where that is whole', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    let isDamaged = true;
    const workers = simWorkers((job) => {
      if (isDamaged && job.kind === 'stage') throw new LakeError('batch-corrupt', 'a batch is damaged');
    });
    const examined: unknown[] = [];
    broker.damage = 'it is damaged at 7';
    broker.onCall = (method) => {
      if (method === 'broker.examine') examined.push(method);
    };
    const tier = await start(broker, store, { workers });
    broker.append('orders', 0, records(0, 10));
    const before = broker.fetchedCount;
    await expect(tier.call('tier.flush', {})).rejects.toMatchObject({
      code: 'batch-corrupt',
      message: 'what was fetched of orders-0 is damaged: a batch is damaged',
      hint: expect.stringContaining('/readyz says which file to restore'),
    });
    await until(() => examined.length > 0, 'the broker is asked');
    expect((await loadTable(broker, store, 'orders')).metadataVersion).toBe(0);
    broker.damage = undefined;
    isDamaged = false;
    await tier.call('tier.flush', {});
    expect(broker.fetchedCount).toBeGreaterThan(before + 1);
    await expectLakeIsLog(broker, store, 'orders');
  });

  it('goes on with other topics while one that cannot be encoded fills the spools', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('bad', 4);
    broker.create('good', 1);
    const bad = broker.topicsByName.get('bad')?.id ?? '';
    const workers = simWorkers((job) => {
      if (job.kind === 'encode' && job.footer?.['thermocline.table']?.includes(bad)) throw new LakeError('internal', 'cannot encode');
    });
    const tier = await start(broker, store, { workers, settings: { spoolBytesMax: 40_000 } });
    for (let p = 0; p < 4; p++) broker.append('bad', p, records(0, 2000));
    await expect(tier.call('tier.flush', { topic: 'bad' })).rejects.toMatchObject({ message: 'cannot encode' });
    broker.append('good', 0, records(0, 50));
    await tier.call('tier.flush', { topic: 'good' });
    expect((await expectLakeIsLog(broker, store, 'good')).partitions[0]?.boundary).toBe(50);
    expect((await tier.call('tier.status', { topic: 'bad' })).topics[0]?.partitions[0]?.error).toBe('cannot encode');
  });

  it('commits nothing that reads back differently from what the log said', async () => {
    const broker = new SimBroker();
    const inner = memory();
    let isDamaging = true;
    const store: ObjectStore = new Proxy(inner, {
      get: (target, name) => {
        if (name === 'download' && isDamaging) {
          return async (key: string, path: string, signal?: AbortSignal) => {
            const { writeFile } = await import('node:fs/promises');
            const text = (await target.get(key, { signal })).toString('latin1').replace('"offset":3', '"offset":4');
            await writeFile(path, text, 'latin1');
            return text.length;
          };
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    broker.create('orders', 1);
    broker.append('orders', 0, records(0, 10));
    const tier = await start(broker, store);
    await expect(tier.call('tier.flush', {})).rejects.toMatchObject({ code: 'verify-failed' });
    expect((await loadTable(broker, inner, 'orders')).metadataVersion).toBe(0);
    await until(async () => (await keys(inner, 'topics/')).length <= 1, 'the damaged object is removed');
    isDamaging = false;
    await until(() => broker.partition('orders', 0).boundary === 10, 'a sound file');
    await expectLakeIsLog(broker, inner, 'orders');
  });

  it('drops table and objects of a deleted topic, then tells the broker', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    broker.create('kept', 1);
    broker.append('orders', 0, records(0, 10));
    broker.append('kept', 0, records(0, 10));
    const tier = await start(broker, store);
    await tier.call('tier.flush', {});
    expect(await keys(store, 'topics/orders/')).not.toEqual([]);
    broker.delete('orders');
    await tier.call('tier.topics-changed', {});
    await until(() => broker.dropped.length === 0, 'the drop');
    expect((await keys(store, 'topics/orders/')).map((key) => key.slice(key.lastIndexOf('/')))).toEqual(['/vacated.json']);
    expect(await keys(store, 'topics/kept/')).not.toEqual([]);
    broker.create('orders', 1);
    broker.append('orders', 0, records(50, 3));
    await tier.call('tier.flush', { topic: 'orders' });
    await expectLakeIsLog(broker, store, 'orders');
  });

  it('lets two daemons run at once: each range is committed by one, and no object of the other stays', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 3, { 'lake.file.bytes': '3000' });
    const both = [await start(broker, store), await start(broker, store)];
    for (let n = 0; n < 300; n += 10) {
      for (let p = 0; p < 3; p++)
        broker.append(
          'orders',
          p,
          records(n, 10, (m) => (p === 0 ? { [`f${m % 7}`]: m } : { [`g${m % 5}`]: 'x' })),
        );
      await systemClock.sleep(1);
    }
    await Promise.all(both.map((tier) => tier.call('tier.flush', {})));
    const snapshot = await expectLakeIsLog(broker, store, 'orders');
    expect(snapshot.partitions.map((p) => p.boundary)).toEqual([300, 300, 300]);
    await until(async () => {
      const data = await keys(store, `topics/orders/${snapshot.topicId}/data/`);
      return data.length === snapshot.files.length;
    }, 'objects that lost are removed');
  });

  it('removes an object that was uploaded just when another daemon had committed its range', async () => {
    const broker = new SimBroker();
    const bucket = memory();
    const { id } = broker.create('orders', 1);
    broker.append('orders', 0, records(0, 10));
    let first: Running | undefined;
    let isOnce = true;
    const store = faultyStore(bucket, {
      after: async ({ operation, key }) => {
        if (operation !== 'put' || !key.includes('/data/') || !isOnce) return;
        isOnce = false;
        await (await start(broker, bucket)).call('tier.flush', {});
        // It learns of it by a read, before the answer to its upload.
        await first?.hydrate({ topicId: id, partition: 0, offset: 0, maxBytes: 1 });
      },
    });
    first = await start(broker, store);
    await first.call('tier.flush', {});
    const { files } = await expectLakeIsLog(broker, bucket, 'orders');
    await until(async () => (await keys(bucket, `topics/orders/${id}/data/`)).length === files.length, 'the object that lost is removed');
  });

  it('encodes again where another daemon has given its columns other places', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 2);
    let release: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let isHeld = true;
    const slow = simWorkers(async (job) => {
      if (isHeld && job.kind === 'verify') await gate;
    });
    const held = await start(broker, store, { workers: slow });
    broker.append(
      'orders',
      0,
      records(0, 10, (n) => ({ late: n })),
    );
    const flushing = held.call('tier.flush', {});
    await until(async () => (await keys(store, 'topics/orders/')).length > 0, 'its file is uploaded');
    const other = await start(broker, store);
    broker.append(
      'orders',
      1,
      records(0, 10, (n) => ({ early: n })),
    );
    // The other commits partition 1 with column `early` in the place that the held one gave `late`.
    const quick = other.call('tier.flush', {});
    await until(async () => (await loadTable(broker, store, 'orders')).metadataVersion >= 1, 'the other commits');
    isHeld = false;
    release?.();
    await Promise.all([flushing, quick]);
    const snapshot = await expectLakeIsLog(broker, store, 'orders');
    expect(new Set(snapshot.columns.map((column) => column.fieldId)).size).toBe(2);
    for (const file of snapshot.files) {
      const { columns } = simFile(await store.get(file.key));
      const name = file.partition === 0 ? 'late' : 'early';
      expect(columns).toEqual(snapshot.columns.filter((column) => column.name === name).map((column) => column.fieldId));
    }
  });

  it('encodes again at once where the columns of all that waits to be committed have other places by now', async () => {
    const broker = new SimBroker();
    const store = memory();
    const { id } = broker.create('orders', 3);
    const ends: (() => void)[] = [];
    const held = (): Promise<void> => new Promise((resolve) => void ends.push(resolve));
    let isHeld = true;
    const workers = simWorkers((job) =>
      isHeld && job.kind === 'encode' && job.footer?.['thermocline.partition'] !== '0' ? held() : undefined,
    );
    const tier = await start(broker, store, { workers, settings: { commitGatherMs: 60_000, cutsAtOnce: 3, describeIntervalMs: 60_000 } });
    for (let p = 0; p < 2; p++)
      broker.append(
        'orders',
        p,
        records(0, 5, (n) => ({ a: n })),
      );
    broker.append(
      'orders',
      2,
      records(0, 5, (n) => ({ b: n })),
    );
    const flushed = tier.call('tier.flush', {});
    await until(() => ends.length === 2, 'one is ready, two are encoded');
    const slow = simWorkers((job) => (job.kind === 'stage' && job.partition !== 2 ? new Promise<void>(() => undefined) : undefined));
    const other = await start(broker, store, { workers: slow, settings: { stagesAtOnce: 3, cutsAtOnce: 3 } });
    other.call('tier.flush', {}).catch(() => undefined);
    await until(() => broker.partition('orders', 2).boundary === 5, 'the other daemon commits its column');
    await tier.hydrate({ topicId: id, partition: 2, offset: 0, maxBytes: 1 });
    isHeld = false;
    for (const end of ends) end();
    await flushed;
    const snapshot = await expectLakeIsLog(broker, store, 'orders');
    expect(snapshot.columns.map((column) => column.columnName)).toEqual(['b', 'a']);
    expect(snapshot.partitions.map((partition) => partition.boundary)).toEqual([5, 5, 5]);
  });

  it('serves and flushes a topic that is no longer tiered without tiering more of it', async () => {
    const broker = new SimBroker();
    const store = memory();
    const topic = broker.create('orders', 1);
    broker.append('orders', 0, records(0, 10));
    const first = await start(broker, store);
    await first.call('tier.flush', {});
    await first.close();
    topic.isTiered = false;
    broker.append('orders', 0, records(10, 10));
    const second = await start(broker, store);
    const flushed = await second.call('tier.flush', { topic: 'orders' });
    expect(flushed.topics[0]?.partitions.map((p) => p.boundary)).toEqual([10]);
    const { result } = await second.hydrate({ topicId: topic.id, partition: 0, offset: 3, maxBytes: 1e9 });
    expect(result.nextOffset).toBe(10);
  });

  it('begins at the log start where the log has lost its beginning, and moves the boundary over it', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    broker.append('orders', 0, records(0, 10));
    broker.append('orders', 0, records(10, 10));
    Object.assign(broker.partition('orders', 0), { logStart: 10, batches: broker.partition('orders', 0).batches.slice(1) });
    const tier = await start(broker, store);
    await tier.call('tier.flush', {});
    const snapshot = await expectLakeIsLog(broker, store, 'orders');
    expect(snapshot.partitions[0]).toMatchObject({ boundary: 20, logStartOffset: 10 });
    expect(snapshot.files[0]?.baseOffset).toBe(10);
  });

  it('stops fetching while its spools are full and cuts early to get room', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 4);
    const tier = await start(broker, store, { settings: { spoolBytesMax: 3000, fetchBytes: 1000, fetchPartitionBytes: 500 } });
    for (let n = 0; n < 100; n += 10) for (let p = 0; p < 4; p++) broker.append('orders', p, records(n, 10));
    await until(() => [0, 1, 2, 3].every((p) => broker.partition('orders', p).boundary >= 50), 'cut without interval or file size');
    const spooled = tier.daemon.metricsSnapshot().find((sample) => sample.name === 'tier_spool_bytes')?.value ?? 0;
    expect(spooled).toBeLessThan(8000);
    await expectLakeIsLog(broker, store, 'orders');
  });

  it('ends within moments while bucket, broker and workers hang', async () => {
    const broker = new SimBroker();
    const hang = new Promise<void>(() => undefined);
    let isHanging = false;
    const store = faultyStore(memory(), { before: () => (isHanging ? hang : undefined) });
    broker.create('orders', 1);
    const tier = await start(broker, store);
    isHanging = true;
    broker.append('orders', 0, records(0, 10));
    const flushing = tier.call('tier.flush', {}).catch((error: unknown) => error);
    await systemClock.sleep(50);
    broker.onCall = () => hang;
    broker.onFetch = () => hang;
    await tier.close();
    expect(await flushing).toBeInstanceOf(LakeError);
  });
});
