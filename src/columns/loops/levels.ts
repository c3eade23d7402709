/** Levels, a byte an entry, into Parquet's RLE / bit-packed hybrid. Source: Parquet format, Encodings.md. */

const vectorBytes: usize = 16;

function areAll(at: usize, count: usize, level: u8): bool {
  const all = i8x16.splat(level);
  let i: usize = 0;
  for (; i + vectorBytes <= count; i += vectorBytes) {
    if (v128.any_true(v128.xor(v128.load(at + i), all))) return false;
  }
  for (; i < count; i++) if (load<u8>(at + i) !== level) return false;
  return true;
}

function writeVarint(to: usize, value: usize): usize {
  let rest = value;
  while (rest >= 0x80) {
    store<u8>(to++, (rest & 0x7f) | 0x80);
    rest >>= 7;
  }
  store<u8>(to++, rest);
  return to;
}

/** Bytes that `packLevels` writes at most. */
export function packedLevelsBytes(count: u32, bitWidth: u32): u32 {
  return ((count + 7) / 8) * bitWidth + 8;
}

/**
 * Packs levels of one or two bits: one run where all are the same, else bit by bit. Entries up to the next whole eight are taken for
 * zero. Answers where it ends.
 */
export function packLevels(at: usize, count: u32, bitWidth: u32, to: usize): usize {
  const first = load<u8>(at);
  if (areAll(at, count, first)) {
    const end = writeVarint(to, (<usize>count) << 1);
    store<u8>(end, first);
    return end + 1;
  }
  const groups: u32 = (count + 7) / 8;
  let end = writeVarint(to, ((<usize>groups) << 1) | 1);
  for (let group: u32 = 0; group < groups; group++) {
    const from = group * 8;
    let packed: u32 = 0;
    for (let i: u32 = 0; i < 8 && from + i < count; i++) packed |= (<u32>load<u8>(at + from + i)) << (i * bitWidth);
    store<u8>(end, packed);
    if (bitWidth === 2) store<u8>(end, packed >> 8, 1);
    end += bitWidth;
  }
  return end;
}
