import { describe, expect, it } from 'vitest';
import { assignColumns, type ColumnPair } from '../../../src/columns/index.js';
import { clusterId, isLakeError, systemClock, systemRandom, topicId } from '../../../src/kernel/index.js';
import { boundaryOf, openTopicTable, parseSamples, samplesProperty } from '../../../src/lake/index.js';
import { parseTableMetadata } from '../../../src/iceberg/index.js';
import { answerLost, faultyStore, unavailable } from '../../../src/objects/index.js';
import { change, cluster, coldFile, id, memoryStore, move, openTable, topic } from './table-fixture.js';

const code = (wanted: string) => (error: unknown) => isLakeError(error) && error.code === wanted;

describe('a topic table', () => {
  it('is empty at version 0 before its first commit, and costs one list', async () => {
    const calls: string[] = [];
    const store = faultyStore(memoryStore(), { before: (call) => void calls.push(call.operation) });
    expect(await openTable(store).load()).toMatchObject({ metadataVersion: 0, files: [], partitions: [], columns: [], snapshotId: null });
    expect(calls).toEqual(['list']);
  });

  it('adds files, moves boundaries and adds columns in one metadata version', async () => {
    const store = memoryStore();
    const table = openTable(store);
    const columns = assignColumns([], [{ name: 'delay', kind: 'long' }]);
    const committed = await table.commit(change([move(table, 0, 0, 100, { columns }), move(table, 3, 0, 50, { columns })], columns));
    const read = await openTable(store).load();
    expect(read).toEqual(committed);
    expect(read.metadataVersion).toBe(1);
    expect(read.partitions).toEqual([
      { partition: 0, boundary: 100, logStartOffset: 0, leaderEpoch: 1 },
      { partition: 3, boundary: 50, logStartOffset: 0, leaderEpoch: 1 },
    ]);
    expect(read.columns).toEqual(columns);
    expect(read.files.map((file) => [file.partition, file.baseOffset, file.lastOffset, file.rows])).toEqual([
      [0, 0, 99, 100],
      [3, 0, 49, 50],
    ]);
    expect(read.files[0]).toMatchObject({ minTimestampMs: 1000, maxTimestampMs: 1099, fieldIds: [2, 3, 100] });
  });

  it('takes extreme timestamps from the exact column where the other is clamped', async () => {
    const store = memoryStore();
    const table = openTable(store);
    const raw = Buffer.alloc(8);
    raw.writeBigInt64LE(9_000_000_000_000_000n);
    const file = coldFile(table, 0, 0, 9, { minMs: 5, maxMs: 253_402_300_799_999 });
    const metrics = file.metrics.map((metric) =>
      metric.fieldId === 4 ? { ...metric, nulls: 9, lower: raw.toString('base64'), upper: raw.toString('base64') } : metric,
    );
    await table.commit(change([{ partition: 0, from: 0, to: 10, leaderEpoch: 0, files: [{ ...file, metrics }] }]));
    const [read] = (await openTable(store).load()).files;
    expect([read?.minTimestampMs, read?.maxTimestampMs]).toEqual([5, 9_000_000_000_000_000]);
  });

  it('moves a boundary without a file', async () => {
    const store = memoryStore();
    const table = openTable(store);
    await table.commit(change([move(table, 0, 0, 7, { isEmpty: true })]));
    await table.commit(change([move(table, 0, 7, 9)]));
    const read = await openTable(store).load();
    expect(boundaryOf(read.partitions, 0)).toBe(9);
    expect(read.files.map((file) => file.baseOffset)).toEqual([7]);
    expect(read.metadataVersion).toBe(2);
  });

  it('keeps odd column names to the letter', async () => {
    const store = memoryStore();
    const table = openTable(store);
    const names = [
      'a',
      'A',
      '_key',
      '',
      'x__text',
      'with "quotes"',
      'new\nline',
      'nul\0',
      '\ud800',
      'é',
      'e\u0301',
      '__proto__',
      'constructor',
    ];
    const pairs: ColumnPair[] = names.flatMap((name) => [
      { name, kind: 'long' as const },
      { name, kind: 'text' as const },
    ]);
    const columns = assignColumns([], pairs);
    await table.commit(change([move(table, 0, 0, 5)], columns));
    const read = await openTable(store).load();
    expect(read.columns).toEqual(columns);
    expect(read.columns).toHaveLength(names.length * 2);
  });

  it('is at home in a bucket that was moved after a commit that changes nothing else, once', async () => {
    const store = memoryStore();
    const table = openTable(store);
    await table.commit(change([move(table, 0, 0, 10)]));
    const before = await table.load();
    // The same objects, seen at another place.
    Object.assign(store, { location: (key: string) => `s3://elsewhere/${key}` });
    const there = openTable(store);
    const nothing = { commitId: 'moved', moves: [], columns: [], nowMs: 0, expireBeforeMs: 0 };
    const after = await there.commit(nothing);
    expect(after.metadataVersion).toBe(before.metadataVersion + 1);
    expect(after.files).toEqual(before.files);
    expect(after.partitions).toEqual(before.partitions);
    const metadata = (await store.get(`${table.prefix}/metadata/v2.metadata.json`)).toString();
    expect(metadata).toContain(`"location":"s3://elsewhere/${table.prefix}"`);
    expect(metadata).not.toContain('memory:');
    expect((await there.commit({ ...nothing, commitId: 'again' })).metadataVersion).toBe(after.metadataVersion);
  });

  it('puts a change on top of another writer that moved other partitions', async () => {
    const store = memoryStore();
    const [one, two] = [openTable(store), openTable(store)];
    await one.load();
    await two.load();
    await one.commit(change([move(one, 0, 0, 10)]));
    const after = await two.commit(change([move(two, 1, 0, 20)]));
    expect(after.metadataVersion).toBe(2);
    expect(after.files).toHaveLength(2);
  });

  it('refuses a range that another writer has committed, with where the boundary is', async () => {
    const store = memoryStore();
    const [one, two] = [openTable(store), openTable(store)];
    await two.load();
    await one.commit(change([move(one, 0, 0, 10)]));
    const lost = two.commit(change([move(two, 0, 0, 12), move(two, 1, 0, 3)]));
    await expect(lost).rejects.toSatisfy(code('commit-stale'));
    await expect(lost).rejects.toMatchObject({ facts: { partition: 0, from: 0, boundary: 10 } });
    const read = await one.load();
    expect(read.metadataVersion).toBe(1);
    expect(boundaryOf(read.partitions, 1)).toBe(0);
  });

  it('refuses columns that have another place by now, and takes them once they are assigned anew', async () => {
    const store = memoryStore();
    const [one, two] = [openTable(store), openTable(store)];
    await two.load();
    const ofOne = assignColumns([], [{ name: 'a', kind: 'long' }]);
    const ofTwo = assignColumns([], [{ name: 'b', kind: 'long' }]);
    const after = await one.commit(change([move(one, 0, 0, 10)], ofOne));
    await expect(two.commit(change([move(two, 1, 0, 10)], ofTwo))).rejects.toSatisfy(code('commit-stale'));
    const again = assignColumns(after.columns, [{ name: 'b', kind: 'long' }]);
    const read = await two.commit(change([move(two, 1, 0, 10)], again));
    expect(read.columns.map((column) => [column.name, column.fieldId])).toEqual([
      ['a', 100],
      ['b', 101],
    ]);
  });

  it('takes the same columns from two writers that gave them the same places', async () => {
    const store = memoryStore();
    const [one, two] = [openTable(store), openTable(store)];
    await two.load();
    const columns = assignColumns([], [{ name: 'a', kind: 'long' }]);
    await one.commit(change([move(one, 0, 0, 10)], columns));
    expect((await two.commit(change([move(two, 1, 0, 10)], columns))).columns).toEqual(columns);
  });

  it.each(['metadata-only', 'with a file'])('finds a commit whose answer was lost and does it once (%s)', async (what) => {
    const inner = memoryStore();
    let isLosing = true;
    const store = faultyStore(inner, {
      after: (call) => {
        if (isLosing && call.operation === 'put' && call.key.endsWith('.metadata.json')) throw answerLost(call);
      },
      before: (call) => {
        if (isLosing && call.operation === 'get' && call.key.endsWith('.metadata.json')) throw unavailable(call);
      },
    });
    const table = openTopicTable(
      store,
      { topic, topicId: id, clusterId: cluster },
      { clock: { ...systemClock, sleep: async () => undefined }, random: systemRandom },
    );
    const wanted = change([move(table, 0, 0, 10, { isEmpty: what === 'metadata-only' })]);
    await expect(table.commit(wanted)).rejects.toSatisfy(code('store-unavailable'));
    isLosing = false;
    const other = openTable(inner);
    await other.commit(change([move(other, 0, 10, 20)]));
    const read = await table.commit(wanted);
    expect(read.metadataVersion).toBe(2);
    expect(boundaryOf(read.partitions, 0)).toBe(20);
  });

  it('keeps samples of its boundaries over time', async () => {
    const store = memoryStore();
    const table = openTable(store);
    await table.commit({ ...change([move(table, 1, 0, 10)]), nowMs: 1_000_000 });
    await table.commit({ ...change([move(table, 1, 10, 15)]), nowMs: 2_000_000 });
    const metadata = parseTableMetadata(await store.get(`${table.prefix}/metadata/v2.metadata.json`));
    expect(parseSamples(metadata.properties[samplesProperty])).toEqual([
      { atMs: 1_000_000, boundaries: [0, 10] },
      { atMs: 2_000_000, boundaries: [0, 15] },
    ]);
  });

  it('refuses the table of another cluster or topic id under its name', async () => {
    const store = memoryStore();
    const table = openTable(store);
    await table.commit(change([move(table, 0, 0, 10)]));
    const foreign = openTopicTable(
      store,
      { topic, topicId: id, clusterId: clusterId('CCCCCCCCCCCCCCCCCCCCCQ') },
      { clock: systemClock, random: systemRandom },
    );
    await expect(foreign.load()).rejects.toSatisfy(code('data-dir-foreign'));
  });

  it('finds nothing of a predecessor of the same name and another id', async () => {
    const store = memoryStore();
    const table = openTable(store);
    await table.commit(change([move(table, 0, 0, 10)]));
    const reborn = openTopicTable(
      store,
      { topic, topicId: topicId('DDDDDDDDDDDDDDDDDDDDDQ'), clusterId: cluster },
      { clock: systemClock, random: systemRandom },
    );
    expect((await reborn.load()).metadataVersion).toBe(0);
  });

  it('drops every object of its own but a mark, data before metadata, and may do so twice', async () => {
    const store = memoryStore();
    const deleted: string[] = [];
    const watched = faultyStore(store, { before: (call) => void (call.operation === 'delete' && deleted.push(call.key)) });
    const table = openTable(watched);
    const file = coldFile(table, 0, 0, 9);
    await store.put(file.key, Buffer.from('parquet'));
    await store.put('topics/orders/other/data/x', Buffer.from('kept'));
    await table.commit(change([{ partition: 0, from: 0, to: 10, leaderEpoch: 0, files: [file] }]));
    expect((await table.drop()).objects).toBeGreaterThan(2);
    expect(deleted[0]).toBe(file.key);
    expect(await table.drop()).toEqual({ objects: 0, bytes: 0 });
    const left: string[] = [];
    for await (const object of store.list('')) left.push(object.key);
    expect(left.toSorted()).toEqual([
      `cluster/dropped/orders/${id}`,
      `topics/orders/${id}/metadata/vacated.json`,
      'topics/orders/other/data/x',
    ]);
    await expect(table.load()).rejects.toMatchObject({ code: 'topic-unknown' });
    await expect(openTable(store).load()).rejects.toMatchObject({ code: 'topic-unknown' });
  });

  it.each([
    ['the first', 0],
    ['a later', 1],
  ])('keeps %s commit that slept over the drop from bringing the table back', async (_which, commits) => {
    const store = memoryStore();
    let isHeld = false;
    let goOn = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let arrived = (): void => undefined;
    const arriving = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const slow = faultyStore(store, {
      before: async (call) => {
        if (!isHeld || call.operation !== 'put' || !call.key.endsWith('.metadata.json')) return;
        arrived();
        await held;
      },
    });
    const table = openTable(slow);
    if (commits > 0) await table.commit(change([{ partition: 0, from: 0, to: 10, leaderEpoch: 0, files: [coldFile(table, 0, 0, 9)] }]));
    isHeld = true;
    const from = commits * 10;
    const late = table.commit(change([{ partition: 0, from, to: from + 10, leaderEpoch: 0, files: [coldFile(table, 0, from, from + 9)] }]));
    await arriving;
    await openTable(store).drop();
    goOn();
    await expect(late).rejects.toMatchObject({ code: 'topic-unknown' });
    const left: string[] = [];
    for await (const object of store.list('topics/')) left.push(object.key);
    expect(left).toEqual([`topics/orders/${id}/metadata/vacated.json`]);
  });
});
