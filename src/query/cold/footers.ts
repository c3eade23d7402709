/** The footers of cold files, which never change: parsed ones in memory, under a bound, as read in the cache on disk. */
import { readFile } from 'node:fs/promises';
import { footerLength, type PartLayout, readPartLayout } from '../../columns/index.js';
import { KiB, MiB, RecentlyUsed, SingleFlight } from '../../kernel/index.js';
import type { ColdFile } from '../../lake/index.js';
import type { LocalCache } from '../../objects/index.js';
import type { BucketReads, ReadCount } from './bucket-reads.js';
import { writeWhole } from './write-whole.js';

/** Read from a file's end at first: most footers lie in it whole. */
const endBytes = 64 * KiB;
/** Bytes of the footers in memory: the parsed form takes about as much again. A footer of ten groups and thirty columns has 40 kB. */
const memoryBytesMax = 32 * MiB;

export class Footers {
  readonly #cache: LocalCache;
  readonly #reads: BucketReads;
  readonly #layouts = new RecentlyUsed<string, PartLayout>(memoryBytesMax);
  readonly #loading = new SingleFlight<string, PartLayout>();

  constructor(cache: LocalCache, reads: BucketReads) {
    this.#cache = cache;
    this.#reads = reads;
  }

  /** What is in memory, without a request. */
  known(file: ColdFile): PartLayout | undefined {
    return this.#layouts.get(file.key);
  }

  /** Whether half of the memory is free: that much may come without having been asked for. */
  get hasRoom(): boolean {
    return this.#layouts.weight < memoryBytesMax / 2;
  }

  /** Errors: those of `BucketReads.read`, `cold-corrupt`. */
  async layout(file: ColdFile, count: ReadCount, signal: AbortSignal): Promise<PartLayout> {
    return this.known(file) ?? this.#loading.run(file.key, (inner) => this.#load(file, count, inner), signal);
  }

  async #load(file: ColdFile, count: ReadCount, signal: AbortSignal): Promise<PartLayout> {
    const name = footerName(file);
    const kept = await this.#cache.heldLocally(name, signal);
    if (kept !== undefined) {
      try {
        return this.#keep(file, await readFile(kept.path));
      } finally {
        kept.release();
      }
    }
    const footer = await this.#fetch(file, count, signal);
    const layout = this.#keep(file, footer);
    const lease = await this.#cache.makeLocal(name, footer.length, (path) => writeWhole(path, footer), signal);
    lease.release();
    return layout;
  }

  async #fetch(file: ColdFile, count: ReadCount, signal: AbortSignal): Promise<Buffer> {
    const start = Math.max(0, file.bytes - endBytes);
    const end = await this.#reads.read(file, start, file.bytes, count, signal);
    const length = footerLength(file.key, end.subarray(-8), file.bytes);
    if (length <= end.length) return Buffer.from(end.subarray(end.length - length));
    const head = await this.#reads.read(file, file.bytes - length, start, count, signal);
    return Buffer.concat([head, end]);
  }

  #keep(file: ColdFile, footer: Buffer): PartLayout {
    const layout = readPartLayout(file.key, footer);
    this.#layouts.set(file.key, layout, footer.length);
    return layout;
  }
}

/** Begins as the object's key does, so that it goes when the table does. */
function footerName(file: ColdFile): string {
  return `${file.key}#footer`;
}
