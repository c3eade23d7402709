/**
 * A table in a bucket: which metadata file is the current one, and how the next becomes it.
 *
 * ```
 *  load ──► decide ──► write (objects nobody sees)  ──► PUT v<N+1> if absent ──┬─ exists, not ours ──► commit-lost
 *                                                                              │
 *                        look for vacated.json, v<N> ◄── won (or found ours) ──┘
 *                                            │
 *            the mark of a dropped table: delete own file ──► topic-unknown
 *            v<N> is gone or another's, and our id is not in the head's lineage: delete own file ──► commit-lost
 *                                            │
 *                                       committed ──► version-hint.text (a hint, for other engines)
 * ```
 *
 * A list may be some seconds old (decision 0008): it says where the head is at least. What a commit stands on is asked for by name.
 */
import { invariant, isLakeError, LakeError, retry, toLakeError, type BackoffPolicy, type Clock, type Random } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import { LiveObjects } from './live-objects.js';
import { hintKey, keyOf, locationOf, vacatedKey, versionKey, versionOfKey, type TableAddress } from './locations.js';
import { entryStatus, type ManifestEntry } from './manifest.js';
import { ManifestReader } from './manifest-reader.js';
import { writeNextSnapshot, type NextSnapshot, type SnapshotRequest } from './next-snapshot.js';
import { currentSnapshot, parseTableMetadata, serializeTableMetadata, type TableMetadata } from './table-metadata.js';

/** A metadata file as it was read or committed. */
export interface TableVersion {
  /** N of `v<N>.metadata.json`. */
  readonly version: number;
  readonly metadata: TableMetadata;
}

/** The current metadata as the bucket has it. */
export interface RawHead {
  readonly version: number;
  readonly bytes: Buffer;
}

export interface CommitResult extends TableVersion {
  /** Why `version-hint.text` was not written, where it was not: the commit stands all the same. */
  readonly hintError?: LakeError;
}

/** A metadata file as the store lists it. */
export interface ListedVersion {
  readonly version: number;
  readonly bytes: number;
  /** The store's time, in ms. */
  readonly lastModifiedMs: number;
}

/** A live data file of a snapshot. */
export interface DataFileEntry extends ManifestEntry {
  /** Its key in the store, resolved below the table. */
  readonly key: string;
}

/** Files of a snapshot by the key of the manifest that lists them, in its order. */
export type FilesByManifest<File> = ReadonlyMap<string, readonly File[]>;

/**
 * Table property with the ids of the latest commits, newest first, separated by spaces. It is how a commit whose answer
 * was lost is found again, and how a reused number is told from a number that others have already built upon.
 */
const commitsProperty = 'thermocline.commits';
/** Ids kept in `commitsProperty`: 20 × 37 bytes. Older ones are found by reading older metadata files. */
const commitIdsMax = 20;
/** Earlier metadata files named in the metadata. */
const metadataLogMax = 100;
/** One conditional write, with its lost answers; about ten seconds in all. */
const commitBackoff: BackoffPolicy = { firstMs: 100, maxMs: 3000, tries: 7 };
/** Reading the head: it may be a void file that goes away between list and get. */
const loadTries = 5;

export class TableStore {
  readonly store: ObjectStore;
  /** Key prefix without a trailing slash. */
  readonly prefix: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #reader: ManifestReader;
  /** The highest version that was read, written or found taken here: a list that shows less is behind. */
  #seen = 0;

  /** `ports.reader` may be shared by the tables of one store, so that they share one bound. */
  constructor(
    store: ObjectStore,
    prefix: string,
    ports: { readonly clock: Clock; readonly random: Random; readonly reader?: ManifestReader },
  ) {
    invariant(prefix !== '' && !prefix.endsWith('/'), 'a table prefix has no trailing slash', { prefix });
    this.store = store;
    this.prefix = prefix;
    this.#clock = ports.clock;
    this.#random = ports.random;
    this.#reader = ports.reader ?? new ManifestReader(store);
  }

  /**
   * The current metadata: the file with the highest number, found by one list request (`version-hint.text` is never
   * trusted). `null` where there is no table. With `known`, nothing is read again while that is still the highest.
   * Never older than what this object has seen, while that is there. Errors: `topic-unknown` where it was dropped.
   */
  async load(known?: TableVersion | null, signal?: AbortSignal): Promise<TableVersion | null> {
    const head = await this.#head(known?.version, (version) => this.#read(version, signal), signal);
    return head === 'unchanged' ? (known ?? null) : head;
  }

  /** As `load`, without reading what the file says; `unchanged` where it is still the version that is known. */
  async loadRaw(knownVersion?: number, signal?: AbortSignal): Promise<RawHead | 'unchanged' | null> {
    return this.#head(knownVersion, (version) => this.#readRaw(version, signal), signal);
  }

  async #head<Head>(
    knownVersion: number | undefined,
    read: (version: number) => Promise<Head | null>,
    signal?: AbortSignal,
  ): Promise<Head | 'unchanged' | null> {
    for (let attempt = 1; ; attempt++) {
      const listed = (await this.#versions(signal)).at(-1) ?? 0;
      const version = Math.max(listed, this.#seen);
      if (version === 0) return null;
      if (knownVersion === version && listed === version) return 'unchanged';
      const found = await read(version);
      if (found !== null) {
        this.#seen = version;
        return knownVersion === version ? 'unchanged' : found;
      }
      await this.#requireNotDropped(signal);
      // What was seen is there no more: a void file, or a bucket that was set back.
      this.#seen = 0;
      if (attempt === loadTries) {
        throw new LakeError('store-unavailable', `${versionKey(this.prefix, version)} is listed and cannot be read`, {
          hint: 'Check that the bucket lists what it holds.',
        });
      }
    }
  }

  /**
   * Writes what a next snapshot needs (manifests, manifest list) under names of its own and resolves to the metadata that
   * `commit` can make current. Errors: `unsupported`, `table-corrupt`, those of `ObjectStore.put`.
   */
  nextSnapshot(metadata: TableMetadata, request: SnapshotRequest, signal?: AbortSignal): Promise<NextSnapshot> {
    const table = { store: this.store, prefix: this.prefix, reader: this.#reader, random: this.#random };
    return this.#unlessDropped(() => writeNextSnapshot(table, metadata, request, signal), signal);
  }

  /**
   * Makes `next` the table's metadata after `base` (`null`: the table is created). The metadata it resolves to is `next`
   * with the commit's id, the log of metadata files and the time set.
   * Errors: `commit-lost` (another writer was first: load and decide again), `topic-unknown` (the table was dropped) and
   * `store-unavailable` (it may have been committed: ask `includesCommit` before deciding again).
   */
  async commit(base: TableVersion | null, next: TableMetadata, commitId: string, signal?: AbortSignal): Promise<CommitResult> {
    invariant(/^[\w.:-]{1,100}$/.test(commitId), 'a commit id is a short word', { commitId });
    const version = (base?.version ?? 0) + 1;
    const bytes = serializeTableMetadata(this.#nextMetadata(base, next, commitId));
    // What cannot be read back must never become the table; and so the result is the same as `load` would give.
    const metadata = parseTableMetadata(bytes);
    const ports = { clock: this.#clock, random: this.#random };
    const written = await retry(() => this.#putVersion({ version, metadata }, bytes, commitId, signal), commitBackoff, ports, signal);
    if (written === null) throw this.#lost(version, 'another writer wrote it');
    const reason = await retry(() => this.#voidReason(base, version, commitId, signal), commitBackoff, ports, signal).catch(
      async (error: unknown) => {
        // Whoever dropped the table may have listed it before this file was there.
        if (isLakeError(error, 'topic-unknown')) await this.store.delete(versionKey(this.prefix, version));
        throw error;
      },
    );
    if (reason !== null) {
      await this.store.delete(versionKey(this.prefix, version), signal);
      throw this.#lost(version, reason);
    }
    this.#seen = Math.max(this.#seen, version);
    const hintError = await this.#raiseHint(version, signal);
    return { ...written, ...(hintError === null ? {} : { hintError }) };
  }

  /** Whether a commit of this id is part of the table, looking back as far as `sinceVersion` (exclusive). */
  async includesCommit(commitId: string, sinceVersion: number, signal?: AbortSignal): Promise<boolean> {
    let at = await this.load(null, signal);
    while (at !== null && at.version > sinceVersion) {
      const ids = commitIds(at.metadata);
      if (ids.includes(commitId)) return true;
      if (ids.length < commitIdsMax) return false;
      at = await this.#read(at.version - ids.length, signal);
    }
    return false;
  }

  /**
   * The live data files of the current snapshot, in the order of their manifests.
   * Errors: `table-corrupt`; `unsupported` where another engine has put delete files into the table; `topic-unknown` where it was dropped.
   */
  async readDataFiles(metadata: TableMetadata, signal?: AbortSignal): Promise<readonly DataFileEntry[]> {
    return [...(await this.readFiles(metadata, (entry) => entry, new Map(), signal)).values()].flat();
  }

  /**
   * As `readDataFiles`, each file as `fileOf` has it. A manifest never changes: those in `known`, as an earlier call resolved to it,
   * are not read again, and their files are the same objects.
   */
  readFiles<File>(
    metadata: TableMetadata,
    fileOf: (entry: DataFileEntry) => File,
    known: FilesByManifest<File>,
    signal?: AbortSignal,
  ): Promise<FilesByManifest<File>> {
    return this.#unlessDropped(() => this.#readFiles(metadata, fileOf, known, signal), signal);
  }

  async #readFiles<File>(
    metadata: TableMetadata,
    fileOf: (entry: DataFileEntry) => File,
    known: FilesByManifest<File>,
    signal?: AbortSignal,
  ): Promise<FilesByManifest<File>> {
    const snapshot = currentSnapshot(metadata);
    if (snapshot === null) return new Map();
    const address: TableAddress = { prefix: this.prefix, location: metadata.location };
    const manifests = (await this.#reader.manifests(address, snapshot, { signal })).filter((m) => m.addedFiles + m.existingFiles > 0);
    if (manifests.some((manifest) => manifest.content === 1)) {
      throw new LakeError('unsupported', `the table at ${metadata.location} has delete files`, {
        hint: 'Rewrite the data files with the engine that deleted rows, or roll its snapshot back.',
        facts: { location: metadata.location },
      });
    }
    const keys = manifests.map((manifest) => keyOf(address, manifest.manifestPath));
    const unknown = manifests.filter((_, at) => !known.has(keys[at]!));
    const filesOf = (entries: readonly ManifestEntry[]): readonly File[] =>
      entries
        .filter((entry) => entry.status !== entryStatus.deleted)
        .map((entry) => fileOf({ ...entry, key: keyOf(address, entry.file.filePath) }));
    const read = (await this.#reader.ofEach(address, unknown, filesOf, signal)).values();
    return new Map(keys.map((key) => [key, known.get(key) ?? read.next().value!]));
  }

  /**
   * Marks the table as dropped: from now on nobody can load it or commit to it, also who was on his way. To be done before its objects
   * are deleted. Errors: those of the store.
   */
  async vacate(signal?: AbortSignal): Promise<void> {
    await this.store.put(vacatedKey(this.prefix), Buffer.from('{}\n'), { signal });
  }

  /** The metadata files that are there, by number. Errors: `topic-unknown` where the table was dropped. */
  async listVersions(signal?: AbortSignal): Promise<readonly ListedVersion[]> {
    const versions: ListedVersion[] = [];
    for await (const { key, bytes, lastModifiedMs } of this.store.list(`${this.prefix}/metadata/v`, signal)) {
      if (key === vacatedKey(this.prefix)) throw this.#dropped();
      const version = versionOfKey(key);
      if (version !== null) versions.push({ version, bytes, lastModifiedMs });
    }
    return versions.sort((a, b) => a.version - b.version);
  }

  /**
   * The objects that the head's snapshots need, and those of every snapshot that was the current one at `sinceMs` or later. `versions`
   * are those of `listVersions`, the head last. What is live later and not now was written since.
   * Errors: `table-corrupt`, also where a metadata file younger than `sinceMs` has no predecessor; those of the store.
   */
  liveObjects(head: TableVersion, versions: readonly ListedVersion[], sinceMs: number, signal?: AbortSignal): Promise<LiveObjects> {
    return this.#unlessDropped(() => this.#liveObjects(head, versions, sinceMs, signal), signal);
  }

  async #liveObjects(head: TableVersion, versions: readonly ListedVersion[], sinceMs: number, signal?: AbortSignal): Promise<LiveObjects> {
    const live = new LiveObjects();
    for (const snapshot of head.metadata.snapshots) await live.addSnapshot(this.#reader, this.prefix, head.metadata, snapshot, signal);
    const written = new Map(versions.map((listed) => [listed.version, listed.lastModifiedMs]));
    let at: TableVersion = head;
    // Either clock may be wrong: the later of the two times counts, which keeps more.
    while (at.version > 1 && Math.max(at.metadata.lastUpdatedMs, written.get(at.version) ?? 0) > sinceMs) {
      const before = await this.#read(at.version - 1, signal);
      if (before === null) {
        throw new LakeError('table-corrupt', `${versionKey(this.prefix, at.version - 1)} is gone, and was needed not long ago`, {
          hint: 'Leave metadata files to the service; nothing is swept here until that time is over.',
          facts: { table: this.prefix, version: at.version - 1 },
        });
      }
      const current = currentSnapshot(before.metadata);
      if (current !== null) await live.addSnapshot(this.#reader, this.prefix, before.metadata, current, signal);
      at = before;
    }
    return live;
  }

  /** Numbers of the metadata files that are there, ascending. */
  async #versions(signal?: AbortSignal): Promise<readonly number[]> {
    return (await this.listVersions(signal)).map(({ version }) => version);
  }

  async #read(version: number, signal?: AbortSignal): Promise<TableVersion | null> {
    const raw = await this.#readRaw(version, signal);
    return raw === null ? null : { version, metadata: parseTableMetadata(raw.bytes) };
  }

  async #readRaw(version: number, signal?: AbortSignal): Promise<RawHead | null> {
    try {
      return { version, bytes: await this.store.get(versionKey(this.prefix, version), { signal }) };
    } catch (error) {
      if (isLakeError(error, 'object-missing')) return null;
      throw error;
    }
  }

  #nextMetadata(base: TableVersion | null, next: TableMetadata, commitId: string): TableMetadata {
    const address: TableAddress = { prefix: this.prefix, location: next.location };
    const earlier = base?.metadata;
    const log =
      base === null
        ? []
        : [
            ...next.metadataLog,
            { timestampMs: base.metadata.lastUpdatedMs, metadataFile: locationOf(address, versionKey(this.prefix, base.version)) },
          ];
    const ids = [commitId, ...(earlier === undefined ? [] : commitIds(earlier))].slice(0, commitIdsMax);
    return {
      ...next,
      lastUpdatedMs: Math.max(Math.floor(this.#clock.nowMs()), next.lastUpdatedMs, earlier?.lastUpdatedMs ?? 0),
      properties: { ...next.properties, [commitsProperty]: ids.join(' ') },
      metadataLog: log.slice(-metadataLogMax),
    };
  }

  /**
   * What `v<version>` now holds, if it is our commit: written by this call, or by an earlier one whose answer was lost, and that
   * one may have named its snapshot, or the table, differently. `null` where it is another's.
   */
  async #putVersion(own: TableVersion, bytes: Buffer, commitId: string, signal?: AbortSignal): Promise<TableVersion | null> {
    try {
      await this.store.put(versionKey(this.prefix, own.version), bytes, { ifAbsent: true, signal });
      return own;
    } catch (error) {
      if (!isLakeError(error, 'object-exists')) throw error;
      const found = await this.#read(own.version, signal);
      if (found !== null) this.#seen = Math.max(this.#seen, own.version);
      return found !== null && commitIds(found.metadata)[0] === commitId ? found : null;
    }
  }

  /**
   * Why a won write is no commit, or `null` where it is one. Old metadata goes oldest first, so while the predecessor is the very file
   * that was decided on, the number was never given before. Where it is not, or there was none, only the lineage of the head can tell.
   */
  async #voidReason(base: TableVersion | null, version: number, commitId: string, signal?: AbortSignal): Promise<string | null> {
    await this.#requireNotDropped(signal);
    if (base !== null && (await this.#isStill(base, signal))) return null;
    const highest = (await this.#versions(signal)).at(-1) ?? 0;
    if (highest > version) {
      return (await this.includesCommit(commitId, version - 1, signal)) ? null : `the table is at version ${highest} already`;
    }
    return base === null ? null : `version ${base.version} is gone`;
  }

  /** Whether what stands under a version's name is that version, and not another writer's void file. */
  async #isStill(version: TableVersion, signal?: AbortSignal): Promise<boolean> {
    const found = await this.#read(version.version, signal);
    return found !== null && commitIds(found.metadata)[0] === commitIds(version.metadata)[0];
  }

  /** Errors: `topic-unknown`. */
  async #requireNotDropped(signal?: AbortSignal): Promise<void> {
    if ((await this.store.head(vacatedKey(this.prefix), signal)) !== null) throw this.#dropped();
  }

  /** What is missing of a table that is being dropped is no damage, though its mark be listed late. Errors: also `topic-unknown`. */
  async #unlessDropped<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isLakeError(error, 'table-corrupt')) await this.#requireNotDropped(signal);
      throw error;
    }
  }

  #dropped(): LakeError {
    return new LakeError('topic-unknown', `the table ${this.prefix} was dropped: its topic is deleted`, { facts: { table: this.prefix } });
  }

  #lost(version: number, reason: string): LakeError {
    return new LakeError('commit-lost', `version ${version} of the table ${this.prefix} is not ours: ${reason}`, {
      hint: 'Load the table and decide again.',
      facts: { table: this.prefix, version },
    });
  }

  /**
   * Lets `version-hint.text` grow to the table's version. After each write the list is read again, so whichever writer
   * is last to write has seen the highest version there was.
   */
  async #raiseHint(version: number, signal?: AbortSignal): Promise<LakeError | null> {
    try {
      let target = version;
      for (let hinted = await this.#hint(signal); hinted < target; target = (await this.#versions(signal)).at(-1) ?? target) {
        await this.store.put(hintKey(this.prefix), Buffer.from(String(target)), { signal });
        hinted = target;
      }
      return null;
    } catch (error) {
      return toLakeError(error, 'internal', 'version-hint.text');
    }
  }

  async #hint(signal?: AbortSignal): Promise<number> {
    try {
      const hint = Number((await this.store.get(hintKey(this.prefix), { signal })).toString('latin1').trim());
      return Number.isSafeInteger(hint) ? hint : 0;
    } catch (error) {
      if (isLakeError(error, 'object-missing')) return 0;
      throw error;
    }
  }
}

/** Ids of the latest commits, newest first. */
function commitIds(metadata: TableMetadata): readonly string[] {
  return (metadata.properties[commitsProperty] ?? '').split(' ').filter((id) => id !== '');
}
