/**
 * LZ4 frames in plain TypeScript, as they were inflated before that became a compiled loop (`src/columns/loops/lz4.ts`): what that one
 * takes and refuses is held against this. Source: "LZ4 Frame Format" 1.6, "LZ4 Block Format".
 */
import { KiB, MiB } from '../../src/kernel/index.js';
import { assertWithin, corruptData } from '../../src/wire/index.js';

const magic = 0x184d2204;
const matchBytesMin = 4;
/** Up to here a loop over words copies faster than a call. */
const loopBytesMax = 96;
/** A word is written whole where fewer bytes are left. */
const wordBytes = 4;
const roomBytesMin = MiB;

/** Room for one inflated frame; it grows, and what lies in it is valid until the next frame. */
export class ReferenceLz4 {
  #bytes: Buffer = Buffer.alloc(0);
  #view = new DataView(new ArrayBuffer(0));

  /**
   * Inflates one frame without checksums of its own. Undefined where the frame has some, or a dictionary, or no known header: those are
   * for the native decoder. Errors: `batch-corrupt`, `decompression-bound` where it inflates to more than `maxBytes`.
   */
  inflate(frame: Buffer, maxBytes: number): Buffer | undefined {
    if (frame.length < 7 || frame.readUInt32LE(0) !== magic) return undefined;
    const flags = frame[4] as number;
    const blockBytesMax = 2 ** (8 + 2 * (((frame[5] as number) >> 4) & 7));
    // Version 1, block independence any, content size any; no checksums, no dictionary.
    if ((flags & 0b1101_0111) !== 0b0100_0000 || blockBytesMax < 64 * KiB) return undefined;
    const source = new DataView(frame.buffer, frame.byteOffset, frame.length);
    let from = 6 + ((flags & 0x08) === 0 ? 0 : 8) + 1;
    let to = 0;
    for (;;) {
      if (from + 4 > frame.length) throw corruptData('lz4', `a block's size is cut off at ${from}`, frame.length);
      const word = frame.readUInt32LE(from);
      from += 4;
      if (word === 0) break;
      const end = from + (word & 0x7fffffff);
      if (end > frame.length) throw corruptData('lz4', `the block at ${from} reaches beyond the end`, frame.length);
      const isStored = word >>> 31 === 1;
      this.#makeRoom(to, to + (isStored ? end - from : blockBytesMax));
      if (isStored) {
        this.#bytes.set(frame.subarray(from, end), to);
        to += end - from;
      } else {
        to = inflateBlock(frame, source, from, end, this.#bytes, this.#view, to, to + blockBytesMax);
      }
      assertWithin('lz4', to, maxBytes, frame.length);
      from = end;
    }
    return this.#bytes.subarray(0, to);
  }

  /** Room up to `bytes`; what lies below `kept` stays. */
  #makeRoom(kept: number, bytes: number): void {
    if (bytes + wordBytes <= this.#bytes.length) return;
    const wider = Buffer.allocUnsafeSlow(Math.max(roomBytesMin, this.#bytes.length * 2, bytes + wordBytes));
    wider.set(this.#bytes.subarray(0, kept));
    this.#bytes = wider;
    this.#view = new DataView(wider.buffer);
  }
}

/** One compressed block into `out` from `to` on, at most up to `limit`, behind which is room for a word; answers where it ends. */
function inflateBlock(
  source: Uint8Array,
  sourceView: DataView,
  from: number,
  end: number,
  out: Uint8Array,
  outView: DataView,
  to: number,
  limit: number,
): number {
  const lastWordAt = source.length - wordBytes;
  let at = from;
  let p = to;
  while (at < end) {
    const token = source[at++] as number;
    let literals = token >> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255) {
        if (at >= end) throw corruptData('lz4', 'a length is cut off', source.length);
        more = source[at++] as number;
        literals += more;
      }
    }
    const literalsEnd = p + literals;
    if (at + literals > end || literalsEnd > limit) throw corruptData('lz4', 'literals reach beyond the block', source.length);
    if (literals <= loopBytesMax && at + literals <= lastWordAt) {
      let q = at;
      for (; p < literalsEnd; p += wordBytes, q += wordBytes) outView.setInt32(p, sourceView.getInt32(q, true), true);
    } else {
      out.set(source.subarray(at, at + literals), p);
    }
    at += literals;
    p = literalsEnd;
    // The last sequence has literals only.
    if (at === end) return p;
    if (at + 2 > end) throw corruptData('lz4', 'an offset is cut off', source.length);
    const distance = (source[at] as number) | ((source[at + 1] as number) << 8);
    at += 2;
    let length = token & 15;
    if (length === 15) {
      let more = 255;
      while (more === 255) {
        if (at >= end) throw corruptData('lz4', 'a length is cut off', source.length);
        more = source[at++] as number;
        length += more;
      }
    }
    const matchEnd = p + length + matchBytesMin;
    let q = p - distance;
    if (distance === 0 || q < 0 || matchEnd > limit) throw corruptData('lz4', 'a match reaches outside', source.length);
    if (distance < wordBytes) for (; p < matchEnd; p++, q++) out[p] = out[q] as number;
    else if (length <= loopBytesMax || q + length + matchBytesMin > p) {
      for (; p < matchEnd; p += wordBytes, q += wordBytes) outView.setInt32(p, outView.getInt32(q, true), true);
    } else {
      out.copyWithin(p, q, q + length + matchBytesMin);
    }
    p = matchEnd;
  }
  throw corruptData('lz4', 'a block ends within a sequence', source.length);
}
