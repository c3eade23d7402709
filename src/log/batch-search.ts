/**
 * Looks for a whole batch behind bytes that are none: where there is one, a log does not end there as after a write that was under way, but is
 * damaged. The length of a batch lies outside its CRC, so that a damaged one may say that the file ends before the batch does.
 */
import { MiB, type Offset } from '../kernel/index.js';
import { batchAt, batchBytes, batchHeaderBytes, batchLastOffset, isBatchCrcValid } from '../wire/index.js';
import { headerFault } from './batch-walk.js';
import type { SegmentFile } from './segment-file.js';

const windowBytes = MiB;
/** Of the format, which is the cheapest to look for. */
const magic = 2;

/** Position of the first whole batch behind `from` that has `offset` or a later one and ends at `to` at the latest. The caller holds the file. */
export async function findBatchBehind(file: SegmentFile, from: number, to: number, offset: Offset): Promise<number | undefined> {
  for (let begin = from + 1; begin + batchHeaderBytes <= to; begin += windowBytes) {
    const window = Buffer.allocUnsafe(Math.min(windowBytes + batchHeaderBytes - 1, to - begin));
    await file.readInto(window, begin);
    let found = window.indexOf(magic, batchAt.magic);
    for (; found >= 0; found = window.indexOf(magic, found + 1)) {
      const at = found - batchAt.magic;
      if (at + batchHeaderBytes > window.length) break;
      if (headerFault(window, at, 0) !== undefined || batchLastOffset(window, at) < offset) continue;
      if (await isWhole(file, begin + at, batchBytes(window, at), to)) return begin + at;
    }
  }
  return undefined;
}

async function isWhole(file: SegmentFile, position: number, bytes: number, to: number): Promise<boolean> {
  if (position + bytes > to) return false;
  const batch = Buffer.allocUnsafe(bytes);
  await file.readInto(batch, position);
  return isBatchCrcValid(batch, 0);
}
