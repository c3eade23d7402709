import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/index.js';
import { boundaryOf, logStartOf } from '../../../src/lake/index.js';
import { answerLost, faultyStore, MemoryStore, type ObjectStore, unavailable } from '../../../src/objects/index.js';
import { SimBroker } from '../../support/sim-broker.js';
import { loadTable, records, type Running, startingDaemons, until } from '../../support/daemon-fixture.js';

const memory = (): ObjectStore => new MemoryStore({ clock: systemClock });

const start = startingDaemons();

/** Three files of ten records each. */
async function threeFiles(broker: SimBroker, tier: Running, config: Record<string, string> = {}): Promise<void> {
  broker.create('orders', 1, config);
  for (const from of [0, 10, 20]) {
    broker.append('orders', 0, records(from, 10));
    await tier.call('tier.flush', {});
  }
}

async function table(broker: SimBroker, store: ObjectStore) {
  const snapshot = await loadTable(broker, store, 'orders');
  return {
    logStart: logStartOf(snapshot.partitions, 0),
    boundary: boundaryOf(snapshot.partitions, 0),
    files: snapshot.files.map((file) => file.baseOffset),
    version: snapshot.metadataVersion,
  };
}

describe('deleted records', () => {
  it('leave the table at once when the daemon is woken: whole files go, one that is cut into stays', async () => {
    const [broker, store] = [new SimBroker(), memory()];
    const tier = await start(broker, store, { settings: { describeIntervalMs: 60_000 } });
    await threeFiles(broker, tier);
    broker.deleteBelow('orders', 0, 17);
    await tier.call('tier.topics-changed', {});
    await until(async () => (await table(broker, store)).logStart === 17, 'the log start is in the table');
    expect(await table(broker, store)).toMatchObject({ logStart: 17, boundary: 30, files: [10, 20] });
    const { version } = await table(broker, store);
    broker.deleteBelow('orders', 0, 12);
    await tier.call('tier.topics-changed', {});
    await tier.call('tier.flush', {});
    expect((await table(broker, store)).version).toBe(version);
  });

  it('above the boundary take the boundary along, without a file, and what comes next is cut from there', async () => {
    const [broker, store] = [new SimBroker(), memory()];
    const tier = await start(broker, store);
    await threeFiles(broker, tier);
    broker.append('orders', 0, records(30, 10));
    broker.deleteBelow('orders', 0, 36);
    await tier.call('tier.topics-changed', {});
    await until(async () => (await table(broker, store)).boundary === 36, 'the boundary has followed');
    expect(await table(broker, store)).toMatchObject({ logStart: 36, boundary: 36, files: [] });
    await until(() => broker.partition('orders', 0).boundary === 36, 'the broker was told');
    broker.append('orders', 0, records(40, 5));
    await tier.call('tier.flush', {});
    const snapshot = await loadTable(broker, store, 'orders');
    expect(snapshot.files.map(({ baseOffset, lastOffset, rows }) => [baseOffset, lastOffset, rows])).toEqual([[36, 44, 9]]);
  });

  it('of a partition that never had a file are known to the table as well', async () => {
    const [broker, store] = [new SimBroker(), memory()];
    broker.create('orders', 2);
    broker.append('orders', 0, records(0, 10));
    broker.append('orders', 1, records(0, 10));
    broker.deleteBelow('orders', 0, 10);
    const tier = await start(broker, store);
    await until(async () => (await table(broker, store)).boundary === 10, 'the boundary has followed');
    expect(await table(broker, store)).toMatchObject({ logStart: 10, files: [] });
    await tier.call('tier.flush', {});
    expect((await loadTable(broker, store, 'orders')).files.map((file) => file.partition)).toEqual([1]);
  });

  it('are committed once the bucket is back, and after a lost answer once', async () => {
    const [broker, inner] = [new SimBroker(), memory()];
    let isAway = false;
    let losesAnswers = false;
    const store = faultyStore(inner, {
      before: (call) => {
        if (isAway && call.operation === 'put') throw unavailable(call);
      },
      after: (call) => {
        if (!losesAnswers || !call.key.endsWith('.metadata.json') || call.operation !== 'put') return;
        losesAnswers = false;
        throw answerLost(call);
      },
    });
    const tier = await start(broker, store);
    await threeFiles(broker, tier);
    isAway = true;
    broker.deleteBelow('orders', 0, 10);
    await tier.call('tier.topics-changed', {});
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await table(broker, inner)).toMatchObject({ logStart: 0, files: [0, 10, 20] });
    isAway = false;
    losesAnswers = true;
    await until(async () => (await table(broker, inner)).logStart === 10, 'the log start is in the table');
    await until(() => broker.partition('orders', 0).moves.at(-1)?.logStartOffset === 10, 'the broker was told');
    expect(losesAnswers).toBe(false);
    expect((await table(broker, inner)).version).toBe(4);
  });
});

describe('retention', () => {
  it('takes whole files, oldest first, tells the broker, and hydrates nothing below', async () => {
    const [broker, store] = [new SimBroker(), memory()];
    const tier = await start(broker, store, { settings: { retentionCheckMs: 30 } });
    await threeFiles(broker, tier);
    expect(await table(broker, store)).toMatchObject({ logStart: 0, files: [0, 10, 20] });
    const snapshot = await loadTable(broker, store, 'orders');
    const keep = (snapshot.files[1]?.bytes ?? 0) + (snapshot.files[2]?.bytes ?? 0);
    Object.assign(broker.topicsByName.get('orders')?.config ?? {}, { 'retention.bytes': String(keep) });
    await until(() => broker.partition('orders', 0).logStart === 10, 'the broker was told');
    expect(await table(broker, store)).toMatchObject({ logStart: 10, boundary: 30, files: [10, 20] });
    const { id: topicId } = broker.topicsByName.get('orders') ?? { id: '' as never };
    await expect(tier.hydrate({ topicId, partition: 0, offset: 9, maxBytes: 1 })).rejects.toMatchObject({ code: 'offset-out-of-range' });
    const { version } = await table(broker, store);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await table(broker, store)).version).toBe(version);
    // By time: what is in the table is from 2023.
    Object.assign(broker.topicsByName.get('orders')?.config ?? {}, { 'retention.ms': '3600000' });
    await until(() => broker.partition('orders', 0).logStart === 30, 'all is gone');
    expect(await table(broker, store)).toMatchObject({ logStart: 30, boundary: 30, files: [] });
  });

  it('tells a broker that has not heard of a log start', async () => {
    const [broker, store] = [new SimBroker(), memory()];
    const tier = await start(broker, store, { settings: { retentionCheckMs: 30 } });
    await threeFiles(broker, tier, { 'retention.ms': '3600000' });
    await until(() => broker.partition('orders', 0).logStart === 30, 'all is gone');
    await tier.close();
    broker.partition('orders', 0).logStart = 0;
    await start(broker, store);
    await until(() => broker.partition('orders', 0).logStart === 30, 'told again');
  });

  it('goes on with what is cold of a partition that is offline, whose log counts as nothing, and tells the broker when it is back', async () => {
    const [broker, store] = [new SimBroker(), memory()];
    const first = await start(broker, store);
    await threeFiles(broker, first);
    await first.close();
    const log = broker.partition('orders', 0);
    broker.append('orders', 0, records(30, 40));
    log.offline = 'x.log is damaged at 7';
    const told = log.moves.length;
    const [, second, third] = (await loadTable(broker, store, 'orders')).files;
    const config = broker.topicsByName.get('orders')?.config ?? {};
    config['retention.bytes'] = String((second?.bytes ?? 0) + (third?.bytes ?? 0));
    const tier = await start(broker, store, { settings: { retentionCheckMs: 30 } });
    await until(async () => (await table(broker, store)).logStart > 0, 'a file is gone');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await table(broker, store)).toMatchObject({ logStart: 10, boundary: 30, files: [10, 20] });
    config['retention.ms'] = '3600000';
    await tier.call('tier.topics-changed', {});
    await until(async () => (await table(broker, store)).logStart === 30, 'all is gone');
    // It would refuse.
    expect(log.moves).toHaveLength(told);
    log.offline = undefined;
    await until(() => log.logStart === 30, 'the broker was told');
  });
});
