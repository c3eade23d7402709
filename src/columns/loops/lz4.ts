/**
 * One compressed block of LZ4. Every length is held against the block and the room; reading and writing go by whole vectors,
 * so that up to 16 bytes behind the block and 32 behind the room are touched. Source: "LZ4 Block Format".
 */
import { copyRoughly } from './copy';

const matchBytesMin: usize = 4;
const vectorBytes: usize = 16;

/**
 * Inflates what lies from `from` to `end` to `to` on, at most up to `limit`; matches reach back to `start` at most. Answers
 * where it ends, 0 where the block is damaged.
 */
export function lz4Block(from: usize, end: usize, start: usize, to: usize, limit: usize): usize {
  let at = from;
  let p = to;
  while (at < end) {
    const token = <usize>load<u8>(at++);
    let literals = token >> 4;
    if (literals === 15) {
      let more: usize = 255;
      while (more === 255) {
        if (at >= end) return 0;
        more = <usize>load<u8>(at++);
        literals += more;
      }
    }
    // Lengths are sums of bytes that are there: no sum wraps around.
    if (literals > end - at || literals > limit - p) return 0;
    if (literals <= vectorBytes) v128.store(p, v128.load(at));
    else copyRoughly(p, at, literals);
    at += literals;
    p += literals;
    // The last sequence has literals only.
    if (at === end) return p;
    if (end - at < 2) return 0;
    const distance = <usize>load<u16>(at);
    at += 2;
    let length = token & 15;
    if (length === 15) {
      let more: usize = 255;
      while (more === 255) {
        if (at >= end) return 0;
        more = <usize>load<u8>(at++);
        length += more;
      }
    }
    length += matchBytesMin;
    if (distance === 0 || distance > p - start || length > limit - p) return 0;
    copyMatch(p, distance, length);
    p += length;
  }
  return 0;
}

/** `length` bytes to `to` on from `distance` before, which may be fewer than are copied: then they come again and again. */
function copyMatch(to: usize, distance: usize, length: usize): void {
  let p = to;
  const end = to + length;
  if (distance >= vectorBytes) {
    do {
      v128.store(p, v128.load(p - distance));
      p += vectorBytes;
    } while (p < end);
    return;
  }
  if (distance >= 8) {
    do {
      store<u64>(p, load<u64>(p - distance));
      p += 8;
    } while (p < end);
    return;
  }
  // The first eight bytes one by one; from then on they repeat also at the least multiple of the distance from eight on.
  const firstEnd = min(end, p + 8);
  for (; p < firstEnd; p++) store<u8>(p, load<u8>(p - distance));
  const wide = ((distance + 7) / distance) * distance;
  for (; p < end; p += 8) store<u64>(p, load<u64>(p - wide));
}
