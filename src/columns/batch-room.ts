/**
 * Where batches and their records lie while they are staged: in the memory of the loops. LZ4, which most producers use, is inflated
 * there; other codecs come from their native decoders and are copied in.
 */
import { KiB, MiB } from '../kernel/index.js';
import { assertWithin, batchCompression, batchHeaderBytes, batchRecords, corruptData, inflatedBytesMax } from '../wire/index.js';
import { loopBytes, loops, reserve } from './hot-loops.js';

/** Read from a spool at a time. A batch that is larger lies outside until it is inflated. */
export const windowBytes = 8 * MiB;
/** Of a block of LZ4 at most, by its format. */
const lz4BlockBytesMax = 4 * MiB;
const lz4Magic = 0x184d2204;

interface Rooms {
  readonly windowAt: number;
  readonly recordsAt: number;
}

let rooms: Rooms | undefined;

/** The rooms, which are reserved when they are first asked for. */
function roomsOfBatches(): Rooms {
  return (rooms ??= { windowAt: reserve(windowBytes), recordsAt: reserve(inflatedBytesMax + lz4BlockBytesMax) });
}

/** Room for what is read from a spool. */
export function batchWindow(): Buffer {
  const { windowAt } = roomsOfBatches();
  return loopBytes().subarray(windowAt, windowAt + windowBytes);
}

/** Addresses in the loops' memory, half open. */
export interface PlacedRecords {
  readonly at: number;
  readonly end: number;
}

/**
 * The records of a batch, inflated, in the loops' memory; valid until the next call.
 * Errors: `decompression-bound`, `batch-corrupt`, `compression-unsupported`.
 */
export function placeRecords(batch: Buffer): PlacedRecords {
  const memory = loopBytes();
  const isInWindow = batch.buffer === memory.buffer;
  if (isInWindow && batchCompression(batch, 0) === 'lz4') {
    const end = inflateLz4(batch.byteOffset + batchHeaderBytes, batch.byteOffset + batch.length);
    if (end !== undefined) return { at: roomsOfBatches().recordsAt, end };
  }
  const records = batchRecords(batch, 0);
  if (records.buffer === memory.buffer) return { at: records.byteOffset, end: records.byteOffset + records.length };
  const at = roomsOfBatches().recordsAt;
  memory.set(records, at);
  return { at, end: at + records.length };
}

/**
 * Inflates a frame without checksums of its own and answers where it ends. Undefined where the frame has some, or a dictionary, or no
 * known header: those are for the native decoder. Source: "LZ4 Frame Format" 1.6.
 */
function inflateLz4(frameAt: number, frameEnd: number): number | undefined {
  const memory = loopBytes();
  const frameBytes = frameEnd - frameAt;
  if (frameBytes < 7 || memory.readUInt32LE(frameAt) !== lz4Magic) return undefined;
  const flags = memory[frameAt + 4] as number;
  const blockBytesMax = 2 ** (8 + 2 * (((memory[frameAt + 5] as number) >> 4) & 7));
  // Version 1, block independence any, content size any; no checksums, no dictionary.
  if ((flags & 0b1101_0111) !== 0b0100_0000 || blockBytesMax < 64 * KiB) return undefined;
  const start = roomsOfBatches().recordsAt;
  let from = frameAt + 6 + ((flags & 0x08) === 0 ? 0 : 8) + 1;
  let to = start;
  for (;;) {
    if (from + 4 > frameEnd) throw corruptData('lz4', `a block's size is cut off at ${from - frameAt}`, frameBytes);
    const word = memory.readUInt32LE(from);
    from += 4;
    if (word === 0) return to;
    const blockEnd = from + (word & 0x7fffffff);
    if (blockEnd > frameEnd) throw corruptData('lz4', `the block at ${from - frameAt} reaches beyond the end`, frameBytes);
    if (word >>> 31 === 1) {
      assertWithin('lz4', to - start + blockEnd - from, inflatedBytesMax, frameBytes);
      memory.copyWithin(to, from, blockEnd);
      to += blockEnd - from;
    } else {
      to = loops.lz4Block(from, blockEnd, start, to, to + blockBytesMax) >>> 0;
      if (to === 0) throw corruptData('lz4', `the block at ${from - frameAt} is damaged`, frameBytes);
      assertWithin('lz4', to - start, inflatedBytesMax, frameBytes);
    }
    from = blockEnd;
  }
}
