/**
 * Where the values of a column of bytes lie, by row: out of the lengths before them (DELTA_LENGTH_BYTE_ARRAY) or of their places
 * in a dictionary. A length of −1 is null. Source: Parquet format, Encodings.md.
 */

/** A number of at most 64 bits takes so many bytes of seven bits. */
const varintBytesMax: u32 = 10;
const lengthMax: i64 = 0x7fffffff;
/** Miniblocks of a block, and values of a miniblock, at most: writers have 4 to 8, and 32 to 256. */
const countMax: u64 = 0xff_ffff;

/** Position behind the varint read last; 0 where it was cut off. */
let readEnd: usize = 0;

function readVarint(at: usize, end: usize): u64 {
  let value: u64 = 0;
  for (let i: u32 = 0; i < varintBytesMax; i++) {
    if (at >= end) break;
    const byte = load<u8>(at++);
    value |= (<u64>(byte & 0x7f)) << (7 * i);
    if (byte < 0x80) {
      readEnd = at;
      return value;
    }
  }
  readEnd = 0;
  return 0;
}

function unzigzag(value: u64): i64 {
  return (value >>> 1) ^ -(<i64>(value & 1));
}

/** Decodes `count` lengths (DELTA_BINARY_PACKED) into words; answers the position behind them, 0 where they are damaged. */
function decodeLengths(from: usize, end: usize, lengths: usize, count: u32): usize {
  const blockValues = readVarint(from, end);
  if (readEnd == 0) return 0;
  const miniblocks = readVarint(readEnd, end);
  if (readEnd == 0) return 0;
  const total = readVarint(readEnd, end);
  if (readEnd == 0) return 0;
  let value = unzigzag(readVarint(readEnd, end));
  if (readEnd == 0 || miniblocks == 0 || blockValues % miniblocks != 0 || total < max(<u64>count, 1)) return 0;
  const miniValues = blockValues / miniblocks;
  // Of one value there is no block, and nothing is known of the bytes behind; these only keep sums from wrapping around.
  if (miniblocks > countMax || miniValues > countMax) return 0;
  let at = readEnd;
  let to = lengths;
  const stop = lengths + ((<usize>count) << 2);
  if (to < stop) {
    if (value < 0 || value > lengthMax) return 0;
    store<u32>(to, <u32>value);
    to += 4;
  }
  for (let left: u64 = total - 1; left > 0; ) {
    const minDelta = unzigzag(readVarint(at, end));
    if (readEnd == 0) return 0;
    const widths = readEnd;
    if (miniblocks > <u64>(end - widths)) return 0;
    at = widths + <usize>miniblocks;
    for (let mini: u64 = 0; mini < miniblocks && left > 0; mini++) {
      const bitWidth: u64 = load<u8>(widths + <usize>mini);
      const packed = at;
      // Lengths are of 31 bits, and so are their steps but for the sign.
      if (bitWidth > 32) return 0;
      const packedBytes = (miniValues * bitWidth) >> 3;
      if (packedBytes > <u64>(end - packed) || miniValues == 0) return 0;
      at += <usize>packedBytes;
      const inMini = min(miniValues, left);
      left -= inMini;
      const mask: u64 = ((<u64>1) << bitWidth) - 1;
      for (let i: u64 = 0, bit: u64 = 0; i < inMini && to < stop; i++, bit += bitWidth) {
        value += minDelta + <i64>((load<u64>(packed + <usize>(bit >> 3)) >> (bit & 7)) & mask);
        if (value < 0 || value > lengthMax) return 0;
        store<u32>(to, <u32>value);
        to += 4;
      }
    }
  }
  return to == stop ? at : 0;
}

/** Puts words that lie without gaps where the entries are that have a value; −1 between them. */
function spread(lengths: usize, entries: u32, there: u32, definitions: usize, definition: u32): void {
  let from = there;
  for (let i = entries; i > 0; ) {
    i--;
    const isThere = load<u8>(definitions + i) == definition;
    if (isThere) from--;
    store<i32>(lengths + ((<usize>i) << 2), isThere ? load<i32>(lengths + ((<usize>from) << 2)) : -1);
  }
}

/**
 * Places values of a DELTA_LENGTH_BYTE_ARRAY page from `at` up to `end`: `there` of `entries` have one, which their level says (the
 * levels' address; 0: all have). False where the page is damaged.
 */
export function placeDelta(
  at: usize,
  end: usize,
  entries: u32,
  there: u32,
  definitions: usize,
  definition: u32,
  starts: usize,
  lengths: usize,
): bool {
  let value = decodeLengths(at, end, lengths, there);
  if (value == 0) return false;
  if (definitions != 0) spread(lengths, entries, there, definitions, definition);
  for (let i: u32 = 0; i < entries; i++) {
    const length = load<i32>(lengths + ((<usize>i) << 2));
    store<u32>(starts + ((<usize>i) << 2), <u32>value);
    if (length <= 0) continue;
    if (<usize>length > end - value) return false;
    value += length;
  }
  return true;
}

/** Places terms of a dictionary by their indexes, which are within it. Levels as above. */
export function placeTerms(
  indexes: usize,
  entries: u32,
  definitions: usize,
  definition: u32,
  termStarts: usize,
  termLengths: usize,
  starts: usize,
  lengths: usize,
): void {
  for (let i: u32 = 0; i < entries; i++) {
    if (definitions != 0 && load<u8>(definitions + i) != definition) continue;
    const term = (<usize>load<u32>(indexes)) << 2;
    indexes += 4;
    store<u32>(starts + ((<usize>i) << 2), load<u32>(termStarts + term));
    store<u32>(lengths + ((<usize>i) << 2), load<u32>(termLengths + term));
  }
}

/** Bytes of so many values in all. */
export function sumLengths(lengths: usize, count: u32): f64 {
  let bytes: u64 = 0;
  for (let i: u32 = 0; i < count; i++) bytes += max(0, load<i32>(lengths + ((<usize>i) << 2)));
  return <f64>bytes;
}
