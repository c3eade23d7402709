/**
 * Objects, and files made of parts of objects, on local disk, under a bound. Whoever uses a file holds a lease; a leased file counts against the bound
 * and is not deleted. Nothing in the folder outlives a start.
 */
import { dirname, join } from 'node:path';
import { abortable, type Disk, formatBytes, LakeError, Semaphore, systemDisk } from '../kernel/index.js';
import { objectMissing } from './errors.js';
import type { ObjectStore } from './object-store.js';

export interface CacheLease {
  /** A local file of mode 0444, complete. */
  readonly path: string;
  readonly bytes: number;
  /** To be called once the path is no longer needed (or linked elsewhere); a second call does nothing. */
  release(): void;
}

export interface CacheStats {
  /** Bytes on disk or being downloaded. */
  readonly bytes: number;
  readonly leasedBytes: number;
  readonly entries: number;
  readonly hits: number;
  readonly misses: number;
}

interface Entry {
  readonly path: string;
  /** As announced, then as downloaded. */
  bytes: number;
  leases: number;
  isComplete: boolean;
  ready: Promise<void>;
  /** Ends the download where nobody waits for it any more. */
  readonly abort: AbortController;
}

/** Writes the file and answers its length. */
type Fill = (path: string, signal: AbortSignal) => Promise<number>;

/** Downloads at once; each holds one stream buffer. */
const downloadsMax = 4;
const downloadsQueuedMax = 100_000;

export class LocalCache {
  readonly #store: ObjectStore;
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #disk: Disk;
  /** Whether the store's own files lie where hard links from beside the cache can reach them. */
  readonly #isDirect: boolean;
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>();
  readonly #downloads = new Semaphore(downloadsMax, downloadsQueuedMax);
  readonly #closed = new AbortController();
  #bytes = 0;
  /** Names files; never used twice. */
  #files = 0;
  #hits = 0;
  #misses = 0;

  private constructor(store: ObjectStore, folder: string, bytesMax: number, disk: Disk, isDirect: boolean) {
    this.#store = store;
    this.#folder = folder;
    this.#bytesMax = bytesMax;
    this.#disk = disk;
    this.#isDirect = isDirect;
  }

  /** Empties the folder `dir`, which is this cache's alone, and opens it. */
  static async open(options: {
    readonly store: ObjectStore;
    readonly dir: string;
    readonly maxBytes: number;
    readonly disk?: Disk;
  }): Promise<LocalCache> {
    const { store, dir, maxBytes, disk = systemDisk } = options;
    await disk.mkdir(dir, { recursive: true });
    for (const name of await disk.readdir(dir)) await disk.rm(join(dir, name), { recursive: true, force: true });
    return new LocalCache(store, dir, maxBytes, disk, await isSameFileSystem(disk, store, dir));
  }

  get stats(): CacheStats {
    let leasedBytes = 0;
    for (const entry of this.#entries.values()) if (entry.leases > 0) leasedBytes += entry.bytes;
    return { bytes: this.#bytes, leasedBytes, entries: this.#entries.size, hits: this.#hits, misses: this.#misses };
  }

  /**
   * The object as a local file, downloaded if it is not here. `bytes` is its length where the caller knows it. Whoever
   * asks while it is on its way waits for the same download; a caller's signal ends its own wait, and the download only
   * where nobody else waits for it.
   * Errors: those of `ObjectStore.download`; `overloaded` where leased files leave no room.
   */
  async fetchToLocal(key: string, bytes?: number, signal?: AbortSignal): Promise<CacheLease> {
    signal?.throwIfAborted();
    if (this.#isDirect) return this.#direct(key, signal);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const announced = bytes ?? (await this.#sizeOf(key, signal));
      // Somebody else may have asked for it meanwhile; from here on nothing waits.
      entry = this.#entries.get(key) ?? this.#admit(key, announced, (path, inner) => this.#store.download(key, path, inner), true);
    } else {
      this.#hits++;
    }
    return this.#hold(key, entry, signal);
  }

  /**
   * A file that `fill` writes (mode 0444, whole when it resolves to its length) under a name of the caller's, which nothing else is
   * kept under; held, shared, bounded and evicted as objects are. Errors: those of `fill`; `overloaded` where leased files leave no room.
   */
  async makeLocal(
    name: string,
    bytes: number,
    fill: (path: string, signal: AbortSignal) => Promise<number>,
    signal?: AbortSignal,
  ): Promise<CacheLease> {
    signal?.throwIfAborted();
    const entry = this.#entries.get(name) ?? this.#admit(name, bytes, fill, false);
    return this.#hold(name, entry, signal);
  }

  /** Where `isDirect`: the object as it lies, of the length that the caller knows. Whether it is there, whoever opens it is told. */
  whereItLies(key: string, bytes: number): CacheLease {
    const path = this.#store.localPath(key);
    if (!this.#isDirect || path === null) throw objectMissing(this.#store.url, key);
    return { path, bytes, release: () => {} };
  }

  /** What is here under a name, or on its way. */
  heldLocally(name: string, signal?: AbortSignal): Promise<CacheLease> | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    this.#hits++;
    return this.#hold(name, entry, signal);
  }

  /** Of what is here under a name, or on its way. */
  bytesOf(name: string): number | undefined {
    return this.#entries.get(name)?.bytes;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Whether objects are files that can be linked from where they lie; then nothing is cached. */
  get isDirect(): boolean {
    return this.#isDirect;
  }

  /** Drops a file that nobody holds. */
  async forget(name: string): Promise<void> {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.leases > 0 || !entry.isComplete) return;
    this.#forget(name, entry);
    await removeFiles(this.#disk, [entry.path]);
  }

  async #hold(key: string, held: Entry, signal: AbortSignal | undefined): Promise<CacheLease> {
    this.#entries.delete(key);
    this.#entries.set(key, held);
    held.leases++;
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      held.leases--;
    };
    try {
      await abortable(held.ready, signal);
    } catch (error) {
      release();
      // A download that hangs must not hold up whoever asks for the object next.
      if (held.leases === 0 && !held.isComplete) {
        this.#forget(key, held);
        held.abort.abort(error);
      }
      throw error;
    }
    return { path: held.path, bytes: held.bytes, release };
  }

  /** Drops files without a lease, least recently used first, until at most `bytes` are kept. */
  async shrinkTo(bytes: number): Promise<void> {
    await removeFiles(this.#disk, this.#evict(bytes));
  }

  /** Drops the objects below a prefix that nobody holds: they are gone from the store, or soon will be. */
  async forgetBelow(prefix: string): Promise<void> {
    const paths: string[] = [];
    for (const [key, entry] of this.#entries) {
      if (!key.startsWith(prefix) || entry.leases > 0 || !entry.isComplete) continue;
      this.#entries.delete(key);
      this.#bytes -= entry.bytes;
      paths.push(entry.path);
    }
    await removeFiles(this.#disk, paths);
  }

  /** Ends downloads under way and empties the folder. Leased files go as well: links to them stay. */
  async close(): Promise<void> {
    this.#closed.abort(new LakeError('cancelled', 'the cache was closed'));
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    this.#bytes = 0;
    await Promise.allSettled(entries.map((entry) => entry.ready));
    await removeFiles(
      this.#disk,
      entries.map((entry) => entry.path),
    );
  }

  async #sizeOf(key: string, signal: AbortSignal | undefined): Promise<number> {
    const found = await this.#store.head(key, signal);
    if (found === null) throw objectMissing(this.#store.url, key);
    return found.bytes;
  }

  /** Makes room in the books at once; the evicted files go before the download begins. */
  #admit(key: string, bytes: number, fill: Fill, isDownload: boolean): Entry {
    this.#closed.signal.throwIfAborted();
    const evicted = this.#evict(this.#bytesMax - bytes);
    const path = join(this.#folder, String(this.#files++));
    const entry: Entry = { path, bytes, leases: 0, isComplete: false, ready: Promise.resolve(), abort: new AbortController() };
    if (this.#bytes + bytes > this.#bytesMax) {
      void removeFiles(this.#disk, evicted);
      throw new LakeError('overloaded', `${key} (${formatBytes(bytes)}) does not fit the cache: ${this.#describe()}`, {
        hint: 'Try again when less is running, or give the cache more bytes.',
        facts: { key, bytes, cached: this.#bytes, bound: this.#bytesMax },
      });
    }
    this.#bytes += bytes;
    this.#misses++;
    this.#entries.set(key, entry);
    entry.ready = this.#fill(key, entry, evicted, fill, isDownload);
    // Every waiter may have left by the time it fails.
    entry.ready.catch(() => {});
    return entry;
  }

  async #fill(key: string, entry: Entry, evicted: readonly string[], fill: Fill, isDownload: boolean): Promise<void> {
    try {
      await removeFiles(this.#disk, evicted);
      const signal = AbortSignal.any([this.#closed.signal, entry.abort.signal]);
      // What is made of parts bounds its own requests.
      const bytes = await (isDownload ? this.#downloads.run(() => fill(entry.path, signal), signal) : fill(entry.path, signal));
      if (this.#entries.get(key) === entry) this.#bytes += bytes - entry.bytes;
      // Nobody waited any more, and it came about all the same.
      else await removeFiles(this.#disk, [entry.path]);
      entry.bytes = bytes;
      entry.isComplete = true;
    } catch (error) {
      this.#forget(key, entry);
      throw error;
    }
  }

  #forget(key: string, entry: Entry): void {
    if (this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }

  /** Takes files without a lease out of the books until at most `bytesKept` remain, and answers their paths. */
  #evict(bytesKept: number): readonly string[] {
    const evicted: string[] = [];
    for (const [key, entry] of this.#entries) {
      if (this.#bytes <= bytesKept) break;
      if (entry.leases > 0 || !entry.isComplete) continue;
      this.#entries.delete(key);
      this.#bytes -= entry.bytes;
      evicted.push(entry.path);
    }
    return evicted;
  }

  #describe(): string {
    const { leasedBytes } = this.stats;
    return `${formatBytes(leasedBytes)} of ${formatBytes(this.#bytesMax)} are in use`;
  }

  async #direct(key: string, signal: AbortSignal | undefined): Promise<CacheLease> {
    const path = this.#store.localPath(key);
    const found = await this.#store.head(key, signal);
    if (path === null || found === null) throw objectMissing(this.#store.url, key);
    return { path, bytes: found.bytes, release: () => {} };
  }
}

async function isSameFileSystem(disk: Disk, store: ObjectStore, folder: string): Promise<boolean> {
  const path = store.localPath('x');
  if (path === null) return false;
  const [a, b] = await Promise.all([disk.stat(dirname(path)), disk.stat(folder)]);
  return a.dev === b.dev;
}

async function removeFiles(disk: Disk, paths: readonly string[]): Promise<void> {
  for (const path of paths) await disk.rm(path, { force: true });
}
