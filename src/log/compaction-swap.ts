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
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { type Disk, MiB, type Offset } from '../kernel/index.js';
import { batchAt, batchBytes, batchCrc, batchHeaderBytes, batchLastOffset } from '../wire/index.js';
import { headerFault } from './batch-walk.js';
import { fsyncDirectorySync } from './durable-file.js';
import { offsetFile, offsetOfFile, suffixes } from './log-files.js';
import { damagedAt } from './segment-file.js';

export interface SegmentSwap {
  readonly directory: string;
  /** Of the compacted segment, and of the first that it replaces. */
  readonly baseOffset: Offset;
  /** First offset behind it. */
  readonly nextOffset: Offset;
}

const readBytes = MiB;
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
export function finishSwapsSync(disk: Disk, directory: string): void {
  for (const name of disk.readdirSync(directory)) {
    if (name.endsWith(suffixes.cleaned)) disk.rmSync(join(directory, name), { force: true });
    const baseOffset = offsetOfFile(name, swapSuffix);
    if (baseOffset === undefined) continue;
    finishSwap(disk, { directory, baseOffset, nextOffset: endOf(disk, join(directory, name), baseOffset) });
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

/** First offset behind the last batch, all of which are checked: they were on disk before the file got its name. */
function endOf(disk: Disk, path: string, baseOffset: Offset): Offset {
  const { size } = disk.statSync(path);
  const header = Buffer.alloc(batchHeaderBytes);
  const fd = disk.openSync(path, 'r');
  const read = (into: Buffer, position: number): void => {
    for (let filled = 0; filled < into.length; ) {
      const count = disk.readSync(fd, into, filled, into.length - filled, position + filled);
      if (count === 0) throw damagedAt(path, position + filled, 'the file ends');
      filled += count;
    }
  };
  try {
    let nextOffset = baseOffset;
    for (let position = 0; position < size; position += batchBytes(header, 0)) {
      read(header, position);
      const fault = headerFault(header, 0, nextOffset);
      if (fault !== undefined) throw damagedAt(path, position, fault);
      let crc: number | undefined;
      const end = position + batchBytes(header, 0);
      for (let at = position + batchAt.attributes; at < end; at += readBytes) {
        const piece = Buffer.allocUnsafe(Math.min(readBytes, end - at));
        read(piece, at);
        crc = crc === undefined ? crc32c(piece) : crc32c(piece, crc);
      }
      if (crc !== batchCrc(header, 0)) throw damagedAt(path, position, 'the CRC does not match');
      nextOffset = batchLastOffset(header, 0) + 1;
    }
    return nextOffset;
  } finally {
    disk.closeSync(fd);
  }
}
