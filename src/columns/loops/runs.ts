/** Parquet's RLE / bit-packed hybrid as indexes into a dictionary. Source: Parquet format, Encodings.md. */
import { unpack } from './unpack';

/**
 * Decodes `count` indexes of `bitWidth` bits (1 to 32) from `at` up to `end` into words at `to`. False where they are cut off, or one is
 * not below `terms`.
 */
export function decodeIndexes(at: usize, end: usize, bitWidth: u32, to: usize, count: u32, terms: u32): bool {
  const valueBytes: usize = (bitWidth + 7) >> 3;
  let left = count;
  while (left > 0) {
    let header: u64 = 0;
    for (let shift: u64 = 0; ; shift += 7) {
      if (at >= end || shift > 56) return false;
      const byte = load<u8>(at++);
      header |= (<u64>(byte & 0x7f)) << shift;
      if (byte < 0x80) break;
    }
    // Groups of eight, or a value that comes so many times.
    const isPacked = (header & 1) != 0;
    const values: u64 = isPacked ? (header >> 1) << 3 : header >> 1;
    const taken = <u32>min(values, <u64>left);
    const bytes: u64 = isPacked ? (<u64>taken * bitWidth + 7) >> 3 : valueBytes;
    if (values == 0 || bytes > <u64>(end - at)) return false;
    if (isPacked) unpack(at, bitWidth, to, taken);
    else {
      const value = <u32>(load<u64>(at) & (((<u64>1) << ((<u64>valueBytes) << 3)) - 1));
      for (let i: u32 = 0; i < taken; i++) store<u32>(to + ((<usize>i) << 2), value);
    }
    for (let i: u32 = 0; i < taken; i++) if (load<u32>(to + ((<usize>i) << 2)) >= terms) return false;
    to += (<usize>taken) << 2;
    left -= taken;
    at += isPacked ? <usize>((values >> 3) * bitWidth) : valueBytes;
  }
  return true;
}
