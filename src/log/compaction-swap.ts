/**
 * How a compacted segment takes the place of those it was made of, so that any kill leaves the one or the others (Kafka's
 * LogSegments.replaceSegments). Each step is on disk before the next begins.
 *
 * | There is                               | Means                                     | A start                                    |
 * |----------------------------------------|-------------------------------------------|--------------------------------------------|
 * | `<base>.log.cleaned`                   | being written                             | removes it                                 |
 * | `<base>.log.swap`, old segments        | whole; it counts instead of the old ones  | goes on: removes what it replaces, renames |
 * | `<base>.log.swap`, some old segments   | being swapped                             | the same                                   |
 * | `<base>.log`                           | done                                      | nothing                                    |
 *
 * Which segments a `.swap` replaces is in itself: those that begin between its name and the end of its last batch.
 */
import { dirname, join } from 'node:path';
import type { Disk, Offset } from '../kernel/index.js';
import { batchLastOffset } from '../wire/index.js';
import { farWindowBytes, walkSegment } from './batch-walk.js';
import { fsyncDirectorySync } from './durable-file.js';
import { offsetFile, offsetOfFile, suffixes } from './log-files.js';
import { damagedAt, type OpenFiles, SegmentFile } from './segment-file.js';

export interface SegmentSwap {
  readonly directory: string;
  /** Of the compacted segment, and of the first that it replaces. */
  readonly baseOffset: Offset;
  /** First offset behind it. */
  readonly nextOffset: Offset;
}

const swapSuffix = suffixes.log + suffixes.swap;
const cleanedSuffix = suffixes.log + suffixes.cleaned;

/** Puts a compacted segment, which is durable as `.cleaned`, in its place. Errors: the system's. */
export function swapSegmentsSync(disk: Disk, swap: SegmentSwap): void {
  const { directory, baseOffset } = swap;
  disk.renameSync(join(directory, offsetFile(baseOffset, cleanedSuffix)), join(directory, offsetFile(baseOffset, swapSuffix)));
  fsyncDirectorySync(disk, directory);
  finishSwap(disk, swap);
}

/** At start: goes on with swaps that a kill interrupted. Errors: `log-damaged` where a swap's file is not whole. */
export async function finishSwaps(openFiles: OpenFiles, directory: string): Promise<void> {
  const { disk } = openFiles;
  for (const name of disk.readdirSync(directory)) {
    if (name.endsWith(suffixes.cleaned)) disk.rmSync(join(directory, name), { force: true });
    const baseOffset = offsetOfFile(name, swapSuffix);
    if (baseOffset === undefined) continue;
    finishSwap(disk, { directory, baseOffset, nextOffset: await endOf(openFiles, join(directory, name), baseOffset) });
  }
}

function finishSwap(disk: Disk, { directory, baseOffset, nextOffset }: SegmentSwap): void {
  for (const name of disk.readdirSync(directory)) {
    // The first one's file is replaced by the rename; its indexes would be wrong for the new one.
    const log = offsetOfFile(name, suffixes.log);
    const index = offsetOfFile(name, suffixes.index) ?? offsetOfFile(name, suffixes.timeIndex);
    const isReplaced = log !== undefined && log > baseOffset && log < nextOffset;
    const isItsIndex = index !== undefined && index >= baseOffset && index < nextOffset;
    if (isReplaced || isItsIndex) disk.rmSync(join(directory, name), { force: true });
  }
  fsyncDirectorySync(disk, directory);
  disk.renameSync(join(directory, offsetFile(baseOffset, swapSuffix)), join(directory, offsetFile(baseOffset, suffixes.log)));
  fsyncDirectorySync(disk, directory);
}

/**
 * First offset behind the last batch, all of which are checked: they were on disk before the file got its name. It never replaces the last
 * segment, which is the one that is written: a batch that says so has a base offset that is damaged, and would take what is not its own.
 */
async function endOf(openFiles: OpenFiles, path: string, baseOffset: Offset): Promise<Offset> {
  const { size } = openFiles.disk.statSync(path);
  const file = new SegmentFile(path, size, openFiles);
  const names = openFiles.disk.readdirSync(dirname(path));
  const endOffset = names.reduce((last, name) => Math.max(last, offsetOfFile(name, suffixes.log) ?? 0), baseOffset);
  const walk = { from: 0, to: size, windowBytes: farWindowBytes, isCrcChecked: true, follows: baseOffset, endOffset };
  let nextOffset = baseOffset;
  try {
    const { fault, position } = await walkSegment(file, walk, (window, at) => {
      nextOffset = batchLastOffset(window, at) + 1;
      return true;
    });
    if (fault !== undefined) throw damagedAt(path, position, fault);
    return nextOffset;
  } finally {
    file.giveUp();
  }
}
