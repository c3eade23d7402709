/**
 * The digest that ties a cold file to the record batches it came from. Each record is hashed to 64 bits (two lanes of 32)
 * over offset, timestamp and its type, leader epoch, producer id, epoch and sequence, key, value and headers in order; the
 * hashes are the coefficients of a polynomial, one per lane, modulo the prime 2^31 − 1. So order counts, the digest of a
 * concatenation follows from its parts (`composeDigests`), and it is known before a file is written.
 *
 * Text form: `t1:<records>:<lane a, 8 hex digits><lane b, 8 hex digits>`.
 */
import { LakeError } from '../kernel/index.js';

/** 2^31 − 1. */
const prime = 0x7fffffff;
const two31 = 2 ** 31;
const two32 = 2 ** 32;
const baseA = 0x3c6ef35f;
const baseB = 0x2545f491;
const seedA = 0x1b873593;
const seedB = 0x27d4eb2f;
/** Stands where a key, a value or a header's value is null; no length is negative. */
const nullLength = -1;
/** Opens the hash of a batch that is kept whole, so that no record hashes like it. */
const rawBatchMark = 0x52617721;

const digestPattern = /^t1:(\d{1,15}):([0-9a-f]{8})([0-9a-f]{8})$/;

/** Of no records. */
export const emptyDigest = 't1:0:0000000000000000';

/** a · b modulo 2^31 − 1, for a and b below it; every step is exact in a double. */
function multiply(a: number, b: number): number {
  const high = (a >>> 16) * b;
  const highFolded = Math.floor(high / two31);
  const folded = highFolded + (high - highFolded * two31);
  const whole = folded * 65536 + (a & 0xffff) * b;
  const wholeHigh = Math.floor(whole / two31);
  const sum = wholeHigh + (whole - wholeHigh * two31);
  return sum >= prime ? sum - prime : sum;
}

function power(base: number, exponent: number): number {
  let result = 1;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
}

function add(a: number, b: number): number {
  const sum = a + b;
  return sum >= prime ? sum - prime : sum;
}

/** Takes in records one after the other: `begin`, `bytes` for key and value, `word` and `bytes` for headers, `end`. */
export class RecordDigest {
  #count = 0;
  #sumA = 0;
  #sumB = 0;
  #a = 0;
  #b = 0;
  #markCount = 0;
  #markA = 0;
  #markB = 0;

  get count(): number {
    return this.#count;
  }

  /** Opens a record. Producer ids come as their two halves, so that no bigint is made for each record. */
  begin(
    offset: number,
    timestampMs: number,
    timestampType: number,
    leaderEpoch: number,
    producerIdHigh: number,
    producerIdLow: number,
    producerEpoch: number,
    sequence: number,
  ): void {
    this.#a = seedA;
    this.#b = seedB;
    this.#int64(offset);
    this.#int64(timestampMs);
    this.word((timestampType << 16) ^ (producerEpoch & 0xffff));
    this.word(leaderEpoch);
    this.word(producerIdHigh);
    this.word(producerIdLow);
    this.word(sequence);
  }

  /** Opens a batch that is kept whole; `bytes` follows. */
  beginRawBatch(offset: number): void {
    this.#a = seedA;
    this.#b = seedB;
    this.word(rawBatchMark);
    this.#int64(offset);
  }

  /** A safe integer, as its two halves. */
  #int64(value: number): void {
    const high = Math.floor(value / two32);
    this.word(high | 0);
    this.word((value - high * two32) | 0);
  }

  /** 32 bits. */
  word(word: number): void {
    const a = Math.imul(this.#a ^ Math.imul(word, 0xcc9e2d51), 0x1b873593);
    this.#a = (((a << 13) | (a >>> 19)) + 0x1656467) | 0;
    const b = Math.imul(this.#b + word, 0x85ebca6b);
    this.#b = b ^ (b >>> 15);
  }

  /** Length (−1: null) and bytes of a field. */
  bytes(view: DataView, at: number, length: number): void {
    this.word(length);
    if (length <= 0) return;
    let a = this.#a;
    let b = this.#b;
    const end = at + length;
    const wordsEnd = end - 3;
    let p = at;
    for (; p < wordsEnd; p += 4) {
      const word = view.getInt32(p, true);
      a = Math.imul(a ^ Math.imul(word, 0xcc9e2d51), 0x1b873593);
      a = (((a << 13) | (a >>> 19)) + 0x1656467) | 0;
      b = Math.imul(b + word, 0x85ebca6b);
      b ^= b >>> 15;
    }
    this.#a = a;
    this.#b = b;
    if (p < end) this.#rest(view, p, end);
  }

  /** As `bytes`, and copies them to `target` at `to` on the way: one pass over memory where two would cost as much again. */
  copyBytes(view: DataView, at: number, length: number, target: DataView, to: number): void {
    this.word(length);
    if (length <= 0) return;
    let a = this.#a;
    let b = this.#b;
    const end = at + length;
    const wordsEnd = end - 3;
    let p = at;
    let q = to;
    for (; p < wordsEnd; p += 4, q += 4) {
      const word = view.getInt32(p, true);
      target.setInt32(q, word, true);
      a = Math.imul(a ^ Math.imul(word, 0xcc9e2d51), 0x1b873593);
      a = (((a << 13) | (a >>> 19)) + 0x1656467) | 0;
      b = Math.imul(b + word, 0x85ebca6b);
      b ^= b >>> 15;
    }
    this.#a = a;
    this.#b = b;
    if (p < end) {
      this.#rest(view, p, end);
      for (; p < end; p++, q++) target.setUint8(q, view.getUint8(p));
    }
  }

  /** A null field. */
  absent(): void {
    this.word(nullLength);
  }

  /** The last one to three bytes, filled up with zeros; the length that went before keeps them apart. */
  #rest(view: DataView, at: number, end: number): void {
    let word = 0;
    for (let i = at, shift = 0; i < end; i++, shift += 8) word |= view.getUint8(i) << shift;
    this.word(word);
  }

  /** Closes a record. */
  end(): void {
    let a = this.#a;
    let b = this.#b ^ this.#a;
    a = Math.imul(a ^ (a >>> 16), 0x85ebca6b);
    a = Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
    b = Math.imul(b ^ (b >>> 16), 0x7feb352d);
    b = Math.imul(b ^ (b >>> 15), 0x846ca68b);
    this.#sumA = add(multiply(this.#sumA, baseA), ((a ^ (a >>> 16)) & prime) % prime);
    this.#sumB = add(multiply(this.#sumB, baseB), ((b ^ (b >>> 16)) & prime) % prime);
    this.#count++;
  }

  /** Remembers where it stands, for `rewind`. */
  mark(): void {
    this.#markCount = this.#count;
    this.#markA = this.#sumA;
    this.#markB = this.#sumB;
  }

  /** Forgets the records since `mark`. */
  rewind(): void {
    this.#count = this.#markCount;
    this.#sumA = this.#markA;
    this.#sumB = this.#markB;
  }

  toString(): string {
    return format(this.#count, this.#sumA, this.#sumB);
  }
}

function format(count: number, a: number, b: number): string {
  return `t1:${count}:${a.toString(16).padStart(8, '0')}${b.toString(16).padStart(8, '0')}`;
}

function parse(text: string): readonly [count: number, a: number, b: number] {
  const match = digestPattern.exec(text);
  if (match === null) {
    throw new LakeError('cold-corrupt', `${JSON.stringify(text)} is not a digest`, { hint: 'Check which version wrote it.' });
  }
  return [Number(match[1]), Number.parseInt(match[2] as string, 16), Number.parseInt(match[3] as string, 16)];
}

/** The digest of the records of all parts, one after the other, from the parts' digests. Errors: `cold-corrupt`. */
export function composeDigests(...digests: readonly string[]): string {
  let [count, a, b] = [0, 0, 0];
  for (const digest of digests) {
    const [partCount, partA, partB] = parse(digest);
    a = add(multiply(a, power(baseA, partCount)), partA);
    b = add(multiply(b, power(baseB, partCount)), partB);
    count += partCount;
  }
  return format(count, a, b);
}
