/**
 * Finds records by timestamp, exactly: the time index says before which batch there is nothing, headers say which batches to
 * look into, and only those are decoded. Timestamps need not ascend.
 */
import type { Offset, TimestampMs } from '../kernel/index.js';
import { batchBytes, batchMaxTimestamp, batchRecords, isBatchCrcValid, RecordCursor } from '../wire/index.js';
import { nearWindowBytes } from './batch-walk.js';
import { damagedAt } from './segment-file.js';
import type { SegmentList } from './segment-list.js';
import type { Segment } from './segment.js';

export interface FoundRecord {
  readonly offset: Offset;
  readonly timestampMs: TimestampMs;
}

/** Where a batch lies. */
interface BatchPlace {
  readonly position: number;
  readonly bytes: number;
}

/** First record at or above `fromOffset` and below `endOffset` whose timestamp is `timestampMs` or more. */
export async function findByTimestamp(
  segments: SegmentList,
  timestampMs: TimestampMs,
  fromOffset: Offset,
  endOffset: Offset,
): Promise<FoundRecord | null> {
  let next = fromOffset;
  for (let segment = segments.at(next); segment !== undefined && next < endOffset; segment = segments.at(next)) {
    // A segment whose records all lie below −1 says −1 too: look into it.
    if (segment.maxTimestampMs >= timestampMs) {
      const found = await holding(segment, (held) => findInSegment(held, timestampMs, next, endOffset));
      if (found !== null) return found;
    }
    next = Math.max(next, segment.nextOffset);
  }
  return null;
}

/** The first of the records with the largest timestamp in [fromOffset, endOffset). */
export async function findMaxTimestamp(segments: SegmentList, fromOffset: Offset, endOffset: Offset): Promise<FoundRecord | null> {
  let largest: TimestampMs | undefined;
  let next = fromOffset;
  for (let segment = segments.at(next); segment !== undefined && next < endOffset; segment = segments.at(next)) {
    const isWholeSegment = next <= segment.baseOffset && segment.nextOffset <= endOffset && segment.maxTimestampOffset >= 0;
    const from = next;
    const max = isWholeSegment ? segment.maxTimestampMs : await holding(segment, (held) => largestIn(held, from, endOffset));
    if (max !== undefined && (largest === undefined || max > largest)) largest = max;
    next = Math.max(next, segment.nextOffset);
  }
  return largest === undefined ? null : findByTimestamp(segments, largest, fromOffset, endOffset);
}

async function holding<T>(segment: Segment, work: (segment: Segment) => Promise<T>): Promise<T> {
  segment.file.retain();
  try {
    return await work(segment);
  } finally {
    segment.file.release();
  }
}

async function findInSegment(
  segment: Segment,
  timestampMs: TimestampMs,
  fromOffset: Offset,
  endOffset: Offset,
): Promise<FoundRecord | null> {
  const { times } = await segment.indexes();
  let position = await segment.locate(Math.max(fromOffset, times.lookup(timestampMs)));
  for (;;) {
    const batch = await nextBatch(segment, position, (window, at) => batchMaxTimestamp(window, at) >= timestampMs);
    if (batch === undefined) return null;
    const found = await decode(segment, batch, (cursor) => cursor.offset >= fromOffset && cursor.timestampMs >= timestampMs);
    if (found !== null) return found.offset < endOffset ? found : null;
    position = batch.position + batch.bytes;
  }
}

async function largestIn(segment: Segment, fromOffset: Offset, endOffset: Offset): Promise<TimestampMs | undefined> {
  let largest: TimestampMs | undefined;
  let position = await segment.locate(fromOffset);
  for (;;) {
    const known = largest;
    const batch = await nextBatch(segment, position, (window, at) => known === undefined || batchMaxTimestamp(window, at) > known);
    if (batch === undefined) return largest;
    await decode(segment, batch, (cursor) => {
      if (cursor.offset >= fromOffset && cursor.offset < endOffset && (largest === undefined || cursor.timestampMs > largest)) {
        largest = cursor.timestampMs;
      }
      return false;
    });
    position = batch.position + batch.bytes;
  }
}

/** The first batch from `position` on that is wanted by its header. */
async function nextBatch(
  segment: Segment,
  from: number,
  isWanted: (window: Buffer, at: number) => boolean,
): Promise<BatchPlace | undefined> {
  let place: BatchPlace | undefined;
  const end = await segment.walk({ from, windowBytes: nearWindowBytes }, (window, at, position) => {
    if (!isWanted(window, at)) return true;
    place = { position, bytes: batchBytes(window, at) };
    return false;
  });
  if (end.fault !== undefined) throw damagedAt(segment.file.path, end.position, end.fault);
  return place;
}

/** The first record of a batch that is wanted. */
async function decode(segment: Segment, place: BatchPlace, isWanted: (cursor: RecordCursor) => boolean): Promise<FoundRecord | null> {
  const batch = Buffer.allocUnsafe(place.bytes);
  await segment.file.readInto(batch, place.position);
  if (!isBatchCrcValid(batch, 0)) throw damagedAt(segment.file.path, place.position, 'the CRC does not match');
  const cursor = new RecordCursor();
  cursor.reset(batch, 0, batchRecords(batch, 0));
  while (cursor.next()) if (isWanted(cursor)) return { offset: cursor.offset, timestampMs: cursor.timestampMs };
  return null;
}
