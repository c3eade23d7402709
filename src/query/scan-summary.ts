/**
 * Scans whose rows are only counted, or looked at for their smallest and largest offset and time: of a cold file that counts whole,
 * the table's metadata says as much as the file does.
 */
import { everything, type Interval, intersect, type ScanRange } from './ranges.js';
import { columnName, onlyChild, referenceOf } from './scan-head.js';
import { comparison, constantOf, filtersOf, isJsonObject, type JsonObject, type JsonValue, tableOf, visit } from './scan-plan.js';

export interface ScanSummary {
  /** Else the smallest and the largest are enough, however many rows there are. */
  readonly counts: boolean;
  /** Per scan of the plan, in its order: what its filters surely let through; `null` where that is not known. */
  readonly inner: readonly (ScanRange | null)[];
}

type SummaryColumn = '_partition_id' | '_offset' | '_timestamp';
type Bounds = { readonly interval: Interval; readonly list?: readonly number[] };

const all: Bounds = { interval: everything };
const typeOf: Readonly<Record<SummaryColumn, string>> = {
  _partition_id: 'INTEGER',
  _offset: 'BIGINT',
  _timestamp: 'TIMESTAMP WITH TIME ZONE',
};

/** By the scan's node: whether the aggregate right above it, through projections at most, counts. Others are not in the answer. */
export function summarizedScans(plan: JsonValue): ReadonlyMap<JsonObject, { readonly counts: boolean }> {
  const found = new Map<JsonObject, { readonly counts: boolean }>();
  visit(plan, (node) => {
    const below = node['type'] === 'LOGICAL_AGGREGATE_AND_GROUP_BY' ? scanBelow(node) : undefined;
    if (below !== undefined) found.set(below.scan, { counts: below.counts });
  });
  return found;
}

function scanBelow(aggregate: JsonObject): { readonly scan: JsonObject; readonly counts: boolean } | undefined {
  const { expressions, groups } = aggregate;
  if (!Array.isArray(expressions) || !Array.isArray(groups)) return undefined;
  const projections: JsonObject[] = [];
  let node = onlyChild(aggregate);
  while (isJsonObject(node) && node['type'] === 'LOGICAL_PROJECTION') {
    projections.push(node);
    node = onlyChild(node);
  }
  if (!isJsonObject(node) || tableOf(node) === undefined) return undefined;
  const scan = node;
  const extra = scan['extra_info'];
  if (!isJsonObject(extra) || extra['sample_options'] !== null) return undefined;
  const columnOf = (expression: JsonValue | undefined): SummaryColumn | undefined => {
    let reference = referenceOf(expression);
    for (const projection of projections) {
      const list = projection['expressions'];
      if (reference === undefined || !Array.isArray(list)) return undefined;
      reference = referenceOf((list as readonly JsonValue[])[reference]);
    }
    const name = reference === undefined ? undefined : columnName(scan, reference);
    return name !== undefined && isSummaryColumn(name) ? name : undefined;
  };
  if (!(groups as readonly JsonValue[]).every((group) => columnOf(group) === '_partition_id')) return undefined;
  let counts = false;
  for (const expression of expressions as readonly JsonValue[]) {
    if (!isJsonObject(expression) || expression['type'] !== 'BOUND_AGGREGATE' || expression['filter'] !== null) return undefined;
    if (expression['aggregate_type'] !== 'NON_DISTINCT' || expression['order_bys'] !== null) return undefined;
    const { name, children } = expression;
    const given = Array.isArray(children) ? (children as readonly JsonValue[]) : [];
    if (name === 'count_star' && given.length === 0) counts = true;
    else if (name === 'count' && given.length === 1 && (isConstant(given[0]) || columnOf(given[0]) !== undefined)) counts = true;
    else if ((name !== 'min' && name !== 'max') || given.length !== 1 || columnOf(given[0]) === undefined) return undefined;
  }
  return { scan, counts };
}

function isSummaryColumn(name: string): name is SummaryColumn {
  return Object.hasOwn(typeOf, name);
}

function isConstant(expression: JsonValue | undefined): boolean {
  if (!isJsonObject(expression) || expression['type'] !== 'VALUE_CONSTANT') return false;
  const value = expression['value'];
  return isJsonObject(value) && value['is_null'] === false;
}

/** What the scan's filters surely let through, of rows that have partition, offset and time; `null` where that is not known. */
export function innerRangeOf(scan: JsonObject): ScanRange | null {
  const filters = filtersOf(scan);
  if (filters === undefined) return null;
  const bounds = { _partition_id: all, _offset: all, _timestamp: all };
  for (const entry of filters) {
    if (entry === undefined) return null;
    const [column, filter] = entry;
    if (typeof column !== 'string' || !isSummaryColumn(column)) return null;
    const inner = innerOf(filter, column);
    const both = inner === undefined ? undefined : and(bounds[column], inner);
    if (both === undefined) return null;
    bounds[column] = both;
  }
  const { _partition_id: partitions, _offset: offsets, _timestamp: micros } = bounds;
  return {
    partitions: partitions.interval,
    ...(partitions.list === undefined ? {} : { partitionList: partitions.list }),
    offsets: offsets.interval,
    timestampsMs: { min: Math.ceil(micros.interval.min / 1000), max: Math.floor(micros.interval.max / 1000) },
  };
}

function innerOf(filter: JsonObject, column: SummaryColumn): Bounds | undefined {
  switch (filter['filter_type']) {
    case 'CONSTANT_COMPARISON':
      return innerComparison(filter['comparison_type'], constantOf(filter['constant'], typeOf[column]));
    case 'IN_FILTER': {
      if (column !== '_partition_id' || !Array.isArray(filter['values'])) return undefined;
      const list = (filter['values'] as readonly JsonValue[]).flatMap((value) => constantOf(value, typeOf[column]) ?? []);
      return { interval: all.interval, list };
    }
    case 'CONJUNCTION_AND': {
      const children = filter['child_filters'];
      if (!Array.isArray(children)) return undefined;
      return (children as readonly JsonValue[]).reduce<Bounds | undefined>((sofar, child) => {
        const inner = isJsonObject(child) ? innerOf(child, column) : undefined;
        return sofar === undefined || inner === undefined ? undefined : and(sofar, inner);
      }, all);
    }
    // What may be left out decides nothing.
    case 'OPTIONAL_FILTER':
    case 'IS_NOT_NULL':
      return all;
    default:
      return undefined;
  }
}

function and(a: Bounds, b: Bounds): Bounds {
  const { list } = b;
  const both = a.list === undefined ? list : list === undefined ? a.list : a.list.filter((value) => list.includes(value));
  return { interval: intersect(a.interval, b.interval), ...(both === undefined ? {} : { list: both }) };
}

/** A constant that JSON has rounded says nothing here. */
function innerComparison(operator: JsonValue | undefined, constant: number | undefined): Bounds | undefined {
  if (constant === undefined || !Number.isSafeInteger(constant)) return undefined;
  const interval = comparison(operator, constant);
  return interval === everything ? undefined : { interval };
}
