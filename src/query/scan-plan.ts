/**
 * Reads the bounds of each scan out of DuckDB's own optimized plan (`json_serialize_plan`). Only constants compared with
 * `_partition_id`, `_offset`, `_timestamp` (also truncated) and `_key` are understood; whatever else is met widens the range and never narrows it.
 */
import { keyBoundsOf } from './key-filters.js';
import { headOf, type ScanHead } from './scan-head.js';
import { innerRangeOf, type ScanSummary, summarizedScans } from './scan-summary.js';
import { timesOf } from './time-filters.js';
import { everything, fullScan, hull, type Interval, intersect, type ScanRange } from './ranges.js';

/** Any JSON value, as a plan or a syntax tree is made of. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface ColumnBounds {
  readonly interval: Interval;
  readonly list?: readonly number[];
}

const unbounded: ColumnBounds = { interval: everything };

/** What a plan says of the scans of one table. */
export interface TableScans {
  readonly ranges: readonly ScanRange[];
  /** Columns that any of the scans reads. */
  readonly columns: readonly string[];
  /** Where the plan asks for its first rows only. */
  readonly head?: ScanHead;
  /** Where every one of the scans is only counted and looked at for its extremes. */
  readonly summary?: ScanSummary;
}

interface FoundScans {
  readonly ranges: ScanRange[];
  readonly columns: string[];
  head?: ScanHead;
  summary?: ScanSummary;
}

/**
 * The scans of each table, by table name. A table that is not in the answer was optimized away, which says
 * nothing about files: treat it as a full scan.
 */
export function scansOf(plan: JsonValue): ReadonlyMap<string, TableScans> {
  const scans = new Map<string, FoundScans>();
  const summarized = summarizedScans(plan);
  visit(plan, (node) => {
    const table = tableOf(node);
    if (table === undefined) return;
    const found = scans.get(table) ?? { ranges: [], columns: [] };
    const isFirst = found.ranges.length === 0;
    const asked = summarized.get(node);
    const { summary } = found;
    if (asked !== undefined && (isFirst || summary !== undefined)) {
      const inner = [...(summary?.inner ?? []), innerRangeOf(node)];
      found.summary = { counts: asked.counts || summary?.counts === true, inner };
    } else delete found.summary;
    found.ranges.push(rangeOf(node));
    found.columns.push(...columnsOf(node));
    scans.set(table, found);
  });
  const asked = headOf(plan);
  const one = asked === undefined ? undefined : scans.get(asked.table);
  if (asked !== undefined && one?.ranges.length === 1) one.head = asked.head;
  return scans;
}

/** The table that a node scans; `undefined` where it is none of ours, or no scan. */
export function tableOf(node: JsonObject): string | undefined {
  if (node['type'] !== 'LOGICAL_GET' || node['name'] !== 'seq_scan') return undefined;
  const source = node['function_data'];
  if (!isJsonObject(source) || source['schema'] !== 'main') return undefined;
  return typeof source['table'] === 'string' ? source['table'] : undefined;
}

export function visit(value: JsonValue | undefined, onObject: (node: JsonObject) => void): void {
  if (Array.isArray(value)) {
    for (const item of value as readonly JsonValue[]) visit(item, onObject);
  } else if (isJsonObject(value)) {
    onObject(value);
    for (const item of Object.values(value)) visit(item, onObject);
  }
}

function columnsOf(scan: JsonObject): string[] {
  const names = scan['names'];
  const indexes = scan['column_indexes'];
  if (!Array.isArray(names)) return [];
  const all = names as readonly JsonValue[];
  // Where the list of columns is not understood, all count as read.
  if (!Array.isArray(indexes)) return all.filter((name) => typeof name === 'string');
  return (indexes as readonly JsonValue[]).flatMap((entry) => {
    const index = isJsonObject(entry) ? entry['index'] : undefined;
    const name = typeof index === 'number' ? all[index] : undefined;
    return typeof name === 'string' ? [name] : [];
  });
}

/** The filters of a scan with their columns' names; a filter that is not understood is `undefined`, as is a list that is none. */
export function filtersOf(
  scan: JsonObject,
): readonly (readonly [column: JsonValue | undefined, filter: JsonObject] | undefined)[] | undefined {
  const names = scan['names'];
  const tableFilters = scan['table_filters'];
  const filters = isJsonObject(tableFilters) ? tableFilters['filters'] : undefined;
  if (!Array.isArray(names) || !Array.isArray(filters)) return undefined;
  return (filters as readonly JsonValue[]).map((entry) => {
    if (!isJsonObject(entry) || typeof entry['key'] !== 'number' || !isJsonObject(entry['value'])) return undefined;
    return [(names as readonly JsonValue[])[entry['key']], entry['value']];
  });
}

function rangeOf(scan: JsonObject): ScanRange {
  let range = fullScan;
  for (const entry of filtersOf(scan) ?? []) {
    if (entry === undefined) continue;
    const [column, filter] = entry;
    if (column === '_partition_id') {
      const { interval, list } = boundsOf(filter, 'INTEGER');
      range = { ...range, partitions: interval, ...(list === undefined ? {} : { partitionList: list }) };
    } else if (column === '_offset') {
      range = { ...range, offsets: boundsOf(filter, 'BIGINT').interval };
    } else if (column === '_timestamp') {
      range = { ...range, timestampsMs: toMs(boundsOf(filter, 'TIMESTAMP WITH TIME ZONE').interval) };
    } else if (column === '_key') {
      const keys = keyBoundsOf(filter);
      if (keys !== undefined) range = { ...range, keys };
    }
  }
  return range;
}

function boundsOf(filter: JsonObject, typeId: string): ColumnBounds {
  switch (filter['filter_type']) {
    case 'CONSTANT_COMPARISON':
      return { interval: comparison(filter['comparison_type'], constantOf(filter['constant'], typeId)) };
    case 'IN_FILTER': {
      const values = Array.isArray(filter['values']) ? (filter['values'] as readonly JsonValue[]) : [];
      const constants = values.map((value) => constantOf(value, typeId));
      if (constants.length === 0 || constants.some((constant) => constant === undefined)) return unbounded;
      const list = constants as number[];
      return { interval: list.map((value) => comparison('COMPARE_EQUAL', value)).reduce(hull), list };
    }
    case 'OPTIONAL_FILTER':
      return isJsonObject(filter['child_filter']) ? boundsOf(filter['child_filter'], typeId) : unbounded;
    case 'CONJUNCTION_AND':
      return children(filter, typeId).reduce<ColumnBounds>((all, one) => {
        const list = all.list ?? one.list;
        return { interval: intersect(all.interval, one.interval), ...(list === undefined ? {} : { list }) };
      }, unbounded);
    case 'CONJUNCTION_OR': {
      const parts = children(filter, typeId);
      return parts.length === 0 ? unbounded : { interval: parts.map((part) => part.interval).reduce(hull) };
    }
    case 'EXPRESSION_FILTER':
      return typeId === 'TIMESTAMP WITH TIME ZONE' && isJsonObject(filter['expr']) ? { interval: timesOf(filter['expr']) } : unbounded;
    default:
      return unbounded;
  }
}

function children(filter: JsonObject, typeId: string): ColumnBounds[] {
  const list = filter['child_filters'];
  if (!Array.isArray(list)) return [];
  return (list as readonly JsonValue[]).map((child) => (isJsonObject(child) ? boundsOf(child, typeId) : unbounded));
}

/** A constant's value where it is of the type and not null. */
export function valueOf(value: JsonValue | undefined, typeId: string): JsonValue | undefined {
  if (!isJsonObject(value) || value['is_null'] !== false) return undefined;
  const { type } = value;
  return isJsonObject(type) && type['id'] === typeId ? value['value'] : undefined;
}

export function constantOf(value: JsonValue | undefined, typeId: string): number | undefined {
  const found = valueOf(value, typeId);
  return typeof found === 'number' ? found : undefined;
}

/** Beyond 2^53 JSON has rounded the constant: such a bound opens to the next one that is surely outside. */
export function comparison(operator: JsonValue | undefined, constant: number | undefined): Interval {
  if (constant === undefined) return everything;
  const isExact = Number.isSafeInteger(constant);
  const min = isExact ? constant : constant > 0 ? Number.MAX_SAFE_INTEGER : Number.NEGATIVE_INFINITY;
  const max = isExact ? constant : constant > 0 ? Number.POSITIVE_INFINITY : Number.MIN_SAFE_INTEGER;
  switch (operator) {
    case 'COMPARE_EQUAL':
      return { min, max };
    case 'COMPARE_GREATERTHAN':
      return { min: isExact ? min + 1 : min, max: Number.POSITIVE_INFINITY };
    case 'COMPARE_GREATERTHANOREQUALTO':
      return { min, max: Number.POSITIVE_INFINITY };
    case 'COMPARE_LESSTHAN':
      return { min: Number.NEGATIVE_INFINITY, max: isExact ? max - 1 : max };
    case 'COMPARE_LESSTHANOREQUALTO':
      return { min: Number.NEGATIVE_INFINITY, max };
    default:
      return everything;
  }
}

/**
 * Timestamps lie in the table in whole milliseconds. A stored timestamp that had to be clamped lies beyond any constant that
 * JSON gives exactly (±2^53 µs), so that clamping cannot bring a file on the wrong side of a bound.
 */
function toMs(micros: Interval): Interval {
  return { min: Math.floor(micros.min / 1000), max: Math.floor(micros.max / 1000) };
}
