/**
 * Questions for the first or last rows: `LIMIT n`, `ORDER BY _offset DESC LIMIT n`, `ORDER BY _timestamp LIMIT n` of one topic. Which
 * files can hold them follows from what is known of each without opening it: bounds and number of rows.
 */
import type { ScanRange } from './ranges.js';
import { isJsonObject, type JsonObject, type JsonValue, tableOf } from './scan-plan.js';

export interface ScanHead {
  /** Rows that count, those passed over by OFFSET included. */
  readonly rows: number;
  /** By which column first; any rows will do without it. */
  readonly order?: { readonly column: '_offset' | '_timestamp'; readonly isDescending: boolean };
}

/** What the records route reads: all of it counts, in order of partition and offset, or of time. */
export interface RecordsScan extends ScanRange {
  readonly head?: ScanHead;
}

/** More is no question for a few rows: the scan decides. */
const headRowsMax = 1_000_000;

/**
 * The head that a plan asks of the only table it scans, where nothing stands between the two that drops, joins or adds rows, and
 * every row of a file that its partition lets through counts. `undefined` for any other plan.
 */
export function headOf(plan: JsonValue): { readonly table: string; readonly head: ScanHead } | undefined {
  const plans = isJsonObject(plan) ? plan['plans'] : undefined;
  if (!Array.isArray(plans) || plans.length !== 1) return undefined;
  let node: JsonValue | undefined = (plans as readonly JsonValue[])[0];
  while (isJsonObject(node) && node['type'] === 'LOGICAL_PROJECTION') node = onlyChild(node);
  if (!isJsonObject(node)) return undefined;
  const rows = node['type'] === 'LOGICAL_TOP_N' ? countOf(node['limit'], node['offset']) : limitOf(node);
  if (rows === undefined || rows > headRowsMax) return undefined;
  const orders = Array.isArray(node['orders']) ? (node['orders'] as readonly JsonValue[]) : [];
  const first = orders[0];
  let column = isJsonObject(first) ? referenceOf(first['expression']) : undefined;
  if (node['type'] === 'LOGICAL_TOP_N' && (column === undefined || !isJsonObject(first) || first['null_order'] !== 'NULLS LAST'))
    return undefined;
  let child = onlyChild(node);
  while (isJsonObject(child) && child['type'] === 'LOGICAL_PROJECTION') {
    if (column !== undefined) {
      const expressions: JsonValue | undefined = child['expressions'];
      column = referenceOf(Array.isArray(expressions) ? (expressions as readonly JsonValue[])[column] : undefined);
      if (column === undefined) return undefined;
    }
    child = onlyChild(child);
  }
  if (!isJsonObject(child) || !countsWhole(child)) return undefined;
  const table = tableOf(child);
  if (table === undefined) return undefined;
  if (column === undefined) return { table, head: { rows } };
  const name = columnName(child, column);
  if (name !== '_offset' && name !== '_timestamp') return undefined;
  const isDescending = isJsonObject(first) && first['type'] === 'DESCENDING';
  if (!isDescending && !(isJsonObject(first) && first['type'] === 'ASCENDING')) return undefined;
  return { table, head: { rows, order: { column: name, isDescending } } };
}

export function onlyChild(node: JsonObject): JsonValue | undefined {
  const list = node['children'];
  return Array.isArray(list) && list.length === 1 ? (list as readonly JsonValue[])[0] : undefined;
}

function countOf(limit: JsonValue | undefined, offset: JsonValue | undefined): number | undefined {
  return typeof limit === 'number' && typeof offset === 'number' ? limit + offset : undefined;
}

function limitOf(node: JsonObject): number | undefined {
  if (node['type'] !== 'LOGICAL_LIMIT') return undefined;
  const [limit, offset] = [node['limit_val'], node['offset_val']];
  if (!isJsonObject(limit) || !isJsonObject(offset) || limit['type'] !== 'CONSTANT_VALUE') return undefined;
  if (offset['type'] !== 'UNSET' && offset['type'] !== 'CONSTANT_VALUE') return undefined;
  return countOf(limit['constant_integer'], offset['constant_integer']);
}

export function referenceOf(expression: JsonValue | undefined): number | undefined {
  return isJsonObject(expression) && expression['type'] === 'BOUND_REF' && typeof expression['index'] === 'number'
    ? expression['index']
    : undefined;
}

/** Whether its filters are on the partition alone, which is one throughout a file, or the optimizer's own for a TOP N. */
function countsWhole(scan: JsonObject): boolean {
  const tableFilters = scan['table_filters'];
  const filters = isJsonObject(tableFilters) ? tableFilters['filters'] : undefined;
  const names = scan['names'];
  if (!Array.isArray(filters) || !Array.isArray(names)) return false;
  return (filters as readonly JsonValue[]).every((entry) => {
    if (!isJsonObject(entry) || typeof entry['key'] !== 'number' || !isJsonObject(entry['value'])) return false;
    const { filter_type: kind, child_filter: inner, comparison_type: comparison, constant } = entry['value'];
    if (kind === 'OPTIONAL_FILTER') return isJsonObject(inner) && inner['filter_type'] === 'DYNAMIC_FILTER';
    const isEqual =
      kind === 'CONSTANT_COMPARISON' && comparison === 'COMPARE_EQUAL' && isJsonObject(constant) && typeof constant['value'] === 'number';
    return isEqual && (names as readonly JsonValue[])[entry['key']] === '_partition_id';
  });
}

export function columnName(scan: JsonObject, reference: number): string | undefined {
  const { projection_ids: projected, column_indexes: indexes, names } = scan;
  if (!Array.isArray(projected) || !Array.isArray(indexes) || !Array.isArray(names)) return undefined;
  const at = projected.length === 0 ? reference : (projected as readonly JsonValue[])[reference];
  const entry = typeof at === 'number' ? (indexes as readonly JsonValue[])[at] : undefined;
  const index = isJsonObject(entry) ? entry['index'] : undefined;
  const name = typeof index === 'number' ? (names as readonly JsonValue[])[index] : undefined;
  return typeof name === 'string' ? name : undefined;
}
