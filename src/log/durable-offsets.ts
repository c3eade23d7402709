/**
 * One checkpoint file of the log folder: an offset a partition, rewritten as a whole. Who sets offsets while a write is
 * under way shares the next one.
 */
import { join } from 'node:path';
import { type Disk, LakeError, type Offset, toLakeError } from '../kernel/index.js';
import { decodeOffsets, encodeOffsets } from './checkpoint-text.js';
import { readFileIfThereSync } from './durable-file.js';

export class DurableOffsets {
  readonly #path: string;
  readonly #offsets: Map<string, Offset>;
  readonly #replaceFile: (path: string, bytes: Uint8Array) => Promise<void>;
  /** The file may have partitions that are forgotten, and no write that is under way takes them out. */
  #isBehind = false;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(disk: Disk, directory: string, name: string, replaceFile: (path: string, bytes: Uint8Array) => Promise<void>) {
    this.#path = join(directory, name);
    this.#replaceFile = replaceFile;
    const bytes = readFileIfThereSync(disk, this.#path);
    this.#offsets = bytes === undefined ? new Map() : decodeOffsets(bytes.toString(), this.#path);
  }

  get(key: string): Offset | undefined {
    return this.#offsets.get(key);
  }

  /** Forgets partitions that are not there any more; true where there were any. */
  keepOnly(isThere: (key: string) => boolean): boolean {
    const before = this.#offsets.size;
    for (const key of this.#offsets.keys()) if (!isThere(key)) this.#offsets.delete(key);
    return this.#offsets.size !== before;
  }

  /** Takes an offset into the next write without asking for one. Offsets never go back. True where it is a new one. */
  note(key: string, offset: Offset): boolean {
    const known = this.#offsets.get(key);
    if (known !== undefined && known >= offset) return false;
    this.#offsets.set(key, offset);
    return true;
  }

  /** Resolves when the offset, or a later one, is on disk. Errors: `log-offline`, `disk-full`. */
  async set(key: string, offset: Offset): Promise<void> {
    this.note(key, offset);
    await this.write();
  }

  /** Resolves when the file does not have it either, also where an earlier removal could not be written. Errors: as `set`. */
  async remove(key: string): Promise<void> {
    if (this.#offsets.delete(key)) this.#isBehind = true;
    if (this.#isBehind) await this.write();
    else await this.#running;
  }

  /** Resolves when everything set so far is on disk. */
  write(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#writeNow();
      return this.#running;
    }
    this.#next ??= this.#running.then(
      () => this.#follow(),
      () => this.#follow(),
    );
    return this.#next;
  }

  #follow(): Promise<void> {
    this.#next = undefined;
    this.#running = this.#writeNow();
    return this.#running;
  }

  async #writeNow(): Promise<void> {
    const wasBehind = this.#isBehind;
    this.#isBehind = false;
    try {
      await this.#replaceFile(this.#path, Buffer.from(encodeOffsets(this.#offsets)));
    } catch (error) {
      this.#isBehind ||= wasBehind;
      const hint = 'Look at the disk that holds the data directory.';
      throw new LakeError(toLakeError(error).code, `${this.#path} could not be written`, { cause: error, hint });
    } finally {
      if (this.#next === undefined) this.#running = undefined;
    }
  }
}
