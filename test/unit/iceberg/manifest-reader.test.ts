import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type FilesByManifest, ManifestReader, type NewDataFile, TableStore, type TableVersion } from '../../../src/iceberg/index.js';
import { faultyStore, type ObjectStore } from '../../../src/objects/index.js';
import { emptyMetadata, file, keysOf, prefix, seededRandom, startMs, steppedClock, type World, world } from './table-world.js';

describe('a manifest that is read', () => {
  it('and never comes keeps nobody waiting beyond a signal, nor whoever reads it next', async () => {
    const there = world();
    const { table, store } = there;
    const head = await there.append(await table.commit(null, emptyMetadata(), 'first'), [file('a')], 'second');
    let isHanging = true;
    const hung = faultyStore(store, {
      before: (call) => (isHanging && call.key.endsWith('-m0.avro') ? new Promise<void>(() => undefined) : undefined),
    });
    const other = new TableStore(hung, prefix, { clock: steppedClock(), random: seededRandom(1) });
    const limit = new AbortController();
    const reads = [1, 2].map(() => other.readDataFiles(head.metadata, limit.signal));
    limit.abort(new Error('too long'));
    for (const read of reads) await expect(read).rejects.toThrow('too long');
    isHanging = false;
    expect(await other.readDataFiles(head.metadata)).toHaveLength(1);
  });

  it('with many others waits for a signal only while it is read: no more do at a time than are read at once', async () => {
    const there = world();
    const { table, store } = there;
    let head = await table.commit(null, emptyMetadata(), 'first');
    const names = Array.from({ length: 20 }, (_, i) => `f${String(i).padStart(2, '0')}`);
    for (const name of names) head = await there.append(head, [file(name)], name);
    const limit = new AbortController();
    let waitingMax = 0;
    const watched = faultyStore(store, {
      before: () => {
        waitingMax = Math.max(waitingMax, getEventListeners(limit.signal, 'abort').length);
      },
    });
    const other = new TableStore(watched, prefix, { clock: steppedClock(), random: seededRandom(1) });
    const files = await other.readDataFiles(head.metadata, limit.signal);
    expect(new Set(files.map(({ key }) => /f\d\d/.exec(key)?.[0]))).toEqual(new Set(names));
    expect(waitingMax).toBeGreaterThan(1);
    expect(waitingMax).toBeLessThanOrEqual(8);
    expect(getEventListeners(limit.signal, 'abort')).toEqual([]);
  });
});

/** Another's look at the table, with the manifests and lists it reads. */
function watched(store: ObjectStore) {
  const reads: string[] = [];
  const seen = faultyStore(store, {
    before: ({ key }) => {
      if (key.endsWith('.avro')) reads.push(key);
    },
  });
  const reader = new ManifestReader(seen);
  return { reads, reader, table: new TableStore(seen, prefix, { clock: steppedClock(), random: seededRandom(1), reader }) };
}

async function appended(there: World, files: readonly (readonly NewDataFile[])[]): Promise<readonly TableVersion[]> {
  const heads = [await there.table.commit(null, emptyMetadata(), 'first')];
  for (const some of files) heads.push(await there.append(heads.at(-1)!, some));
  return heads;
}

/** With the metrics of so many columns. */
function wide(name: string, columns: number): NewDataFile {
  const ids = Array.from({ length: columns }, (_, id) => id);
  const counts = new Map(ids.map((id) => [id, id]));
  const bounds = new Map(ids.map((id) => [id, Buffer.from('bound')]));
  return { ...file(name), columnSizes: counts, valueCounts: counts, nullValueCounts: counts, lowerBounds: bounds, upperBounds: bounds };
}

describe('the files of a snapshot', () => {
  it('are read from its new manifests only, and the others are the same objects', async () => {
    const there = world();
    const heads = await appended(there, [[file('a'), file('b')], [file('c')]]);
    const { reads, table } = watched(there.store);
    const one = await table.readFiles(heads[1]!.metadata, ({ key }) => ({ key }), new Map());
    expect(reads).toHaveLength(2);
    const two = await table.readFiles(heads[2]!.metadata, ({ key }) => ({ key }), one);
    expect(reads).toHaveLength(4);
    const keys = (files: FilesByManifest<{ readonly key: string }>): string[] => [...files.values()].flat().map(({ key }) => key);
    expect(keys(two).sort()).toEqual(['a', 'b', 'c'].map((name) => `${prefix}/data/${name}.parquet`));
    for (const [manifest, files] of one) expect(two.get(manifest)).toBe(files);
  });

  it('are forgotten with the manifests that are no longer listed', async () => {
    const there = world();
    const [, head] = await appended(there, [[file('a'), file('b')]]);
    const one = await there.table.readFiles(head!.metadata, ({ key }) => key, new Map());
    const next = await there.change(head!, { operation: 'delete', removedFiles: new Set([`${prefix}/data/a.parquet`]) });
    const two = await there.table.readFiles(next.metadata, ({ key }) => key, one);
    expect([...two.values()].flat()).toEqual([`${prefix}/data/b.parquet`]);
    expect([...two.keys()].some((manifest) => one.has(manifest))).toBe(false);
  });
});

describe('what is kept of manifests that were read', () => {
  it('is bounded by what it takes of the heap', async () => {
    const there = world();
    const columns = 500;
    const manifests = 16;
    const heads = await appended(
      there,
      Array.from({ length: manifests }, (_, m) => Array.from({ length: 5 }, (_none, f) => wide(`${m}-${f}`, columns))),
    );
    const { reads, reader, table } = watched(there.store);
    for (const { metadata } of heads) await table.readDataFiles(metadata);
    expect(reader.cachedBytes).toBeGreaterThan(8 * 2 ** 20);
    expect(reader.cachedBytes).toBeLessThanOrEqual(16 * 2 ** 20);
    reads.length = 0;
    await table.readDataFiles(heads.at(-1)!.metadata);
    expect(reads.filter((key) => key.includes('/snap-'))).toEqual([]);
  });

  it('by a sweep over old snapshots is digests, by which the next reads nothing', async () => {
    const there = world();
    const heads = await appended(
      there,
      Array.from({ length: 12 }, (_, i) => [file(`a${i}`), file(`b${i}`)]),
    );
    const removed = new Set(['a3', 'b3', 'a4'].map((name) => `${prefix}/data/${name}.parquet`));
    const head = await there.change(heads.at(-1)!, { operation: 'delete', removedFiles: removed });
    const { reads, reader, table } = watched(there.store);
    const versions = await table.listVersions();
    const once = await table.liveObjects(head, versions, startMs);
    expect(reads.length).toBeGreaterThan(12);
    expect(new Set(reads).size).toBe(reads.length);
    expect(reader.cachedBytes).toBe(0);
    reads.length = 0;
    const again = await table.liveObjects(head, versions, startMs);
    expect(reads).toEqual([]);
    const keys = [...(await keysOf(there.store, `${prefix}/metadata/`)).filter((key) => key.endsWith('.avro')), ...removed];
    for (const live of [once, again]) {
      expect(keys.filter((key) => !live.has(key))).toEqual([]);
      expect(live.has(`${prefix}/data/other.parquet`)).toBe(false);
    }
    expect(again.size).toBe(once.size);
  });
});
