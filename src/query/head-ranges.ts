/**
 * Narrows the ranges of a scan to where the rows of its head can be. Sound as pruning is: a row left out has as many before it
 * as the question asks for, each of them known to be there.
 */
import { timestampMaxMs, timestampMinMs } from '../columns/index.js';
import { blocksOf } from '../lake/index.js';
import type { PinnedTopic } from './pin.js';
import { type Extent, type Interval, intersect, type ScanRange, touches } from './ranges.js';
import type { ScanHead } from './scan-head.js';
import type { TailChunk } from './tail.js';

/** A file or chunk, and how many of its rows are known to count: none where some lie outside of what is asked. */
interface CountedExtent extends Extent {
  readonly rows: number;
}

/** Files and chunks by partition and offset. `range` is what the rows of the answer are in, exactly. */
export function headRanges(
  head: ScanHead,
  ranges: readonly ScanRange[],
  topic: PinnedTopic,
  chunksOf: (partition: number) => readonly TailChunk[],
): readonly ScanRange[] {
  const [range] = ranges;
  if (range === undefined || ranges.length > 1 || head.rows === 0) return ranges;
  // In a partition the largest offsets are at its end, the smallest at its start; times may be anywhere.
  const rows = head.order?.column === '_timestamp' ? Number.POSITIVE_INFINITY : head.rows;
  const extents = extentsOf(range, topic, chunksOf, { rows, fromEnd: head.order?.isDescending === true });
  return head.order === undefined ? firstOnes(head.rows, range, extents) : ordered(head.rows, head.order, range, extents);
}

/** By partition; within one by offset, or from its end on, until so many rows have been counted. */
function* extentsOf(
  range: ScanRange,
  topic: PinnedTopic,
  chunksOf: (partition: number) => readonly TailChunk[],
  { rows: rowsPerPartition, fromEnd }: { readonly rows: number; readonly fromEnd: boolean },
): Generator<CountedExtent> {
  partitions: for (const { partition, startOffset, boundary, endOffset } of [...topic.partitions].sort(
    (a, b) => a.partition - b.partition,
  )) {
    const pinned = { min: startOffset, max: endOffset - 1 };
    const counted = (extent: Extent, rows: number, offsets: Interval): CountedExtent => {
      const { baseOffset, lastOffset, minTimestampMs, maxTimestampMs } = extent;
      const isWhole =
        isWithin({ min: baseOffset, max: lastOffset }, intersect(offsets, range.offsets)) &&
        isWithin({ min: minTimestampMs, max: maxTimestampMs }, range.timestampsMs);
      return { partition, baseOffset, lastOffset, minTimestampMs, maxTimestampMs, rows: isWhole ? rows : 0 };
    };
    const from = Math.max(boundary, startOffset);
    const isPinned = (extent: Extent): boolean =>
      extent.lastOffset >= startOffset && extent.baseOffset < endOffset && touches([range], extent);
    const hot = chunksOf(partition).filter((chunk) => chunk.path !== undefined && isPinned(chunk));
    const hotExtents = hot.map((chunk) => counted(chunk, chunk.rows, { min: from, max: endOffset - 1 }));
    const blocks = blocksOf(topic.snapshot, partition).filter(isPinned);
    let missing = rowsPerPartition;
    const isEnough = (extent: CountedExtent): boolean => {
      missing -= extent.rows;
      return missing <= 0;
    };
    if (fromEnd) {
      for (const extent of hotExtents.reverse()) {
        yield extent;
        if (isEnough(extent)) continue partitions;
      }
    }
    for (const block of fromEnd ? blocks.reverse() : blocks) {
      for (const file of fromEnd ? block.files.toReversed() : block.files) {
        if (!isPinned(file)) continue;
        const extent = counted(file, file.rows, pinned);
        yield extent;
        if (isEnough(extent)) continue partitions;
      }
    }
    if (!fromEnd) yield* hotExtents;
  }
}

function isWithin(inner: Interval, outer: Interval): boolean {
  return inner.min >= outer.min && inner.max <= outer.max;
}

function isDense(extent: CountedExtent): boolean {
  return extent.rows === extent.lastOffset - extent.baseOffset + 1;
}

/** From the first extent on as many as hold enough rows; one range a partition. */
function firstOnes(rows: number, range: ScanRange, extents: Iterable<CountedExtent>): readonly ScanRange[] {
  const found: ScanRange[] = [];
  let missing = rows;
  for (const extent of extents) {
    const max = isDense(extent) ? Math.min(extent.lastOffset, extent.baseOffset + missing - 1) : extent.lastOffset;
    const partitions = { min: extent.partition, max: extent.partition };
    const last = found.at(-1);
    if (last?.partitions.min === extent.partition) {
      found[found.length - 1] = { ...last, offsets: intersect(range.offsets, { min: last.offsets.min, max }) };
    } else found.push({ ...range, partitions, offsets: intersect(range.offsets, { min: extent.baseOffset, max }) });
    missing -= extent.rows;
    if (missing <= 0) return found;
  }
  return [range];
}

/** A bound that at least `rows` rows are known to reach. */
function ordered(
  rows: number,
  { column, isDescending }: NonNullable<ScanHead['order']>,
  range: ScanRange,
  extents: Iterable<CountedExtent>,
): readonly ScanRange[] {
  const reached: { readonly least: number; readonly rows: number }[] = [];
  for (const extent of extents) {
    if (extent.rows === 0) continue;
    const [low, high] =
      column === '_offset' ? [extent.baseOffset, extent.lastOffset] : [clamped(extent.minTimestampMs), clamped(extent.maxTimestampMs)];
    // Offsets of a file without holes are known one by one.
    const isKnown = column === '_offset' && isDense(extent) && extent.rows > rows;
    // Ascending order is descending order of the negated values.
    const [least, most] = isDescending ? [low, high] : [-high, -low];
    reached.push(isKnown ? { least: most - rows + 1, rows } : { least, rows: extent.rows });
  }
  reached.sort((a, b) => b.least - a.least);
  let known = 0;
  for (const { least, rows: some } of reached) {
    known += some;
    if (known < rows) continue;
    const interval = isDescending ? { min: least, max: Number.POSITIVE_INFINITY } : { min: Number.NEGATIVE_INFINITY, max: -least };
    if (column === '_offset') return [{ ...range, offsets: intersect(range.offsets, interval) }];
    return [{ ...range, timestampsMs: intersect(range.timestampsMs, unclamped(interval)) }];
  }
  return [range];
}

/** As the column has it; a bound that is not known is beyond all times. */
function clamped(ms: number): number {
  return Math.min(Math.max(ms, timestampMinMs), timestampMaxMs);
}

/** What was clamped to a bound lies beyond it. */
function unclamped({ min, max }: Interval): Interval {
  return {
    min: min <= timestampMinMs ? Number.NEGATIVE_INFINITY : min,
    max: max >= timestampMaxMs ? Number.POSITIVE_INFINITY : max,
  };
}
