/**
 * Which offset is the last of each key: what a compaction must remember, in a table of a fixed size (Kafka's SkimpyOffsetMap).
 * Keys are remembered by 128 bits of their SHA-256, so that nobody can make two keys that drop each other's records.
 */
import { createHash } from 'node:crypto';
import { invariant, type Offset } from '../kernel/index.js';

/** 16 of the hash, 8 of the offset. */
export const keyOffsetBytes = 24;
const hashWords = 4;
/** Above this share searches become long. */
const fullShare = 0.9;

export class KeyOffsets {
  readonly #slots: number;
  readonly #keysMax: number;
  readonly #hashes: Int32Array;
  readonly #offsets: Float64Array;
  #count = 0;

  /** Takes at most `bytes`, and no more than `keys` keys need. */
  constructor(bytes: number, keys: number) {
    this.#slots = Math.max(2, Math.min(Math.floor(bytes / keyOffsetBytes), Math.ceil(keys / fullShare) + 1));
    this.#keysMax = Math.max(1, Math.floor(this.#slots * fullShare));
    this.#hashes = new Int32Array(this.#slots * hashWords);
    this.#offsets = new Float64Array(this.#slots).fill(-1);
  }

  get count(): number {
    return this.#count;
  }

  /** Notes the offset, which is above all before it. False where the key is new and there is no room. */
  put(key: Uint8Array, offset: Offset): boolean {
    const hash = hashOf(key);
    const slot = this.#find(hash);
    if ((this.#offsets[slot] as number) < 0) {
      if (this.#count >= this.#keysMax) return false;
      this.#count++;
      for (let word = 0; word < hashWords; word++) this.#hashes[slot * hashWords + word] = hash.readInt32LE(word * 4);
    }
    this.#offsets[slot] = offset;
    return true;
  }

  /** The last offset that was noted of the key, −1 where there is none. */
  get(key: Uint8Array): Offset {
    return this.#offsets[this.#find(hashOf(key))] as number;
  }

  /** The slot that has the key, or the free one where it would be. */
  #find(hash: Buffer): number {
    let slot = hash.readUInt32LE(0) % this.#slots;
    for (let tried = 0; tried < this.#slots; tried++) {
      if ((this.#offsets[slot] as number) < 0 || this.#isAt(slot, hash)) return slot;
      slot = slot + 1 === this.#slots ? 0 : slot + 1;
    }
    invariant(false, 'a table of keys is never full', { slots: this.#slots });
    return -1;
  }

  #isAt(slot: number, hash: Buffer): boolean {
    for (let word = 0; word < hashWords; word++) {
      if (this.#hashes[slot * hashWords + word] !== hash.readInt32LE(word * 4)) return false;
    }
    return true;
  }
}

function hashOf(key: Uint8Array): Buffer {
  return createHash('sha256').update(key).digest();
}
