/**
 * Bit-packed values of Parquet's RLE / bit-packed hybrid, as words of 32 bits. Source: Parquet format, Encodings.md.
 */

/**
 * Unpacks `count` values of `bitWidth` bits (0 to 32) that lie from `at` on into words from `to` on. Reads whole words of
 * 64 bits, so that up to eight bytes behind the packed values are touched, never used.
 */
export function unpack(at: usize, bitWidth: u32, to: usize, count: u32): void {
  const mask: u64 = (1 << (<u64>bitWidth)) - 1;
  let bit: u64 = 0;
  for (let i: u32 = 0; i < count; i++) {
    // At most 7 bits lie before the value in its first byte: 39 of 64 are looked at.
    store<u32>(to, <u32>((load<u64>(at + <usize>(bit >> 3)) >> (bit & 7)) & mask));
    to += 4;
    bit += bitWidth;
  }
}
