/** Manifest lists and manifests by way of a bounded cache: they are written once and never change. */
import { isLakeError, LakeError, RecentlyUsed, Semaphore, SingleFlight } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import { keyOf, type TableAddress } from './locations.js';
import { decodeManifest, decodeManifestList, type ManifestEntry, type ManifestFile } from './manifest.js';
import type { Snapshot } from './table-metadata.js';

/** Decoded entries kept at most, over all manifests. An entry of 30 columns takes about 6 KiB of heap: some 50 MiB. */
const cachedEntriesMax = 8192;
/** Manifests read at once. */
const readsMax = 8;
const readsQueuedMax = 100_000;

export class ManifestReader {
  readonly #store: ObjectStore;
  /** By key. Lists count as entries too. */
  readonly #cache = new RecentlyUsed<string, readonly unknown[]>(cachedEntriesMax);
  readonly #flights = new SingleFlight<string, readonly unknown[]>();
  readonly #reads = new Semaphore(readsMax, readsQueuedMax);

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** Decoded entries now cached. */
  get cachedEntries(): number {
    return this.#cache.weight;
  }

  /** The manifests of a snapshot. Errors: `table-corrupt`, those of `ObjectStore.get`. */
  async manifests(table: TableAddress, snapshot: Snapshot, signal?: AbortSignal): Promise<readonly ManifestFile[]> {
    const key = keyOf(table, snapshot.manifestList);
    return (await this.#read(key, (bytes) => decodeManifestList(bytes, key), signal)) as readonly ManifestFile[];
  }

  /** All entries of a manifest, deleted ones included. Errors: `table-corrupt`, those of `ObjectStore.get`. */
  async entries(table: TableAddress, manifest: ManifestFile, signal?: AbortSignal): Promise<readonly ManifestEntry[]> {
    const key = keyOf(table, manifest.manifestPath);
    return (await this.#read(key, (bytes) => decodeManifest(bytes, manifest), signal)) as readonly ManifestEntry[];
  }

  async #read(key: string, decode: (bytes: Buffer) => Promise<readonly unknown[]>, signal?: AbortSignal): Promise<readonly unknown[]> {
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    signal?.throwIfAborted();
    // Shared by all who ask: a caller's signal ends its wait, and the read only where nobody waits for it any more.
    return this.#flights.run(
      key,
      (shared) =>
        this.#reads.run(async () => {
          const entries = await decode(await this.#get(key, shared));
          if (entries.length <= cachedEntriesMax / 2) this.#cache.set(key, entries, entries.length);
          return entries;
        }, shared),
      signal,
    );
  }

  async #get(key: string, signal: AbortSignal): Promise<Buffer> {
    try {
      return await this.#store.get(key, { signal });
    } catch (error) {
      if (!isLakeError(error, 'object-missing')) throw error;
      throw new LakeError('table-corrupt', `${key} is named by the table and is not in the bucket`, {
        hint: 'Restore the object from an earlier version of it.',
        facts: { key },
        cause: error,
      });
    }
  }
}
