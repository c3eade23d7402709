/**
 * The digest of many records: their hashes are the coefficients of a polynomial modulo the prime 2^61 − 1, so that order
 * counts and the digest of a concatenation follows from those of its parts.
 */

const prime: u64 = 0x1fff_ffff_ffff_ffff;
/** Where the polynomial is evaluated: below the prime, otherwise of no meaning. */
export const base: u64 = 0x0f1b_5c3d_9a24_e687;

/** Modulo the prime, of a number of 64 bits. */
function reduced(value: u64): u64 {
  const sum = (value & prime) + (value >> 61);
  return sum >= prime ? sum - prime : sum;
}

/** a · b modulo the prime, both below it: from four products of 32 bits, as 2^64 is 8 there. */
function multiply(a: u64, b: u64): u64 {
  const aLow = a & 0xffff_ffff;
  const aHigh = a >> 32;
  const bLow = b & 0xffff_ffff;
  const bHigh = b >> 32;
  const low = aLow * bLow;
  // Below 2^62: a's and b's upper halves have 29 bits.
  const middle = aHigh * bLow + aLow * bHigh;
  const high = aHigh * bHigh;
  // low + middle · 2^32 + high · 2^64; of middle · 2^32, what reaches beyond 2^61 comes back at the bottom.
  const middleLow = (middle & 0x1fff_ffff) << 32;
  const middleHigh = middle >> 29;
  return reduced((low & prime) + (low >> 61) + middleLow + middleHigh + (high << 3));
}

/** The digest with one more record's hash. */
export function append(sum: u64, hash: u64): u64 {
  return reduced(multiply(sum, base) + reduced(hash));
}
