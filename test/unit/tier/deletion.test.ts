// A topic that is deleted, and one that is made anew under its name, while a daemon is still at work on the old one.
import { describe, expect, it } from 'vitest';
import { LakeError, systemClock } from '../../../src/kernel/index.js';
import { faultyStore, MemoryStore, type ObjectStore, type StoreCall } from '../../../src/objects/index.js';
import { SimBroker } from '../../support/sim-broker.js';
import { expectLakeIsLog, records, startingDaemons, until } from '../../support/daemon-fixture.js';

const start = startingDaemons();

async function keys(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.list(prefix)) found.push(key);
  return found;
}

/** A store whose first call of a kind waits until it is let go, as a daemon does that is paused there. */
function pausedAt(inner: ObjectStore, isThere: (call: StoreCall) => boolean) {
  let goOn: (how?: Error) => void = () => undefined;
  let arrived = (): void => undefined;
  const held = new Promise<void>((resolve, reject) => {
    goOn = (how) => (how === undefined ? resolve() : reject(how));
  });
  const arriving = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  let isFirst = true;
  const wait = async (call: StoreCall): Promise<void> => {
    if (!isFirst || !isThere(call)) return;
    isFirst = false;
    arrived();
    await held;
  };
  let through = false;
  const after = (call: StoreCall): void => {
    through ||= !isFirst && isThere(call);
  };
  return { store: faultyStore(inner, { before: wait, after }), arriving, goOn: (how?: Error) => goOn(how), isThrough: () => through };
}

describe('a topic that is deleted and made anew', () => {
  it.each([
    ['before its first commit', (call: StoreCall) => call.operation === 'put' && call.key.endsWith('v1.metadata.json')],
    ['before an upload', (call: StoreCall) => call.operation === 'put' && call.key.endsWith('.parquet')],
  ])('never meets what a daemon that was paused %s had in hand', async (_where, isThere) => {
    const [broker, inner] = [new SimBroker(), new MemoryStore({ clock: systemClock })];
    const { id: oldId } = broker.create('orders', 1);
    broker.append(
      'orders',
      0,
      records(0, 10, () => ({ from: 'the old topic' })),
    );
    const paused = pausedAt(inner, isThere);
    const sleeper = await start(broker, paused.store, { settings: { describeIntervalMs: 60_000, bucketTimeoutMs: 30_000 } });
    const flushing = sleeper.call('tier.flush', {}).catch((error: unknown) => error);
    await paused.arriving;

    const other = await start(broker, inner);
    broker.delete('orders');
    const { id: newId } = broker.create('orders', 1);
    broker.append('orders', 0, records(0, 3));
    await other.call('tier.topics-changed', {});
    await until(() => broker.dropped.length === 0, 'the drop');
    await other.call('tier.flush', { topic: 'orders' });
    paused.goOn();
    const mark = `topics/orders/${oldId}/metadata/vacated.json`;
    await until(() => paused.isThrough(), 'the daemon goes on');
    await until(async () => (await keys(inner, `topics/orders/${oldId}/`)).join() === mark, 'nothing of the old topic is left');
    await sleeper.call('tier.topics-changed', {});
    await flushing;
    await sleeper.close();
    await expectLakeIsLog(broker, inner, 'orders');
    expect((await keys(inner, `topics/orders/${newId}/data/`)).length).toBe(1);
    expect((await keys(inner, `topics/orders/${oldId}/`)).join()).toBe(mark);
  });

  it('leaves no object that arrived behind the drop once it is old enough', async () => {
    const [broker, store] = [new SimBroker(), new MemoryStore({ clock: systemClock })];
    const { id } = broker.create('orders', 1);
    broker.append('orders', 0, records(0, 10));
    const first = await start(broker, store);
    await first.call('tier.flush', {});
    broker.delete('orders');
    await first.call('tier.topics-changed', {});
    await until(() => broker.dropped.length === 0, 'the drop');
    // An upload that was on its way.
    await store.put(`topics/orders/${id}/data/p=0/late.parquet`, Buffer.from('late'));
    expect(await keys(store, 'cluster/dropped/')).toHaveLength(1);
    await start(broker, store, { settings: { droppedAgeMs: 100, describeIntervalMs: 50 } });
    await until(async () => (await keys(store, 'cluster/dropped/')).length === 0, 'the folder is emptied for good');
    expect(await keys(store, `topics/orders/${id}/`)).toEqual([`topics/orders/${id}/metadata/vacated.json`]);
  });

  it('is dropped whatever the drop broke off at', async () => {
    for (let failAt = 0; failAt < 12; failAt++) {
      const [broker, inner] = [new SimBroker(), new MemoryStore({ clock: systemClock })];
      const { id } = broker.create('orders', 1);
      broker.append('orders', 0, records(0, 10));
      let isDropping = false;
      let calls = 0;
      const store = faultyStore(inner, {
        before: (call) => {
          if (isDropping && calls++ === failAt) throw new LakeError('store-unavailable', `${call.operation} failed`);
        },
      });
      const tier = await start(broker, store, { settings: { describeIntervalMs: 20 } });
      await tier.call('tier.flush', {});
      isDropping = true;
      broker.delete('orders');
      await tier.call('tier.topics-changed', {});
      await until(() => broker.dropped.length === 0, 'the drop');
      expect(await keys(inner, `topics/orders/${id}/`)).toEqual([`topics/orders/${id}/metadata/vacated.json`]);
      await tier.close();
    }
  });
});
