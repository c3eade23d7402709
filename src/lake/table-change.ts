/** What a change does to a table, as pure steps: whether it makes sense, whether it still fits, and what the table is afterwards. */
import type { SnapshotOperation } from '../iceberg/index.js';
import { invariant, LakeError, type Offset, type PartitionId } from '../kernel/index.js';
import { dataPrefix, parseDataFilePath } from './bucket-layout.js';
import { boundaryOf, logStartOf, movePartitions } from './partition-vector.js';
import { filesOfPartition } from './plan-files.js';
import type { ColdFile, FileRewrite, NewColdFile, PartitionCold, TableChange, TableSnapshot } from './table-snapshot.js';

export interface ChangeEffect {
  readonly partitions: readonly PartitionCold[];
  readonly added: readonly NewColdFile[];
  /** Keys. */
  readonly removed: ReadonlySet<string>;
  /** `null` where no file comes or goes: then the metadata changes alone. */
  readonly operation: SnapshotOperation | null;
}

/** What the caller can know to be wrong, whatever the table holds, is a programmer error. */
export function requireSound(prefix: string, change: TableChange): void {
  const { commitId, moves, rewrites = [], logStarts = [] } = change;
  const isNothing = moves.length + rewrites.length + logStarts.length === 0 && change.expireBeforeMs === undefined;
  invariant(!isNothing, 'a change changes something', { commitId });
  invariant(isUnique(moves.map((move) => move.partition)), 'a change moves each boundary once', { commitId });
  invariant(isUnique(logStarts.map((move) => move.partition)), 'a change moves each log start once', { commitId });
  invariant(isUnique(rewrites.flatMap((rewrite) => rewrite.inputs)), 'a change rewrites each file once', { commitId });
  for (const move of moves) {
    invariant(move.to > move.from, 'a boundary only grows', { partition: move.partition, from: move.from, to: move.to });
    requireOrder(prefix, move.partition, move.files, move.from, move.to - 1);
  }
  for (const rewrite of rewrites) {
    const { baseOffset, lastOffset } = rangeOfInputs(rewrite);
    requireOrder(prefix, rewrite.partition, rewrite.outputs, baseOffset, lastOffset);
  }
}

function isUnique(values: readonly unknown[]): boolean {
  return new Set(values).size === values.length;
}

function requireOrder(prefix: string, partition: PartitionId, files: readonly NewColdFile[], from: Offset, last: Offset): void {
  let next = from;
  for (const file of files) {
    const isWithin = file.baseOffset >= next && file.lastOffset >= file.baseOffset && file.lastOffset <= last;
    const isNamed = file.key.startsWith(dataPrefix(prefix)) && file.partition === partition && file.rows > 0;
    invariant(isWithin && isNamed, 'new files lie in their range, in order', { key: file.key, from, last });
    next = file.lastOffset + 1;
  }
}

interface OffsetRange {
  readonly baseOffset: Offset;
  /** Inclusive. */
  readonly lastOffset: Offset;
}

/** From the names of the inputs, which say what they stand for. */
function rangeOfInputs({ partition, inputs }: FileRewrite): OffsetRange {
  const names = inputs.map((key) => parseDataFilePath(key));
  let next = 0;
  for (const name of names) {
    const isNext = name !== null && name.partition === partition && name.baseOffset >= next;
    invariant(isNext, 'the inputs of a rewrite are files of its partition, in offset order', { partition, inputs: inputs.length });
    next = name.lastOffset + 1;
  }
  const first = names[0];
  invariant(first !== undefined && first !== null, 'a rewrite has at least one input', { partition });
  return { baseOffset: first.baseOffset, lastOffset: next - 1 };
}

/**
 * Errors: `commit-stale` where a range no longer begins at its boundary (facts: `partition`, `from`, `boundary`), or where an input of
 * a rewrite is no longer listed (facts: `partition`, `key`).
 */
export function requireFitting(where: string, snapshot: TableSnapshot, change: TableChange): void {
  for (const move of change.moves) {
    const boundary = boundaryOf(snapshot.partitions, move.partition);
    if (boundary === move.from) continue;
    throw new LakeError('commit-stale', `${where}-${move.partition}: the range from ${move.from} no longer begins at the boundary`, {
      hint: 'Load the table and cut again from its boundary.',
      facts: { topic: where, partition: move.partition, from: move.from, to: move.to, boundary },
    });
  }
  for (const rewrite of change.rewrites ?? []) {
    const listed = inputsListed(snapshot, rewrite);
    if (listed.length === rewrite.inputs.length) continue;
    const present = new Set(listed.map((file) => file.key));
    const key = rewrite.inputs.find((input) => !present.has(input));
    throw new LakeError('commit-stale', `${where}-${rewrite.partition}: ${key} is no longer in the table`, {
      hint: 'Load the table and choose the files to rewrite again.',
      facts: { topic: where, partition: rewrite.partition, key },
    });
  }
}

function inputsListed(snapshot: TableSnapshot, { partition, inputs }: FileRewrite): readonly ColdFile[] {
  const wanted = new Set(inputs);
  return filesOfPartition(snapshot, partition).filter((file) => wanted.has(file.key));
}

/** The effect of a change that fits. Files that would lie wholly below a log start neither stay nor come. */
export function effectOf(snapshot: TableSnapshot, change: TableChange): ChangeEffect {
  const rewrites = change.rewrites ?? [];
  const partitions = movePartitions(snapshot.partitions, change.moves, change.logStarts);
  for (const rewrite of rewrites) requireSameRows(snapshot, rewrite, logStartOf(partitions, rewrite.partition));
  const logStarts = new Map(partitions.map((p) => [p.partition, p.logStartOffset]));
  const isBelow = (file: ColdFile): boolean => file.lastOffset < (logStarts.get(file.partition) ?? 0);

  const moved = change.moves.flatMap((move) => move.files);
  const rewritten = rewrites.flatMap((rewrite) => rewrite.outputs);
  const added = [...moved, ...rewritten].filter((file) => !isBelow(file));
  const removed = new Set(rewrites.flatMap((rewrite) => rewrite.inputs));
  let rowsRemoved = 0;
  for (const file of snapshot.files) {
    if (isBelow(file)) removed.add(file.key);
    if (removed.has(file.key)) rowsRemoved += file.rows;
  }
  const rowsAdded = added.reduce((sum, file) => sum + file.rows, 0);
  return {
    partitions,
    added,
    removed,
    operation: operationOf(added.length, removed.size, moved.length === 0 && rowsAdded === rowsRemoved),
  };
}

function operationOf(added: number, removed: number, isSameRows: boolean): SnapshotOperation | null {
  if (removed === 0) return added === 0 ? null : 'append';
  if (added === 0) return 'delete';
  return isSameRows ? 'replace' : 'overwrite';
}

/** A rewrite that is not the inputs' rows, less at most those below the log start, would lose or double records. */
function requireSameRows(snapshot: TableSnapshot, rewrite: FileRewrite, logStart: Offset): void {
  const { baseOffset, lastOffset } = rangeOfInputs(rewrite);
  const { partition, inputs, outputs } = rewrite;
  const within = filesOfPartition(snapshot, partition).filter((file) => file.lastOffset >= baseOffset && file.baseOffset <= lastOffset);
  invariant(within.length === inputs.length, 'a rewrite leaves out no file between its inputs', { partition, baseOffset, lastOffset });
  const rowsBefore = within.reduce((sum, file) => sum + file.rows, 0);
  const rowsAfter = outputs.reduce((sum, file) => sum + file.rows, 0);
  const isWhole = rowsBefore === rowsAfter && outputs[0]?.baseOffset === baseOffset;
  const isTail = rowsBefore >= rowsAfter && logStart > baseOffset && (outputs[0]?.baseOffset ?? 0) <= logStart;
  const reachesEnd = outputs.length === 0 || outputs.at(-1)?.lastOffset === lastOffset;
  invariant((isWhole || isTail) && reachesEnd, 'a rewrite keeps every row at or above the log start', {
    partition,
    baseOffset,
    lastOffset,
    logStart,
    rowsBefore,
    rowsAfter,
  });
}

/** Whether boundaries, log starts and files are already as the change would make them. */
export function isDone(snapshot: TableSnapshot, change: TableChange): boolean {
  const { moves, rewrites = [], logStarts = [] } = change;
  if (moves.length + rewrites.length > 0) return false;
  return logStarts.every(({ partition, logStartOffset }) => logStartOffset <= logStartOf(snapshot.partitions, partition));
}
