import { describe, expect, it } from 'vitest';
import { type Clock, dayMs, hourMs, isLakeError, systemRandom } from '../../../src/kernel/index.js';
import { type GarbageObject, openTopicTable, type TopicTable } from '../../../src/lake/index.js';
import { MemoryStore, type ObjectStore } from '../../../src/objects/index.js';
import { change, cluster, id, logStart, move, rewrite, rewriting, topic } from './table-fixture.js';

const rules = { graceMs: hourMs, minAgeMs: dayMs };

/** A table whose clock, and whose store's clock, a test moves. */
class World {
  readonly clock: Clock & { at: number };
  readonly store: MemoryStore;
  readonly table: TopicTable;

  constructor() {
    const clock = { at: 1_800_000_000_000, nowMs: () => clock.at, monotonicMs: () => clock.at, sleep: async () => undefined };
    this.clock = clock;
    this.store = new MemoryStore({ clock });
    this.table = this.open(this.store);
  }

  open(store: ObjectStore): TopicTable {
    return openTopicTable(store, { topic, topicId: id, clusterId: cluster }, { clock: this.clock, random: systemRandom });
  }

  after(ms: number): void {
    this.clock.at += ms;
  }

  /** Ten rows in a file that is really there. */
  async append(partition = 0): Promise<string> {
    const from = this.table.snapshot?.partitions.find((p) => p.partition === partition)?.boundary ?? 0;
    const next = move(this.table, partition, from, from + 10);
    const key = next.files[0]?.key ?? '';
    await this.store.put(key, Buffer.from('parquet'));
    await this.commit({ ...change([next]) });
    return key;
  }

  async commit(what: Parameters<TopicTable['commit']>[0]): Promise<void> {
    await this.table.commit({ ...what, nowMs: this.clock.at, expireBeforeMs: this.clock.at - dayMs });
  }

  async garbage(table = this.table): Promise<readonly GarbageObject[]> {
    const found: GarbageObject[] = [];
    for await (const object of table.garbage({ ...rules, nowMs: this.clock.at })) found.push(object);
    return found;
  }

  async keys(): Promise<readonly string[]> {
    return (await this.garbage()).map((object) => object.key);
  }

  async dataKeys(): Promise<readonly string[]> {
    return (await this.garbage()).filter((object) => object.kind === 'data').map((object) => object.key);
  }
}

describe('what nobody needs any more of a table', () => {
  it('is nothing of a table that only grew, and nothing where there is none', async () => {
    const w = new World();
    await w.store.put(`${w.table.prefix}/data/p=0/lost.parquet`, Buffer.from('x'));
    w.after(10 * dayMs);
    expect(await w.keys()).toEqual([]);
    await w.append();
    await w.append();
    expect(await w.keys()).toEqual([`${w.table.prefix}/data/p=0/lost.parquet`]);
  });

  it('is an object that never came in, once it has its age', async () => {
    const w = new World();
    await w.append();
    const lost = [`${w.table.prefix}/data/p=0/lost.parquet`, `${w.table.prefix}/metadata/lost-m0.avro`];
    for (const key of lost) await w.store.put(key, Buffer.from('x'));
    await w.store.put(`${w.table.prefix}/metadata/of-another.puffin`, Buffer.from('x'));
    w.after(dayMs - 1);
    expect(await w.keys()).toEqual([]);
    w.after(2);
    expect(await w.keys()).toEqual(lost);
  });

  it('is a file that was dropped, when the snapshots that have it expired and the grace is over', async () => {
    const w = new World();
    const [first, second] = [await w.append(), await w.append()];
    w.after(2 * dayMs);
    await w.commit(logStart(0, 10));
    // The one before stopped being current just now, although it is older than snapshots may be.
    expect(await w.dataKeys()).toEqual([]);
    w.after(hourMs - 1);
    expect(await w.dataKeys()).toEqual([]);
    w.after(2);
    const garbage = await w.keys();
    expect(garbage).toContain(first);
    expect(garbage).not.toContain(second);
    // And the manifests and lists of the snapshots that are gone.
    expect(garbage.filter((key) => key.endsWith('.avro')).length).toBeGreaterThan(2);
    for (const key of garbage) await w.store.delete(key);
    expect((await w.open(w.store).load()).files.map((file) => file.key)).toEqual([second]);
    expect(await w.keys()).toEqual([]);
  });

  it('is not what a snapshot that the metadata still names needs', async () => {
    const w = new World();
    await w.append();
    await w.append();
    await w.commit(rewriting(rewrite(w.table, w.table.snapshot?.files ?? [])));
    w.after(2 * dayMs);
    // Old and long replaced, but the metadata still names the snapshots of the inputs until somebody commits.
    expect(await w.dataKeys()).toEqual([]);
    await w.append();
    expect(await w.dataKeys()).toHaveLength(2);
  });

  it('is found by the store clock or by ours, whichever keeps more', async () => {
    const w = new World();
    await w.append();
    w.after(2 * dayMs);
    // A writer whose clock is two hours behind drops the file.
    const late = { ...w.clock, nowMs: () => w.clock.at - 2 * hourMs };
    const writer = openTopicTable(w.store, { topic, topicId: id, clusterId: cluster }, { clock: late, random: systemRandom });
    await writer.load();
    await writer.commit({ ...logStart(0, 10), nowMs: late.nowMs(), expireBeforeMs: w.clock.at });
    w.after(hourMs / 2);
    expect(await w.dataKeys()).toEqual([]);
    w.after(hourMs);
    expect(await w.dataKeys()).toHaveLength(1);
  });

  it('is a metadata file beyond the last hundred that is a day old, the oldest first', async () => {
    const w = new World();
    for (let i = 0; i < 105; i++) await w.append(i % 3);
    w.after(dayMs);
    await w.append();
    const versions = async (): Promise<number[]> =>
      (await w.keys()).flatMap((key) => [/\/v(\d+)\.metadata\.json$/.exec(key)?.[1]].flatMap((v) => (v === undefined ? [] : [Number(v)])));
    expect(await versions()).toEqual([]);
    w.after(1);
    // 106 versions: the last hundred stay.
    expect(await versions()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('is not looked for where the bucket shows an older table than was seen, or a gap in what is young', async () => {
    const w = new World();
    for (let i = 0; i < 5; i++) await w.append();
    const head = `${w.table.prefix}/metadata/v5.metadata.json`;
    const code = (wanted: string) => (error: unknown) => isLakeError(error) && error.code === wanted;
    const table = w.open(w.store);
    await table.load();
    await w.store.delete(head);
    await expect(w.garbage(table)).rejects.toSatisfy(code('store-unavailable'));
    await w.store.delete(`${w.table.prefix}/metadata/v3.metadata.json`);
    await expect(w.garbage(w.open(w.store))).rejects.toSatisfy(code('table-corrupt'));
  });
});
