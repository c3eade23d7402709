/**
 * The log as a reader sees it: whole record batches by topic id, through Kafka's Fetch. The tier daemon and the query side
 * read the hot log through this port only; a simulation plugs another one in.
 */
import type { LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId, TopicName } from '../kernel/index.js';

export interface FetchPartition {
  readonly topicId: TopicId;
  readonly partition: PartitionId;
  readonly offset: Offset;
  readonly maxBytes: number;
}

export interface FetchOptions {
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  /** `committed` stops at the last stable offset. */
  readonly isolation: 'committed' | 'uncommitted';
  readonly signal?: AbortSignal | undefined;
}

export interface FetchedPartition {
  readonly topicId: TopicId;
  readonly partition: PartitionId;
  /** Kafka's error code; 0 is none. */
  readonly errorCode: number;
  /** Whole record batches, the first covering the offset asked for (its base may be lower); may end in a truncated one. */
  readonly records: Buffer;
  readonly highWatermark: Offset;
  readonly lastStableOffset: Offset;
  readonly logStartOffset: Offset;
  /** Aborted transactions in the fetched range, ordered by first offset (KIP-98). */
  readonly abortedTransactions: readonly { readonly producerId: bigint; readonly firstOffset: Offset }[];
}

export interface TopicPartitions {
  readonly name: TopicName;
  readonly id: TopicId;
  readonly partitions: readonly PartitionId[];
  readonly isInternal: boolean;
}

export interface ListedOffset {
  readonly partition: PartitionId;
  readonly errorCode: number;
  readonly offset: Offset;
  readonly timestampMs: TimestampMs;
  readonly leaderEpoch: LeaderEpoch;
}

export interface LogReader {
  topics(signal?: AbortSignal): Promise<readonly TopicPartitions[]>;
  /** Errors: `peer-gone`, `timeout`, `cancelled`; a partition's own error stands in its answer. */
  fetch(partitions: readonly FetchPartition[], options: FetchOptions): Promise<readonly FetchedPartition[]>;
  /** `timestampMs` as in Kafka: −1 latest, −2 earliest, else the first offset whose timestamp is ≥ it (offset −1: none). */
  listOffsets(
    topic: TopicName,
    partitions: readonly { readonly partition: PartitionId; readonly timestampMs: TimestampMs }[],
    signal?: AbortSignal,
  ): Promise<readonly ListedOffset[]>;
  close(): Promise<void>;
}
