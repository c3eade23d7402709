/** A daemon that is stopped, cut off or delayed at each of its requests to the bucket: the lake is the log all the same. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLakeError, systemClock } from '../../src/kernel/index.js';
import { answerLost, faultyStore, MemoryStore, type ObjectStore, type StoreCall, unavailable } from '../../src/objects/index.js';
import { SimBroker } from '../support/sim-broker.js';
import { expectLakeIsLog, records, type Running, startDaemon, until } from '../support/daemon-fixture.js';

const never = new Promise<void>(() => undefined);
const memory = (): MemoryStore => new MemoryStore({ clock: systemClock });

function filledBroker(): SimBroker {
  const broker = new SimBroker();
  broker.create('orders', 2);
  broker.append('orders', 0, records(0, 12));
  broker.append(
    'orders',
    1,
    records(0, 7, (n) => ({ other: `${n}` })),
  );
  return broker;
}

async function flushed(tier: Running): Promise<void> {
  await until(async () => {
    try {
      await tier.call('tier.flush', {});
      return true;
    } catch (error) {
      if (!isLakeError(error)) throw error;
      return false;
    }
  }, 'a flush succeeds');
}

/** Two rounds of commits through a store; how many requests they take. */
async function twoRounds(broker: SimBroker, store: ObjectStore, settings = {}): Promise<void> {
  const tier = await startDaemon(broker, store, { settings });
  try {
    await flushed(tier);
    broker.append(
      'orders',
      0,
      records(12, 5, (n) => ({ late: n })),
    );
    await flushed(tier);
  } finally {
    await tier.close();
  }
}

async function countRequests(): Promise<number> {
  let requests = 0;
  await twoRounds(filledBroker(), faultyStore(memory(), { before: () => void requests++ }));
  return requests;
}

type Fault = 'refused' | 'lost' | 'stopped before' | 'stopped after' | 'late';

describe('a daemon with a fault at each request', { timeout: 120_000 }, () => {
  it.each<Fault>(['refused', 'lost'])('goes on by itself where the request is %s', async (fault) => {
    const requests = await countRequests();
    for (let at = 0; at < requests; at++) {
      const broker = filledBroker();
      const inner = memory();
      const hits = (call: StoreCall): boolean => call.index === at;
      await twoRounds(
        broker,
        faultyStore(inner, {
          before: (call) => {
            if (fault === 'refused' && hits(call)) throw unavailable(call);
          },
          after: (call) => {
            if (fault === 'lost' && hits(call)) throw answerLost(call);
          },
        }),
      );
      const snapshot = await expectLakeIsLog(broker, inner, 'orders');
      expect(snapshot.partitions.map((p) => p.boundary)).toEqual([17, 7]);
    }
  });

  it.each<Fault>(['stopped before', 'stopped after', 'late'])('is followed by another one that finishes where it was %s', async (fault) => {
    const requests = await countRequests();
    for (let at = 0; at < requests; at++) {
      const broker = filledBroker();
      const inner = memory();
      let letGo: (() => void) | undefined;
      const gate = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      let isReached: (() => void) | undefined;
      const reached = new Promise<void>((resolve) => {
        isReached = resolve;
      });
      const store = faultyStore(inner, {
        before: async (call) => {
          if (call.index < at) return;
          isReached?.();
          if (fault === 'late' && call.index === at) await gate;
          else if (fault !== 'stopped after' || call.index > at) await never;
        },
        after: async (call) => {
          if (call.index === at) await never;
        },
      });
      const settings = { bucketTimeoutMs: 1500 };
      const first = startDaemon(broker, store, { settings });
      first.then(
        (tier) => tier.call('tier.flush', {}).catch(() => undefined),
        () => undefined,
      );
      broker.append(
        'orders',
        0,
        records(12, 5, (n) => ({ late: n })),
      );
      // Some runs need fewer requests than were counted.
      await Promise.race([reached, first.then(flushed)]);
      const second = await startDaemon(broker, inner);
      await flushed(second);
      letGo?.();
      await systemClock.sleep(2);
      broker.append('orders', 1, records(7, 3));
      await flushed(second);
      const snapshot = await expectLakeIsLog(broker, inner, 'orders');
      expect(snapshot.partitions.map((p) => p.boundary)).toEqual([17, 10]);
      await second.close();
      first.then(
        (tier) => tier.close(),
        () => undefined,
      );
    }
  });
});

describe('daemons in a random world', () => {
  it('never lose, double or reorder a record', { timeout: 120_000 }, async () => {
    const event = fc.oneof(
      fc.record({
        kind: fc.constant('append' as const),
        partition: fc.nat(2),
        count: fc.integer({ min: 1, max: 20 }),
        field: fc.constantFrom('a', 'b', 'c'),
      }),
      fc.record({ kind: fc.constant('flush' as const), daemon: fc.nat(1) }),
      fc.record({ kind: fc.constant('restart' as const), daemon: fc.nat(1) }),
      fc.record({ kind: fc.constant('power-cut' as const), partition: fc.nat(2) }),
      fc.record({ kind: fc.constant('pause' as const) }),
    );
    const faults = fc.array(fc.constantFrom('fine', 'fine', 'fine', 'fine', 'refused', 'lost'), { maxLength: 200 });
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 3, maxLength: 25 }), faults, async (events, plan) => {
        const broker = new SimBroker();
        broker.create('orders', 3, { 'lake.file.bytes': '1500', 'lake.commit.interval.ms': '20' });
        const inner = memory();
        const store = faultyStore(inner, {
          before: (call) => {
            if (plan[call.index % 211] === 'refused') throw unavailable(call);
          },
          after: (call) => {
            if (plan[call.index % 211] === 'lost') throw answerLost(call);
          },
        });
        const daemons = [await startDaemon(broker, store), await startDaemon(broker, store)];
        let n = 0;
        for (const one of events) {
          if (one.kind === 'append') {
            broker.append(
              'orders',
              one.partition,
              records(n, one.count, (m) => ({ [one.field]: m })),
            );
            n += one.count;
          } else if (one.kind === 'flush') {
            await daemons[one.daemon]?.call('tier.flush', {}).catch((error: unknown) => {
              if (!isLakeError(error)) throw error;
            });
          } else if (one.kind === 'restart') {
            await daemons[one.daemon]?.close();
            daemons[one.daemon] = await startDaemon(broker, store);
          } else if (one.kind === 'power-cut') {
            broker.loseUnflushed('orders', one.partition);
          } else {
            await systemClock.sleep(10);
          }
        }
        await Promise.all(daemons.map(flushed));
        await Promise.all(daemons.map((tier) => tier.close()));
        const snapshot = await expectLakeIsLog(broker, inner, 'orders');
        for (let p = 0; p < 3; p++) {
          expect(snapshot.partitions.find((cold) => cold.partition === p)?.boundary ?? 0).toBe(broker.partition('orders', p).end);
        }
      }),
      { numRuns: 40 },
    );
  });
});
