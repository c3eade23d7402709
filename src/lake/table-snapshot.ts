/**
 * A topic's table at one moment: which cold files it has, and for each partition the boundary below which they are the
 * truth. The table's metadata is the only source of this; see `topic-table.ts`.
 */
import type { ColumnMetrics, TypedColumn } from '../columns/index.js';
import type { AppendCut } from '../control/index.js';
import type { LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId, TopicName } from '../kernel/index.js';
import type { Hole } from './holes.js';

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
  /**
   * Smallest and largest offset that has a row: both, or neither. Where they are known, every row has an offset and a time, and the
   * bounds of timestamps are those of rows.
   */
  readonly minRowOffset?: Offset;
  readonly maxRowOffset?: Offset;
  /** Bytes that no key is below or above, in hexadecimal digits; `null` where every key is null; left out where nothing is known. */
  readonly keys?: { readonly min: string; readonly max: string } | null;
  /** Field ids that the file has at least one non-null value for; others are null throughout. */
  readonly fieldIds: readonly number[];
  /** Some typed column has a value in every row: values were given their columns in all of them. */
  readonly isTypedThroughout?: true;
}

export interface PartitionCold {
  readonly partition: PartitionId;
  /** First offset that is not in the table. */
  readonly boundary: Offset;
  /** No file lies wholly below; of one that it falls into, our readers hide the rows below. Never goes back. */
  readonly logStartOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

/** The boundaries at one moment; index is the partition. */
export interface BoundarySample {
  readonly atMs: TimestampMs;
  readonly boundaries: readonly Offset[];
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
  /** How the boundaries have moved over wall time, ascending, the thinner the older. */
  readonly samples: readonly BoundarySample[];
  /** What had been appended at times past, as far as it is in the table, ascending, the thinner the older. */
  readonly appended: readonly AppendCut[];
  /** By partition, then base offset. */
  readonly files: readonly ColdFile[];
  /** What recoveries left, by partition, then offset. */
  readonly holes: readonly Hole[];
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
  /** Whether the range's records are lost: it is then told apart from one that never had any. */
  readonly isHole?: boolean;
  /** Files that hold the range; none where it has no rows (markers, aborted records). */
  readonly files: readonly NewColdFile[];
}

/**
 * Puts files in the place of others of the same partition: one of the same rows in the place of several (compaction), or the tail of
 * one (its head lies below the log start). Legal only while every input is still listed.
 */
export interface FileRewrite {
  readonly partition: PartitionId;
  /** Keys, neighbours in offset order. */
  readonly inputs: readonly string[];
  /** In offset order, within the inputs' range. Rows may be missing only below the log start. */
  readonly outputs: readonly NewColdFile[];
}

/** Raises a partition's log start, at most to its boundary; one that is not above the present one changes nothing. */
export interface LogStartMove {
  readonly partition: PartitionId;
  readonly logStartOffset: Offset;
}

/** Everything in it becomes true in one commit, or nothing. */
export interface TableChange {
  /** Unique per attempt at a change, kept through its retries. */
  readonly commitId: string;
  readonly moves: readonly RangeMove[];
  /** What had been appended at times since those that the table knows of; what is not in the table after the commit is left out. */
  readonly appended?: readonly AppendCut[];
  readonly rewrites?: readonly FileRewrite[];
  /** Files that lie wholly below a new log start leave the table in the same commit. */
  readonly logStarts?: readonly LogStartMove[];
  /** Snapshots from before leave the metadata with the commit, the current one excepted; without it only those beyond a hundred. */
  readonly expireBeforeMs?: TimestampMs;
  /**
   * Not sent after this: its new files have lain in the bucket unreferenced since they were uploaded, and what does so for too long is
   * swept (see `garbage.ts`).
   */
  readonly notAfterMs?: TimestampMs;
  /** The typed columns the files were encoded with; new ones are added to the schema. */
  readonly columns: readonly TypedColumn[];
  /** Wall time of the commit, for the sample "time → end vector". */
  readonly nowMs: TimestampMs;
}
