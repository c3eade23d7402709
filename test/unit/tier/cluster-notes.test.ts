// The daemon keeps in the bucket what a restore needs, soon and without a request when nothing changes.
import { describe, expect, it } from 'vitest';
import type { NotedGroup } from '../../../src/control/index.js';
import { systemClock } from '../../../src/kernel/index.js';
import { type ClusterState, clusterStateKey, findClusterState, writeClusterState } from '../../../src/lake/index.js';
import { faultyStore, MemoryStore, type ObjectStore, unavailable } from '../../../src/objects/index.js';
import { SimBroker } from '../../support/sim-broker.js';
import { records, type Running, startingDaemons, until } from '../../support/daemon-fixture.js';

const begin = startingDaemons();

function start(broker: SimBroker, store: ObjectStore, settings: { stateLookMs?: number; stateWriteMs?: number } = {}): Promise<Running> {
  return begin(broker, store, { settings: { stateLookMs: 5, stateWriteMs: 20, ...settings } });
}
const memory = (): MemoryStore => new MemoryStore({ clock: systemClock });
const current = async (store: ObjectStore): Promise<ClusterState | undefined> => (await findClusterState(store)).current?.state;
const group = (offset: number): NotedGroup => ({
  group: 'g',
  offsets: [{ topic: 'orders', partition: 0, offset, leaderEpoch: 0, metadata: 'm', committedMs: 7 }],
});
const hour = 3_600_000;

describe('the state of the cluster in the bucket', () => {
  it('has a topic that nothing was committed of, its ends, committed offsets, and deletions', async () => {
    const broker = new SimBroker();
    const store = memory();
    await start(broker, store);
    const topic = broker.create('orders', 2);
    await until(async () => (await current(store))?.topics[0]?.id === topic.id, 'the new topic is noted');
    broker.append('orders', 1, records(0, 3));
    broker.groups = [group(2)];
    broker.nextProducerId = 5000;
    await until(async () => (await current(store))?.groups[0]?.offsets[0]?.offset === 2, 'the committed offset is noted');
    await until(async () => (await current(store))?.topics[0]?.partitions[1]?.highWatermark === 3, 'the end is noted');
    expect(await current(store)).toMatchObject({ clusterId: broker.cluster, nextProducerId: 5000n, groups: [group(2)], dropped: [] });
    broker.delete('orders');
    await until(async () => (await current(store))?.topics.length === 0, 'the deletion is noted');
    broker.views.push({ name: 'late', sql: 'SELECT 1', savedMs: 3 });
    await until(async () => (await current(store))?.views[0]?.name === 'late', 'the view is noted');
  });

  it('costs no request while nothing changes, and is not written again by a daemon that starts anew', async () => {
    const broker = new SimBroker();
    broker.create('orders', 1);
    const calls: string[] = [];
    const store = faultyStore(memory(), { before: (call) => void (call.key.startsWith('cluster/state/') && calls.push(call.operation)) });
    const first = await start(broker, store);
    await until(() => calls.includes('put'), 'the state is written');
    const looks = (): number => broker.calls.filter((method) => method === 'broker.cluster-state').length;
    const [callsThen, looksThen] = [calls.length, looks()];
    await until(() => looks() > looksThen + 10, 'the daemon looked ten times');
    expect(calls).toHaveLength(callsThen);
    await first.close();
    await start(broker, store);
    const looksBefore = looks();
    await until(() => looks() > looksBefore + 10, 'the second daemon looked ten times');
    expect(calls.filter((operation) => operation === 'put')).toHaveLength(1);
  });

  it('waits with moving offsets, never with topics or leader epochs, and is written by a daemon that stops', async () => {
    const broker = new SimBroker();
    broker.create('orders', 1);
    const store = memory();
    const daemon = await start(broker, store, { stateWriteMs: hour });
    await until(async () => (await current(store)) !== undefined, 'the state is written');
    broker.append('orders', 0, records(0, 3));
    broker.groups = [group(1)];
    const looks = (): number => broker.calls.filter((method) => method === 'broker.cluster-state').length;
    const before = looks();
    await until(() => looks() > before + 5, 'the daemon looked');
    expect((await current(store))?.topics[0]?.partitions[0]?.highWatermark).toBe(0);
    broker.partition('orders', 0).leaderEpoch = 4;
    await until(async () => (await current(store))?.topics[0]?.partitions[0]?.leaderEpoch === 4, 'the new epoch is noted');
    expect((await current(store))?.topics[0]?.partitions[0]?.highWatermark).toBe(3);
    broker.append('orders', 0, records(3, 2));
    await daemon.close();
    expect((await current(store))?.topics[0]?.partitions[0]?.highWatermark).toBe(5);
  });

  it('goes on where another daemon wrote, slept over, or the newest cannot be read', async () => {
    const broker = new SimBroker();
    broker.create('orders', 1);
    const store = memory();
    await start(broker, store);
    await start(broker, store);
    for (let end = 1; end <= 30; end++) {
      broker.append('orders', 0, records(end - 1, 1));
      await until(async () => (await current(store))?.topics[0]?.partitions[0]?.highWatermark === end, `end ${end} is noted`);
      if (end % 7 === 0) {
        const { newest, current: last } = await findClusterState(store);
        await writeClusterState(store, newest, { ...(last?.state as ClusterState), kafka: 'elsewhere:1' }).catch(() => undefined);
      }
      if (end === 15) await store.put(clusterStateKey((await findClusterState(store)).newest + 1), Buffer.from('garbage'));
    }
  });

  it('is written when the bucket is back', async () => {
    const broker = new SimBroker();
    broker.create('orders', 1);
    let isAway = false;
    const inner = memory();
    const store = faultyStore(inner, {
      before: (call) => {
        if (isAway && call.key.startsWith('cluster/')) throw unavailable(call);
      },
    });
    const { daemon } = await start(broker, store);
    await until(async () => (await current(inner)) !== undefined, 'the state is written');
    isAway = true;
    broker.append('orders', 0, records(0, 3));
    const behind = (): number => daemon.metricsSnapshot().find(({ name }) => name === 'tier_cluster_state_behind_ms')?.value ?? -1;
    await until(() => behind() > 50, 'it says that it is behind');
    isAway = false;
    await until(async () => (await current(inner))?.topics[0]?.partitions[0]?.highWatermark === 3, 'the end is noted');
    await until(() => behind() === 0, 'it says that all is there');
  });

  it('says that a topic is dropped before anything of its table goes: else a restore would bring it back without', async () => {
    const broker = new SimBroker();
    const { id } = broker.create('orders', 1);
    broker.append('orders', 0, records(0, 3));
    const inner = memory();
    const wasNoted: boolean[] = [];
    const store = faultyStore(inner, {
      before: async (call) => {
        if (call.operation !== 'delete' || !call.key.startsWith('topics/')) return;
        wasNoted.push((await current(inner))?.dropped.some((topic) => topic.id === id) === true);
      },
    });
    const daemon = await start(broker, store, { stateLookMs: hour, stateWriteMs: hour });
    await daemon.call('tier.flush', {});
    broker.delete('orders');
    await until(() => broker.dropped.length === 0, 'the table is removed');
    expect(wasNoted.length).toBeGreaterThan(1);
    expect(new Set(wasNoted)).toEqual(new Set([true]));
  });

  it('is not written by the service of a log that was recovered elsewhere', async () => {
    const old = new SimBroker();
    const topic = old.create('orders', 1);
    const store = memory();
    const stale = await start(old, store);
    await until(async () => (await current(store)) !== undefined, 'the old service has noted its log');
    const recovered = new SimBroker(old.cluster);
    recovered.topicsByName.set('orders', {
      ...topic,
      partitions: [{ ...old.partition('orders', 0), leaderEpoch: 1, end: 1000, flushed: 1000 }],
    });
    await start(recovered, store);
    await until(async () => (await current(store))?.topics[0]?.partitions[0]?.leaderEpoch === 1, 'the new service has noted its log');
    old.append('orders', 0, records(0, 3));
    const behind = (): number => stale.daemon.metricsSnapshot().find(({ name }) => name === 'tier_cluster_state_behind_ms')?.value ?? -1;
    await until(() => behind() > 100, 'the old service tries in vain');
    expect((await current(store))?.topics[0]?.partitions[0]).toMatchObject({ leaderEpoch: 1, highWatermark: 1000 });
  });

  it('keeps the groups that the broker cannot read for now', async () => {
    const broker = new SimBroker();
    const store = memory();
    broker.create('orders', 1);
    broker.groups = [group(2), { ...group(3), group: 'h' }];
    await start(broker, store);
    await until(async () => (await current(store))?.groups.length === 2, 'both groups are noted');
    broker.areOffsetsWhole = false;
    broker.groups = [{ ...group(4), group: 'h' }];
    await until(async () => (await current(store))?.groups.find(({ group: id }) => id === 'h')?.offsets[0]?.offset === 4, 'h moved on');
    expect((await current(store))?.groups).toEqual(expect.arrayContaining([group(2), { ...group(4), group: 'h' }]));
  });
});
