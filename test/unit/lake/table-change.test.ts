import { describe, expect, it } from 'vitest';
import { currentSnapshot, parseTableMetadata, type Snapshot } from '../../../src/iceberg/index.js';
import { isLakeError, systemClock, systemRandom } from '../../../src/kernel/index.js';
import { boundaryOf, type FileRewrite, logStartOf, openTopicTable, type TopicTable } from '../../../src/lake/index.js';
import { answerLost, faultyStore, type ObjectStore, unavailable } from '../../../src/objects/index.js';
import { change, cluster, coldFile, id, logStart, memoryStore, move, openTable, rewrite, rewriting, topic } from './table-fixture.js';

const code = (wanted: string) => (error: unknown) => isLakeError(error) && error.code === wanted;

/** Four files of ten records in partition 0, one in partition 1. */
async function filled(store: ObjectStore): Promise<TopicTable> {
  const table = openTable(store);
  for (const from of [0, 10, 20, 30]) await table.commit(change([move(table, 0, from, from + 10)]));
  await table.commit(change([move(table, 1, 0, 10)]));
  return table;
}

async function head(store: ObjectStore, table: TopicTable): Promise<Snapshot | null> {
  const version = table.snapshot?.metadataVersion ?? 0;
  return currentSnapshot(parseTableMetadata(await store.get(`${table.prefix}/metadata/v${version}.metadata.json`)));
}

const ranges = (table: TopicTable): unknown[] =>
  (table.snapshot?.files ?? []).map((file) => [file.partition, file.baseOffset, file.lastOffset, file.rows]);

describe('a rewrite', () => {
  it('puts one file in the place of several, and moves nothing', async () => {
    const store = memoryStore();
    const table = await filled(store);
    const files = table.snapshot?.files ?? [];
    const before = table.snapshot?.partitions;
    const wanted = rewriting(rewrite(table, files.slice(0, 3)));
    await table.commit(wanted);
    expect(ranges(table)).toEqual([
      [0, 0, 29, 30],
      [0, 30, 39, 10],
      [1, 0, 9, 10],
    ]);
    expect(table.snapshot?.partitions).toEqual(before);
    expect(await openTable(store).load()).toEqual(table.snapshot);
    const snapshot = await head(store, table);
    expect(snapshot?.summary).toMatchObject({
      'operation': 'replace',
      'deleted-data-files': '3',
      'added-records': '30',
      'deleted-records': '30',
      'total-records': '50',
      'total-data-files': '3',
      'thermocline.rewrites': '0:3→1',
    });
    expect(snapshot?.summary).not.toHaveProperty('thermocline.moves');
  });

  it('goes on top of what others committed, as long as its inputs are listed', async () => {
    const store = memoryStore();
    const one = await filled(store);
    const two = openTable(store);
    await two.load();
    const inputs = (one.snapshot?.files ?? []).slice(0, 2);
    await two.commit(change([move(two, 0, 40, 50)]));
    await one.commit(rewriting(rewrite(one, inputs)));
    expect(ranges(one).slice(0, 4)).toEqual([
      [0, 0, 19, 20],
      [0, 20, 29, 10],
      [0, 30, 39, 10],
      [0, 40, 49, 10],
    ]);
    const lost = two.commit(rewriting(rewrite(two, inputs)));
    await expect(lost).rejects.toSatisfy(code('commit-stale'));
    await expect(lost).rejects.toMatchObject({ facts: { partition: 0, key: inputs[0]?.key } });
  });

  it('and an append of the same commit are one overwrite', async () => {
    const store = memoryStore();
    const table = await filled(store);
    const files = table.snapshot?.files ?? [];
    await table.commit({ ...change([move(table, 0, 40, 50)]), rewrites: [rewrite(table, files.slice(2, 4))] });
    expect((await head(store, table))?.summary).toMatchObject({
      'operation': 'overwrite',
      'added-data-files': '2',
      'deleted-data-files': '2',
    });
    expect(boundaryOf(table.snapshot?.partitions ?? [], 0)).toBe(50);
  });

  it('is done once where its answer was lost', async () => {
    const inner = memoryStore();
    await filled(inner);
    let isLosing = true;
    const store = faultyStore(inner, {
      after: (call) => {
        if (isLosing && call.operation === 'put' && call.key.endsWith('.metadata.json')) throw answerLost(call);
      },
      before: (call) => {
        if (isLosing && call.operation === 'get' && call.key.endsWith('v6.metadata.json')) throw unavailable(call);
      },
    });
    const clock = { ...systemClock, sleep: async () => undefined };
    const table = openTopicTable(store, { topic, topicId: id, clusterId: cluster }, { clock, random: systemRandom });
    const wanted = rewriting(rewrite(table, (await table.load()).files.slice(0, 4)));
    await expect(table.commit(wanted)).rejects.toSatisfy(code('store-unavailable'));
    isLosing = false;
    const other = openTable(inner);
    await other.load();
    await other.commit(logStart(0, 40));
    expect((await table.commit(wanted)).metadataVersion).toBe(7);
    expect(ranges(table)).toEqual([[1, 0, 9, 10]]);
  });

  it('that drops, doubles or leaves out rows is a programmer error', async () => {
    const table = await filled(memoryStore());
    const [a, b, c] = table.snapshot?.files ?? [];
    if (a === undefined || b === undefined || c === undefined) throw new Error('no files');
    const whole = rewrite(table, [a, b]);
    const output = whole.outputs[0];
    if (output === undefined) throw new Error('no output');
    const refused = (what: FileRewrite): Promise<void> => expect(table.commit(rewriting(what))).rejects.toThrow(/rewrite|new files/);
    await refused({ ...whole, outputs: [{ ...output, rows: 19 }] });
    await refused({ ...whole, outputs: [{ ...output, rows: 21 }] });
    await refused({ ...whole, outputs: [] });
    await refused({ ...whole, inputs: [b.key, a.key] });
    await refused(rewrite(table, [a, c]));
    await refused({ ...whole, outputs: [coldFile(table, 0, 0, 18)] });
    await refused({ ...whole, outputs: [coldFile(table, 0, 0, 25)] });
    expect(table.snapshot?.files).toHaveLength(5);
  });
});

describe('a log start', () => {
  it('takes along the files that lie wholly below it, and leaves the one it falls into', async () => {
    const store = memoryStore();
    const table = await filled(store);
    await table.commit(logStart(0, 25));
    expect(ranges(table)).toEqual([
      [0, 20, 29, 10],
      [0, 30, 39, 10],
      [1, 0, 9, 10],
    ]);
    expect(table.snapshot?.partitions[0]).toEqual({ partition: 0, boundary: 40, logStartOffset: 25, leaderEpoch: 1 });
    expect((await head(store, table))?.summary).toMatchObject({
      'operation': 'delete',
      'deleted-data-files': '2',
      'deleted-records': '20',
      'total-records': '30',
      'thermocline.log-starts': '0:25',
    });
    expect(await openTable(store).load()).toEqual(table.snapshot);
  });

  it('that takes no file along is metadata only', async () => {
    const store = memoryStore();
    const table = await filled(store);
    const before = await head(store, table);
    await table.commit(logStart(0, 5));
    expect(logStartOf(table.snapshot?.partitions ?? [], 0)).toBe(5);
    expect(await head(store, table)).toEqual(before);
  });

  it('may empty a partition, whose boundary stays', async () => {
    const table = await filled(memoryStore());
    await table.commit(logStart(0, 40));
    expect(ranges(table)).toEqual([[1, 0, 9, 10]]);
    expect(table.snapshot?.partitions[0]).toMatchObject({ boundary: 40, logStartOffset: 40 });
  });

  it('never goes back: a lower one costs no commit, also where another writer raised it', async () => {
    const store = memoryStore();
    const one = await filled(store);
    const two = openTable(store);
    await two.load();
    await one.commit(logStart(0, 30));
    const version = one.snapshot?.metadataVersion;
    expect((await one.commit(logStart(0, 30))).metadataVersion).toBe(version);
    // The other does not know yet, loses, and finds it done.
    expect((await two.commit(logStart(0, 12))).metadataVersion).toBe(version);
    expect(logStartOf((await openTable(store).load()).partitions, 0)).toBe(30);
  });

  it('never passes the boundary', async () => {
    const table = await filled(memoryStore());
    await expect(table.commit(logStart(0, 41))).rejects.toThrow(/log start/);
    await expect(table.commit(logStart(7, 1))).rejects.toThrow(/log start/);
    // With a move of the same commit it may rise with it; of the new file only what is above comes in.
    await table.commit({ ...change([move(table, 0, 40, 60)]), logStarts: [{ partition: 0, logStartOffset: 60 }] });
    expect(ranges(table)).toEqual([[1, 0, 9, 10]]);
    expect(table.snapshot?.partitions[0]).toMatchObject({ boundary: 60, logStartOffset: 60 });
  });

  it('lets the head of its file be rewritten, and only that', async () => {
    const store = memoryStore();
    const table = await filled(store);
    await table.commit(logStart(0, 25));
    const straddling = table.snapshot?.files[0];
    if (straddling === undefined) throw new Error('no file');
    await expect(table.commit(rewriting(rewrite(table, [straddling], 26)))).rejects.toThrow(/log start/);
    await table.commit(rewriting(rewrite(table, [straddling], 25)));
    expect(ranges(table)[0]).toEqual([0, 25, 29, 5]);
    expect((await head(store, table))?.summary).toMatchObject({ 'operation': 'overwrite', 'added-records': '5', 'deleted-records': '10' });
  });

  it('makes a rewrite of files that it took along stale', async () => {
    const store = memoryStore();
    const one = await filled(store);
    const two = openTable(store);
    const inputs = (await two.load()).files.slice(0, 2);
    await one.commit(logStart(0, 12));
    await expect(two.commit(rewriting(rewrite(two, inputs)))).rejects.toSatisfy(code('commit-stale'));
  });
});

it('keeps no sample of a commit that moves no boundary', async () => {
  const store = memoryStore();
  const table = await filled(store);
  const samples = async (): Promise<string | undefined> => {
    const version = table.snapshot?.metadataVersion ?? 0;
    return parseTableMetadata(await store.get(`${table.prefix}/metadata/v${version}.metadata.json`)).properties['thermocline.samples'];
  };
  const before = await samples();
  await table.commit(logStart(0, 25));
  expect(await samples()).toBe(before);
});

it('is not sent when its files may have been swept by now, unless it is there already', async () => {
  const store = memoryStore();
  const table = await filled(store);
  const now = systemClock.nowMs();
  const late = { ...change([move(table, 0, 40, 50)]), notAfterMs: now - 1 };
  await expect(table.commit(late)).rejects.toMatchObject({ code: 'commit-stale', facts: { notAfterMs: now - 1 } });
  expect(boundaryOf((await table.load()).partitions, 0)).toBe(40);
  await table.commit({ ...late, notAfterMs: now + 60_000 });
  expect(boundaryOf(table.snapshot?.partitions ?? [], 0)).toBe(50);
});

describe('the snapshots of a table', () => {
  const snapshots = async (store: ObjectStore, table: TopicTable): Promise<number> => {
    const version = table.snapshot?.metadataVersion ?? 0;
    return parseTableMetadata(await store.get(`${table.prefix}/metadata/v${version}.metadata.json`)).snapshots.length;
  };

  it('expire with a commit that says from when', async () => {
    const store = memoryStore();
    const table = await filled(store);
    expect(await snapshots(store, table)).toBe(5);
    const now = systemClock.nowMs() + 1000;
    await table.commit({ ...change([move(table, 1, 10, 20)]), nowMs: now, expireBeforeMs: now });
    expect(await snapshots(store, table)).toBe(1);
    expect(table.snapshot?.files).toHaveLength(6);
  });

  it('expire with a commit of that alone, which is none where all are young', async () => {
    const store = memoryStore();
    const table = await filled(store);
    const young = await table.commit({ ...change([]), expireBeforeMs: 0 });
    expect(young.metadataVersion).toBe(5);
    const old = await table.commit({ ...change([]), expireBeforeMs: systemClock.nowMs() + 1000 });
    expect(old.metadataVersion).toBe(6);
    expect(await snapshots(store, table)).toBe(1);
    expect(old.files).toHaveLength(5);
  });
});
