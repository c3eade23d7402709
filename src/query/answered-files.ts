/**
 * Cold files that a question does not have to read: the plan only counts their rows and looks for their smallest and largest offset
 * and time, and the table knows these exactly. In their place the query is given as many rows with the same extremes.
 */
import { timestampMaxMs, timestampMinMs } from '../columns/index.js';
import type { Offset, PartitionId, TimestampMs } from '../kernel/index.js';
import type { ColdFile } from '../lake/index.js';
import type { ColdSelection, SelectedFile } from './lease.js';
import { includesPartition, type ScanRange, touches } from './ranges.js';
import type { ScanSummary } from './scan-summary.js';

/** Files that only some of a statement's scans count stand in its text one by one; of more than these the rest is read. */
const aloneMax = 1000;

/** Stands for rows of one partition; times as the column has them, clamped. */
export interface CountedRows {
  readonly partition: PartitionId;
  readonly rows: number;
  readonly minOffset: Offset;
  readonly maxOffset: Offset;
  readonly minTimestampMs: TimestampMs;
  readonly maxTimestampMs: TimestampMs;
}

export interface AnsweredFiles {
  readonly files: readonly ColdFile[];
  readonly rows: readonly CountedRows[];
  /** False where the smallest and largest are enough. */
  readonly counts: boolean;
}

export const noneAnswered: AnsweredFiles = { files: [], rows: [], counts: false };

/**
 * What is left to be read, and what is answered. `ranges` are those of the plan's scans, in the order of the summary's. Without
 * `byPartition` nothing looks at the partition, and rows of all may stand for one.
 */
export function answeredFiles(
  selected: ColdSelection,
  ranges: readonly ScanRange[],
  { inner, counts }: ScanSummary,
  byPartition: boolean,
): { readonly cold: ColdSelection; readonly answered: AnsweredFiles } {
  const files: ColdFile[] = [];
  const left: SelectedFile[] = [];
  /** Of files that every scan counts, by partition. */
  const together = new Map<PartitionId, { -readonly [K in keyof CountedRows]: CountedRows[K] }>();
  const alone: CountedRows[] = [];
  // Once for each of a hundred thousand files: nothing is made here that is not kept.
  for (const one of selected.files) {
    const { file } = one;
    if (one.bounds !== undefined || !isKnown(file)) {
      left.push(one);
      continue;
    }
    if (inner.every((range) => isCounted(range, file))) {
      const group = byPartition ? file.partition : 0;
      const rows = together.get(group);
      if (rows === undefined) together.set(group, rowsOf(file));
      else {
        rows.rows += file.rows;
        rows.minOffset = Math.min(rows.minOffset, file.minRowOffset);
        rows.maxOffset = Math.max(rows.maxOffset, file.maxRowOffset);
        rows.minTimestampMs = Math.min(rows.minTimestampMs, clamped(file.minTimestampMs));
        rows.maxTimestampMs = Math.max(rows.maxTimestampMs, clamped(file.maxTimestampMs));
      }
      files.push(file);
    } else if (
      // Extremes of several such files together could be let through where no row of theirs is.
      alone.length < aloneMax &&
      inner.every((range, scan) => isCounted(range, file) || !touches(ranges.slice(scan, scan + 1), file))
    ) {
      alone.push(rowsOf(file));
      files.push(file);
    } else left.push(one);
  }
  return { cold: { ...selected, files: left }, answered: { files, rows: [...together.values(), ...alone], counts } };
}

/** A file whose rows are known by their extremes. */
type KnownFile = ColdFile & Required<Pick<ColdFile, 'minRowOffset' | 'maxRowOffset'>>;

function isKnown(file: ColdFile): file is KnownFile {
  return file.minRowOffset !== undefined && file.maxRowOffset !== undefined && file.rows > 0;
}

/** Whether the range surely holds every row. */
function isCounted(range: ScanRange | null, file: KnownFile): boolean {
  return (
    range !== null &&
    includesPartition(range, file.partition) &&
    file.minRowOffset >= range.offsets.min &&
    file.maxRowOffset <= range.offsets.max &&
    clamped(file.minTimestampMs) >= range.timestampsMs.min &&
    clamped(file.maxTimestampMs) <= range.timestampsMs.max
  );
}

function rowsOf({ partition, rows, minRowOffset, maxRowOffset, minTimestampMs, maxTimestampMs }: KnownFile) {
  return {
    partition,
    rows,
    minOffset: minRowOffset,
    maxOffset: maxRowOffset,
    minTimestampMs: clamped(minTimestampMs),
    maxTimestampMs: clamped(maxTimestampMs),
  };
}

function clamped(ms: TimestampMs): TimestampMs {
  return Math.min(Math.max(ms, timestampMinMs), timestampMaxMs);
}

/** SELECTs that together give the rows; `item` writes the select list from what a row has of partition, offset and time. */
export function countedBranches(
  { rows, counts }: Pick<AnsweredFiles, 'rows' | 'counts'>,
  item: (row: { readonly partition: string; readonly offset: string; readonly timestamp: string }) => string,
): string[] {
  const extremes = rows.flatMap(({ partition, rows: count, minOffset, maxOffset, minTimestampMs, maxTimestampMs }) => [
    `(${partition}, ${minOffset}, ${minTimestampMs})`,
    ...(count > 1 ? [`(${partition}, ${maxOffset}, ${maxTimestampMs})`] : []),
  ]);
  if (extremes.length === 0) return [];
  const given = item({ partition: 'p::INTEGER', offset: 'o::BIGINT', timestamp: timestampSql('m') });
  // Constants: the more rows there are of one kind, the less each costs.
  const others = rows
    .filter((row) => counts && row.rows > 2)
    .map(({ partition, rows: count, minOffset, minTimestampMs }) => {
      const row = { partition: `${partition}::INTEGER`, offset: `${minOffset}::BIGINT`, timestamp: timestampSql(`${minTimestampMs}`) };
      return `SELECT ${item(row)} FROM repeat(true, ${count - 2})`;
    });
  return [`SELECT ${given} FROM (VALUES ${extremes.join(', ')}) AS extremes(p, o, m)`, ...others];
}

function timestampSql(ms: string): string {
  return `epoch_ms(${ms}::BIGINT)::TIMESTAMPTZ`;
}
