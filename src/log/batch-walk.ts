/**
 * Walks the batches of a segment file by their headers, with bounded memory whatever the batches' size: to find one, to rebuild
 * an index, and to find where a log that was not closed still is whole.
 */
import { crc32c } from '@node-rs/crc32';
import { KiB, MiB, type Offset } from '../kernel/index.js';
import {
  batchAt,
  batchBaseOffset,
  batchBytes,
  batchCrc,
  batchHeaderBytes,
  batchLastOffset,
  batchMagic,
  isSafeInt64,
} from '../wire/index.js';
import type { SegmentFile } from './segment-file.js';

/** To find a batch near an index entry: a few batches, one read. */
export const nearWindowBytes = 32 * KiB;
/** To read a whole segment. */
export const farWindowBytes = MiB;

const formatMagic = 2;

export interface WalkOptions {
  readonly from: number;
  /** Bytes of the file to look at, from its beginning. */
  readonly to: number;
  readonly windowBytes: number;
  /** The walk ends before the first batch that begins here or behind; default `to`. */
  readonly until?: number;
  /** Also reads what the CRC covers. */
  readonly isCrcChecked?: boolean;
  /** No batch may begin below. */
  readonly fromOffset?: Offset;
  /** Where the batches before `from` end, in place of `fromOffset`; default not known. */
  readonly follows?: Offset;
  /** See `Segment.unbrokenFrom`; default nowhere. */
  readonly unbrokenFrom?: Offset;
  /** Every batch ends below; default anywhere. */
  readonly endOffset?: Offset;
}

export interface WalkEnd {
  /** End of the last good batch that was visited. */
  readonly position: number;
  /** Why it did not come to `to` or `until`; `undefined` where it did, or where the visitor stopped it. */
  readonly fault: string | undefined;
  /** The fault is that bytes are missing at the end, as after a write that was under way. */
  readonly isCutOff: boolean;
}

const noFault = { fault: undefined, isCutOff: false } as const;

/** Sees a batch's header at `at` of a window and the batch's position in the file; false stops the walk before this batch. */
export type BatchVisitor = (window: Buffer, at: number, position: number) => boolean | void;

/**
 * Visits each batch from `from`, which must be where one begins. No checksum covers a base offset, so that it is held to its neighbours': a
 * batch that begins above the end of the one before it must end below the beginning of the next, else it is the fault, not the next.
 */
export async function walkSegment(file: SegmentFile, options: WalkOptions, visit: BatchVisitor): Promise<WalkEnd> {
  const { to, windowBytes, until = to } = options;
  const { endOffset = Number.POSITIVE_INFINITY, unbrokenFrom = Number.POSITIVE_INFINITY } = options;
  let { follows } = options;
  let position = options.from;
  let window = Buffer.alloc(0);
  let windowAt = position;
  while (position < Math.min(to, until)) {
    if (position + batchHeaderBytes > to) return { position, fault: 'a batch header is cut off', isCutOff: true };
    if (position < windowAt || position + batchHeaderBytes > windowAt + window.length) {
      window = Buffer.allocUnsafe(Math.min(windowBytes, to - position));
      windowAt = position;
      await file.readInto(window, position);
    }
    const at = position - windowAt;
    const fault =
      headerFault(window, at, follows ?? options.fromOffset ?? 0) ??
      endFault(window, at, endOffset) ??
      (follows === undefined ? undefined : leapFault(window, at, follows, unbrokenFrom));
    if (fault !== undefined) return { position, fault, isCutOff: false };
    const bytes = batchBytes(window, at);
    if (bytes > to - position) return { position, fault: `a batch of ${bytes} bytes is cut off`, isCutOff: true };
    if (options.isCrcChecked === true) {
      if (position + bytes > windowAt + window.length && at > 0 && bytes <= windowBytes) {
        // The batch straddles the window: begin a new one with it.
        window = Buffer.alloc(0);
        continue;
      }
      if (!(await isWhole(file, window, at, position, bytes))) return { position, fault: 'the CRC does not match', isCutOff: false };
    }
    const lastOffset = batchLastOffset(window, at);
    if (batchBaseOffset(window, at) !== follows) {
      const next = position + bytes;
      const isSeen = next + batchHeaderBytes <= windowAt + window.length;
      const overlap = isSeen ? overlapFault(window, next - windowAt, lastOffset) : await overlapFaultAt(file, next, to, lastOffset);
      if (overlap !== undefined) return { position, fault: overlap, isCutOff: false };
    }
    if (visit(window, at, position) === false) return { position, ...noFault };
    follows = lastOffset + 1;
    position += bytes;
  }
  return { position, ...noFault };
}

/** Why the bytes at `at` cannot be the header of a batch that begins at `fromOffset` or later. */
export function headerFault(buf: Buffer, at: number, fromOffset: Offset): string | undefined {
  if (batchMagic(buf, at) !== formatMagic) return 'there is no batch of format v2';
  const bytes = batchBytes(buf, at);
  if (bytes < batchHeaderBytes) return `a batch of ${bytes} bytes is smaller than its header`;
  const isSafe =
    isSafeInt64(buf, at + batchAt.baseOffset) &&
    isSafeInt64(buf, at + batchAt.baseTimestamp) &&
    isSafeInt64(buf, at + batchAt.maxTimestamp);
  if (!isSafe || buf.readInt32BE(at + batchAt.lastOffsetDelta) < 0) return 'a batch header has impossible numbers';
  if (batchBaseOffset(buf, at) < fromOffset) return `the batch at offset ${batchBaseOffset(buf, at)} comes after ${fromOffset - 1}`;
  return undefined;
}

/** Of a batch whose header is one: it ends below `endOffset`, where its segment does. */
export function endFault(buf: Buffer, at: number, endOffset: Offset): string | undefined {
  const lastOffset = batchLastOffset(buf, at);
  return lastOffset < endOffset ? undefined : `it has offset ${lastOffset}, above its end`;
}

/**
 * Where offsets from `unbrokenFrom` on are in batches without a gap, there is only one base offset that a batch can have. A batch that ends
 * there or behind, and leaps over offsets below, is none of them either: another one ended right below.
 */
function leapFault(buf: Buffer, at: number, follows: Offset, unbrokenFrom: Offset): string | undefined {
  const baseOffset = batchBaseOffset(buf, at);
  if (baseOffset <= follows || batchLastOffset(buf, at) < unbrokenFrom) return undefined;
  return `the batch at offset ${baseOffset} comes after ${follows - 1}`;
}

/** Of a batch that ends with `lastOffset`: whether the one at `at`, behind it, begins no later. Where there is no header it says nothing. */
function overlapFault(buf: Buffer, at: number, lastOffset: Offset): string | undefined {
  if (headerFault(buf, at, 0) !== undefined) return undefined;
  const nextBase = batchBaseOffset(buf, at);
  return nextBase <= lastOffset ? `it has offset ${lastOffset}, and the batch behind it begins at offset ${nextBase}` : undefined;
}

/** The same of the batch at `position`, which is read; what begins at or behind `to` is none. */
export async function overlapFaultAt(file: SegmentFile, position: number, to: number, lastOffset: Offset): Promise<string | undefined> {
  if (position + batchHeaderBytes > to) return undefined;
  const header = Buffer.allocUnsafe(batchHeaderBytes);
  await file.readInto(header, position);
  return overlapFault(header, 0, lastOffset);
}

/** Whether the CRC of the batch at `at` of the window holds; what lies outside the window is read piece by piece. */
export async function isWhole(file: SegmentFile, window: Buffer, at: number, position: number, bytes: number): Promise<boolean> {
  const end = at + bytes;
  let crc = crc32c(window.subarray(at + batchAt.attributes, Math.min(end, window.length)));
  let done = Math.min(end, window.length) - at;
  while (done < bytes) {
    const piece = Buffer.allocUnsafe(Math.min(farWindowBytes, bytes - done));
    await file.readInto(piece, position + done);
    crc = crc32c(piece, crc);
    done += piece.length;
  }
  return crc === batchCrc(window, at);
}
