/** Which of the oldest segments may go: pure rules over their numbers (Kafka's UnifiedLog.deleteOldSegments, KIP-405). */
import type { Offset, TimestampMs } from '../kernel/index.js';

export interface SegmentFacts {
  readonly nextOffset: Offset;
  readonly bytes: number;
  readonly maxTimestampMs: TimestampMs;
  readonly lastAppendMs: TimestampMs;
}

export interface RetentionRule {
  /**
   * By the largest timestamp of a segment's records, but not later than its last append, so that a record from the future keeps neither
   * itself nor what lies behind it; by the last append where it has none. −1: no bound.
   */
  readonly ms: number;
  /** Of all segments together, −1: no bound. */
  readonly bytes: number;
  /** Only segments that lie wholly below. */
  readonly belowOffset: Offset;
}

/** How many segments, counted from the oldest, are beyond the rule. */
export function expiredSegments(segments: readonly SegmentFacts[], rule: RetentionRule, nowMs: TimestampMs): number {
  let left = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  let count = 0;
  for (const segment of segments) {
    if (segment.bytes === 0 || segment.nextOffset > rule.belowOffset) break;
    const ageFromMs = segment.maxTimestampMs >= 0 ? Math.min(segment.maxTimestampMs, segment.lastAppendMs) : segment.lastAppendMs;
    const isTooOld = rule.ms >= 0 && nowMs - ageFromMs > rule.ms;
    const isTooMuch = rule.bytes >= 0 && left - segment.bytes >= rule.bytes;
    if (!isTooOld && !isTooMuch) break;
    left -= segment.bytes;
    count++;
  }
  return count;
}
