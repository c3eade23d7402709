/** DELTA_BINARY_PACKED integers as doubles. Source: Parquet format, Encodings.md. */

/** ±(2^53 − 1): what a double holds exactly, and all between. */
const safeMax: i64 = 0x1f_ffff_ffff_ffff;

/** The number that was read last, zigzag or not. */
let raw: u64 = 0;

/** Behind a number of at most ten bytes, 0 where it is cut off. */
function numberEnd(from: usize, end: usize): usize {
  let at = from;
  raw = 0;
  for (let shift: u64 = 0; shift < 70; shift += 7) {
    if (at >= end) return 0;
    const byte = <u64>load<u8>(at++);
    if (shift < 64) raw |= (byte & 0x7f) << shift;
    if (byte < 0x80) return at;
  }
  return 0;
}

function unzigzag(): i64 {
  return <i64>(raw >> 1) ^ -(<i64>(raw & 1));
}

/** A packed value of at most 56 bits in one look, wider ones in two. */
function packedAt(at: usize, bit: u64, bitWidth: u64): u64 {
  const from = at + <usize>(bit >> 3);
  const shift = bit & 7;
  let value = load<u64>(from) >> shift;
  if (bitWidth + shift > 64) value |= (<u64>load<u8>(from, 8)) << (64 - shift);
  return bitWidth === 64 ? value : value & ((1 << bitWidth) - 1);
}

/**
 * `count` values from `at` on as doubles to `out`. Answers 0 where they are damaged, 2 where one is beyond ±(2^53 − 1), else 1. Looks at
 * up to eight bytes behind `end`, and uses none of them.
 */
export function readDelta(at: usize, end: usize, out: usize, count: u32): u32 {
  let position = numberEnd(at, end);
  if (position === 0) return 0;
  const blockValues = raw;
  position = numberEnd(position, end);
  if (position === 0) return 0;
  const miniblocks = raw;
  position = numberEnd(position, end);
  if (position === 0) return 0;
  const total = raw;
  position = numberEnd(position, end);
  if (position === 0 || total < <u64>count || miniblocks === 0 || miniblocks > 0xffff || blockValues > 0xffff_ffff) return 0;
  if (blockValues % miniblocks !== 0) return 0;
  let value = unzigzag();
  let isSafe = value <= safeMax && value >= -safeMax;
  const miniValues = blockValues / miniblocks;
  let to = out;
  const outEnd = out + ((<usize>count) << 3);
  if (to < outEnd) {
    store<f64>(to, <f64>value);
    to += 8;
  }
  while (to < outEnd) {
    position = numberEnd(position, end);
    if (position === 0) return 0;
    const minDelta = unzigzag();
    const widthsAt = position;
    if (miniblocks > <u64>(end - position)) return 0;
    position += <usize>miniblocks;
    for (let mini: usize = 0; mini < <usize>miniblocks && to < outEnd; mini++) {
      const bitWidth = <u64>load<u8>(widthsAt + mini);
      const packedBytes = (miniValues * bitWidth) >> 3;
      if (bitWidth > 64 || packedBytes > <u64>(end - position)) return 0;
      let bit: u64 = 0;
      for (let i: u64 = 0; i < miniValues && to < outEnd; i++) {
        value += minDelta;
        if (bitWidth !== 0) value += <i64>packedAt(position, bit, bitWidth);
        bit += bitWidth;
        isSafe = isSafe && value <= safeMax && value >= -safeMax;
        store<f64>(to, <f64>value);
        to += 8;
      }
      position += <usize>packedBytes;
    }
  }
  return isSafe ? 1 : 2;
}
