/**
 * Cold files that a question does not have to read: the plan only counts their rows and looks for their smallest and largest offset
 * and time, and the table knows these exactly. In their place the query is given as many rows with the same extremes.
 */
import { timestampMaxMs, timestampMinMs } from '../columns/index.js';
import type { Offset, PartitionId, TimestampMs } from '../kernel/index.js';
import type { ColdFile } from '../lake/index.js';
import type { ColdSelection } from './lease.js';
import { type ScanRange, touches } from './ranges.js';
import { letsThrough, type ScanSummary } from './scan-summary.js';

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
  /** Object keys. */
  readonly keys: ReadonlySet<string>;
  readonly rows: readonly CountedRows[];
  /** False where the smallest and largest are enough. */
  readonly counts: boolean;
}

export const noneAnswered: AnsweredFiles = { keys: new Set(), rows: [], counts: false };

/**
 * What is left to be read, and what is answered. `ranges` are those of the plan's scans, in the order of the summary's. Without
 * `byPartition` nothing looks at the partition, and rows of all may stand for one.
 */
export function answeredFiles(
  selected: ColdSelection,
  ranges: readonly ScanRange[],
  summary: ScanSummary,
  byPartition: boolean,
): { readonly cold: ColdSelection; readonly answered: AnsweredFiles } {
  const keys = new Set<string>();
  /** Of files that every scan counts, by partition. */
  const together = new Map<PartitionId, CountedRows>();
  const alone: CountedRows[] = [];
  for (const { file, bounds } of selected.files) {
    const rows = bounds === undefined ? rowsOf(file) : undefined;
    if (rows === undefined) continue;
    const { partition, minOffset, maxOffset, minTimestampMs, maxTimestampMs } = rows;
    const extent = {
      partition,
      offsets: { min: minOffset, max: maxOffset },
      timestampsMs: { min: minTimestampMs, max: maxTimestampMs },
    };
    const isCounted = summary.inner.map((inner) => letsThrough(inner, extent));
    if (isCounted.every(Boolean)) {
      const group = byPartition ? partition : 0;
      const others = together.get(group);
      together.set(group, others === undefined ? rows : joined(others, rows));
    } else {
      // Extremes of several such files together could be let through where no row of theirs is.
      const isTold = isCounted.every((counted, scan) => counted || !touches(ranges.slice(scan, scan + 1), file));
      if (!isTold || alone.length >= aloneMax) continue;
      alone.push(rows);
    }
    keys.add(file.key);
  }
  const cold = { ...selected, files: selected.files.filter(({ file }) => !keys.has(file.key)) };
  return { cold, answered: { keys, rows: [...together.values(), ...alone], counts: summary.counts } };
}

function rowsOf(file: ColdFile): CountedRows | undefined {
  const { partition, rows, minRowOffset: minOffset, maxRowOffset: maxOffset } = file;
  if (minOffset === undefined || maxOffset === undefined || rows === 0) return undefined;
  const clamped = (ms: number): number => Math.min(Math.max(ms, timestampMinMs), timestampMaxMs);
  return {
    partition,
    rows,
    minOffset,
    maxOffset,
    minTimestampMs: clamped(file.minTimestampMs),
    maxTimestampMs: clamped(file.maxTimestampMs),
  };
}

function joined(a: CountedRows, b: CountedRows): CountedRows {
  return {
    partition: a.partition,
    rows: a.rows + b.rows,
    minOffset: Math.min(a.minOffset, b.minOffset),
    maxOffset: Math.max(a.maxOffset, b.maxOffset),
    minTimestampMs: Math.min(a.minTimestampMs, b.minTimestampMs),
    maxTimestampMs: Math.max(a.maxTimestampMs, b.maxTimestampMs),
  };
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
