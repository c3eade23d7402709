/**
 * The hash of one record to 64 bits: XXH64's rounds (its four lanes over whole stripes of 32 bytes, its steps of eight bytes
 * and its avalanche) over numbers and fields one after the other. A field is its length (−1: null) and then its bytes in
 * pieces of 1 MiB, so that a long one can be taken in piece by piece. Words are little-endian; a last one of fewer than
 * eight bytes is filled up with zeros, which the length before it keeps apart from bytes that are zero.
 * Source of the rounds and primes: the XXH64 specification.
 */

const prime1: u64 = 0x9e3779b185ebca87;
const prime2: u64 = 0xc2b2ae3d27d4eb4f;
const prime3: u64 = 0x165667b19e3779f9;
const prime4: u64 = 0x85ebca77c2b2ae63;

/** Opens the hash of a record. */
export const recordSeed: u64 = 0x74686572_6d6f3221;
/** Opens the hash of a batch that is kept whole, so that no record hashes like it. */
export const rawBatchSeed: u64 = 0x52617721_52617721;

const pieceBytes: usize = 1 << 20;
const stripeBytes: usize = 32;

function round(lane: u64, word: u64): u64 {
  return rotl<u64>(lane + word * prime2, 31) * prime1;
}

/** Takes in 64 bits. */
export function mix(hash: u64, word: u64): u64 {
  return rotl<u64>(hash ^ (rotl<u64>(word * prime2, 31) * prime1), 27) * prime1 + prime4;
}

/** At most one piece of a field. Reads whole words, so that up to seven bytes behind it are touched, never used. */
export function mixPiece(hash: u64, from: usize, bytes: usize): u64 {
  let at = from;
  const end = from + bytes;
  if (bytes >= stripeBytes) {
    let a: u64 = prime1 + prime2;
    let b: u64 = prime2;
    let c: u64 = 0;
    let d: u64 = 0 - prime1;
    const stripesEnd = end - stripeBytes;
    do {
      a = round(a, load<u64>(at));
      b = round(b, load<u64>(at, 8));
      c = round(c, load<u64>(at, 16));
      d = round(d, load<u64>(at, 24));
      at += stripeBytes;
    } while (at <= stripesEnd);
    // Lanes do not depend on what went before, so that those of a record run beside its numbers.
    hash = mix(mix(mix(mix(hash, a), b), c), d);
  }
  while (at + 8 <= end) {
    hash = mix(hash, load<u64>(at));
    at += 8;
  }
  if (at < end) hash = mix(hash, load<u64>(at) & (((<u64>1) << ((end - at) << 3)) - 1));
  return hash;
}

/** A field: length and bytes; a negative length is null. */
export function mixField(hash: u64, from: usize, length: i32): u64 {
  hash = mix(hash, <u64>(<i64>length));
  if (length <= 0) return hash;
  const bytes = <usize>length;
  if (bytes <= pieceBytes) return mixPiece(hash, from, bytes);
  return mixPieces(hash, from, bytes);
}

function mixPieces(hash: u64, from: usize, bytes: usize): u64 {
  for (let at: usize = 0; at < bytes; at += pieceBytes) hash = mixPiece(hash, from + at, min(pieceBytes, bytes - at));
  return hash;
}

/** XXH64's: every bit of the state reaches every bit of the hash. */
export function avalanche(state: u64): u64 {
  let hash = (state ^ (state >> 33)) * prime2;
  hash = (hash ^ (hash >> 29)) * prime3;
  return hash ^ (hash >> 32);
}
