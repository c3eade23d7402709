/** What the broker needs of the cold side. `server/` plugs it: the broker knows neither the table nor the bucket. */
import type { LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId } from '../kernel/index.js';

export interface ColdPartition {
  readonly topicId: TopicId;
  readonly partition: PartitionId;
}

export interface FoundOffset {
  readonly offset: Offset;
  readonly timestampMs: TimestampMs;
  readonly leaderEpoch: LeaderEpoch;
}

export interface ColdTier {
  /**
   * Hands over whole record batches in offset order, from the one that covers `offset`, at most about `maxBytes`.
   * Errors: `cold-unavailable` (nobody there, bucket away), `cold-corrupt`, `cancelled`.
   */
  hydrate(
    from: ColdPartition & { readonly offset: Offset; readonly maxBytes: number },
    onPart: (part: { readonly baseOffset: Offset; readonly nextOffset: Offset; readonly batches: Buffer }) => Promise<void>,
    signal: AbortSignal,
  ): Promise<{ readonly nextOffset: Offset }>;

  /** First cold record at or above `fromOffset` with a timestamp ≥ `timestampMs`. Errors: `cold-unavailable`. */
  offsetForTimestamp(
    at: ColdPartition & { readonly timestampMs: TimestampMs; readonly fromOffset: Offset },
    signal: AbortSignal,
  ): Promise<FoundOffset | null>;

  /** The cold record with the largest timestamp. Errors: `cold-unavailable`. */
  maxTimestamp(at: ColdPartition, signal: AbortSignal): Promise<FoundOffset | null>;

  /** Topics were created, deleted or reconfigured: whoever tiers them should look. Never fails. */
  topicsChanged(): void;
}
