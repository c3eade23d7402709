/**
 * Finds a row of a cold file by time, wherever the file lies: reads its footer, then of the row groups that can hold the row only
 * the columns of offset and time. Timestamps are not monotone: `first` is the first offset, not the smallest time.
 */
import type { ColumnMetaData, FileMetaData } from 'hyparquet';
import { KiB, isLakeError, LakeError, type LeaderEpoch, none, type Offset, type TimestampMs } from '../kernel/index.js';
import { chunkRange, ColumnChunkReader, ColumnRooms, type IntRows } from './column-chunk.js';
import { type LeafName, leafIdOf, ownTimestampMs } from './cold-rows.js';
import { footerLength, leafFieldIds, parseFooter, type RowGroupSpan, rowGroupSpans } from './parquet-footer.js';
import { timestampMaxMs, timestampMinMs } from './schema.js';

/** A file that is read in ranges. */
export interface RangedFile {
  /** For messages. */
  readonly name: string;
  readonly bytes: number;
  /** The bytes of a half-open range. */
  readonly read: (from: number, to: number) => Promise<Buffer>;
}

export interface TimeQuestion {
  /** The first row with a timestamp ≥ `timestampMs`, or the first of those with the largest. */
  readonly find: 'first' | 'max';
  readonly timestampMs: TimestampMs;
  /** Rows below do not count. */
  readonly fromOffset: Offset;
}

export interface FoundTime {
  readonly offset: Offset;
  readonly timestampMs: TimestampMs;
  readonly leaderEpoch: LeaderEpoch;
}

export type TimeLookup = (file: RangedFile, question: TimeQuestion) => Promise<FoundTime | null>;

/** Read from a file's end at first: most footers lie in it whole. */
const endBytes = 64 * KiB;
/** Columns with less between them are read in one request. */
const gapBytesMax = 64 * KiB;
const timeColumns = ['offset', 'timestamp', 'timestampRaw', 'leaderEpoch'] as const satisfies readonly LeafName[];

interface TimedGroup extends RowGroupSpan {
  /** Of the clamped column: the largest, where the footer says so. */
  readonly maxTimestampMs: TimestampMs;
}

/** Errors: those of `read`, and `cold-corrupt`. */
export async function findTimestamp(file: RangedFile, question: TimeQuestion): Promise<FoundTime | null> {
  const footer = await readRangedFooter(file);
  const groups = rowGroupSpans(file.name, footer)
    .map((span) => ({ ...span, maxTimestampMs: largestTimestamp(footer, span) }))
    .filter((group) => group.maxOffset >= question.fromOffset);
  return question.find === 'first' ? findFirst(file, footer, groups, question) : findLargest(file, footer, groups, question);
}

async function findFirst(
  file: RangedFile,
  footer: FileMetaData,
  groups: readonly TimedGroup[],
  { timestampMs, fromOffset }: TimeQuestion,
): Promise<FoundTime | null> {
  // Clamping keeps the order, so the clamped column's statistics may rule groups out before the exact ones decide.
  const clampedMs = Math.min(Math.max(timestampMs, timestampMinMs), timestampMaxMs);
  for (const group of groups) {
    if (group.maxTimestampMs < clampedMs) continue;
    const rows = await readTimes(file, footer, group);
    for (let row = 0; row < group.rows; row++) {
      if (rows.offsetAt(row) >= fromOffset && rows.timestampMs(row) >= timestampMs) return rows.found(row);
    }
  }
  return null;
}

async function findLargest(
  file: RangedFile,
  footer: FileMetaData,
  groups: readonly TimedGroup[],
  { fromOffset }: TimeQuestion,
): Promise<FoundTime | null> {
  let best: FoundTime | null = null;
  // Largest first: once one is found, only those that may reach it are read, for a smaller offset of the same time too.
  for (const group of [...groups].sort((a, b) => b.maxTimestampMs - a.maxTimestampMs || a.minOffset - b.minOffset)) {
    if (best !== null && group.maxTimestampMs < Math.min(best.timestampMs, timestampMaxMs)) break;
    const rows = await readTimes(file, footer, group);
    for (let row = 0; row < group.rows; row++) {
      const [offset, timestampMs] = [rows.offsetAt(row), rows.timestampMs(row)];
      if (offset < fromOffset) continue;
      if (best === null || timestampMs > best.timestampMs || (timestampMs === best.timestampMs && offset < best.offset))
        best = rows.found(row);
    }
  }
  return best;
}

async function readRangedFooter(file: RangedFile): Promise<FileMetaData> {
  const end = await file.read(Math.max(0, file.bytes - endBytes), file.bytes);
  const footerBytes = footerLength(file.name, end, file.bytes);
  return parseFooter(file.name, footerBytes <= end.length ? end : await file.read(file.bytes - footerBytes, file.bytes));
}

function metaOf(footer: FileMetaData, group: number, leaf: LeafName): ColumnMetaData | undefined {
  return footer.row_groups[group]?.columns[leafFieldIds(footer.schema).indexOf(leafIdOf[leaf])]?.meta_data;
}

function largestTimestamp(footer: FileMetaData, { group }: RowGroupSpan): TimestampMs {
  const max = metaOf(footer, group, 'timestamp')?.statistics?.max_value;
  return max instanceof Date && Number.isSafeInteger(max.getTime()) ? max.getTime() : Number.POSITIVE_INFINITY;
}

class TimeRows {
  readonly #offset: IntRows;
  readonly #timestamp: IntRows;
  readonly #raw: IntRows;
  readonly #leaderEpoch: IntRows;

  constructor(ints: (leaf: LeafName) => IntRows) {
    this.#offset = ints('offset');
    this.#timestamp = ints('timestamp');
    this.#raw = ints('timestampRaw');
    this.#leaderEpoch = ints('leaderEpoch');
  }

  offsetAt(row: number): Offset {
    return this.#offset.or(row, none);
  }

  timestampMs(row: number): TimestampMs {
    return ownTimestampMs(this.#timestamp, this.#raw, row);
  }

  found(row: number): FoundTime {
    return { offset: this.offsetAt(row), timestampMs: this.timestampMs(row), leaderEpoch: this.#leaderEpoch.or(row, none) };
  }
}

async function readTimes(file: RangedFile, footer: FileMetaData, { group, rows }: TimedGroup): Promise<TimeRows> {
  const metas = new Map(timeColumns.map((leaf) => [leaf, metaOf(footer, group, leaf)] as const));
  const wanted = [...metas.values()].flatMap((meta) => (meta === undefined ? [] : [chunkRange(meta)])).sort((a, b) => a.from - b.from);
  const pieces: { readonly from: number; readonly bytes: Buffer }[] = [];
  for (let at = 0; at < wanted.length; ) {
    const { from } = wanted[at] as { readonly from: number };
    let { to } = wanted[at++] as { readonly to: number };
    for (; at < wanted.length && (wanted[at] as { readonly from: number }).from - to <= gapBytesMax; at++) {
      to = Math.max(to, (wanted[at] as { readonly to: number }).to);
    }
    pieces.push({ from, bytes: await file.read(from, to) });
  }
  const readAt = (into: Buffer, position: number): boolean => {
    const piece = pieces.find(({ from, bytes }) => from <= position && position + into.length <= from + bytes.length);
    piece?.bytes.copy(into, 0, position - piece.from);
    return piece !== undefined;
  };
  const reader = new ColumnChunkReader(file.name, readAt, new ColumnRooms());
  try {
    return new TimeRows((leaf) => reader.ints(leaf, metas.get(leaf as (typeof timeColumns)[number]), rows));
  } catch (error) {
    if (isLakeError(error)) throw error;
    throw new LakeError('cold-corrupt', `${file.name} cannot be searched: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
      facts: { file: file.name },
    });
  }
}
