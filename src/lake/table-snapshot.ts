/**
 * A topic's table at one moment: which cold files it has, and for each partition the boundary below which they are the
 * truth. The table's metadata is the only source of this; see `topic-table.ts`.
 */
import type { ColumnMetrics, TypedColumn } from '../columns/index.js';
import type { LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId, TopicName } from '../kernel/index.js';

export interface ColdFile {
  /** Object key, relative to the store. */
  readonly key: string;
  readonly partition: PartitionId;
  readonly baseOffset: Offset;
  /** Inclusive; the file stands for every offset from base to last, also those without a row. */
  readonly lastOffset: Offset;
  readonly rows: number;
  readonly bytes: number;
  readonly minTimestampMs: TimestampMs;
  readonly maxTimestampMs: TimestampMs;
  /** Field ids that the file has at least one non-null value for; others are null throughout. */
  readonly fieldIds: readonly number[];
}

export interface PartitionCold {
  readonly partition: PartitionId;
  /** First offset that is not in the table. */
  readonly boundary: Offset;
  readonly logStartOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

export interface TableSnapshot {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  /** N of `v<N>.metadata.json`; 0 where the table has not been written yet. */
  readonly metadataVersion: number;
  /** Iceberg snapshot id as text, `null` before the first data. */
  readonly snapshotId: string | null;
  readonly schemaId: number;
  readonly columns: readonly TypedColumn[];
  /** By partition id, ascending; a partition that was never committed is missing and has boundary 0. */
  readonly partitions: readonly PartitionCold[];
  /** By partition, then base offset. */
  readonly files: readonly ColdFile[];
}

/** A cold file that is uploaded and verified, not yet committed. */
export interface NewColdFile extends ColdFile {
  readonly digest: string;
  readonly rawBytes: number;
  readonly metrics: readonly ColumnMetrics[];
  readonly splitOffsets: readonly number[];
}

/** Moves one partition's boundary. Legal only while the table's boundary is `from`. */
export interface RangeMove {
  readonly partition: PartitionId;
  readonly from: Offset;
  readonly to: Offset;
  readonly leaderEpoch: LeaderEpoch;
  /** The partition's log start as the broker told it, where it is above what the table has; never goes back. */
  readonly logStartOffset?: Offset;
  /** Files that hold the range; none where it has no rows (markers, aborted records). */
  readonly files: readonly NewColdFile[];
}

export interface TableChange {
  /** Unique per attempt at a change, kept through its retries. */
  readonly commitId: string;
  readonly moves: readonly RangeMove[];
  /** The typed columns the files were encoded with; new ones are added to the schema. */
  readonly columns: readonly TypedColumn[];
  /** Wall time of the commit, for the sample "time → end vector". */
  readonly nowMs: TimestampMs;
}
