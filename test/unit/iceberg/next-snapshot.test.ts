import { describe, expect, it } from 'vitest';
import {
  currentSnapshot,
  entryStatus,
  freshSnapshotId,
  type ManifestFile,
  ManifestReader,
  type NewDataFile,
  serializeTableMetadata,
  TableStore,
  type TableVersion,
} from '../../../src/iceberg/index.js';
import { faultyStore, MemoryStore } from '../../../src/objects/index.js';
import { emptyMetadata, file, keysOf, prefix, request, seededRandom, startMs, steppedClock, world, type World } from './table-world.js';

const created = async (at: World): Promise<TableVersion> => at.table.commit(null, emptyMetadata(), 'create');

describe('the next snapshot of a table', () => {
  it('adds files with inherited sequence numbers and says so in the summary', async () => {
    const w = world();
    const one = await w.append(await created(w), [file('a', 5), file('b', 7)], 'commit-1');
    const two = await w.append(one, [file('c', 3)], 'commit-2');
    expect(currentSnapshot(two.metadata)).toMatchObject({
      parentSnapshotId: one.metadata.currentSnapshotId,
      sequenceNumber: 2,
      summary: {
        'operation': 'append',
        'added-data-files': '1',
        'added-records': '3',
        'added-files-size': '300',
        'total-data-files': '3',
        'total-records': '15',
        'total-files-size': '1500',
        'thermocline.commit-id': 'commit-2',
      },
    });
    const files = await w.table.readDataFiles(two.metadata);
    expect(files.map((entry) => [entry.key, entry.sequenceNumber, entry.file.recordCount])).toEqual([
      [`${prefix}/data/c.parquet`, 2, 3],
      [`${prefix}/data/a.parquet`, 1, 5],
      [`${prefix}/data/b.parquet`, 1, 7],
    ]);
    expect(await w.table.readDataFiles(one.metadata)).toHaveLength(2);
  });

  it('carries bounds, counts and split offsets to the reader', async () => {
    const w = world();
    const metrics = {
      columnSizes: new Map([[1, 40]]),
      valueCounts: new Map([[1, 10]]),
      nullValueCounts: new Map([[1, 0]]),
      lowerBounds: new Map([[1, Buffer.from([0, 255])]]),
      upperBounds: new Map([[1, Buffer.alloc(0)]]),
      splitOffsets: [4, 2 ** 40],
    };
    const head = await w.append(await created(w), [{ ...file('a'), ...metrics }]);
    const [entry] = await new TableStore(w.store, prefix, w).readDataFiles(head.metadata);
    expect(entry?.file).toEqual({
      content: 0,
      filePath: `memory:/${prefix}/data/a.parquet`,
      fileFormat: 'PARQUET',
      recordCount: 10,
      fileSizeBytes: 1000,
      nanValueCounts: null,
      sortOrderId: 0,
      ...metrics,
    });
  });

  it('makes a snapshot without files, also as the first', async () => {
    const w = world();
    const empty = await w.append(await created(w), []);
    expect(await w.table.readDataFiles(empty.metadata)).toEqual([]);
    const filled = await w.append(empty, [file('a')]);
    const again = await w.append(filled, []);
    expect(currentSnapshot(again.metadata)?.summary).toMatchObject({ 'added-data-files': '0', 'total-data-files': '1' });
    expect(await w.table.readDataFiles(again.metadata)).toHaveLength(1);
    // No manifest is written for nothing.
    expect((await keysOf(w.store, `${prefix}/metadata/`)).filter((key) => key.endsWith('-m0.avro'))).toHaveLength(1);
  });

  it('merges small manifests with explicit sequence numbers, and never loses or doubles a file', async () => {
    const w = world();
    const reader = new ManifestReader(w.store);
    let head = await created(w);
    let listed = 0;
    for (let i = 0; i < 250; i++) {
      head = await w.append(head, [file(i)]);
      const snapshot = currentSnapshot(head.metadata);
      if (snapshot === null) throw new Error('no snapshot');
      const manifests = await reader.manifests({ prefix, location: head.metadata.location }, snapshot);
      listed = Math.max(listed, manifests.length);
      expect(manifests.reduce((sum, manifest) => sum + manifest.addedFiles + manifest.existingFiles, 0)).toBe(i + 1);
      expect(snapshot.summary['total-data-files']).toBe(String(i + 1));
    }
    // At most ten of each of the tiers 1–9, 10–99, 100–999, and the new one.
    expect(listed).toBeLessThanOrEqual(21);
    const files = await w.table.readDataFiles(head.metadata);
    expect(files.map((entry) => entry.key).sort()).toEqual(Array.from({ length: 250 }, (_, i) => `${prefix}/data/${i}.parquet`).sort());
    for (const entry of files) {
      const index = Number(/(\d+)\.parquet$/.exec(entry.key)?.[1]);
      expect(entry.sequenceNumber).toBe(index + 1);
      expect(entry.fileSequenceNumber).toBe(index + 1);
    }
    expect(files.some((entry) => entry.status === entryStatus.existing)).toBe(true);
  });

  it('keeps a hundred snapshots and metadata files in the metadata, in logs without gaps', async () => {
    const w = world();
    let head = await created(w);
    for (let i = 0; i < 130; i++) head = await w.append(head, [file(i)]);
    const { snapshots, snapshotLog, metadataLog, currentSnapshotId } = head.metadata;
    expect(snapshots).toHaveLength(100);
    expect(snapshots.at(-1)?.snapshotId).toBe(currentSnapshotId);
    expect(snapshotLog.map((entry) => entry.snapshotId)).toEqual(snapshots.map((snapshot) => snapshot.snapshotId));
    expect(metadataLog).toHaveLength(100);
    expect(metadataLog.at(-1)?.metadataFile).toBe(`memory:/${prefix}/metadata/v130.metadata.json`);
    expect(serializeTableMetadata(head.metadata).length).toBeLessThan(128 * 1024);
  });

  it('never lets the times of a table go back', async () => {
    const w = world();
    const head = await w.append(await created(w), [file('a')]);
    const { snapshot, metadata } = await w.table.nextSnapshot(head.metadata, request({ snapshotId: '5', nowMs: startMs - 3_600_000 }));
    expect(snapshot.timestampMs).toBe(head.metadata.lastUpdatedMs);
    expect(metadata.lastUpdatedMs).toBe(head.metadata.lastUpdatedMs);
  });

  it('names its objects anew for each attempt and tells their names', async () => {
    const w = world();
    const head = await created(w);
    const one = await w.table.nextSnapshot(head.metadata, request({ snapshotId: '7', dataFiles: [file('a')] }));
    const two = await w.table.nextSnapshot(head.metadata, request({ snapshotId: '7', dataFiles: [file('a')] }));
    expect(new Set([...one.written, ...two.written]).size).toBe(4);
    for (const key of one.written) expect(await w.store.head(key)).not.toBeNull();
  });

  it('draws snapshot ids that every reader can hold and that are free', () => {
    const random = seededRandom(3);
    for (let i = 0; i < 100; i++) {
      const id = Number(freshSnapshotId(emptyMetadata(), random));
      expect(Number.isSafeInteger(id) && id > 0).toBe(true);
    }
  });

  it('works on in a bucket that was moved', async () => {
    const w = world();
    const head = await w.append(await created(w), [file('a')]);
    const moved = new MemoryStore({ clock: steppedClock() });
    const elsewhere = 'other/place/AAAAAAAAAAAAAAAAAAAAAQ';
    for (const key of await keysOf(w.store, prefix)) await moved.put(elsewhere + key.slice(prefix.length), await w.store.get(key));
    const there = world({ store: moved, at: elsewhere });
    const found = await there.table.load();
    expect(found?.metadata).toEqual(head.metadata);
    if (found === null) throw new Error('no table');
    const next = await there.append(found, [{ ...file('b'), key: `${elsewhere}/data/b.parquet` }]);
    expect((await there.table.readDataFiles(next.metadata)).map((entry) => entry.key)).toEqual([
      `${elsewhere}/data/b.parquet`,
      `${elsewhere}/data/a.parquet`,
    ]);
    // The location may also be rewritten while old manifests still name the old place.
    const rewritten = { ...next.metadata, location: 's3://new/other/place/AAAAAAAAAAAAAAAAAAAAAQ' };
    expect(await there.table.readDataFiles(rewritten)).toHaveLength(2);
  });

  it('is at home where its bucket was moved to, from the first commit on that is told', async () => {
    const w = world();
    let head = await created(w);
    // Enough for manifests of several sizes, some of which this commit merges anyway.
    for (let i = 0; i < 25; i++) head = await w.append(head, [file(i)]);
    const location = `s3://elsewhere/${prefix}`;
    const found = await w.change(head, { dataFiles: [file('new')], removedFiles: new Set([`${prefix}/data/7.parquet`]), location });

    const { metadata } = found;
    expect(metadata.location).toBe(location);
    expect(metadata.tableUuid).toBe(head.metadata.tableUuid);
    expect(metadata.snapshots).toHaveLength(1);
    expect(metadata.snapshotLog).toHaveLength(1);
    // Nothing that a reader follows names the old place.
    expect(serializeTableMetadata(metadata).toString()).not.toContain('memory:');
    const snapshot = currentSnapshot(metadata)!;
    const reader = new ManifestReader(w.store);
    const address = { prefix, location };
    const manifests = await reader.manifests(address, snapshot);
    const entries = (await Promise.all(manifests.map((manifest) => reader.entries(address, manifest)))).flat();
    for (const path of [...manifests.map((manifest) => manifest.manifestPath), ...entries.map((entry) => entry.file.filePath)]) {
      expect(path).toMatch(/^s3:\/\/elsewhere\//);
    }
    // The same files, each with its own sequence number.
    const numbered = async (of: TableVersion): Promise<Set<string>> =>
      new Set((await w.table.readDataFiles(of.metadata)).map((entry) => `${entry.key} ${entry.sequenceNumber}`));
    const before = [...(await numbered(head))].filter((line) => !line.includes('/7.parquet'));
    expect(await numbered(found)).toEqual(new Set([...before, `${prefix}/data/new.parquet 26`]));
    // It goes on as any other.
    const next = await w.append(found, [file('next')]);
    expect(next.metadata.snapshots).toHaveLength(2);
    expect(next.metadata.metadataLog).toEqual([
      expect.objectContaining({ metadataFile: `${location}/metadata/v26.metadata.json` }),
      expect.objectContaining({ metadataFile: `${location}/metadata/v27.metadata.json` }),
    ]);
  });

  it('says which manifest is damaged or missing', async () => {
    const w = world();
    const head = await w.append(await created(w), [file('a')]);
    const manifest = (await keysOf(w.store, `${prefix}/metadata/`)).find((key) => key.endsWith('-m0.avro')) ?? '';
    const bytes = await w.store.get(manifest);
    const read = (): Promise<unknown> => new TableStore(w.store, prefix, w).readDataFiles(head.metadata);
    await w.store.put(manifest, bytes.subarray(0, bytes.length - 20));
    await expect(read()).rejects.toMatchObject({ code: 'table-corrupt', message: expect.stringContaining('-m0.avro') as string });
    await w.store.delete(manifest);
    await expect(read()).rejects.toMatchObject({ code: 'table-corrupt', message: expect.stringContaining('not in the bucket') as string });
    // What is in the cache was read before, and never changes.
    await w.store.put(manifest, bytes);
    expect(await w.table.readDataFiles(head.metadata)).toHaveLength(1);
    await w.store.delete(manifest);
    expect(await w.table.readDataFiles(head.metadata)).toHaveLength(1);
  });

  const manifestsOf = async (w: World, { metadata }: TableVersion): Promise<readonly ManifestFile[]> => {
    const snapshot = currentSnapshot(metadata);
    return snapshot === null ? [] : new ManifestReader(w.store).manifests({ prefix, location: metadata.location }, snapshot);
  };
  const key = (name: string | number): string => file(name).key;

  it('removes files: what stays keeps its numbers, what goes is said to be deleted, with its own', async () => {
    const w = world();
    const one = await w.append(await created(w), [file('a', 5), file('b', 7)]);
    const two = await w.append(one, [file('c', 3)]);
    const three = await w.change(two, { operation: 'delete', removedFiles: new Set([key('a')]) });
    expect(currentSnapshot(three.metadata)).toMatchObject({
      sequenceNumber: 3,
      summary: {
        'operation': 'delete',
        'added-data-files': '0',
        'deleted-data-files': '1',
        'added-records': '0',
        'deleted-records': '5',
        'added-files-size': '0',
        'removed-files-size': '500',
        'changed-partition-count': '1',
        'total-data-files': '2',
        'total-records': '10',
        'total-files-size': '1000',
      },
    });
    const [rewritten, untouched] = await manifestsOf(w, three);
    expect(untouched).toEqual((await manifestsOf(w, two))[0]);
    expect(rewritten).toMatchObject({
      sequenceNumber: 3,
      // The lowest of the live ones.
      minSequenceNumber: 1,
      addedSnapshotId: three.metadata.currentSnapshotId,
      addedFiles: 0,
      existingFiles: 1,
      deletedFiles: 1,
      addedRows: 0,
      existingRows: 7,
      deletedRows: 5,
    });
    if (rewritten === undefined) throw new Error('no manifest');
    const entries = await new ManifestReader(w.store).entries({ prefix, location: three.metadata.location }, rewritten);
    expect(entries.map((entry) => [entry.file.recordCount, entry.status, entry.snapshotId, entry.sequenceNumber])).toEqual([
      [5, entryStatus.deleted, three.metadata.currentSnapshotId, 1],
      [7, entryStatus.existing, one.metadata.currentSnapshotId, 1],
    ]);
    expect((await w.table.readDataFiles(three.metadata)).map((entry) => entry.key)).toEqual([key('b'), key('c')]);
    // The snapshots before see what they saw.
    expect(await w.table.readDataFiles(two.metadata)).toHaveLength(3);
  });

  it('puts files in the place of others, and forgets what was deleted with the snapshot after', async () => {
    const w = world();
    const filled = await w.append(await created(w), [file('a', 5), file('b', 7)]);
    const replaced = await w.change(filled, {
      operation: 'replace',
      dataFiles: [file('ab', 12)],
      removedFiles: new Set([key('a'), key('b')]),
    });
    expect(currentSnapshot(replaced.metadata)?.summary).toMatchObject({
      'operation': 'replace',
      'added-data-files': '1',
      'deleted-data-files': '2',
      'added-records': '12',
      'deleted-records': '12',
      'total-data-files': '1',
      'total-records': '12',
      'total-files-size': '1200',
    });
    const listed = await manifestsOf(w, replaced);
    expect(
      listed.map((manifest) => [manifest.addedFiles, manifest.existingFiles, manifest.deletedFiles, manifest.minSequenceNumber]),
    ).toEqual([
      [1, 0, 0, 2],
      [0, 0, 2, 2],
    ]);
    const after = await w.append(replaced, [file('c')]);
    expect((await manifestsOf(w, after)).map((manifest) => manifest.deletedFiles)).toEqual([0, 0]);
    expect((await w.table.readDataFiles(after.metadata)).map((entry) => [entry.key, entry.sequenceNumber])).toEqual([
      [key('c'), 3],
      [key('ab'), 2],
    ]);
  });

  it('refuses to remove a file that is in no manifest', async () => {
    const w = world();
    const head = await w.append(await created(w), [file('a')]);
    const lost = w.change(head, { operation: 'delete', removedFiles: new Set([key('a'), key('x')]) });
    await expect(lost).rejects.toMatchObject({ code: 'table-corrupt', facts: { key: key('x') } });
  });

  it('reads no more manifests than it takes to find what is removed', async () => {
    const w = world();
    let head = await created(w);
    for (let i = 0; i < 5; i++) head = await w.append(head, [file(i)]);
    const read: string[] = [];
    const watched = world({
      store: faultyStore(w.store, { before: (call) => void (call.operation === 'get' && read.push(call.key)) }),
      seed: 2,
    });
    await watched.change(head, { operation: 'delete', removedFiles: new Set([key(3)]) });
    // The manifest list, and the two newest manifests.
    expect(read.filter((name) => name.endsWith('.avro'))).toHaveLength(3);
  });

  it('makes no manifest larger than one may be by merging', { timeout: 60_000 }, async () => {
    const w = world();
    let head = await created(w);
    const many = (round: number): NewDataFile[] => Array.from({ length: 1200 }, (_, i) => file(`${round}-${i}`));
    for (let round = 0; round < 11; round++) head = await w.append(head, many(round));
    const sizes = (await manifestsOf(w, head)).map((manifest) => manifest.addedFiles + manifest.existingFiles);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(4096);
    expect(sizes.length).toBeLessThan(11);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(13_200);
  });
});
