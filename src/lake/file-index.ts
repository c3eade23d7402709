/**
 * The files of a snapshot in blocks of neighbours, with the hull of what each block is known to hold: a question about an hour of
 * years of log looks at few blocks, not at every file. Made once per snapshot, when it is first asked.
 */
import type { Offset, PartitionId, TimestampMs } from '../kernel/index.js';
import type { ColdFile, TableSnapshot } from './table-snapshot.js';

/** A hundred thousand files are some 800 blocks; the files of one take microseconds. */
const blockFiles = 128;

/** Neighbours of one partition, by base offset. */
export interface FileBlock {
  readonly partition: PartitionId;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  readonly minTimestampMs: TimestampMs;
  readonly maxTimestampMs: TimestampMs;
  readonly files: readonly ColdFile[];
}

const indexes = new WeakMap<readonly ColdFile[], ReadonlyMap<PartitionId, readonly FileBlock[]>>();

/** Blocks of a partition, by base offset. */
export function blocksOf(snapshot: TableSnapshot, partition: PartitionId): readonly FileBlock[] {
  let index = indexes.get(snapshot.files);
  if (index === undefined) {
    index = indexOf(snapshot.files);
    indexes.set(snapshot.files, index);
  }
  return index.get(partition) ?? [];
}

function indexOf(files: readonly ColdFile[]): ReadonlyMap<PartitionId, readonly FileBlock[]> {
  const index = new Map<PartitionId, FileBlock[]>();
  for (let start = 0; start < files.length; ) {
    const { partition } = files[start] as ColdFile;
    let end = start + 1;
    while (end < files.length && end < start + blockFiles && files[end]?.partition === partition) end++;
    const block = blockOf(files.slice(start, end));
    const blocks = index.get(partition);
    if (blocks === undefined) index.set(partition, [block]);
    else blocks.push(block);
    start = end;
  }
  return index;
}

function blockOf(files: readonly ColdFile[]): FileBlock {
  const [first, last] = [files[0] as ColdFile, files.at(-1) as ColdFile];
  let [minTimestampMs, maxTimestampMs] = [first.minTimestampMs, first.maxTimestampMs];
  for (const file of files) {
    if (file.minTimestampMs < minTimestampMs) minTimestampMs = file.minTimestampMs;
    if (file.maxTimestampMs > maxTimestampMs) maxTimestampMs = file.maxTimestampMs;
  }
  return { partition: first.partition, baseOffset: first.baseOffset, lastOffset: last.lastOffset, minTimestampMs, maxTimestampMs, files };
}
