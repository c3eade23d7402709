// Offsets by time over both tiers: for any log, whatever of it is cold, evicted or deleted, the answer is what a look at every record gives.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ColdTier } from '../../src/broker/index.js';
import { openLogReader } from '../../src/client/index.js';
import type { ControlMethod, ControlParams, ControlResult, HydratedPart } from '../../src/control/index.js';
import { systemClock, systemRandom } from '../../src/kernel/index.js';
import { MemoryStore } from '../../src/objects/index.js';
import { silentLogger } from '../../src/telemetry/index.js';
import { startTier, type TierDaemon } from '../../src/tier/index.js';
import { type CompressionCodec, deleteRecordsApi, encodeBatch } from '../../src/wire/index.js';
import { simFindTimestamp, simRebuilder, simWorkers } from '../support/sim-workers.js';
import { temporaryFolder, testBroker, WireClient } from '../unit/broker/broker-fixture.js';

interface Handlers {
  readonly controlHandlers: object;
}

/** Calls a role that runs in this process. */
function call<M extends ControlMethod>(
  role: Handlers,
  method: M,
  params: ControlParams<M>,
  context: object = {},
): Promise<ControlResult<M>> {
  const signal = AbortSignal.timeout(60_000);
  const handler = (role.controlHandlers as Record<string, (params: unknown, context: unknown) => Promise<unknown>>)[method];
  return handler!(params, { peer: { role: 'broker', pid: 1, version: '0' }, signal, ...context }) as Promise<ControlResult<M>>;
}

/** A broker and a daemon in this process, on a bucket in memory. */
async function openWorld() {
  const spoolDir = join(await temporaryFolder(), 'spool');
  let daemon: TierDaemon | undefined;
  const tier = (): TierDaemon => daemon ?? expect.unreachable('the daemon has started');
  const coldTier: ColdTier = {
    hydrate: async (from, onPart) => {
      const sendPart = (facts: unknown, payload: Uint8Array): Promise<void> =>
        onPart({ ...(facts as HydratedPart), batches: Buffer.from(payload) });
      return call(tier(), 'tier.hydrate', from, { sendPart });
    },
    offsetForTimestamp: async (at) => (await call(tier(), 'tier.offset-for-timestamp', at)).found,
    maxTimestamp: async (at) => (await call(tier(), 'tier.max-timestamp', at)).found,
    topicsChanged: () => void call(tier(), 'tier.topics-changed', {}).catch(() => undefined),
  };
  const broker = await testBroker({ coldTier, flags: { 'remote.fetch.max.wait.ms': '30000' } });
  const reader = openLogReader({ bootstrap: `127.0.0.1:${broker.kafkaAddress.port}`, clientId: 'tier' });
  daemon = await startTier({
    store: new MemoryStore({ clock: systemClock }),
    reader,
    broker: { call: (method, params) => call(broker, method, params) },
    workers: simWorkers(),
    rebuilder: simRebuilder(),
    findTimestamp: simFindTimestamp,
    spoolDir,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    settings: { fetchWaitMs: 20, fetchLingerMs: 1, commitGatherMs: 5, describeIntervalMs: 60_000 },
  });
  const client = await WireClient.open(broker);
  return {
    broker,
    tier: tier(),
    client,
    close: async (): Promise<void> => {
      client.close();
      await tier().close();
      await reader.close();
      await rm(spoolDir, { recursive: true, force: true });
    },
  };
}

interface Row {
  readonly offset: number;
  readonly timestampMs: number;
}

/** Few times, so that many are equal; and some far from the others. */
const time = fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 0, max: 12 }) }, { weight: 1, arbitrary: fc.constantFrom(500, 1_000_000) });
const kinds = ['flush', 'evict', 'cool', 'cool'] as const;
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('produce' as const),
      times: fc.array(time, { minLength: 1, maxLength: 4 }),
      compression: fc.constantFrom<CompressionCodec>('none', 'none', 'lz4', 'zstd'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom(...kinds) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }) },
);

describe('ListOffsets over both tiers', () => {
  it('answers as a look at every record would, for any log, boundary, eviction and log start', async () => {
    const world = await openWorld();
    onTestFinished(() => world.close());
    let topics = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 3, maxLength: 16 }),
        fc.array(time, { minLength: 6, maxLength: 6 }),
        async (steps, asked) => {
          const { broker, client, tier } = world;
          const topic = `t${topics++}`;
          await client.createTopic(topic);
          const rows: Row[] = [];
          let logStart = 0;
          let boundary = 0;
          const look = async (): Promise<void> => {
            const left = rows.filter((row) => row.offset >= logStart);
            const first = (timestampMs: number): Row | undefined => left.find((row) => row.timestampMs >= timestampMs);
            const answer = async (timestampMs: number): Promise<Row> => {
              const { errorCode, offset, timestamp } = await client.listOffset(topic, timestampMs);
              expect(errorCode).toBe(0);
              return { offset, timestampMs: timestamp };
            };
            const none: Row = { offset: -1, timestampMs: -1 };
            for (const timestampMs of [...asked, 13, 1_000_001]) expect(await answer(timestampMs)).toEqual(first(timestampMs) ?? none);
            expect(await answer(-3)).toEqual(first(Math.max(-1, ...left.map((row) => row.timestampMs))) ?? none);
            expect(await answer(-2)).toEqual({ offset: logStart, timestampMs: -1 });
            expect(await answer(-1)).toEqual({ offset: rows.length, timestampMs: -1 });
            const [described] = (await call(broker, 'broker.describe', { topic })).topics[0]!.partitions;
            expect(await answer(-4)).toEqual({ offset: Math.max(logStart, described!.localStartOffset), timestampMs: -1 });
            expect((await answer(-5)).offset).toBe(Math.max(boundary, described!.boundary) > logStart ? described!.boundary - 1 : -1);
          };
          for (const one of steps) {
            switch (one.kind) {
              case 'produce': {
                const records = one.times.map((timestampMs) => ({ timestampMs, key: null, value: Buffer.alloc(20) }));
                expect((await client.produce(topic, encodeBatch({ records, compression: one.compression }))).errorCode).toBe(0);
                for (const timestampMs of one.times) rows.push({ offset: rows.length, timestampMs });
                break;
              }
              case 'flush':
              case 'evict':
              case 'cool': {
                if (one.kind !== 'evict') {
                  const flushed = await call(tier, 'tier.flush', { topic });
                  boundary = flushed.topics[0]!.partitions[0]?.boundary ?? boundary;
                }
                if (one.kind !== 'flush') await call(broker, 'broker.evict', { topic });
                break;
              }
              case 'delete': {
                const offset = logStart + Math.floor((rows.length - logStart) * one.share);
                await client.call(deleteRecordsApi, 2, {
                  topics: [{ name: topic, partitions: [{ partitionIndex: 0, offset }] }],
                  timeoutMs: 10_000,
                });
                logStart = offset;
                break;
              }
            }
            await look();
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
