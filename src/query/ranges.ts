/**
 * What a scan can need of a topic, as bounds on partition, offset, timestamp and key. Pruning is sound in one direction only:
 * a range may be wider than the question, never narrower.
 */
import type { Offset, PartitionId, TimestampMs } from '../kernel/index.js';

/** Both ends belong to it; ±Infinity where it is open. */
export interface Interval {
  readonly min: number;
  readonly max: number;
}

export const everything: Interval = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };

export interface ScanRange {
  readonly partitions: Interval;
  /** The only partitions that can match, where the question lists them. */
  readonly partitionList?: readonly PartitionId[];
  readonly offsets: Interval;
  readonly timestampsMs: Interval;
  /** Only rows with a key can match, and of those only these. */
  readonly keys?: KeyBounds;
}

/** Bytes as hexadecimal digits, which sort alike; both ends belong to it, `null` where it is open. */
export interface KeyBounds {
  readonly min: string | null;
  readonly max: string | null;
  /** The only keys, where the question lists them. */
  readonly list?: readonly string[];
}

/** What a plan can find rows in, by the topic's name; a topic it says nothing of is read whole. */
export type Scans = ReadonlyMap<string, readonly ScanRange[]>;

/** A scan that nothing is known of. */
export const fullScan: ScanRange = { partitions: everything, offsets: everything, timestampsMs: everything };

/** A run of offsets of one partition, and what is known of its timestamps. */
export interface Extent {
  readonly partition: PartitionId;
  readonly baseOffset: Offset;
  /** Inclusive. */
  readonly lastOffset: Offset;
  readonly minTimestampMs: TimestampMs;
  readonly maxTimestampMs: TimestampMs;
  /** As far as known; `null` where every key is null. May be wider than the keys are. */
  readonly keys?: { readonly min: string; readonly max: string } | null;
}

export function intersect(a: Interval, b: Interval): Interval {
  return { min: Math.max(a.min, b.min), max: Math.min(a.max, b.max) };
}

/** The smallest interval around both. */
export function hull(a: Interval, b: Interval): Interval {
  return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
}

export function includesPartition(range: ScanRange, partition: PartitionId): boolean {
  return (
    partition >= range.partitions.min &&
    partition <= range.partitions.max &&
    (range.partitionList === undefined || range.partitionList.includes(partition))
  );
}

/** Whether any of the scans can find a row in the extent. */
export function touches(ranges: readonly ScanRange[], extent: Extent): boolean {
  return ranges.some(
    (range) =>
      includesPartition(range, extent.partition) &&
      extent.lastOffset >= range.offsets.min &&
      extent.baseOffset <= range.offsets.max &&
      extent.maxTimestampMs >= range.timestampsMs.min &&
      extent.minTimestampMs <= range.timestampsMs.max &&
      (range.keys === undefined || extent.keys === undefined || touchesKeys(range.keys, extent.keys)),
  );
}

function touchesKeys(wanted: KeyBounds, keys: Extent['keys'] | null): boolean {
  if (keys === null || keys === undefined) return false;
  if (wanted.list !== undefined) return wanted.list.some((key) => key >= keys.min && key <= keys.max);
  return (wanted.min === null || keys.max >= wanted.min) && (wanted.max === null || keys.min <= wanted.max);
}

/** The scans that look into a partition, as one range; `undefined` where none does. */
export function partitionRange(ranges: readonly ScanRange[], partition: PartitionId): ScanRange | undefined {
  const of = ranges.filter((range) => includesPartition(range, partition));
  const [first, ...rest] = of;
  if (first === undefined) return undefined;
  return rest.reduce<ScanRange>(
    (all, range) => ({
      partitions: { min: partition, max: partition },
      offsets: hull(all.offsets, range.offsets),
      timestampsMs: hull(all.timestampsMs, range.timestampsMs),
    }),
    { partitions: { min: partition, max: partition }, offsets: first.offsets, timestampsMs: first.timestampsMs },
  );
}
