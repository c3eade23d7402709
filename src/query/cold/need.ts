/** What a query needs of a cold file, as far as its plan says. */
import { baseColumns, type GroupLayout, type PartLayout } from '../../columns/index.js';
import type { ColdFile } from '../../lake/index.js';
import { type ScanRange, touches } from '../ranges.js';

export interface ColdNeed {
  readonly ranges: readonly ScanRange[];
  /** Field ids of the columns, those of lists at the top; all where it is not known. */
  readonly columns?: ReadonlySet<number>;
  /** Only some offsets of the file count. */
  readonly isCut?: boolean;
}

/** By them the rows of a file are told apart that is cut. They are small, but each is a request of its own. */
const placeColumns: readonly number[] = baseColumns
  .filter(({ name }) => name === '_partition_id' || name === '_offset')
  .map(({ fieldId }) => fieldId);

/** Row groups that a scan can find a row in, by their places. */
export function groupsNeeded(file: ColdFile, layout: PartLayout, need: ColdNeed): number[] {
  return layout.groups.flatMap((group, at) => (group.rows > 0 && touches(need.ranges, extentOf(file, group)) ? [at] : []));
}

function extentOf({ partition }: ColdFile, group: GroupLayout) {
  const { baseOffset, lastOffset, minTimestampMs, maxTimestampMs, keys } = group;
  return { partition, baseOffset, lastOffset, minTimestampMs, maxTimestampMs, ...(keys === undefined ? {} : { keys }) };
}

/** Columns to read of those the file has. */
export function columnsNeeded(layout: PartLayout, need: ColdNeed): ReadonlySet<number> {
  const has = new Set(layout.columnOfLeaf);
  if (need.columns === undefined) return has;
  const wanted = [...(need.isCut === true ? placeColumns : []), ...need.columns].filter((column) => has.has(column));
  // Where no column is needed, rows are counted by one.
  return new Set(wanted.length > 0 ? wanted : placeColumns.filter((column) => has.has(column)).slice(-1));
}
