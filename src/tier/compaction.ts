/**
 * Which cold files of a partition are put together next; pure. A table that is committed to every few minutes would else have a
 * hundred thousand files a year, and each costs a reader a request.
 *
 * Only neighbours without a hole between them are merged, as a hole inside a file would reach consumers as part of a batch. A file of
 * half the target or more is full and never merged again. A stretch of others between holes and full files is merged
 *
 * - **to a full one**, as soon as it has three quarters of the target: its oldest files, five quarters at most;
 * - **by tiers**, where eight or more neighbours have four times what the largest of them has;
 * - **to its end**, where full files or holes lie on both sides, so that nothing can join it any more: once, whatever its size.
 *
 * So what is rewritten by tiers lands in a file of four times the size at least. A record that came in a file of s bytes is written
 * at most log₄(target ÷ s) + 3 times in all: when it is cut, by each tier, at the end of its stretch, and when its file is filled. For a
 * commit of 1 MiB and a target of 128 MiB: 6.5 times; where a cut makes full files, once. The files of a stretch that stay are at
 * most eight a power of two, as eight that differ by less than two have four times the largest.
 */
import type { Offset } from '../kernel/index.js';
import type { ColdFile } from '../lake/index.js';

export interface CompactionRules {
  /** Raw bytes a file aims at: `lake.file.bytes`, or less for large records. */
  readonly targetBytes: number;
  /** What a file's rows take in the log, known or estimated. */
  readonly rawBytesOf: (file: ColdFile) => number;
}

/** Files of one merge at most; a worker takes as many. */
export const mergeFilesMax = 256;
const tierFilesMin = 8;
const tierGrowth = 4;
/** Parts of the target. */
const fullAt = 0.5;
const filledAt = 0.75;
/** Whatever the sizes, none of which is half the target: with one more a sum below three quarters is at most this. */
const filledMax = 1.25;

/** Files of one partition, in offset order, that are to become one; empty where nothing is worth it. */
export function chooseMerge(files: readonly ColdFile[], rules: CompactionRules): readonly ColdFile[] {
  for (const { members, isClosed } of stretches(files, rules.targetBytes * fullAt, rules.rawBytesOf)) {
    const sizes = members.map((file) => rules.rawBytesOf(file));
    const range = filling(sizes, rules.targetBytes) ?? tier(sizes, rules.targetBytes) ?? (isClosed ? ending(sizes) : null);
    if (range !== null) return members.slice(range.from, range.to);
  }
  return [];
}

interface Stretch {
  readonly members: readonly ColdFile[];
  /** Whether no file can join at its end any more. */
  readonly isClosed: boolean;
}

function* stretches(files: readonly ColdFile[], fullBytes: number, sizeOf: (file: ColdFile) => number): Generator<Stretch> {
  let members: ColdFile[] = [];
  let next: Offset | undefined;
  for (const file of files) {
    const isFull = sizeOf(file) >= fullBytes;
    if (isFull || file.baseOffset !== next) {
      if (members.length > 1) yield { members, isClosed: true };
      members = [];
    }
    if (!isFull) members.push(file);
    next = file.lastOffset + 1;
  }
  if (members.length > 1) yield { members, isClosed: false };
}

interface IndexRange {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

/** The oldest neighbours that make up a full file. */
function filling(sizes: readonly number[], targetBytes: number): IndexRange | null {
  let from = 0;
  let bytes = 0;
  for (let to = 0; to < sizes.length; to++) {
    bytes += sizes[to] ?? 0;
    while (bytes > targetBytes * filledMax || to + 1 - from > mergeFilesMax) bytes -= sizes[from++] ?? 0;
    if (bytes >= targetBytes * filledAt) return { from, to: to + 1 };
  }
  return null;
}

/** Of the neighbours that make four times their largest, those that save most files, and of these the smallest. */
function tier(sizes: readonly number[], targetBytes: number): IndexRange | null {
  let best: (IndexRange & { readonly bytes: number }) | null = null;
  for (let from = 0; from + tierFilesMin <= sizes.length; from++) {
    let [bytes, largest] = [0, 0];
    for (let to = from; to < Math.min(sizes.length, from + mergeFilesMax); to++) {
      const size = sizes[to] ?? 0;
      bytes += size;
      largest = Math.max(largest, size);
      if (bytes > targetBytes) break;
      const count = to + 1 - from;
      if (count < tierFilesMin || bytes < tierGrowth * largest) continue;
      const saved = best === null ? 0 : best.to - best.from;
      if (best === null || count > saved || (count === saved && bytes < best.bytes)) best = { from, to: to + 1, bytes };
    }
  }
  return best;
}

function ending(sizes: readonly number[]): IndexRange {
  return { from: 0, to: Math.min(sizes.length, mergeFilesMax) };
}
