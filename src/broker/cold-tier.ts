/** What the broker needs of the cold side. `server/` plugs it: the broker knows neither the table nor the bucket. */
import type { LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId } from '../kernel/index.js';

export interface ColdPartition {
  readonly topicId: TopicId;
  readonly partition: PartitionId;
}

/** What the cold side is asked of: its answer speaks for all of it, or is an error. */
export interface ColdRange extends ColdPartition {
  readonly fromOffset: Offset;
  /** What the broker looks at for itself begins here: the boundary as it knows it, at most. */
  readonly belowOffset: Offset;
}

export interface FoundOffset {
  readonly offset: Offset;
  readonly timestampMs: TimestampMs;
  readonly leaderEpoch: LeaderEpoch;
}

export interface ColdPart {
  readonly baseOffset: Offset;
  readonly nextOffset: Offset;
  readonly endOffset?: Offset;
  readonly batches: Buffer;
}

export interface ColdTier {
  /**
   * Hands over whole record batches in offset order, from the one that covers `offset`, at most about `maxBytes`: one batch beyond.
   * `endOffset` says where it will end, once that is known.
   * Errors: `cold-unavailable` (nobody there, bucket away), `cold-corrupt`, `cancelled`.
   */
  hydrate(
    from: ColdPartition & { readonly offset: Offset; readonly maxBytes: number },
    onPart: (part: ColdPart) => Promise<void>,
    signal: AbortSignal,
  ): Promise<{ readonly nextOffset: Offset }>;

  /** First cold record at or above `fromOffset` with a timestamp ≥ `timestampMs`. Errors: `cold-unavailable`. */
  offsetForTimestamp(at: ColdRange & { readonly timestampMs: TimestampMs }, signal: AbortSignal): Promise<FoundOffset | null>;

  /** The first cold record at or above `fromOffset` of those with the largest timestamp. Errors: `cold-unavailable`. */
  maxTimestamp(at: ColdRange, signal: AbortSignal): Promise<FoundOffset | null>;

  /** Topics were created, deleted or reconfigured: whoever tiers them should look. Never fails. */
  topicsChanged(): void;
}
