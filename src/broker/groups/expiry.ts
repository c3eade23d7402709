/** When committed offsets are forgotten by their age, as Kafka rules it by the kind and the state of the group (KIP-211). Pure. */
import type { PartitionId, TimestampMs } from '../../kernel/index.js';
import type { CommittedOffset } from './group-records.js';

export interface ExpiryRule {
  /** From when the retention of an offset counts. */
  readonly sinceMs: (committed: CommittedOffset) => TimestampMs;
  /** Whether the group consumes a topic: then its offsets stay. */
  readonly isConsumed: (topic: string) => boolean;
}

/** What of a classic group decides. */
export interface ExpiringGroup {
  readonly state: string;
  readonly protocolType: string | null;
  readonly stateSinceMs: TimestampMs | null;
}

/**
 * The rule for a classic group, or for offsets without a group; `undefined` where none of them may expire now: while members come and
 * go, and where they are no consumers, so that what they use is not known.
 */
export function classicRule(group: ExpiringGroup | undefined, isConsumed: (topic: string) => boolean): ExpiryRule | undefined {
  const sinceCommit: ExpiryRule = { sinceMs: ({ committedMs }) => committedMs, isConsumed };
  if (group === undefined || group.protocolType === null) return sinceCommit;
  if (group.state === 'empty') {
    return { sinceMs: ({ committedMs }) => group.stateSinceMs ?? committedMs, isConsumed: () => false };
  }
  return group.state === 'stable' && group.protocolType === 'consumer' ? sinceCommit : undefined;
}

/** Which offsets have been kept long enough. */
export function expiredOffsets(
  offsets: ReadonlyMap<string, ReadonlyMap<PartitionId, CommittedOffset>>,
  { sinceMs, isConsumed }: ExpiryRule,
  nowMs: TimestampMs,
  retentionMs: number,
): { topic: string; partition: PartitionId }[] {
  const expired: { topic: string; partition: PartitionId }[] = [];
  for (const [topic, partitions] of offsets) {
    if (isConsumed(topic)) continue;
    for (const [partition, committed] of partitions) {
      const isExpired = committed.expireMs === undefined ? nowMs - sinceMs(committed) >= retentionMs : nowMs >= committed.expireMs;
      if (isExpired) expired.push({ topic, partition });
    }
  }
  return expired;
}
