/**
 * What is remembered of cold files on the local disk, a small file each: a bounded folder, which later services go on with. All of it
 * can be deleted at any time; cold files never change, so what is there is right for ever.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ColdFile } from '../../lake/index.js';

/** A note that so many questions had no use for may go for another. */
const unusedLooks = 1000;
/** What a file takes in a folder at least: also empty ones are bounded in number. */
const noteBytesMin = 32;

interface Note {
  /** Name in the folder. */
  readonly name: string;
  readonly bytes: number;
  /** The question that used it last. */
  readonly look: number;
}

export class NoteFolder {
  readonly #directory: string;
  readonly #suffix: string;
  readonly #bytesMax: number;
  /** By cold file, least recently used first. */
  readonly #notes = new Map<string, Note>();
  #bytes = 0;
  /** Of all notes there have been. */
  #largestBytes = 0;
  #looks = 0;
  #serial = 0;
  /** Told of each note that goes, by its cold file's id. */
  onDrop: ((id: string) => void) | undefined;

  private constructor(directory: string, suffix: string, bytesMax: number) {
    this.#directory = directory;
    this.#suffix = suffix;
    this.#bytesMax = bytesMax;
  }

  /** Takes over what an earlier service left, and removes what is no whole note. */
  static async open(directory: string, suffix: string, bytesMax: number): Promise<NoteFolder> {
    const folder = new NoteFolder(directory, suffix, bytesMax);
    await mkdir(directory, { recursive: true });
    const pattern = new RegExp(`^([0-9a-f]{64})(?:-[0-9a-f]{8})?\\.${suffix}$`);
    const found: { id: string; name: string; bytes: number; mtimeMs: number }[] = [];
    for (const name of await readdir(directory)) {
      const path = join(directory, name);
      const id = pattern.exec(name)?.[1];
      if (id === undefined) await rm(path, { recursive: true, force: true });
      else {
        const { size, mtimeMs } = await stat(path);
        found.push({ id, name, bytes: size, mtimeMs });
      }
    }
    for (const { id, name, bytes } of found.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
      const twin = folder.#notes.get(id);
      if (twin !== undefined) await rm(join(directory, twin.name), { force: true });
      folder.#note(id, name, bytes);
    }
    await folder.#makeRoom();
    return folder;
  }

  get files(): number {
    return this.#notes.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** To be called once a question, before it reads. */
  beginLook(): void {
    this.#looks++;
  }

  /** False where a new note could push out one that is in use: questions over more than fits would make them anew for ever. */
  get hasRoom(): boolean {
    const [oldest] = this.#notes.values();
    if (this.#bytes + this.#largestBytes <= this.#bytesMax) return true;
    return oldest !== undefined && this.#looks - oldest.look > unusedLooks;
  }

  has(file: ColdFile): boolean {
    return this.#notes.has(idOf(file));
  }

  /** Where the note lies, and what it was tagged with; it counts as used. */
  use(file: ColdFile): { readonly path: string; readonly bytes: number; readonly tag: string } | undefined {
    const id = idOf(file);
    const note = this.#notes.get(id);
    if (note === undefined) return undefined;
    this.#note(id, note.name, note.bytes);
    return { path: join(this.#directory, note.name), bytes: note.bytes, tag: note.name.slice(id.length + 1, -this.#suffix.length - 1) };
  }

  /** `undefined` where there is none, or it is gone. */
  async read(file: ColdFile): Promise<Buffer | undefined> {
    const note = this.use(file);
    return note === undefined ? undefined : readFile(note.path).catch(() => undefined);
  }

  /** `tag`: eight hexadecimal digits, which its name holds. Errors: those of the file system. */
  async keep(file: ColdFile, bytes: Uint8Array, tag?: string): Promise<void> {
    const id = idOf(file);
    const name = `${id}${tag === undefined ? '' : `-${tag}`}.${this.#suffix}`;
    const before = this.#notes.get(id);
    const path = join(this.#directory, name);
    const temporary = `${path}.${this.#serial++}`;
    try {
      // Query engines may read it, under another user.
      await writeFile(temporary, bytes, { mode: 0o444 });
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
    if (before !== undefined && before.name !== name) await rm(join(this.#directory, before.name), { force: true });
    this.#note(id, name, bytes.length);
    await this.#makeRoom();
  }

  async drop(file: ColdFile): Promise<void> {
    await this.#drop(idOf(file));
  }

  async #makeRoom(): Promise<void> {
    for (const id of this.#notes.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      await this.#drop(id);
    }
  }

  async #drop(id: string): Promise<void> {
    const note = this.#notes.get(id);
    if (note === undefined) return;
    this.onDrop?.(id);
    this.#bytes -= counted(note.bytes);
    this.#notes.delete(id);
    await rm(join(this.#directory, note.name), { force: true });
  }

  #note(id: string, name: string, bytes: number): void {
    this.#bytes += counted(bytes) - counted(this.#notes.get(id)?.bytes ?? null);
    this.#largestBytes = Math.max(this.#largestBytes, counted(bytes));
    this.#notes.delete(id);
    this.#notes.set(id, { name, bytes, look: this.#looks });
  }
}

function counted(bytes: number | null): number {
  return bytes === null ? 0 : Math.max(bytes, noteBytesMin);
}

/** Asked for several times of each file in every question. */
const ids = new WeakMap<ColdFile, string>();

/** Keys of objects are never used again, and a file never changes. */
export function idOf(file: ColdFile): string {
  let id = ids.get(file);
  if (id === undefined) {
    id = createHash('sha256').update(`${file.bytes} ${file.key}`).digest('hex');
    ids.set(file, id);
  }
  return id;
}
