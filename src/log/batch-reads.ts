/**
 * Reads whole batches off segments: large positional reads, returned as they were read. Nothing is cached here; the operating
 * system's page cache is the only second copy. Who is through with what was read may say so by `returnReadBuffers`.
 */
import { type LakeError, MiB, type Offset } from '../kernel/index.js';
import { batchBaseOffset, batchBytes, batchHeaderBytes, batchLastOffset, isBatchCrcValid } from '../wire/index.js';
import { endFault, headerFault, isWhole, overlapFaultAt } from './batch-walk.js';
import type { LogRead } from './hot-log.js';
import { returnReadBuffers, takeReadBuffer } from './read-buffers.js';
import { damagedAt } from './segment-file.js';
import type { SegmentList } from './segment-list.js';
import type { Segment } from './segment.js';

/** One read of the file: large enough that calls do not count, small enough for many at a time. */
export const readChunkBytes = 4 * MiB;
/** Readers of one partition whose place is remembered. */
const placesKept = 32;

/** Where readers stopped behind a batch, so that one who goes on there need not look for the place again. */
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

  /** Position of the batch that begins at `offset`, or is the first behind it; −1 where that is not known. */
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
  let stop: Stop | undefined;
  let segment = segments.at(next);
  while (segment !== undefined && stop === undefined && next < request.endOffset) {
    segment.file.retain();
    try {
      let position = next === segment.baseOffset ? 0 : places.find(segment, next);
      // A batch that was looked for may begin anywhere before what is asked for; else it is known that one begins right there.
      const isLookedFor = position < 0;
      if (isLookedFor) position = await segment.locate(next);
      let fromOffset = isLookedFor ? segment.baseOffset : next;
      while (stop === undefined && next < request.endOffset && position < segment.bytes) {
        const chunk = await readChunk(segment, position, {
          room: request.maxBytes - bytes,
          mustBeOne: request.isMinOneBatch && bytes === 0,
          from: next,
          fromOffset,
          endOffset: request.endOffset,
        });
        stop = chunk.stop;
        if (chunk.bytes.length === 0) break;
        chunks.push(chunk.bytes);
        bytes += chunk.bytes.length;
        position += chunk.bytes.length;
        next = chunk.nextOffset;
        fromOffset = next;
      }
      if (fromOffset === next) places.note(segment, next, position);
    } finally {
      segment.file.release();
    }
    const following = segments.at(next);
    // Never across a hole, and never round again in the same segment.
    segment = following !== segment && following?.baseOffset === next ? following : undefined;
  }
  return { chunks, bytes, isCut: stop === 'no-room' };
}

/** Why the batch behind a chunk may not be returned, where it was seen: to read there again would find the same. */
type Stop = 'behind-end' | 'no-room';

interface Chunk {
  /** None where it has a stop right away. */
  readonly bytes: Buffer;
  readonly nextOffset: Offset;
  readonly stop: Stop | undefined;
}

const noBytes = Buffer.alloc(0);

interface ChunkRequest extends Pick<ReadRequest, 'endOffset'> {
  readonly room: number;
  readonly mustBeOne: boolean;
  /** The first batch covers it, or is the first behind it. */
  readonly from: Offset;
  /** The first batch does not begin below. */
  readonly fromOffset: Offset;
}

/** Whole batches from `position`. */
async function readChunk(segment: Segment, position: number, request: ChunkRequest): Promise<Chunk> {
  const { room, mustBeOne, from, fromOffset, endOffset } = request;
  const available = segment.bytes - position;
  if (room < batchHeaderBytes && !mustBeOne) return { bytes: noBytes, nextOffset: from, stop: 'no-room' };
  const window = takeReadBuffer(Math.min(available, readChunkBytes, Math.max(room, batchHeaderBytes)));
  const reading = segment.file.readSoon(window, position);
  if (reading !== undefined) await reading;
  let at = 0;
  // Also where a hole lies before the segment.
  let nextOffset = Math.max(from, segment.baseOffset);
  let stop: Stop | undefined;
  while (at + batchHeaderBytes <= window.length) {
    // The base offset lies outside the CRC.
    const fault = headerFault(window, at, at === 0 ? fromOffset : nextOffset) ?? endFault(window, at, segment.nextOffset);
    if (fault !== undefined) throw damagedAt(segment.file.path, position + at, fault);
    const lastOffset = batchLastOffset(window, at);
    const bytes = batchBytes(window, at);
    const isLeap = batchBaseOffset(window, at) > nextOffset;
    if (batchBaseOffset(window, at) >= endOffset) stop = 'behind-end';
    else if (at + bytes > room && (at > 0 || !mustBeOne)) stop = 'no-room';
    if (stop !== undefined) break;
    if (at + bytes > window.length) {
      if (at > 0) break;
      if (isLeap) await requireNoOverlap(segment, position, bytes, lastOffset);
      return readOne(segment, position, window, bytes, lastOffset + 1);
    }
    if (isLeap && at + bytes + batchHeaderBytes > window.length) await requireNoOverlap(segment, position + at, bytes, lastOffset);
    nextOffset = lastOffset + 1;
    at += bytes;
  }
  if (at > 0) return { bytes: window.subarray(0, at), nextOffset, stop };
  returnReadBuffers([window]);
  return { bytes: noBytes, nextOffset, stop };
}

/** Of a batch that begins above the end of the one before it, as after compaction: the one behind it says whether that is damage. */
async function requireNoOverlap(segment: Segment, position: number, bytes: number, lastOffset: Offset): Promise<void> {
  const overlap = await overlapFaultAt(segment.file, position + bytes, segment.bytes, lastOffset);
  if (overlap !== undefined) throw damagedAt(segment.file.path, position, overlap);
}

/**
 * A batch that is larger than the window, which holds its beginning. No checksum covers its length, and a wrong one may ask for the rest of
 * the segment: what is larger than a chunk is checked in pieces, before there is memory for all of it.
 */
async function readOne(segment: Segment, position: number, window: Buffer, bytes: number, nextOffset: Offset): Promise<Chunk> {
  if (bytes > segment.bytes - position) throw damagedAt(segment.file.path, position, `a batch of ${bytes} bytes is cut off`);
  const wrongCrc = (): LakeError => damagedAt(segment.file.path, position, 'the CRC does not match');
  if (bytes > readChunkBytes && !(await isWhole(segment.file, window, 0, position, bytes))) throw wrongCrc();
  const batch = takeReadBuffer(bytes);
  const begun = window.copy(batch);
  returnReadBuffers([window]);
  const reading = segment.file.readSoon(batch.subarray(begun), position + begun);
  if (reading !== undefined) await reading;
  if (!isBatchCrcValid(batch, 0)) throw wrongCrc();
  return { bytes: batch, nextOffset, stop: undefined };
}
