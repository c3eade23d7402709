/** Manifest lists and manifests by way of a bounded cache: they are written once and never change. */
import { isLakeError, LakeError, MiB, RecentlyUsed, Semaphore, SingleFlight } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import { keyOf, type TableAddress } from './locations.js';
import { type DataFile, decodeManifest, decodeManifestList, type ManifestEntry, type ManifestFile } from './manifest.js';
import { NamedKeys } from './named-keys.js';
import type { Snapshot } from './table-metadata.js';

/** Heap that decoded manifests and lists take at most. A file of 23 columns takes 10 KB of it: some 1,500 files. */
const cachedBytesMax = 16 * MiB;
/** What V8 takes for an entry beside its maps, for an element of a map, and for a bound beside that: at most a quarter more than was measured. */
const entryBytes = 1000;
const elementBytes = 42;
const boundBytes = 130;
/** An entry of a manifest list, with its strings. */
const listedBytes = 800;
/** Manifests read at once. */
const readsMax = 8;
const readsQueuedMax = 100_000;

type Decoded = readonly ManifestEntry[] | readonly ManifestFile[];

export interface ReadOptions {
  readonly signal?: AbortSignal;
  /** Read once, as by a sweep over old snapshots: what is cached is used, and nothing is put there. */
  readonly isPassing?: boolean;
}

export class ManifestReader {
  /** What lists and manifests name, for sweeps. */
  readonly named: NamedKeys = new NamedKeys();
  readonly #store: ObjectStore;
  /** By key; each weighs what it takes of the heap. */
  readonly #cache = new RecentlyUsed<string, Decoded>(cachedBytesMax);
  readonly #flights = new SingleFlight<string, Decoded>();
  readonly #reads = new Semaphore(readsMax, readsQueuedMax);

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** About what the decoded lists and manifests now cached take of the heap. */
  get cachedBytes(): number {
    return this.#cache.weight;
  }

  /** The manifests of a snapshot. Errors: `table-corrupt`, those of `ObjectStore.get`. */
  async manifests(table: TableAddress, snapshot: Snapshot, options: ReadOptions = {}): Promise<readonly ManifestFile[]> {
    const key = keyOf(table, snapshot.manifestList);
    const decode = (bytes: Buffer): Promise<readonly ManifestFile[]> => decodeManifestList(bytes, key);
    return (await this.#read(key, decode, options)) as readonly ManifestFile[];
  }

  /** All entries of a manifest, deleted ones included. Errors: `table-corrupt`, those of `ObjectStore.get`. */
  async entries(table: TableAddress, manifest: ManifestFile, options: ReadOptions = {}): Promise<readonly ManifestEntry[]> {
    const key = keyOf(table, manifest.manifestPath);
    const decode = (bytes: Buffer): Promise<readonly ManifestEntry[]> => decodeManifest(bytes, manifest);
    return (await this.#read(key, decode, options)) as readonly ManifestEntry[];
  }

  /**
   * What `take` makes of the entries of each manifest, in their order. Entries are in memory for no more manifests than are read at
   * once, and no more reads wait for their turn and for the signal.
   */
  async ofEach<T>(
    table: TableAddress,
    manifests: readonly ManifestFile[],
    take: (entries: readonly ManifestEntry[]) => T,
    signal?: AbortSignal,
  ): Promise<readonly T[]> {
    const taken: T[] = [];
    const left = manifests.entries();
    const readOn = async (): Promise<void> => {
      for (const [at, manifest] of left) taken[at] = take(await this.entries(table, manifest, { signal }));
    };
    await Promise.all(Array.from({ length: readsMax }, readOn));
    return taken;
  }

  async #read(key: string, decode: (bytes: Buffer) => Promise<Decoded>, { signal, isPassing = false }: ReadOptions): Promise<Decoded> {
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    signal?.throwIfAborted();
    // Shared by all who ask: a caller's signal ends its wait, and the read only where nobody waits for it any more.
    return this.#flights.run(
      key,
      (shared) =>
        this.#reads.run(async () => {
          const decoded = await decode(await this.#get(key, shared));
          if (!isPassing) this.#keep(key, decoded);
          return decoded;
        }, shared),
      signal,
    );
  }

  #keep(key: string, decoded: Decoded): void {
    const bytes = heapBytes(decoded);
    if (bytes <= cachedBytesMax / 2) this.#cache.set(key, decoded, bytes);
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

function heapBytes(decoded: Decoded): number {
  let bytes = 0;
  for (const one of decoded) bytes += 'file' in one ? entryBytes + fileBytes(one.file) : listedBytes;
  return bytes;
}

function fileBytes(file: DataFile): number {
  const counts = [file.columnSizes, file.valueCounts, file.nullValueCounts, file.nanValueCounts];
  const bounds = [file.lowerBounds, file.upperBounds];
  const elements = (maps: readonly (ReadonlyMap<number, unknown> | null)[]): number => maps.reduce((sum, map) => sum + (map?.size ?? 0), 0);
  return elements(counts) * elementBytes + elements(bounds) * (elementBytes + boundBytes);
}
