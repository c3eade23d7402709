/**
 * What of a partition is to be compacted, and when: pure rules over the numbers of its segments (Kafka's LogCleanerManager; KIP-58
 * for the least lag, KIP-354 for the longest).
 *
 * ```
 *   log start        first dirty offset          end                    active segment
 *      │ clean: a key once │ dirty: written since │ too young, not flushed │ never
 *      └───────────────────┴──────────────────────┴────────────────────────┴──────────►
 * ```
 */
import type { Offset, TimestampMs } from '../kernel/index.js';

/** Of a topic whose `cleanup.policy` has `compact`. */
export interface CompactionRules {
  /** `delete.retention.ms`: how long a tombstone is kept after the compaction that first met it. */
  readonly deleteRetentionMs: number;
  /** `min.compaction.lag.ms`: a segment with a younger record stays as it is. */
  readonly minLagMs: number;
  /** `max.compaction.lag.ms`: what was appended so long ago is compacted, however little it is. */
  readonly maxLagMs: number;
  /** `min.cleanable.dirty.ratio`: share of dirty bytes above which it is worth it. */
  readonly minDirtyRatio: number;
}

export interface CompactedSegmentFacts {
  readonly baseOffset: Offset;
  readonly nextOffset: Offset;
  readonly bytes: number;
  readonly maxTimestampMs: TimestampMs;
  readonly firstAppendMs: TimestampMs;
  readonly lastAppendMs: TimestampMs;
}

export interface CompactionState {
  /** Without the active one. */
  readonly segments: readonly CompactedSegmentFacts[];
  readonly logStartOffset: Offset;
  readonly flushedOffset: Offset;
  /** As the last compaction left it, where there was one. */
  readonly checkpoint: Offset | undefined;
}

export interface CompactionPlan {
  readonly firstDirtyOffset: Offset;
  /** Where a segment begins that is not compacted, or the active one. */
  readonly endOffset: Offset;
  /** Of the bytes below `endOffset`, 0 … 1. */
  readonly dirtyRatio: number;
  readonly isDue: boolean;
}

/** `undefined` where nothing can be compacted. */
export function planCompaction(state: CompactionState, rules: CompactionRules, nowMs: TimestampMs): CompactionPlan | undefined {
  const firstDirtyOffset = firstDirty(state);
  let endOffset = firstDirtyOffset;
  let cleanBytes = 0;
  let dirtyBytes = 0;
  let isTooLate = false;
  for (const segment of state.segments) {
    if (segment.nextOffset <= firstDirtyOffset) {
      cleanBytes += segment.bytes;
      continue;
    }
    if (segment.nextOffset > state.flushedOffset || isTooYoung(segment, rules.minLagMs, nowMs)) break;
    dirtyBytes += segment.bytes;
    endOffset = segment.nextOffset;
    isTooLate ||= segment.firstAppendMs >= 0 && nowMs - segment.firstAppendMs > rules.maxLagMs;
  }
  if (dirtyBytes === 0) return undefined;
  const dirtyRatio = dirtyBytes / (cleanBytes + dirtyBytes);
  return { firstDirtyOffset, endOffset, dirtyRatio, isDue: isTooLate || dirtyRatio > rules.minDirtyRatio };
}

/** A checkpoint that does not fit the log is none: then all of it is dirty. */
function firstDirty({ segments, logStartOffset, checkpoint }: CompactionState): Offset {
  const floor = Math.max(logStartOffset, segments[0]?.baseOffset ?? 0);
  const isUsable = checkpoint !== undefined && checkpoint <= (segments.at(-1)?.nextOffset ?? 0);
  return isUsable ? Math.max(checkpoint, floor) : floor;
}

/** By the youngest record, but never by one from the future: that would keep its segment as it is for ever. */
function isTooYoung(segment: CompactedSegmentFacts, minLagMs: number, nowMs: TimestampMs): boolean {
  if (minLagMs <= 0) return false;
  const youngestMs = segment.maxTimestampMs >= 0 ? Math.min(segment.maxTimestampMs, segment.lastAppendMs) : segment.lastAppendMs;
  return youngestMs > nowMs - minLagMs;
}

/**
 * Segments that become one: neighbours, together at most `segmentBytes` and 2^31 offsets, so that positions and relative offsets
 * of the indexes hold. Answers how many segments each group has.
 */
export function groupSegments(
  segments: readonly Pick<CompactedSegmentFacts, 'baseOffset' | 'nextOffset' | 'bytes'>[],
  segmentBytes: number,
): number[] {
  const groups: number[] = [];
  let baseOffset = 0;
  let bytes = 0;
  for (const segment of segments) {
    const isFull = bytes + segment.bytes > segmentBytes || segment.nextOffset - 1 - baseOffset > relativeOffsetMax;
    if (groups.length === 0 || isFull) {
      groups.push(0);
      baseOffset = segment.baseOffset;
      bytes = 0;
    }
    groups[groups.length - 1] = (groups.at(-1) ?? 0) + 1;
    bytes += segment.bytes;
  }
  return groups;
}

const relativeOffsetMax = 0x7fffffff;
