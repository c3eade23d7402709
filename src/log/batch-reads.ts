/**
 * Reads whole batches off segments: large positional reads, returned as they were read. Nothing is cached here; the operating
 * system's page cache is the only second copy. Who is through with what was read may say so by `returnReadBuffers`.
 */
import { MiB, type Offset } from '../kernel/index.js';
import { batchBaseOffset, batchBytes, batchHeaderBytes, batchLastOffset } from '../wire/index.js';
import { headerFault } from './batch-walk.js';
import type { LogRead } from './hot-log.js';
import { returnReadBuffers, takeReadBuffer } from './read-buffers.js';
import { damagedAt } from './segment-file.js';
import type { SegmentList } from './segment-list.js';
import type { Segment } from './segment.js';

/** One read of the file: large enough that calls do not count, small enough for many at a time. */
export const readChunkBytes = 4 * MiB;
/** Readers of one partition whose place is remembered. */
const placesKept = 32;

/** Where readers stopped, so that one who goes on there need not look for the place again. */
export class ReadPlaces {
  readonly #offsets = new Float64Array(placesKept).fill(-1);
  readonly #positions = new Float64Array(placesKept);
  readonly #bases = new Float64Array(placesKept);
  #next = 0;

  note(segment: Segment, offset: Offset, position: number): void {
    if (segment.isGone) return;
    let at = this.#offsets.indexOf(offset);
    if (at < 0) {
      at = this.#next;
      this.#next = (at + 1) % placesKept;
    }
    this.#offsets[at] = offset;
    this.#positions[at] = position;
    this.#bases[at] = segment.baseOffset;
  }

  /** After segments were replaced: another one may have the same base. */
  clear(): void {
    this.#offsets.fill(-1);
  }

  /** Position of the batch that covers `offset`, −1 where that is not known. */
  find(segment: Segment, offset: Offset): number {
    const at = this.#offsets.indexOf(offset);
    return at >= 0 && this.#bases[at] === segment.baseOffset ? (this.#positions[at] as number) : -1;
  }
}

export interface ReadRequest {
  readonly offset: Offset;
  readonly endOffset: Offset;
  readonly maxBytes: number;
  readonly isMinOneBatch: boolean;
}

/** Errors: `log-damaged` where bytes are not batches. A segment that is evicted meanwhile is read to its end all the same. */
export async function readBatches(segments: SegmentList, places: ReadPlaces, request: ReadRequest): Promise<LogRead> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let next = request.offset;
  let isDone = false;
  let segment = segments.at(next);
  while (segment !== undefined && !isDone && next < request.endOffset) {
    segment.file.retain();
    try {
      let position = next === segment.baseOffset ? 0 : places.find(segment, next);
      if (position < 0) position = await segment.locate(next);
      while (!isDone && next < request.endOffset && position < segment.bytes) {
        const chunk = await readChunk(segment, position, request.maxBytes - bytes, request.isMinOneBatch && bytes === 0, request.endOffset);
        isDone = chunk === undefined || chunk.isLast;
        if (chunk === undefined) break;
        chunks.push(chunk.bytes);
        bytes += chunk.bytes.length;
        position += chunk.bytes.length;
        next = chunk.nextOffset;
      }
      places.note(segment, next, position);
    } finally {
      segment.file.release();
    }
    const following = segments.at(next);
    // Never across a hole, and never round again in the same segment.
    segment = following !== segment && following?.baseOffset === next ? following : undefined;
  }
  return { chunks, bytes };
}

interface Chunk {
  readonly bytes: Buffer;
  readonly nextOffset: Offset;
  /** The batch behind it was seen and may not be returned: to read there again would find the same. */
  readonly isLast: boolean;
}

/** Whole batches from `position`; `undefined` where none may be returned. */
async function readChunk(
  segment: Segment,
  position: number,
  room: number,
  mustBeOne: boolean,
  endOffset: Offset,
): Promise<Chunk | undefined> {
  const available = segment.bytes - position;
  if (room < batchHeaderBytes && !mustBeOne) return undefined;
  const window = takeReadBuffer(Math.min(available, readChunkBytes, Math.max(room, batchHeaderBytes)));
  await segment.file.readInto(window, position);
  let at = 0;
  let nextOffset = -1;
  let isLast = false;
  while (at + batchHeaderBytes <= window.length) {
    const fault = headerFault(window, at, Math.max(nextOffset, 0));
    if (fault !== undefined) throw damagedAt(segment.file.path, position + at, fault);
    // The base offset lies outside the CRC.
    const lastOffset = batchLastOffset(window, at);
    if (lastOffset >= segment.nextOffset) throw damagedAt(segment.file.path, position + at, `it has offset ${lastOffset}, above its end`);
    const bytes = batchBytes(window, at);
    isLast = batchBaseOffset(window, at) >= endOffset || (at + bytes > room && (at > 0 || !mustBeOne));
    if (isLast) break;
    if (at + bytes > window.length) {
      if (at > 0) break;
      return readOne(segment, position, window, bytes, lastOffset + 1);
    }
    nextOffset = lastOffset + 1;
    at += bytes;
  }
  if (at > 0) return { bytes: window.subarray(0, at), nextOffset, isLast };
  returnReadBuffers([window]);
  return undefined;
}

/** A batch that is larger than the window, which holds its beginning. */
async function readOne(segment: Segment, position: number, window: Buffer, bytes: number, nextOffset: Offset): Promise<Chunk> {
  if (bytes > segment.bytes - position) throw damagedAt(segment.file.path, position, `a batch of ${bytes} bytes is cut off`);
  const batch = takeReadBuffer(bytes);
  const begun = window.copy(batch);
  returnReadBuffers([window]);
  await segment.file.readInto(batch.subarray(begun), position + begun);
  return { bytes: batch, nextOffset, isLast: false };
}
