/**
 * Which keys a cold file may hold, in about twelve bits a key: a split-block Bloom filter (as Parquet's own, "Cache-, Hash- and
 * Space-Efficient Bloom Filters"). A key of the file is always in it; of other keys about one in three hundred is, too.
 *
 * | Bytes | |
 * |---|---|
 * | 4 | `TKF1` |
 * | 4 | CRC-32 of what follows |
 * | 4 | number of blocks; 0: every key may be there |
 * | 4 | number of keys |
 * | 32 a block | eight words, least significant byte first, as all numbers here |
 */
import { createHash } from 'node:crypto';
import { endianness } from 'node:os';
import { crc32 } from 'node:zlib';

/** 64 bits as two words. */
export interface KeyHash {
  readonly high: number;
  readonly low: number;
}

const magic = 'TKF1';
const headBytes = 16;
const bitsPerKey = 12;
const wordsPerBlock = 8;
const blockBits = 256;
/** Of more keys a file has no filter: at this size a filter takes 6 MiB, and while it is built 32 MiB are held. */
export const filterKeysMax = 4_000_000;
const isBigEndian = endianness() === 'BE';
const blocksMax = Math.ceil((filterKeysMax * bitsPerKey) / blockBits);

/** One odd factor for each word of a block, so that each sets a bit of its own. */
const factors = [0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31] as const;

/** The expression of SQL that `hashOfDigits` reads: short, whatever the key's length. */
export const hashDigitsSql = 'left(sha256(_key), 16)';

/** `key` as hexadecimal digits. */
export function hashOfKey(key: string): KeyHash {
  return hashOfDigits(createHash('sha256').update(key, 'hex').digest('hex'));
}

/** Of at least sixteen hexadecimal digits, the first sixteen. */
export function hashOfDigits(digits: string): KeyHash {
  return { high: Number.parseInt(digits.slice(0, 8), 16), low: Number.parseInt(digits.slice(8, 16), 16) };
}

export class KeyFilter {
  readonly #words: Uint32Array;
  readonly #blocks: number;
  readonly #keys: number;

  private constructor(words: Uint32Array, keys: number) {
    this.#words = words;
    this.#blocks = words.length / wordsPerBlock;
    this.#keys = keys;
  }

  static of(hashes: Iterable<KeyHash>, keys: number): KeyFilter {
    const blocks = Math.max(1, Math.ceil((keys * bitsPerKey) / blockBits));
    const filter = new KeyFilter(new Uint32Array(blocks * wordsPerBlock), keys);
    for (const hash of hashes) filter.#add(hash);
    return filter;
  }

  /** Of a file with too many keys: lets every key through. */
  static ofTooMany(): KeyFilter {
    return new KeyFilter(new Uint32Array(0), 0);
  }

  #add({ high, low }: KeyHash): void {
    const block = this.#blockOf(high);
    for (const [at, factor] of factors.entries()) this.#words[block + at]! |= bitOf(low, factor);
  }

  mayHold({ high, low }: KeyHash): boolean {
    if (this.#blocks === 0) return true;
    const block = this.#blockOf(high);
    return factors.every((factor, at) => (this.#words[block + at]! & bitOf(low, factor)) !== 0);
  }

  #blockOf(high: number): number {
    return Math.floor((high * this.#blocks) / 2 ** 32) * wordsPerBlock;
  }

  get bytes(): number {
    return headBytes + this.#words.length * 4;
  }

  encode(): Buffer {
    const bytes = Buffer.alloc(this.bytes);
    bytes.write(magic, 0, 'latin1');
    bytes.writeUInt32LE(this.#blocks, 8);
    bytes.writeUInt32LE(this.#keys, 12);
    Buffer.from(this.#words.buffer).copy(bytes, headBytes);
    if (isBigEndian) bytes.subarray(headBytes).swap32();
    bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
    return bytes;
  }

  /** `undefined` where the bytes are not a filter, whole and as it was written. */
  static decode(bytes: Buffer): KeyFilter | undefined {
    if (bytes.length < headBytes || bytes.toString('latin1', 0, 4) !== magic) return undefined;
    const blocks = bytes.readUInt32LE(8);
    if (blocks > blocksMax || bytes.length !== headBytes + blocks * wordsPerBlock * 4) return undefined;
    if (bytes.readUInt32LE(4) !== crc32(bytes.subarray(8))) return undefined;
    const words = new Uint32Array(blocks * wordsPerBlock);
    const copied = Buffer.from(words.buffer);
    bytes.copy(copied, 0, headBytes);
    if (isBigEndian) copied.swap32();
    return new KeyFilter(words, bytes.readUInt32LE(12));
  }
}

/** One of 32 bits, by the five highest of a product. */
function bitOf(low: number, factor: number): number {
  return 1 << (Math.imul(low, factor) >>> 27);
}
