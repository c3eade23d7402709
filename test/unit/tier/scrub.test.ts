import { describe, expect, it } from 'vitest';
import type { ScrubbedFile } from '../../../src/control/index.js';
import { systemClock } from '../../../src/kernel/index.js';
import { faultyStore, MemoryStore, type ObjectStore, unavailable } from '../../../src/objects/index.js';
import type { TierSettings } from '../../../src/tier/index.js';
import { SimBroker } from '../../support/sim-broker.js';
import { loadTable, records, type Running, startingDaemons, until } from '../../support/daemon-fixture.js';

const begin = startingDaemons();

function start(broker: SimBroker, store: ObjectStore, settings: Partial<TierSettings> = {}): Promise<Running> {
  return begin(broker, store, { settings });
}

/** Three files of ten records in `orders`, one in `other`. */
async function world(
  settings: Partial<TierSettings> = {},
): Promise<{ broker: SimBroker; store: MemoryStore; tier: Running; keys: string[] }> {
  const broker = new SimBroker();
  const store = new MemoryStore({ clock: systemClock });
  for (const name of ['orders', 'other']) broker.create(name, 1);
  const tier = await start(broker, store, settings);
  for (let n = 0; n < 30; n += 10) {
    broker.append('orders', 0, records(n, 10));
    if (n === 0) broker.append('other', 0, records(n, 10));
    await tier.call('tier.flush', {});
  }
  return { broker, store, tier, keys: (await loadTable(broker, store, 'orders')).files.map((file) => file.key) };
}

/** A file of ten records in each partition of `orders`, all of them in one manifest. */
async function oneManifest(partitions: number): Promise<{ broker: SimBroker; store: MemoryStore; keys: string[] }> {
  const broker = new SimBroker();
  const store = new MemoryStore({ clock: systemClock });
  broker.create('orders', partitions);
  for (let partition = 0; partition < partitions; partition++) broker.append('orders', partition, records(0, 10));
  const tier = await start(broker, store);
  await tier.call('tier.flush', {});
  await tier.close();
  return { broker, store, keys: (await loadTable(broker, store, 'orders')).files.map((file) => file.key) };
}

async function scrub(tier: Running, topic?: string): Promise<{ files: ScrubbedFile[]; result: unknown }> {
  const files: ScrubbedFile[] = [];
  const result = await tier.daemon.controlHandlers['tier.scrub']?.(topic === undefined ? {} : { topic }, {
    peer: { role: 'gateway', pid: 1, version: '0' },
    signal: AbortSignal.timeout(20_000),
    sendPart: async (facts) => void files.push(facts as ScrubbedFile),
  });
  return { files, result };
}

const counter = (tier: Running, name: string): number =>
  tier.daemon.metricsSnapshot().find((sample) => sample.name === name)?.value ?? Number.NaN;

describe('a scrub', () => {
  it('reads every file of one topic or of all, and finds nothing where nothing is', async () => {
    const { tier, keys } = await world();
    const one = await scrub(tier, 'orders');
    expect(one.files.map((file) => file.key)).toEqual(keys);
    expect(one.files.every((file) => file.problem === undefined && file.rows === 10)).toBe(true);
    const all = await scrub(tier);
    expect(all.result).toMatchObject({ files: 4, findings: 0, holes: 0 });
    expect(counter(tier, 'tier_scrubbed_files_total')).toBe(7);
    await expect(scrub(tier, 'nobody')).rejects.toMatchObject({ code: 'topic-unknown' });
  });

  it('names each damaged file with what is wrong and what to do, and goes on', async () => {
    const { store, tier, keys } = await world();
    const [missing = '', short = '', changed = ''] = keys;
    await store.delete(missing);
    await store.put(short, (await store.get(short)).subarray(1));
    const bytes = await store.get(changed);
    // Another value of the same length, in a record: only its digest can tell.
    const at = bytes.indexOf('"value":"') + 9;
    bytes[at + 2] = bytes[at + 2] === 0x41 ? 0x42 : 0x41;
    await store.put(changed, bytes);
    const { files, result } = await scrub(tier);
    expect(files.filter((file) => file.problem !== undefined).map((file) => [file.key, file.problem])).toEqual([
      [missing, 'the object is not in the bucket'],
      [short, expect.stringMatching(/bytes; \d+ were committed/)],
      [changed, expect.stringContaining('differs')],
    ]);
    for (const file of files) if (file.problem !== undefined) expect(file.hint).toContain('Restore the object');
    expect(result).toMatchObject({ files: 4, findings: 3 });
    expect(counter(tier, 'tier_scrub_findings_total')).toBe(3);
  });

  it('finds an object that holds other offsets than the table says', async () => {
    const { store, tier, keys } = await world();
    const [, second = '', third = ''] = keys;
    await store.put(second, await store.get(third));
    const { files } = await scrub(tier, 'orders');
    expect(files[1]?.problem).toMatch(/its footer says 10 rows of 20…29; the table says 10 of 10…19/);
  });

  it('fails where the bucket does, and takes that for no damage', async () => {
    const broker = new SimBroker();
    const inner = new MemoryStore({ clock: systemClock });
    broker.create('orders', 1);
    let isAway = false;
    const store = faultyStore(inner, {
      before: (call) => {
        if (isAway && call.key.includes('/data/')) throw unavailable(call);
      },
    });
    const tier = await start(broker, store);
    broker.append('orders', 0, records(0, 10));
    await tier.call('tier.flush', {});
    isAway = true;
    await expect(scrub(tier)).rejects.toMatchObject({ code: 'store-unavailable' });
    expect(counter(tier, 'tier_scrub_findings_total')).toBe(0);
  });

  it('goes on by itself, slowly, and says when it last saw everything', async () => {
    const { tier } = await world({ scrubPauseMs: 20, scrubBytesPerSecond: 1_000_000 });
    const before = counter(tier, 'tier_scrubbed_files_total');
    await until(() => counter(tier, 'tier_scrubbed_files_total') >= before + 8, 'two passes');
    // Its files are counted before a pass is.
    await until(() => counter(tier, 'tier_scrub_last_pass_seconds') > 1_700_000_000, 'a pass to be counted');
    expect(counter(tier, 'tier_scrub_findings_total')).toBe(0);
  });

  it('goes on over files whose manifest was rewritten in the middle of a pass', async () => {
    const { broker, store: inner, keys } = await oneManifest(3);
    const [first = ''] = keys;
    const looked: string[] = [];
    let removed: Promise<void> | undefined;
    const store = faultyStore(inner, {
      before: async ({ operation, key }) => {
        if (operation !== 'head' || !key.includes('/data/')) return;
        looked.push(key);
        // The first pass begins anywhere: the second one reads the first file after another.
        if (key === first && looked.length > 1) await (removed ??= removeFirst());
      },
    });
    const tier = await start(broker, store, { scrubPauseMs: 400, scrubBytesPerSecond: 1_000_000 });
    const removeFirst = async (): Promise<void> => {
      looked.length = 0;
      broker.deleteBelow('orders', 0, 10);
      await tier.call('tier.topics-changed', {});
      await until(() => counter(tier, 'tier_expired_files_total') === 1, 'the first file to leave the table');
    };
    await until(() => counter(tier, 'tier_scrub_last_pass_seconds') > 0, 'a pass to be counted');
    expect(looked).toEqual(keys.slice(1));
  });

  it('goes on where it was after the bucket has failed once', async () => {
    const { broker, store: inner, keys } = await oneManifest(3);
    const [, second = ''] = keys;
    const looked: string[] = [];
    let failedAt = 0;
    const store = faultyStore(inner, {
      before: (call) => {
        if (call.operation !== 'head' || !call.key.includes('/data/')) return;
        looked.push(call.key);
        if (call.key !== second || failedAt > 0) return;
        failedAt = looked.length;
        throw unavailable(call);
      },
    });
    const tier = await start(broker, store, { scrubPauseMs: 20, scrubBytesPerSecond: 1_000_000 });
    await until(() => counter(tier, 'tier_scrub_last_pass_seconds') > 0, 'a pass to be counted');
    expect(looked.slice(failedAt, failedAt + 2)).toEqual(keys.slice(1));
  });

  it('does not say that it saw everything where a file could not be read', async () => {
    const { broker, store: inner, keys } = await oneManifest(2);
    const [first = '', second = ''] = keys;
    const looked: string[] = [];
    let isAway = true;
    const store = faultyStore(inner, {
      before: (call) => {
        if (call.operation !== 'head') return;
        looked.push(call.key);
        if (isAway && call.key === second) throw unavailable(call);
      },
    });
    const tier = await start(broker, store, { scrubPauseMs: 20, scrubBytesPerSecond: 1_000_000 });
    await until(() => looked.filter((key) => key === first).length >= 3, 'three passes to begin');
    expect(counter(tier, 'tier_scrub_last_pass_seconds')).toBe(0);
    isAway = false;
    await until(() => counter(tier, 'tier_scrub_last_pass_seconds') > 0, 'a pass to be counted');
  });
});
