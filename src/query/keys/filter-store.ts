/**
 * The key filters of cold files: on the disk, and the ones used last in memory. What is missing or damaged there is as if it had never
 * been built.
 */
import { MiB, RecentlyUsed } from '../../kernel/index.js';
import type { ColdFile } from '../../lake/index.js';
import { KeyFilter } from './key-filter.js';
import { idOf, NoteFolder } from './note-folder.js';

/** Filters of 170 million keys. */
const diskBytesMaxDefault = 256 * MiB;
const memoryBytesMaxDefault = 64 * MiB;

export class FilterStore {
  readonly #folder: NoteFolder;
  /** By cold file. */
  readonly #inMemory: RecentlyUsed<string, KeyFilter>;

  private constructor(folder: NoteFolder, memoryBytesMax: number) {
    this.#folder = folder;
    this.#inMemory = new RecentlyUsed(memoryBytesMax);
    folder.onDrop = (id) => this.#inMemory.delete(id);
  }

  /** Takes over what an earlier service left. */
  static async open(directory: string, diskBytesMax = diskBytesMaxDefault, memoryBytesMax = memoryBytesMaxDefault): Promise<FilterStore> {
    return new FilterStore(await NoteFolder.open(directory, 'keys', diskBytesMax), memoryBytesMax);
  }

  get files(): number {
    return this.#folder.files;
  }

  get bytes(): number {
    return this.#folder.bytes;
  }

  /** To be called once a question, before it loads. */
  beginLook(): void {
    this.#folder.beginLook();
  }

  /** False where a new filter would push out one that is in use. */
  get hasRoom(): boolean {
    return this.#folder.hasRoom;
  }

  /** The filter of a file, where there is one. */
  async load(file: ColdFile): Promise<KeyFilter | undefined> {
    if (!this.#folder.has(file)) return undefined;
    const id = idOf(file);
    const kept = this.#inMemory.get(id);
    if (kept !== undefined) {
      this.#folder.use(file);
      return kept;
    }
    const read = await this.#folder.read(file);
    const filter = read === undefined ? undefined : KeyFilter.decode(read);
    if (filter === undefined) await this.#folder.drop(file);
    else if (this.#folder.has(file)) this.#inMemory.set(id, filter, filter.bytes);
    return filter;
  }

  has(file: ColdFile): boolean {
    return this.#folder.has(file);
  }

  /** Errors: those of the file system. */
  async keep(file: ColdFile, filter: KeyFilter): Promise<void> {
    await this.#folder.keep(file, filter.encode());
    if (this.#folder.has(file)) this.#inMemory.set(idOf(file), filter, filter.bytes);
  }
}
