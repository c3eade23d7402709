/**
 * The key filters of cold files: a bounded folder, which later services go on with, and the ones used last in memory. All of it can be
 * deleted at any time; what is missing or damaged there is as if it had never been built.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MiB } from '../../kernel/index.js';
import type { ColdFile } from '../../lake/index.js';
import { KeyFilter } from './key-filter.js';

/** Filters of 170 million keys. */
const diskBytesMaxDefault = 256 * MiB;
const memoryBytesMaxDefault = 64 * MiB;
/** A filter that so many questions for keys had no use for may go for another. */
const unusedLooks = 1000;
const namePattern = /^[0-9a-f]{64}\.keys$/;

export class FilterStore {
  readonly #directory: string;
  readonly #diskBytesMax: number;
  readonly #memoryBytesMax: number;
  /** By name, least recently used first; `look` is the question that used it last. */
  readonly #onDisk = new Map<string, { readonly bytes: number; readonly look: number }>();
  readonly #inMemory = new Map<string, KeyFilter>();
  #diskBytes = 0;
  #looks = 0;
  #memoryBytes = 0;
  #serial = 0;

  private constructor(directory: string, diskBytesMax: number, memoryBytesMax: number) {
    this.#directory = directory;
    this.#diskBytesMax = diskBytesMax;
    this.#memoryBytesMax = memoryBytesMax;
  }

  /** Takes over what an earlier service left. */
  static async open(directory: string, diskBytesMax = diskBytesMaxDefault, memoryBytesMax = memoryBytesMaxDefault): Promise<FilterStore> {
    const store = new FilterStore(directory, diskBytesMax, memoryBytesMax);
    await mkdir(directory, { recursive: true });
    const found: { name: string; bytes: number; mtimeMs: number }[] = [];
    for (const name of await readdir(directory)) {
      const path = join(directory, name);
      if (!namePattern.test(name)) await rm(path, { recursive: true, force: true });
      else {
        const { size, mtimeMs } = await stat(path);
        found.push({ name, bytes: size, mtimeMs });
      }
    }
    for (const { name, bytes } of found.sort((a, b) => a.mtimeMs - b.mtimeMs)) store.#note(name, bytes);
    await store.#makeRoom();
    return store;
  }

  get files(): number {
    return this.#onDisk.size;
  }

  get bytes(): number {
    return this.#diskBytes;
  }

  /** To be called once a question, before it loads. */
  beginLook(): void {
    this.#looks++;
  }

  /** False where a new filter would push out one that is in use: questions over more filters than fit would build them for ever. */
  get hasRoom(): boolean {
    const [oldest] = this.#onDisk.values();
    return this.#diskBytes < this.#diskBytesMax || oldest === undefined || this.#looks - oldest.look > unusedLooks;
  }

  /** The filter of a file, where there is one. */
  async load(file: ColdFile): Promise<KeyFilter | undefined> {
    const name = nameOf(file);
    const entry = this.#onDisk.get(name);
    if (entry === undefined) return undefined;
    this.#note(name, entry.bytes);
    const kept = this.#inMemory.get(name);
    if (kept !== undefined) {
      this.#remember(name, kept);
      return kept;
    }
    const read = await readFile(join(this.#directory, name)).catch(() => undefined);
    const filter = read === undefined ? undefined : KeyFilter.decode(read);
    if (filter === undefined) await this.#drop(name);
    else if (this.#onDisk.has(name)) this.#remember(name, filter);
    return filter;
  }

  has(file: ColdFile): boolean {
    return this.#onDisk.has(nameOf(file));
  }

  /** Errors: those of the file system. */
  async keep(file: ColdFile, filter: KeyFilter): Promise<void> {
    const name = nameOf(file);
    const path = join(this.#directory, name);
    const temporary = `${path}.${this.#serial++}`;
    try {
      await writeFile(temporary, filter.encode());
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    this.#note(name, filter.bytes);
    this.#remember(name, filter);
    await this.#makeRoom();
  }

  async #makeRoom(): Promise<void> {
    for (const name of this.#onDisk.keys()) {
      if (this.#diskBytes <= this.#diskBytesMax) return;
      await this.#drop(name);
    }
  }

  async #drop(name: string): Promise<void> {
    this.#forget(name);
    this.#diskBytes -= this.#onDisk.get(name)?.bytes ?? 0;
    this.#onDisk.delete(name);
    await rm(join(this.#directory, name), { force: true });
  }

  #note(name: string, bytes: number): void {
    this.#diskBytes += bytes - (this.#onDisk.get(name)?.bytes ?? 0);
    this.#onDisk.delete(name);
    this.#onDisk.set(name, { bytes, look: this.#looks });
  }

  #remember(name: string, filter: KeyFilter): void {
    this.#forget(name);
    this.#inMemory.set(name, filter);
    this.#memoryBytes += filter.bytes;
    for (const oldest of this.#inMemory.keys()) {
      if (this.#memoryBytes <= this.#memoryBytesMax) return;
      this.#forget(oldest);
    }
  }

  #forget(name: string): void {
    this.#memoryBytes -= this.#inMemory.get(name)?.bytes ?? 0;
    this.#inMemory.delete(name);
  }
}

/** Keys of objects are never used again, and a file never changes. */
function nameOf({ key, bytes }: ColdFile): string {
  return `${createHash('sha256').update(`${bytes} ${key}`).digest('hex')}.keys`;
}
