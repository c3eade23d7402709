/**
 * Which of the oldest cold files retention no longer keeps: a pure rule over what the table knows of them (Kafka's
 * RemoteLogManager, KIP-405). Whole files go, oldest first, up to the first that is kept; what is hot only is never touched.
 *
 * *Bytes* are those of the objects for what is cold, and of the log for what is not in the table yet: what is paid for, where it is.
 */
import { firstIndex, type Offset, type TimestampMs } from '../kernel/index.js';
import type { BoundarySample, ColdFile } from '../lake/index.js';

export interface RetentionRule {
  /** −1: no bound. */
  readonly ms: number;
  /** Of a partition, over both tiers; −1: no bound. */
  readonly bytes: number;
}

export interface RetainedPartition {
  readonly partition: number;
  /** Of the partition, by base offset. */
  readonly files: readonly ColdFile[];
  readonly logStartOffset: Offset;
  /** Hot bytes at or above the boundary. */
  readonly tailBytes: number;
  /** Of the table, ascending by time. */
  readonly samples: readonly BoundarySample[];
}

/** Where the log starts after retention: the present log start, or the end of the last file that goes. */
export function retainedFrom(of: RetainedPartition, rule: RetentionRule, nowMs: TimestampMs): Offset {
  let left = of.files.reduce((sum, file) => sum + file.bytes, of.tailBytes);
  let from = of.logStartOffset;
  for (const file of of.files) {
    const isTooOld = rule.ms >= 0 && nowMs - ageFromMs(file, of) > rule.ms;
    // A file goes where the rest is as large as the bound all the same.
    const isTooMuch = rule.bytes >= 0 && left - file.bytes >= rule.bytes;
    if (!isTooOld && !isTooMuch) break;
    left -= file.bytes;
    from = Math.max(from, file.lastOffset + 1);
  }
  return from;
}

/**
 * When a file's age begins: at its largest timestamp, but not after it was in the table, so that a record from the future cannot
 * keep what lies behind it. Without a timestamp (−1) when it was in the table; Infinity where neither is known.
 */
function ageFromMs(file: ColdFile, { partition, samples }: RetainedPartition): TimestampMs {
  const committedMs = samples[firstBeyond(samples, partition, file.lastOffset)]?.atMs ?? Number.POSITIVE_INFINITY;
  return file.maxTimestampMs < 0 ? committedMs : Math.min(file.maxTimestampMs, committedMs);
}

/** Index of the earliest sample whose boundary lies beyond an offset: boundaries only grow. */
function firstBeyond(samples: readonly BoundarySample[], partition: number, offset: Offset): number {
  return firstIndex(samples.length, (index) => (samples[index]?.boundaries[partition] ?? 0) > offset);
}
