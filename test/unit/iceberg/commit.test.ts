import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLakeError } from '../../../src/kernel/index.js';
import { hintKey, TableStore, versionKey, withProperties, type TableVersion } from '../../../src/iceberg/index.js';
import { serializeTableMetadata } from '../../../src/iceberg/table-metadata.js';
import {
  answerLost,
  faultyStore,
  MemoryStore,
  unavailable,
  type FaultPlan,
  type ObjectInfo,
  type ObjectStore,
  type StoreCall,
} from '../../../src/objects/index.js';
import { emptyMetadata, file, keysOf, prefix, seededRandom, steppedClock, world } from './table-world.js';

const clock = steppedClock();
const random = seededRandom(9);
const tableIn = (store: Parameters<typeof faultyStore>[0], plan: FaultPlan = {}): TableStore =>
  new TableStore(faultyStore(store, plan), prefix, { clock, random });
const bump = (base: TableVersion): TableVersion['metadata'] =>
  withProperties(base.metadata, { count: String(Number(base.metadata.properties['count'] ?? '0') + 1) });
const counted = async (table: TableStore): Promise<number> => Number((await table.load())?.metadata.properties['count'] ?? '0');
const isPutOf = (call: StoreCall, version: number): boolean => call.operation === 'put' && call.key === versionKey(prefix, version);

/** Loads, decides and commits until it is done; answers how often it was lost. */
async function commitOnce(table: TableStore, commitId: string): Promise<number> {
  for (let losses = 0; losses < 100; losses++) {
    const base = await table.load();
    if (base === null) throw new Error('no table');
    try {
      await table.commit(base, bump(base), commitId);
      return losses;
    } catch (error) {
      if (!isLakeError(error, 'commit-lost')) throw error;
    }
  }
  throw new Error('lost again and again');
}

describe('a commit', () => {
  it('writes the next number, the hint after it, and its id', async () => {
    const { table, store } = world();
    expect(await table.load()).toBeNull();
    const one = await table.commit(null, emptyMetadata(), 'first');
    const two = await table.commit(one, bump(one), 'second');
    expect([one.version, two.version]).toEqual([1, 2]);
    expect(await table.load()).toEqual({ version: two.version, metadata: two.metadata });
    expect((await store.get(hintKey(prefix))).toString()).toBe('2');
    expect(await table.includesCommit('first', 0)).toBe(true);
    expect(await table.includesCommit('second', 1)).toBe(true);
    expect(await table.includesCommit('third', 0)).toBe(false);
    expect(two.metadata.metadataLog.map((entry) => entry.metadataFile)).toEqual([`memory:/${prefix}/metadata/v1.metadata.json`]);
  });

  it('is what was stored, where an earlier try of it turns out to have come through', async () => {
    const { table } = world();
    const late = await table.commit(null, { ...emptyMetadata(), tableUuid: '00000000-0000-4000-8000-00000000000a' }, 'first');
    const again = await table.commit(null, { ...emptyMetadata(), tableUuid: '00000000-0000-4000-8000-00000000000b' }, 'first');
    expect(again.metadata).toEqual(late.metadata);
    expect(await table.load()).toEqual({ version: again.version, metadata: again.metadata });
  });

  it('reads nothing again while the table is where the caller knows it', async () => {
    const store = new MemoryStore({ clock });
    const calls: string[] = [];
    const table = tableIn(store, { before: (call) => void calls.push(call.operation) });
    const head = await table.commit(null, emptyMetadata(), 'first');
    calls.length = 0;
    expect(await table.load(head)).toBe(head);
    expect(calls).toEqual(['list']);
  });

  it('is lost to whoever wrote the number first', async () => {
    const { table } = world();
    const base = await table.commit(null, emptyMetadata(), 'first');
    await table.commit(base, bump(base), 'winner');
    await expect(table.commit(base, bump(base), 'loser')).rejects.toMatchObject({ code: 'commit-lost', retriable: true });
    expect(await counted(table)).toBe(1);
    await expect(table.commit(null, emptyMetadata(), 'another-creation')).rejects.toMatchObject({ code: 'commit-lost' });
  });

  it('is counted once for each of the writers, in whatever order their requests arrive', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 4 }), async (scheduler, writers) => {
        const store = new MemoryStore({ clock });
        await tableIn(store).commit(null, emptyMetadata(), 'create');
        const yielding: FaultPlan = { before: (call) => scheduler.schedule(Promise.resolve(), `${call.operation} ${call.key}`) };
        const work = Promise.all(Array.from({ length: writers }, (_, writer) => commitOnce(tableIn(store, yielding), `writer-${writer}`)));
        await scheduler.waitFor(work);
        const table = tableIn(store);
        expect(await counted(table)).toBe(writers);
        expect((await table.load())?.version).toBe(writers + 1);
        for (let writer = 0; writer < writers; writer++) expect(await table.includesCommit(`writer-${writer}`, 0)).toBe(true);
        expect((await store.get(hintKey(prefix))).toString()).toBe(String(writers + 1));
      }),
      { numRuns: 150 },
    );
  });

  it('is counted once for each of the writers whose answers get lost before or after', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.infiniteStream(fc.integer({ min: 0, max: 9 })), async (scheduler, dice) => {
        const store = new MemoryStore({ clock });
        await tableIn(store).commit(null, emptyMetadata(), 'create');
        const roll = (): number => dice.next().value ?? 9;
        const plan: FaultPlan = {
          before: async (call) => {
            await scheduler.schedule(Promise.resolve(), call.operation);
            if (roll() === 0) throw answerLost(call);
          },
          after: (call) => {
            if (roll() === 0) throw answerLost(call);
          },
        };
        const committed = new Set<string>();
        const writer = async (name: string): Promise<void> => {
          const table = tableIn(store, plan);
          try {
            await commitOnce(table, name);
            committed.add(name);
          } catch (error) {
            // The budget for tries may be used up: then nobody was told anything.
            if (!isLakeError(error, 'store-unavailable')) throw error;
          }
        };
        await scheduler.waitFor(Promise.all(['a', 'b', 'c'].map(writer)));
        const table = tableIn(store);
        for (const name of committed) expect(await table.includesCommit(name, 0)).toBe(true);
        let inChain = 0;
        for (const name of ['a', 'b', 'c']) inChain += (await table.includesCommit(name, 0)) ? 1 : 0;
        expect(await counted(table)).toBe(inChain);
      }),
      { numRuns: 150 },
    );
  });

  it('is void where it won a number that was free only because old metadata had been cleaned up', async () => {
    const { table, store } = world();
    let head: TableVersion = await table.commit(null, emptyMetadata(), 'create');
    const slept = head;
    for (let i = 0; i < 30; i++) head = await table.commit(head, bump(head), `later-${i}`);
    for (let version = 1; version <= 8; version++) await store.delete(versionKey(prefix, version));
    await expect(table.commit(slept, bump(slept), 'sleeper')).rejects.toMatchObject({ code: 'commit-lost', message: /31 already/ });
    expect(await store.head(versionKey(prefix, 2))).toBeNull();
    expect((await table.load())?.version).toBe(31);
    expect(await table.includesCommit('sleeper', 0)).toBe(false);
    expect((await store.get(hintKey(prefix))).toString()).toBe('31');
  });

  it('is void where its predecessor is another one of the same number: a void file that nobody has removed yet', async () => {
    const { table, store } = world();
    let head: TableVersion = await table.commit(null, emptyMetadata(), 'create');
    const slept = await table.commit(head, bump(head), 'slept');
    head = slept;
    for (let i = 0; i < 30; i++) head = await table.commit(head, bump(head), `later-${i}`);
    for (let version = 1; version <= 8; version++) await store.delete(versionKey(prefix, version));
    const another = serializeTableMetadata({ ...slept.metadata, properties: { 'thermocline.commits': 'another-sleeper' } });
    await store.put(versionKey(prefix, 2), another);
    await expect(table.commit(slept, bump(slept), 'sleeper')).rejects.toMatchObject({ code: 'commit-lost', message: /32 already/ });
    expect(await store.head(versionKey(prefix, 3))).toBeNull();
  });

  it('is void where its predecessor is gone, as after the table was dropped', async () => {
    const { table, store } = world();
    const head = await table.commit(null, emptyMetadata(), 'create');
    await store.delete(versionKey(prefix, 1));
    await expect(table.commit(head, bump(head), 'late')).rejects.toMatchObject({ code: 'commit-lost', message: /version 1 is gone/ });
    expect((await keysOf(store, `${prefix}/metadata/v`)).filter((key) => key.endsWith('.json'))).toEqual([]);
  });

  it('stands where its answer was lost after it was stored', async () => {
    const store = new MemoryStore({ clock });
    const head = await tableIn(store).commit(null, emptyMetadata(), 'create');
    let puts = 0;
    const table = tableIn(store, {
      after: (call) => {
        if (isPutOf(call, 2) && ++puts === 1) throw answerLost(call);
      },
    });
    expect((await table.commit(head, bump(head), 'lost')).version).toBe(2);
    expect(await counted(table)).toBe(1);
  });

  it('stands where its answer was lost and others have built upon it since', async () => {
    const store = new MemoryStore({ clock });
    const head = await tableIn(store).commit(null, emptyMetadata(), 'create');
    const others = tableIn(store);
    const table = tableIn(store, {
      after: async (call) => {
        if (!isPutOf(call, 2)) return;
        for (let i = 0; i < 25; i++) await commitOnce(others, `other-${i}`);
        throw answerLost(call);
      },
    });
    expect((await table.commit(head, bump(head), 'lost')).version).toBe(2);
    expect(await counted(others)).toBe(26);
    expect(await others.includesCommit('lost', 1)).toBe(true);
  });

  it('goes through once the bucket answers again, and is given up with an unknown outcome where it does not', async () => {
    const store = new MemoryStore({ clock });
    const head = await tableIn(store).commit(null, emptyMetadata(), 'create');
    let failures = 3;
    const flaky = tableIn(store, {
      before: (call) => {
        if (isPutOf(call, 2) && failures-- > 0) throw answerLost(call);
      },
    });
    const two = await flaky.commit(head, bump(head), 'patient');
    expect(two.version).toBe(2);
    const dead = tableIn(store, {
      before: (call) => {
        if (call.operation === 'put') throw answerLost(call);
      },
    });
    await expect(dead.commit(two, bump(two), 'never')).rejects.toMatchObject({ code: 'store-unavailable', facts: { outcome: 'unknown' } });
    expect(await flaky.includesCommit('never', 1)).toBe(false);
  });

  it('stands although its hint could not be written, and the next one writes it', async () => {
    const store = new MemoryStore({ clock });
    const table = tableIn(store, {
      before: (call) => {
        if (call.key === hintKey(prefix) && call.operation === 'put') throw unavailable(call);
      },
    });
    const one = await table.commit(null, emptyMetadata(), 'create');
    expect(one.hintError?.code).toBe('store-unavailable');
    expect(await store.head(hintKey(prefix))).toBeNull();
    await tableIn(store).commit(one, bump(one), 'next');
    expect((await store.get(hintKey(prefix))).toString()).toBe('2');
  });

  it('never lets the hint shrink, and does not believe it', async () => {
    const { table, store } = world();
    await store.put(hintKey(prefix), Buffer.from('900'));
    const one = await table.commit(null, emptyMetadata(), 'create');
    expect((await store.get(hintKey(prefix))).toString()).toBe('900');
    expect((await table.load())?.version).toBe(one.version);
  });

  it('sorts versions by number, not by text, and ignores other names', async () => {
    const { table, store } = world();
    let head: TableVersion = await table.commit(null, emptyMetadata(), 'create');
    for (let i = 0; i < 10; i++) head = await table.commit(head, bump(head), `c-${i}`);
    await store.put(`${prefix}/metadata/v99.metadata.json.bak`, Buffer.from('x'));
    await store.put(`${prefix}/metadata/vx.metadata.json`, Buffer.from('x'));
    expect((await table.load())?.version).toBe(11);
  });

  it('ends with the reason of its signal', async () => {
    const { table } = world();
    const reason = new Error('stop');
    await expect(table.commit(null, emptyMetadata(), 'create', AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe('a list that is late', () => {
  /** Lists show the bucket as it was when `freeze` was called last. */
  function lateLists(inner: MemoryStore): { readonly store: ObjectStore; freeze(): Promise<void> } {
    let shown: ObjectInfo[] = [];
    const store: ObjectStore = {
      ...faultyStore(inner, {}),
      async *list(under) {
        yield* shown.filter(({ key }) => key.startsWith(under));
      },
    };
    const freeze = async (): Promise<void> => {
      shown = [];
      for await (const object of inner.list('')) shown.push(object);
    };
    return { store, freeze };
  }

  it('voids no commit that it does not show yet, also where others have built upon it', async () => {
    const inner = new MemoryStore({ clock });
    const late = lateLists(inner);
    const table = tableIn(late.store);
    const one = await table.commit(null, emptyMetadata(), 'create');
    const two = await table.commit(one, bump(one), 'second');
    expect(two.version).toBe(2);
    expect((await table.commit(two, bump(two), 'third')).version).toBe(3);
    expect(await counted(tableIn(inner))).toBe(2);
  });

  it('takes nobody back behind what he has read or written, and hides no commit of his from him', async () => {
    const inner = new MemoryStore({ clock });
    const late = lateLists(inner);
    const table = tableIn(late.store);
    const one = await table.commit(null, emptyMetadata(), 'create');
    await late.freeze();
    const two = await table.commit(one, bump(one), 'second');
    expect((await table.load(one))?.version).toBe(2);
    expect(await table.load(two)).toBe(two);
    expect(await table.includesCommit('second', 1)).toBe(true);
  });

  it('costs who reads the table through it a lost commit, and then he knows', async () => {
    const inner = new MemoryStore({ clock });
    const late = lateLists(inner);
    const others = tableIn(inner);
    await others.commit(null, emptyMetadata(), 'create');
    await late.freeze();
    await commitOnce(others, 'other');
    expect(await commitOnce(tableIn(late.store), 'late')).toBe(1);
    expect(await counted(others)).toBe(2);
  });

  it('leads back to what is listed where the bucket was set back', async () => {
    const { table, store } = world();
    const one = await table.commit(null, emptyMetadata(), 'create');
    const two = await table.commit(one, bump(one), 'second');
    await store.delete(versionKey(prefix, 2));
    expect((await table.load(two))?.version).toBe(1);
  });

  it('that does not show the mark of a dropped table lets nobody commit to it, and calls nothing of it damaged', async () => {
    const inner = new MemoryStore({ clock });
    const late = lateLists(inner);
    const own = world({ store: late.store });
    const one = await own.table.commit(null, emptyMetadata(), 'create');
    const two = await own.append(one, [file('a')]);
    await late.freeze();
    await tableIn(inner).vacate();
    await expect(own.table.commit(two, bump(two), 'late')).rejects.toMatchObject({ code: 'topic-unknown' });
    expect(await inner.head(versionKey(prefix, 3))).toBeNull();
    for (const key of await keysOf(inner, `${prefix}/`)) if (key.endsWith('.avro')) await inner.delete(key);
    const head = await tableIn(late.store).load();
    await expect(tableIn(late.store).readDataFiles(head!.metadata)).rejects.toMatchObject({ code: 'topic-unknown' });
    await inner.delete(versionKey(prefix, 2));
    await expect(tableIn(late.store).load()).rejects.toMatchObject({ code: 'topic-unknown' });
  });
});
