/**
 * The SQL text of a topic's view: cold files and tail chunks of one lease as one table. Cold files and encoded chunks hold their
 * typed columns, raw chunks compute them by the same expression, and above all stands one presentation, so that a row looks the
 * same wherever it lies.
 */
import {
  baseColumns,
  type Column,
  type ColumnPair,
  type PresentedColumn,
  pairKey,
  presentColumns,
  quoteName,
  quoteText,
  readSchemaMap,
  sqlTypeOf,
  type TypedColumn,
  type TypedOutput,
  typedSelect,
  duckType,
  onlyKindsOf,
  tableColumns,
  untypedSelect,
} from '../columns/index.js';
import type { Offset, PartitionId } from '../kernel/index.js';
import { type AnsweredFiles, countedBranches } from './answered-files.js';
import type { ColdNeed } from './cold/need.js';
import { latestSchema } from './latest.js';
import type { SelectedFile } from './lease.js';
import type { PinnedColumns } from './pin.js';
import type { ScanRange } from './ranges.js';

/** A file of a lease, and which of its offsets count where not all do; of one with several partitions, each with what counts of it. */
export interface LeasedFile {
  /** As SQL names it. */
  readonly path: string;
  readonly partition: PartitionId;
  readonly bounds?: { readonly from: Offset; readonly end: Offset };
  /** Of a file of which some rows were hot in the answer that is repeated: those that were not, or those that were. */
  readonly part?: 'stored' | 'reformed';
  /** Of an encoded chunk of the tail: its own columns. */
  readonly typedColumns?: readonly TypedColumn[];
  /** Of a raw chunk: what its values hold. */
  readonly staged?: { readonly pairs: readonly ColumnPair[]; readonly isFinite: boolean };
  /** Its values may have fields for which such a chunk has no column. */
  readonly lacksColumns?: boolean;
}

export interface ViewSource {
  readonly name: string;
  readonly columns: PinnedColumns;
  readonly cold: readonly LeasedFile[];
  readonly tail: readonly LeasedFile[];
  /** In the place of cold files that need not be read. */
  readonly answered?: AnsweredFiles;
  /** `lake.value.format` lets values contribute columns. */
  readonly isTyped: boolean;
  /** Columns a query can look at, where that is known: others are null, which costs nothing. */
  readonly used?: ReadonlySet<string>;
}

/** After the typed columns, in this order. */
export const viewBase = ['_key', '_timestamp', '_partition_id', '_offset', '_headers', '_value'] as const;
/** For the records route: what SQL does not show. */
const hiddenBase = ['_timestamp_raw'] as const;

type BaseName = (typeof viewBase)[number] | (typeof hiddenBase)[number];

/** Functions of ours. `text(b)` is null where the bytes are not UTF-8. */
export const viewPrelude: readonly string[] = ['CREATE MACRO text(b) AS TRY(decode(b))', `CREATE SCHEMA ${latestSchema}`];

function baseType(name: BaseName): string {
  const column = baseColumns.find((candidate) => candidate.name === name);
  if (column === undefined) throw new Error(`no base column ${name}`);
  return duckType(column);
}

export function presented(columns: PinnedColumns): PresentedColumn[] {
  // A name with a NUL cannot be written in SQL.
  return presentColumns([...columns.table, ...columns.extra]).filter((column) => !column.name.includes('\0'));
}

/** An empty table with the columns of the view, for analysis. */
export function analysisTable(
  name: string,
  columns: PinnedColumns,
): { readonly name: string; readonly create: string; readonly drop: string } {
  const definitions = [
    ...presented(columns).map((column) => `${quoteName(column.name)} ${column.sqlType}`),
    ...viewBase.map((base) => `${base} ${baseType(base)}`),
  ];
  return { name, create: `CREATE TABLE main.${quoteName(name)} (${definitions.join(', ')})`, drop: `DROP TABLE main.${quoteName(name)}` };
}

/** `CREATE VIEW` over the files of the lease. */
export function topicView(source: ViewSource): string {
  const columns = presented(source.columns).filter((column) => source.used === undefined || source.used.has(column.name));
  const pairs = columns.flatMap((column) => column.kinds.map((kind): ColumnPair => ({ name: column.fieldName, kind })));
  const physical = new Map(pairs.map((pair, at) => [pairKey(pair), `p${at}`]));
  const nameOf = (pair: ColumnPair): string => physical.get(pairKey(pair)) ?? 'NULL';
  // Each column more costs, even where its values are not read. One is needed to count rows by.
  const base = viewBase.filter((name) => source.used === undefined || source.used.has(name) || name === '_offset');
  const branches = [
    ...grouped(source.cold).map((files) => {
      const { table, isTableFull } = source.columns;
      if (files[0]?.part !== 'reformed') return typedBranch(files, table, pairs, nameOf, base, source.isTyped && isTableFull);
      return source.isTyped ? completedBranch(files, table, pairs, nameOf, base) : typedBranch(files, [], pairs, nameOf, base);
    }),
    ...alike(source.tail, pairs)
      .flatMap(grouped)
      .map((files) => {
        const { typedColumns, lacksColumns = false } = files[0] as LeasedFile;
        return typedColumns === undefined
          ? rawBranch(files, pairs, nameOf, source.isTyped, base)
          : typedBranch(files, typedColumns, pairs, nameOf, base, lacksColumns);
      }),
    ...(source.answered === undefined ? [] : answeredBranches(source.answered, pairs, nameOf, base)),
  ];
  if (branches.length === 0) branches.push(emptyBranch(pairs, nameOf, base));
  const used = new Set(columns.map((column) => column.name));
  const items = [
    ...presented(source.columns).map((column) => {
      const expression = used.has(column.name) ? column.expression(nameOf) : `NULL::${column.sqlType}`;
      return `${expression} AS ${quoteName(column.name)}`;
    }),
    ...viewBase.map((name) => (base.includes(name) ? name : `NULL::${baseType(name)} AS ${name}`)),
  ];
  return `CREATE VIEW main.${quoteName(source.name)} AS SELECT ${items.join(', ')} FROM (${branches.join(' UNION ALL ')})`;
}

/** What the view of a topic reads of a cold file. */
export function topicNeed(ranges: readonly ScanRange[], columns: PinnedColumns, used: ReadonlySet<string> | undefined): ColdNeed {
  const typed = new Map(columns.table.map((column) => [pairKey(column), column.fieldId]));
  const isUsed = (name: string): boolean => used === undefined || used.has(name);
  const pairs = presented(columns)
    .filter((column) => isUsed(column.name))
    .flatMap((column) => column.kinds.map((kind): ColumnPair => ({ name: column.fieldName, kind })));
  const isFromValue = columns.isTableFull && pairs.some((pair) => !typed.has(pairKey(pair)));
  const base = viewBase.filter((name) => isUsed(name) || (isFromValue && name === '_value'));
  const ids = [...baseIds(base), ...pairs.flatMap((pair) => typed.get(pairKey(pair)) ?? [])];
  return { ranges, columns: new Set(ids) };
}

/** Whether a query looks at columns that come from values. */
export function readsTypedColumns(columns: PinnedColumns, used: ReadonlySet<string> | undefined): boolean {
  return used === undefined || presented(columns).some(({ name }) => used.has(name));
}

/** What is needed of one file: of some the places of rows, of some the values. */
export function needOf(
  need: ColdNeed,
  { bounds, reformedFrom }: Partial<Pick<SelectedFile, 'bounds' | 'reformedFrom'>>,
  isTyped: boolean,
): ColdNeed {
  const isReformed = reformedFrom !== undefined;
  const values = isReformed && isTyped && need.columns !== undefined ? { columns: new Set([...need.columns, ...baseIds(['_value'])]) } : {};
  return { ...need, ...values, isCut: bounds !== undefined || isReformed };
}

/** What the view of the records route reads of one. */
export function recordsNeed(ranges: readonly ScanRange[]): ColdNeed {
  return { ranges, columns: new Set(baseIds([...viewBase, ...hiddenBase])) };
}

function baseIds(names: readonly BaseName[]): number[] {
  return baseColumns.filter((column) => names.some((name) => name === column.name)).map((column) => column.fieldId);
}

/** The view of the records route: no typed columns, the exact timestamp. */
export function recordsView(source: ViewSource): string {
  // Not as one list: a chunk that begins below the boundary must not count by the bounds of a cold file.
  const groups = [...grouped(source.cold), ...grouped(source.tail)];
  const base = [...viewBase, ...hiddenBase];
  const branches = groups.map((files) => typedBranch(files, [], [], () => 'NULL', base));
  if (branches.length === 0) branches.push(emptyBranch([], () => 'NULL', base));
  const items = [...viewBase, 'coalesce(_timestamp_raw, epoch_ms(_timestamp)) AS _timestamp_ms'];
  return `CREATE VIEW main.${quoteName(source.name)} AS SELECT ${items.join(', ')} FROM (${branches.join(' UNION ALL ')})`;
}

/** Files that count whole, and files of which only some offsets do; apart those that stand in two groups with different ones. */
function grouped(files: readonly LeasedFile[]): (readonly LeasedFile[])[] {
  const plain = files.filter(({ part }) => part === undefined);
  return [
    plain.filter(({ bounds }) => bounds === undefined),
    plain.filter(({ bounds }) => bounds !== undefined),
    files.filter(({ part }) => part === 'stored'),
    files.filter(({ part }) => part === 'reformed'),
  ].filter((group) => group.length > 0);
}

/** Files of the tail by where they have the columns asked for: in most topics all encoded chunks are alike. */
function alike(files: readonly LeasedFile[], pairs: readonly ColumnPair[]): (readonly LeasedFile[])[] {
  const groups = new Map<string, LeasedFile[]>();
  for (const file of files) {
    const ids = new Map(file.typedColumns?.map((column) => [pairKey(column), column.fieldId]));
    const at = pairs.map((pair) => ids.get(pairKey(pair)) ?? '').join();
    const key = file.typedColumns === undefined ? 'raw' : `${file.lacksColumns === true ? 'some ' : ''}${at}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [file]);
    else group.push(file);
  }
  return [...groups.values()];
}

/** The columns of ours that a branch reads: those it gives, and those that it looks at itself. */
function baseOf(files: readonly LeasedFile[], base: readonly BaseName[], more: readonly BaseName[] = []): Column[] {
  const bounded: readonly BaseName[] = files.some((file) => file.bounds !== undefined) ? ['_partition_id', '_offset'] : [];
  const names = new Set<string>([...base, ...bounded, ...more]);
  return baseColumns.filter((column) => names.has(column.name));
}

function fileList(files: readonly LeasedFile[]): string {
  return `[${[...new Set(files.map(({ path }) => quoteText(path)))].join(', ')}]`;
}

function boundsClause(files: readonly LeasedFile[]): string {
  const terms = files.flatMap(({ partition, bounds }) =>
    bounds === undefined ? [] : [`(_partition_id = ${partition} AND _offset >= ${bounds.from} AND _offset < ${bounds.end})`],
  );
  return terms.length === 0 ? '' : ` WHERE ${[...new Set(terms)].join(' OR ')}`;
}

/**
 * Files that hold typed columns. A column that none of them has is null, or, where such files leave out columns, computed from the
 * values.
 */
function typedBranch(
  files: readonly LeasedFile[],
  tableColumnList: readonly TypedColumn[],
  pairs: readonly ColumnPair[],
  nameOf: (pair: ColumnPair) => string,
  base: readonly BaseName[],
  leavesOut = false,
): string {
  const columnOf = new Map(tableColumnList.map((column) => [pairKey(column), column]));
  const stored = pairs.flatMap((pair) => columnOf.get(pairKey(pair)) ?? []);
  const pairOfField = new Map(stored.map((column) => [column.fieldId, nameOf(column)]));
  const typedFields = tableColumns(stored).slice(baseColumns.length);
  const computed = leavesOut ? pairs.filter((pair) => !columnOf.has(pairKey(pair))) : [];
  const read = baseOf(files, base, computed.length > 0 ? ['_value'] : []);
  const schema = readSchemaMap([...read, ...typedFields], (column) => pairOfField.get(column.fieldId) ?? column.name);
  const rows = `FROM read_parquet(${fileList(files)}, schema = ${schema})${boundsClause(files)}`;
  if (computed.length > 0) {
    const outputs = computed.map((pair): TypedOutput => ({ ...pair, as: nameOf(pair) }));
    const keep = [...base, ...stored.map(nameOf)];
    const all = typedSelect(outputs, { from: `(SELECT * ${rows})`, value: '_value', keep });
    return `SELECT ${[...base, ...pairs.map(nameOf)].join(', ')} FROM (${all})`;
  }
  const typed = pairs.map((pair) => (columnOf.has(pairKey(pair)) ? nameOf(pair) : `NULL::${sqlTypeOf(pair.kind)} AS ${nameOf(pair)}`));
  const items = [...base, ...typed];
  return `SELECT ${items.join(', ')} ${rows}`;
}

/** Files some rows of which were stored without their typed columns: of those, which have none, they are computed from the values. */
function completedBranch(
  files: readonly LeasedFile[],
  tableColumnList: readonly TypedColumn[],
  pairs: readonly ColumnPair[],
  nameOf: (pair: ColumnPair) => string,
  base: readonly BaseName[],
): string {
  const keys = new Set(pairs.map(pairKey));
  const stored = tableColumnList.filter((column) => keys.has(pairKey(column)));
  const storedName = (pair: ColumnPair): string => `stored_${nameOf(pair)}`;
  const nameOfField = new Map(stored.map((column) => [column.fieldId, storedName(column)]));
  const read = baseOf(files, base, ['_value']);
  const schema = readSchemaMap(
    [...read, ...tableColumns(stored).slice(baseColumns.length)],
    (column) => nameOfField.get(column.fieldId) ?? column.name,
  );
  const from = `(SELECT * FROM read_parquet(${fileList(files)}, schema = ${schema})${boundsClause(files)})`;
  const isStored = stored.map((column) => `${storedName(column)} IS NOT NULL`).join(' OR ');
  const value = stored.length === 0 ? '_value' : `CASE WHEN ${isStored} THEN NULL ELSE _value END`;
  const outputs = pairs.map((pair): TypedOutput => ({ ...pair, as: nameOf(pair) }));
  const all = typedSelect(outputs, { from, value, keep: [...base, ...stored.map(storedName)] });
  const has = new Set(stored.map(pairKey));
  const typed = pairs.map((pair) =>
    has.has(pairKey(pair)) ? `coalesce(${storedName(pair)}, ${nameOf(pair)}) AS ${nameOf(pair)}` : nameOf(pair),
  );
  return `SELECT ${[...base, ...typed].join(', ')} FROM (${all})`;
}

/** Files of raw columns: typed ones are computed from the values. */
function rawBranch(
  files: readonly LeasedFile[],
  pairs: readonly ColumnPair[],
  nameOf: (pair: ColumnPair) => string,
  isTyped: boolean,
  base: readonly BaseName[],
): string {
  const held = files.flatMap((file) => file.staged?.pairs ?? []);
  const keys = new Set(held.map(pairKey));
  const present = isTyped ? pairs.filter((pair) => keys.has(pairKey(pair))) : [];
  const schema = readSchemaMap(baseOf(files, base, present.length > 0 ? ['_value'] : []));
  const from = `(SELECT * FROM read_parquet(${fileList(files)}, schema = ${schema})${boundsClause(files)})`;
  const outputs = (of: readonly ColumnPair[]): TypedOutput[] => of.map((pair) => ({ ...pair, as: nameOf(pair) }));
  const source = { from, value: '_value', keep: [...base] };
  if (present.length === 0) return untypedSelect(outputs(pairs), source);
  // The fewer kinds a field may be of, the less there is to plan and to run.
  const onlyKinds = files.every((file) => file.staged?.isFinite === true) ? onlyKindsOf(held) : undefined;
  const rows = typedSelect(outputs(present), source, onlyKinds);
  if (present.length === pairs.length) return rows;
  const typed = pairs.map((pair) => (keys.has(pairKey(pair)) ? nameOf(pair) : `NULL::${sqlTypeOf(pair.kind)} AS ${nameOf(pair)}`));
  return `SELECT ${[...base, ...typed].join(', ')} FROM (${rows})`;
}

/** All but partition, offset and time is null: nothing looks at it. */
function answeredBranches(
  answered: AnsweredFiles,
  pairs: readonly ColumnPair[],
  nameOf: (pair: ColumnPair) => string,
  base: readonly BaseName[],
): string[] {
  const typed = pairs.map((pair) => `NULL::${sqlTypeOf(pair.kind)} AS ${nameOf(pair)}`);
  return countedBranches(answered, ({ partition, offset, timestamp }) => {
    const known: Partial<Record<BaseName, string>> = { _partition_id: partition, _offset: offset, _timestamp: timestamp };
    return [...base.map((name) => `${known[name] ?? `NULL::${baseType(name)}`} AS ${name}`), ...typed].join(', ');
  });
}

function emptyBranch(pairs: readonly ColumnPair[], nameOf: (pair: ColumnPair) => string, base: readonly BaseName[]): string {
  const untyped = base.map((name) => `NULL::${baseType(name)} AS ${name}`);
  const typed = pairs.map((pair) => `NULL::${sqlTypeOf(pair.kind)} AS ${nameOf(pair)}`);
  return `SELECT ${[...untyped, ...typed].join(', ')} WHERE false`;
}
