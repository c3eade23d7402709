/** UTF-8 as RFC 3629 has it: shortest form, no surrogates, up to U+10FFFF. */

const vectorBytes: usize = 16;

/** Behind the sequence of several bytes at `at`, 0 where there is none. */
export function sequenceEnd(at: usize, end: usize): usize {
  const c = <u32>load<u8>(at);
  const length: usize = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
  if (length === 0 || length > end - at) return 0;
  const second = <u32>load<u8>(at, 1);
  const lowest: u32 = c === 0xe0 ? 0xa0 : c === 0xf0 ? 0x90 : 0x80;
  const highest: u32 = c === 0xed ? 0x9f : c === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  if (length > 2 && (load<u8>(at, 2) & 0xc0) !== 0x80) return 0;
  if (length > 3 && (load<u8>(at, 3) & 0xc0) !== 0x80) return 0;
  return at + length;
}

export function isUtf8(from: usize, end: usize): bool {
  let at = from;
  while (at < end) {
    if (end - at >= vectorBytes && i8x16.bitmask(v128.load(at)) === 0) {
      at += vectorBytes;
      continue;
    }
    if (load<u8>(at) < 0x80) at++;
    else {
      at = sequenceEnd(at, end);
      if (at === 0) return false;
    }
  }
  return true;
}
