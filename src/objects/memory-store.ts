/** A store in memory: for tests, simulation, and `serve` with `memory:`. It behaves as the others do, but outlives nothing. */
import { readFile, writeFile } from 'node:fs/promises';
import { invariant, type Clock } from '../kernel/index.js';
import { objectExists, objectMissing } from './errors.js';
import { checkKey, checkPrefix, compareKeys } from './keys.js';
import type { ByteRange, ObjectBody, ObjectInfo, ObjectStore, PutOptions } from './object-store.js';

interface Held {
  readonly bytes: Buffer;
  readonly lastModifiedMs: number;
}

export class MemoryStore implements ObjectStore {
  readonly url = 'memory:';
  readonly #clock: Clock;
  readonly #objects = new Map<string, Held>();

  constructor(ports: { readonly clock: Clock }) {
    this.#clock = ports.clock;
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    options.signal?.throwIfAborted();
    const bytes = body instanceof Uint8Array ? Buffer.from(body) : await readFile(body.path);
    if (options.ifAbsent === true && this.#objects.has(key)) throw objectExists(this.url, key);
    this.#objects.set(key, { bytes, lastModifiedMs: this.#clock.nowMs() });
  }

  async get(key: string, options: { readonly range?: ByteRange; readonly signal?: AbortSignal | undefined } = {}): Promise<Buffer> {
    checkKey(key);
    options.signal?.throwIfAborted();
    const held = this.#objects.get(key);
    if (held === undefined) throw objectMissing(this.url, key);
    const { range } = options;
    if (range === undefined) return Buffer.from(held.bytes);
    invariant(range.start >= 0 && range.end > range.start, 'a byte range is not empty', { start: range.start, end: range.end });
    return Buffer.from(held.bytes.subarray(range.start, range.end));
  }

  async download(key: string, path: string, signal?: AbortSignal): Promise<number> {
    const bytes = await this.get(key, { signal });
    await writeFile(path, bytes, { flag: 'wx', mode: 0o444 });
    return bytes.length;
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectInfo | null> {
    checkKey(key);
    signal?.throwIfAborted();
    const held = this.#objects.get(key);
    return held === undefined ? null : { key, bytes: held.bytes.length, lastModifiedMs: held.lastModifiedMs };
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    checkPrefix(prefix);
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix)).sort(compareKeys);
    for (const key of keys) {
      const found = await this.head(key, signal);
      if (found !== null) yield found;
    }
  }

  async delete(key: string, signal?: AbortSignal): Promise<void> {
    checkKey(key);
    signal?.throwIfAborted();
    this.#objects.delete(key);
  }

  async removeUnfinished(): Promise<number> {
    return 0;
  }

  localPath(key: string): string | null {
    checkKey(key);
    return null;
  }

  location(key: string): string {
    return `memory:/${key}`;
  }

  async close(): Promise<void> {}
}
