/** A daemon on a simulated broker, simulated workers and any store; and what the lake holds at the end, read by a fresh eye. */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect } from 'vitest';
import type { BatchRebuilder, ColumnWorkers, TimeLookup } from '../../src/columns/index.js';
import type { ControlHandlers, ControlMethod, ControlParams, ControlResult, HydratedPart } from '../../src/control/index.js';
import { systemClock, systemRandom } from '../../src/kernel/index.js';
import { openTopicTable, type TableSnapshot } from '../../src/lake/index.js';
import type { ObjectStore } from '../../src/objects/index.js';
import { silentLogger } from '../../src/telemetry/index.js';
import { startTier, type TierDaemon, type TierSettings } from '../../src/tier/index.js';
import { decodeBatch, type NewRecord, walkBatches } from '../../src/wire/index.js';
import type { SimBroker } from './sim-broker.js';
import { simFile, simFindTimestamp, simRebuilder, simWorkers } from './sim-workers.js';

export const quick: Partial<TierSettings> = {
  fetchWaitMs: 20,
  fetchLingerMs: 1,
  commitGatherMs: 500,
  describeIntervalMs: 200,
  bucketTimeoutMs: 2000,
  brokerTimeoutMs: 2000,
  retry: { firstMs: 2, maxMs: 20, tries: Number.POSITIVE_INFINITY },
};

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'tier-'));
}

export interface Running {
  readonly daemon: TierDaemon;
  call<M extends ControlMethod>(method: M, params: ControlParams<M>): Promise<ControlResult<M>>;
  hydrate(
    params: ControlParams<'tier.hydrate'>,
  ): Promise<{ readonly parts: (HydratedPart & { readonly payload: Buffer })[]; readonly result: ControlResult<'tier.hydrate'> }>;
  close(): Promise<void>;
}

export async function startDaemon(
  broker: SimBroker,
  store: ObjectStore,
  more: {
    readonly workers?: ColumnWorkers;
    readonly rebuilder?: BatchRebuilder;
    readonly findTimestamp?: TimeLookup;
    readonly settings?: Partial<TierSettings>;
    readonly spoolDir?: string;
  } = {},
): Promise<Running> {
  const spoolDir = more.spoolDir ?? temporaryFolder();
  const daemon = await startTier({
    store,
    reader: broker,
    broker: broker.peer,
    workers: more.workers ?? simWorkers(),
    rebuilder: more.rebuilder ?? simRebuilder(),
    findTimestamp: more.findTimestamp ?? simFindTimestamp,
    spoolDir,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    settings: { ...quick, ...more.settings },
  });
  const parts: (HydratedPart & { readonly payload: Buffer })[] = [];
  const context = (onPart?: (part: HydratedPart & { readonly payload: Buffer }) => void) => ({
    peer: { role: 'broker' as const, pid: 1, version: '0' },
    signal: AbortSignal.timeout(25_000),
    sendPart: async (facts: unknown, payload: Uint8Array) => onPart?.({ ...(facts as HydratedPart), payload: Buffer.from(payload) }),
  });
  const call: Running['call'] = (method, params) => {
    const handler = (daemon.controlHandlers as Record<string, (params: unknown, context: unknown) => unknown>)[method] as NonNullable<
      ControlHandlers[typeof method]
    >;
    return handler(params, context()) as ReturnType<Running['call']> as never;
  };
  return {
    daemon,
    call,
    hydrate: async (params) => {
      parts.length = 0;
      const result = await daemon.controlHandlers['tier.hydrate']?.(
        params,
        context((part) => parts.push(part)),
      );
      return { parts: [...parts], result: result as ControlResult<'tier.hydrate'> };
    },
    close: async () => {
      await daemon.close();
      await rm(spoolDir, { recursive: true, force: true });
    },
  };
}

export function records(from: number, count: number, value: (n: number) => unknown = (n) => ({ n })): NewRecord[] {
  return Array.from({ length: count }, (_, index) => {
    const n = from + index;
    return { timestampMs: 1_700_000_000_000 + n * 10, key: Buffer.from(`k${n}`), value: Buffer.from(JSON.stringify(value(n))) };
  });
}

export async function loadTable(broker: SimBroker, store: ObjectStore, topic: string): Promise<TableSnapshot> {
  const found = broker.topicsByName.get(topic);
  if (found === undefined) throw new Error(`no topic ${topic}`);
  const table = openTopicTable(
    store,
    { topic: topic as never, topicId: found.id, clusterId: broker.cluster },
    { clock: systemClock, random: systemRandom },
  );
  return table.load();
}

interface SimRow {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** The rows below each boundary are exactly the records of the log there: once, in order, each in a file that says so. */
export async function expectLakeIsLog(broker: SimBroker, store: ObjectStore, topic: string): Promise<TableSnapshot> {
  const snapshot = await loadTable(broker, store, topic);
  for (const { partition, boundary } of snapshot.partitions) {
    const log = broker.bytesOf(topic, partition);
    const wanted: SimRow[] = [];
    walkBatches(log, (at) => {
      for (const record of decodeBatch(log, at)) {
        if (record.offset >= boundary) continue;
        wanted.push({
          offset: record.offset,
          key: record.key?.toString('base64') ?? null,
          value: record.value?.toString('base64') ?? null,
        });
      }
    });
    const found: SimRow[] = [];
    let next = 0;
    for (const file of snapshot.files.filter((candidate) => candidate.partition === partition)) {
      expect(file.baseOffset).toBeGreaterThanOrEqual(next);
      next = file.lastOffset + 1;
      const { rows } = simFile(await store.get(file.key));
      expect(file.rows).toBe(rows.length);
      for (const { offset, key, value } of rows) {
        expect(offset).toBeGreaterThanOrEqual(file.baseOffset);
        expect(offset).toBeLessThanOrEqual(file.lastOffset);
        found.push({ offset, key, value });
      }
    }
    expect(next).toBeLessThanOrEqual(boundary);
    expect(found).toEqual(wanted);
  }
  return snapshot;
}

/** Called once in a file: what it answers starts daemons that end with the test, if not before. */
export function startingDaemons(): typeof startDaemon {
  const running: Running[] = [];
  afterEach(async () => {
    await Promise.all(running.splice(0).map((one) => one.close()));
  });
  return async (...args) => {
    const started = await startDaemon(...args);
    let closing: Promise<void> | undefined;
    const one: Running = { ...started, close: () => (closing ??= started.close()) };
    running.push(one);
    return one;
  };
}

export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = systemClock.monotonicMs() + 10_000;
  while (!(await condition())) {
    if (systemClock.monotonicMs() > deadline) throw new Error(`never: ${what}`);
    await systemClock.sleep(5);
  }
}
