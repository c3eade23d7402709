/**
 * The digest of records as its description says, in plain TypeScript and large integers: XXH64's rounds over numbers and fields, and a
 * polynomial modulo 2^61 − 1. It shares nothing with the compiled loops that the product computes it with.
 */

const mask = 2n ** 64n - 1n;
const [p1, p2, p3, p4] = [0x9e3779b185ebca87n, 0xc2b2ae3d27d4eb4fn, 0x165667b19e3779f9n, 0x85ebca77c2b2ae63n];
const prime = 2n ** 61n - 1n;
const base = 0x0f1b5c3d9a24e687n;
const recordSeed = 0x746865726d6f3221n;
const rawBatchSeed = 0x5261772152617721n;
const pieceBytes = 2 ** 20;

const rotl = (value: bigint, bits: bigint): bigint => ((value << bits) | (value >> (64n - bits))) & mask;
const mix = (hash: bigint, word: bigint): bigint =>
  (rotl(hash ^ ((rotl(((word & mask) * p2) & mask, 31n) * p1) & mask), 27n) * p1 + p4) & mask;
const round = (lane: bigint, word: bigint): bigint => (rotl((lane + word * p2) & mask, 31n) * p1) & mask;

function mixPiece(before: bigint, piece: Buffer): bigint {
  let hash = before;
  let at = 0;
  if (piece.length >= 32) {
    let [a, b, c, d] = [(p1 + p2) & mask, p2, 0n, -p1 & mask];
    for (; at + 32 <= piece.length; at += 32) {
      a = round(a, piece.readBigUInt64LE(at));
      b = round(b, piece.readBigUInt64LE(at + 8));
      c = round(c, piece.readBigUInt64LE(at + 16));
      d = round(d, piece.readBigUInt64LE(at + 24));
    }
    for (const lane of [a, b, c, d]) hash = mix(hash, lane);
  }
  for (; at + 8 <= piece.length; at += 8) hash = mix(hash, piece.readBigUInt64LE(at));
  if (at < piece.length) hash = mix(hash, Buffer.concat([piece.subarray(at), Buffer.alloc(8)]).readBigUInt64LE(0));
  return hash;
}

function mixField(before: bigint, field: Buffer | null): bigint {
  let hash = mix(before, BigInt(field === null ? -1 : field.length));
  if (field === null) return hash;
  for (let at = 0; at < field.length; at += pieceBytes) hash = mixPiece(hash, field.subarray(at, at + pieceBytes));
  return hash;
}

function avalanche(state: bigint): bigint {
  let hash = ((state ^ (state >> 33n)) * p2) & mask;
  hash = ((hash ^ (hash >> 29n)) * p3) & mask;
  return hash ^ (hash >> 32n);
}

export interface DigestedRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly timestampType: number;
  readonly leaderEpoch: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly sequence: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [Buffer, Buffer | null])[];
}

/** A batch that is kept whole. */
export interface DigestedBatch {
  readonly offset: number;
  readonly rawBatch: Buffer;
}

function hashOf(record: DigestedRecord | DigestedBatch): bigint {
  if ('rawBatch' in record) return mixField(mix(rawBatchSeed, BigInt(record.offset)), record.rawBatch);
  let hash = mix(recordSeed, record.producerId);
  hash = mix(
    hash,
    (BigInt.asUintN(32, BigInt(record.leaderEpoch)) << 32n) | BigInt((record.timestampType << 16) | (record.producerEpoch & 0xffff)),
  );
  for (const number of [record.offset, record.timestampMs, record.sequence]) hash = mix(hash, BigInt(number));
  hash = mix(mixField(mixField(hash, record.key), record.value), BigInt(record.headers.length));
  for (const [key, value] of record.headers) hash = mixField(mixField(hash, key), value);
  return hash;
}

/** In the text form. */
export function referenceDigest(records: readonly (DigestedRecord | DigestedBatch)[]): string {
  let sum = 0n;
  for (const record of records) sum = (sum * base + avalanche(hashOf(record))) % prime;
  return `t2:${records.length}:${sum.toString(16).padStart(16, '0')}`;
}
