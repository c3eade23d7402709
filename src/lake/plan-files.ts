/** Which cold files a question can need, by what the table knows of each: partition, offsets, timestamps. */
import { firstIndex, type Offset, type PartitionId, type TimestampMs } from '../kernel/index.js';
import { boundaryOf } from './partition-vector.js';
import type { ColdFile, TableSnapshot } from './table-snapshot.js';

/** All bounds are half open: `from…` inclusive, `to…` exclusive. What is left out does not restrict. */
export interface FileFilter {
  readonly partitions?: ReadonlySet<PartitionId> | undefined;
  readonly fromOffset?: Offset | undefined;
  readonly toOffset?: Offset | undefined;
  readonly fromMs?: TimestampMs | undefined;
  readonly toMs?: TimestampMs | undefined;
}

export interface FilePlan {
  /** By partition, then base offset. */
  readonly files: readonly ColdFile[];
  readonly prunedFiles: number;
}

/** The files that may hold a row the filter lets through. Never leaves one out that does. */
export function planFiles(snapshot: TableSnapshot, filter: FileFilter): FilePlan {
  const files = snapshot.files.filter((file) => mayMatch(file, filter));
  return { files, prunedFiles: snapshot.files.length - files.length };
}

function mayMatch(file: ColdFile, filter: FileFilter): boolean {
  return (
    (filter.partitions === undefined || filter.partitions.has(file.partition)) &&
    (filter.fromOffset === undefined || file.lastOffset >= filter.fromOffset) &&
    (filter.toOffset === undefined || file.baseOffset < filter.toOffset) &&
    (filter.fromMs === undefined || file.maxTimestampMs >= filter.fromMs) &&
    (filter.toMs === undefined || file.minTimestampMs < filter.toMs)
  );
}

/** Files of one partition, by base offset. */
export function filesOfPartition(snapshot: TableSnapshot, partition: PartitionId): readonly ColdFile[] {
  const start = firstFile(snapshot.files, (file) => file.partition >= partition);
  const end = firstFile(snapshot.files, (file) => file.partition > partition);
  return snapshot.files.slice(start, end);
}

/**
 * The file that holds an offset. Where the offset lies in a hole between files (control markers, aborted or compacted ranges),
 * the next file above it; `null` where no file has anything at or above it.
 */
export function findFile(snapshot: TableSnapshot, partition: PartitionId, offset: Offset): ColdFile | null {
  if (offset >= boundaryOf(snapshot.partitions, partition)) return null;
  const index = firstFile(
    snapshot.files,
    (file) => file.partition > partition || (file.partition === partition && file.lastOffset >= offset),
  );
  const file = snapshot.files[index];
  return file?.partition === partition ? file : null;
}

/** Index of the first file for which a condition holds that holds for all behind it. */
function firstFile(files: readonly ColdFile[], holds: (file: ColdFile) => boolean): number {
  return firstIndex(files.length, (index) => holds(files[index] as ColdFile));
}

/** Order of a snapshot's files. */
export function byPartitionAndOffset(a: ColdFile, b: ColdFile): number {
  return a.partition - b.partition || a.baseOffset - b.baseOffset;
}
