/**
 * The digest that ties a cold file to the record batches it came from. Each record is hashed to 64 bits (`loops/hash.ts`) over
 * producer id, leader epoch, timestamp type and producer epoch, offset, timestamp, sequence, key, value and headers in order;
 * the hashes are the coefficients of a polynomial modulo the prime 2^61 − 1. So order counts, the digest of a concatenation
 * follows from its parts (`composeDigests`), and it is known before a file is written.
 *
 * Text form: `t2:<records>:<the polynomial's value, 16 hex digits>`. Why there was a first one: decision 0007.
 */
import { LakeError, MiB } from '../kernel/index.js';
import { loopBytes, loops, reserve } from './hot-loops.js';

/** 2^61 − 1. */
const prime = 2n ** 61n - 1n;
/** Where the polynomial is evaluated; as `loops/polynomial.ts` has it. */
const base = 0x0f1b_5c3d_9a24_e687n;
/** Stands where a key, a value or a header's value is null; no length is negative. */
const nullLength = -1;
/** Of a field that are taken in at a time; as `loops/hash.ts` has it. */
const pieceBytes = MiB;

const digestPattern = /^t2:(\d{1,15}):([0-9a-f]{16})$/;
const olderPattern = /^t1:\d{1,15}:[0-9a-f]{16}$/;

/** Of no records. */
export const emptyDigest = 't2:0:0000000000000000';

function power(exponent: number): bigint {
  let result = 1n;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = (result * square) % prime;
    square = (square * square) % prime;
  }
  return result;
}

let pieceAt: number | undefined;

/** Room for a piece of a field in the loops' memory. */
export function reservePiece(): number {
  return (pieceAt ??= reserve(pieceBytes));
}

/**
 * Takes in records one after the other: `begin`, `bytes` for key and value, `number` and `bytes` for headers, `end`. One record at a
 * time in a process: others are not begun before it has ended.
 */
export class RecordDigest {
  #count = 0;
  #sum = 0n;

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
    loops.beginRecord(offset, timestampMs, timestampType, leaderEpoch, producerIdHigh, producerIdLow, producerEpoch, sequence);
  }

  /** Opens a batch that is kept whole; `bytes` follows. */
  beginRawBatch(offset: number): void {
    loops.beginRawBatch(offset);
  }

  /** 32 bits: how many headers follow. */
  number(number: number): void {
    loops.mixNumber(number);
  }

  /** Length (negative: null) and bytes of a field. */
  bytes(field: Uint8Array, at: number, length: number): void {
    if (length < 0) {
      this.absent();
      return;
    }
    loops.mixNumber(length);
    const to = reservePiece();
    for (let done = 0; done < length; done += pieceBytes) {
      const piece = Math.min(pieceBytes, length - done);
      loopBytes().set(field.subarray(at + done, at + done + piece), to);
      loops.mixBytes(to, piece);
    }
  }

  /** A null field. */
  absent(): void {
    loops.mixNumber(nullLength);
  }

  /** Closes a record. */
  end(): void {
    this.#sum = BigInt.asUintN(64, loops.appendRecord(this.#sum));
    this.#count++;
  }

  /** The polynomial's value so far, for a loop that takes in many records; `advance` brings back what it made of it. */
  get sum(): bigint {
    return this.#sum;
  }

  advance(sum: bigint, records: number): void {
    this.#sum = BigInt.asUintN(64, sum);
    this.#count += records;
  }

  toString(): string {
    return format(this.#count, this.#sum);
  }
}

function format(count: number, sum: bigint): string {
  return `t2:${count}:${sum.toString(16).padStart(16, '0')}`;
}

function parse(text: string): readonly [count: number, sum: bigint] {
  const match = digestPattern.exec(text);
  const sum = match === null ? prime : BigInt(`0x${match[2] as string}`);
  if (match === null || sum >= prime) {
    const isOlder = olderPattern.test(text);
    throw new LakeError('cold-corrupt', `${JSON.stringify(text)} is ${isOlder ? 'a digest of an older kind' : 'no digest'}`, {
      hint: isOlder
        ? 'A version before 0.1.0 wrote the file. Tier the topic again with this one.'
        : 'Check which version wrote the file, and whether it is damaged.',
    });
  }
  return [Number(match[1]), sum];
}

/** The digest of the records of all parts, one after the other, from the parts' digests. Errors: `cold-corrupt`. */
export function composeDigests(...digests: readonly string[]): string {
  let count = 0;
  let sum = 0n;
  for (const digest of digests) {
    const [partCount, partSum] = parse(digest);
    sum = (sum * power(partCount) + partSum) % prime;
    count += partCount;
  }
  return format(count, sum);
}
