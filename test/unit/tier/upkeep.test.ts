import { describe, expect, it } from 'vitest';
import { clusterId, systemClock, systemRandom, type TopicName } from '../../../src/kernel/index.js';
import { openTopicTable, type TableChange, type TableSnapshot } from '../../../src/lake/index.js';
import { answerLost, faultyStore, MemoryStore, type ObjectStore, unavailable } from '../../../src/objects/index.js';
import type { TierSettings } from '../../../src/tier/index.js';
import { SimBroker } from '../../support/sim-broker.js';
import { simFile, simWorkers } from '../../support/sim-workers.js';
import {
  expectLakeIsLog,
  loadTable,
  records,
  type Running,
  type startDaemon,
  startingDaemons,
  until,
} from '../../support/daemon-fixture.js';

const begin = startingDaemons();

function start(broker: SimBroker, store: ObjectStore, more: Parameters<typeof startDaemon>[2] = {}): Promise<Running> {
  const settings: Partial<TierSettings> = { upkeepIntervalMs: 20, sweepIntervalMs: 1_000_000, ...more.settings };
  return begin(broker, store, { ...more, settings });
}

const memory = (): MemoryStore => new MemoryStore({ clock: systemClock });

/** So many flushes of ten records, each a file. */
async function flushes(broker: SimBroker, tier: Running, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const { length } = broker.partition('orders', 0).batches;
    broker.append('orders', 0, records(length * 10, 10));
    await tier.call('tier.flush', {});
  }
}

async function change(broker: SimBroker, store: ObjectStore, what: Partial<TableChange>): Promise<TableSnapshot> {
  const found = broker.topicsByName.get('orders');
  if (found === undefined) throw new Error('no topic');
  const table = openTopicTable(
    store,
    { topic: 'orders' as TopicName, topicId: found.id, clusterId: clusterId(broker.cluster) },
    { clock: systemClock, random: systemRandom },
  );
  await table.load();
  const commitId = systemRandom.uuid();
  return table.commit({ commitId, moves: [], columns: [], nowMs: systemClock.nowMs(), ...what });
}

const counter = (tier: Running, name: string): number =>
  tier.daemon.metricsSnapshot().find((sample) => sample.name === name)?.value ?? Number.NaN;

describe('upkeep', () => {
  it('puts small files together, keeps every record, and then leaves them alone', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    const tier = await start(broker, store);
    await flushes(broker, tier, 20);
    await until(async () => (await loadTable(broker, store, 'orders')).files.length < 8, 'few files are left');
    const before = await expectLakeIsLog(broker, store, 'orders');
    expect(before.partitions[0]?.boundary).toBe(200);
    expect(counter(tier, 'tier_rewrites_total')).toBeGreaterThan(0);
    await systemClock.sleep(200);
    expect((await loadTable(broker, store, 'orders')).metadataVersion).toBe(before.metadataVersion);
    // A new file changes nothing about that, and is tiered as ever.
    await flushes(broker, tier, 1);
    expect((await expectLakeIsLog(broker, store, 'orders')).partitions[0]?.boundary).toBe(210);
  });

  it('makes no file larger than its target', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1, { 'lake.file.bytes': '1000' });
    const tier = await start(broker, store);
    await flushes(broker, tier, 12);
    await until(() => counter(tier, 'tier_rewrites_total') >= 3, 'files are put together');
    await systemClock.sleep(100);
    const { files } = await expectLakeIsLog(broker, store, 'orders');
    // Ten records are some 244 bytes of log: four flushes a file.
    expect(Math.max(...files.map((file) => file.rows))).toBeLessThanOrEqual(50);
    expect(files.length).toBeLessThan(12);
  });

  it('cuts off the head of a file that the log start falls into', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1, { 'lake.delete.max.delay.ms': '50' });
    const tier = await start(broker, store);
    await flushes(broker, tier, 3);
    await change(broker, store, { logStarts: [{ partition: 0, logStartOffset: 14 }] });
    await flushes(broker, tier, 1);
    await until(async () => (await loadTable(broker, store, 'orders')).files[0]?.baseOffset === 14, 'the head is gone');
    const snapshot = await loadTable(broker, store, 'orders');
    expect(snapshot.files.map((file) => [file.baseOffset, file.lastOffset, file.rows])).toEqual([
      [14, 19, 6],
      [20, 29, 10],
      [30, 39, 10],
    ]);
    const head = simFile(await store.get(snapshot.files[0]?.key ?? ''));
    expect(head.rows.map((row) => row.offset)).toEqual([14, 15, 16, 17, 18, 19]);
  });

  it('sweeps what nobody needs, and nothing that somebody may', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1, { 'lake.snapshot.max.age.ms': '1' });
    const settings = { sweepIntervalMs: 50, sweepMinAgeMs: 300, sweepGraceMs: 100 };
    const tier = await start(broker, store, { settings });
    await flushes(broker, tier, 10);
    const topicId = broker.topicsByName.get('orders')?.id ?? '';
    const stranger = 'topics/other/EEEEEEEEEEEEEEEEEEEEEQ/data/p=0/x.parquet';
    await store.put(`topics/orders/${topicId}/data/p=0/lost.parquet`, Buffer.from('x'));
    await store.put(stranger, Buffer.from('x'));
    const data = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const { key } of store.list(`topics/orders/${topicId}/data/`)) found.push(key);
      return found.sort();
    };
    await until(async () => {
      const live = (await loadTable(broker, store, 'orders')).files.map((file) => file.key).sort();
      return JSON.stringify(await data()) === JSON.stringify(live);
    }, 'only what the table names is left');
    await expectLakeIsLog(broker, store, 'orders');
    expect(counter(tier, 'tier_swept_objects_total')).toBeGreaterThan(10);
    // A topic that the broker does not know is nobody's to touch.
    expect(await store.head(stranger)).not.toBeNull();
    expect(counter(tier, 'tier_upkeep_failures_total')).toBe(0);
  });

  it('goes on where the bucket fails now and then, and loses nothing', async () => {
    const broker = new SimBroker();
    const inner = memory();
    broker.create('orders', 1, { 'lake.snapshot.max.age.ms': '1' });
    const first = await start(broker, inner, { settings: { upkeepIntervalMs: 1_000_000 } });
    await flushes(broker, first, 12);
    await first.close();
    let calls = 0;
    const store = faultyStore(inner, {
      before: (call) => {
        if (!call.key.startsWith('cluster/') && calls++ % 13 === 12) throw unavailable(call);
      },
      after: (call) => {
        if (!call.key.startsWith('cluster/') && calls++ % 17 === 16) throw answerLost(call);
      },
    });
    await start(broker, store, { settings: { sweepIntervalMs: 50, sweepMinAgeMs: 2000, sweepGraceMs: 100 } });
    await until(async () => (await loadTable(broker, inner, 'orders')).files.length < 8, 'few files are left');
    await expectLakeIsLog(broker, inner, 'orders');
  });

  it('leaves a damaged file as it is, says so, and puts the others together', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    const tier = await start(broker, store, { settings: { upkeepIntervalMs: 1_000_000 } });
    await flushes(broker, tier, 20);
    const damaged = (await loadTable(broker, store, 'orders')).files[3]?.key ?? '';
    await store.put(damaged, Buffer.from('damage'));
    await tier.close();
    const again = await start(broker, store);
    await until(async () => (await loadTable(broker, store, 'orders')).files.length < 10, 'the others are put together');
    const { files } = await loadTable(broker, store, 'orders');
    expect(files.map((file) => file.key)).toContain(damaged);
    expect(counter(again, 'tier_upkeep_failures_total')).toBeGreaterThan(0);
  });

  it('waits while a cut waits for its turn', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    for (const name of ['a', 'b', 'c', 'd']) broker.create(name, 1);
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let isHeld = false;
    const compactions: string[] = [];
    const workers = simWorkers(async (job) => {
      if (job.kind === 'compact') compactions.push(isHeld ? 'held' : 'free');
      if (job.kind === 'encode' && isHeld) await gate;
    });
    const tier = await start(broker, store, { workers, settings: { upkeepIntervalMs: 1_000_000 } });
    await flushes(broker, tier, 12);
    await tier.close();
    isHeld = true;
    for (const name of ['a', 'b', 'c', 'd']) broker.append(name, 0, records(0, 10));
    const again = await start(broker, store, { workers, settings: { cutsAtOnce: 1 } });
    const flushed = again.call('tier.flush', {});
    await systemClock.sleep(300);
    expect(compactions.filter((when) => when === 'held').length).toBeLessThanOrEqual(1);
    isHeld = false;
    release();
    await flushed;
    await until(async () => (await loadTable(broker, store, 'orders')).files.length < 12, 'then files are put together');
  });
});
