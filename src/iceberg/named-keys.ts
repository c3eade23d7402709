/**
 * Which keys an object of a table names: a manifest list its manifests, a manifest its live files. Neither ever changes, and sweeps read
 * all that many snapshots consist of, again and again. Of files a digest is kept, so that those of a hundred old snapshots take megabytes.
 */
import { createHash } from 'node:crypto';
import { MiB, RecentlyUsed } from '../kernel/index.js';

/** Of each of the two kinds. */
const namedBytesMax = 4 * MiB;
/** A manifest's key, as a list has it; and what an object counts for beside what it names. */
const manifestBytes = 200;
const objectBytes = 300;

/** 48 bits. A key has that of one of 100,000 others once in 3 × 10⁹ keys: it may say that an object stays, never that one goes. */
export type KeyDigest = number;

export function keyDigest(key: string): KeyDigest {
  return createHash('sha256').update(key).digest().readUIntBE(0, 6);
}

export class NamedKeys {
  readonly #manifests = new RecentlyUsed<string, readonly string[]>(namedBytesMax);
  readonly #files = new RecentlyUsed<string, Float64Array>(namedBytesMax);

  /** Keys of the manifests that a list names; `read` where they are not known. Errors: those of `read`. */
  async manifestsOf(list: string, read: () => Promise<readonly string[]>): Promise<readonly string[]> {
    const known = this.#manifests.get(list);
    if (known !== undefined) return known;
    const keys = await read();
    this.#manifests.set(list, keys, keys.length * manifestBytes + objectBytes);
    return keys;
  }

  /** Digests of the files that a manifest names; `read` tells their keys where they are not known. Errors: those of `read`. */
  async filesOf(manifest: string, read: () => Promise<readonly string[]>): Promise<Float64Array> {
    const known = this.#files.get(manifest);
    if (known !== undefined) return known;
    const digests = Float64Array.from(await read(), keyDigest);
    this.#files.set(manifest, digests, digests.byteLength + objectBytes);
    return digests;
  }
}
