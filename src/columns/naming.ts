/**
 * How a pair (name, kind) of a JSON value gets its place in the table, and how the pairs of one name are shown as one column
 * in SQL. What the table calls a column is presentation for other engines and depends on what was committed first; what our
 * SQL calls it depends on the set of names alone, so that it is the same for every cut between hot and cold.
 */
import { type ColumnKind, type ColumnPair, columnKinds, type TypedColumn } from './jobs.js';
import { baseColumnNames, firstTypedFieldId } from './schema.js';

/** Above so many typed columns nothing new is added to a table. */
export const maxTypedColumns = 1000;
/** A field with a longer name (UTF-8) contributes nothing. */
export const maxFieldNameBytes = 255;
/** What a field with the empty name is called. */
const emptyName = '_';

/** Iceberg's metadata columns and the columns of its delete files (spec, "Reserved Field IDs"). */
const icebergNames = [
  '_partition',
  '_file',
  '_pos',
  '_deleted',
  '_spec_id',
  '_row_id',
  '_last_updated_sequence_number',
  '_change_type',
  '_change_ordinal',
  '_commit_snapshot_id',
  'file_path',
  'pos',
  'row',
];

const reservedNames: ReadonlySet<string> = new Set([...baseColumnNames, ...icebergNames].map(foldCase));

/**
 * Names are unique without regard to case, by upper and lower case both, since engines fold differently. İ is an i with a dot above in
 * lower case, but engines that compare character by character (Spark) take it for i.
 */
function foldCase(name: string): string {
  return name.toUpperCase().toLowerCase().replaceAll('i\u0307', 'i');
}

/** Orders by code point (UTF-16 order differs above U+FFFF). */
export function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));
}

/** A pair's identity as a key of maps. */
export function pairKey(pair: ColumnPair): string {
  return `${pair.kind}:${pair.name}`;
}

function comparePairs(a: ColumnPair, b: ColumnPair): number {
  return compareCodePoints(a.name, b.name) || columnKinds.indexOf(a.kind) - columnKinds.indexOf(b.kind);
}

/** What a field's column would like to be called: its own name, but for what no engine takes. */
function wishFor(name: string): string {
  return name === '' ? emptyName : name.replaceAll('\0', '_');
}

/** The wish where it is free, else the first of `wish__2`, `wish__3`, … that is; it is taken afterwards. */
function takeName(wish: string, taken: Set<string>): string {
  let name = wish;
  for (let n = 2; taken.has(foldCase(name)); n++) name = `${wish}__${n}`;
  taken.add(foldCase(name));
  return name;
}

/**
 * The name of each field: its own where it is free, the others in code-point order after all that keep theirs.
 * `taken` grows by what is given out.
 */
function nameFields(names: readonly string[], taken: Set<string>): Map<string, string> {
  const given = new Map<string, string>();
  const later: string[] = [];
  for (const name of [...names].sort(compareCodePoints)) {
    if (wishFor(name) !== name || taken.has(foldCase(name))) later.push(name);
    else {
      taken.add(foldCase(name));
      given.set(name, name);
    }
  }
  for (const name of later) given.set(name, takeName(wishFor(name), taken));
  return given;
}

/**
 * Those among `pairs` that these columns lack and a table may still take, in code-point order: at `maxTypedColumns` the rest is left
 * out. The order of `pairs` does not matter.
 */
export function pairsToAdd(existing: readonly ColumnPair[], pairs: readonly ColumnPair[]): ColumnPair[] {
  const known = new Set(existing.map(pairKey));
  const fresh: ColumnPair[] = [];
  for (const pair of pairs) {
    if (known.has(pairKey(pair)) || Buffer.byteLength(pair.name, 'utf8') > maxFieldNameBytes) continue;
    known.add(pairKey(pair));
    fresh.push({ name: pair.name, kind: pair.kind });
  }
  fresh.sort(comparePairs);
  fresh.length = Math.max(0, Math.min(fresh.length, maxTypedColumns - existing.length));
  return fresh;
}

/**
 * The columns that are there, and after them the new ones among `pairs`, with the next field ids. Names: the first kind of a field has
 * the field's name, further ones `<name>__<kind>`; what clashes gets `__2`, `__3`.
 */
export function assignColumns(existing: readonly TypedColumn[], pairs: readonly ColumnPair[]): TypedColumn[] {
  const fresh = pairsToAdd(existing, pairs);
  const taken = new Set([...reservedNames, ...existing.map((column) => foldCase(column.columnName))]);
  const named = new Set(existing.map((column) => column.name));
  const firsts = [...new Set(fresh.map((pair) => pair.name))].filter((name) => !named.has(name));
  const columnNames = nameFields(firsts, taken);
  let fieldId = existing.reduce((highest, column) => Math.max(highest, column.fieldId), firstTypedFieldId - 1);
  const added = fresh.map((pair) => {
    const own = named.has(pair.name) ? undefined : columnNames.get(pair.name);
    named.add(pair.name);
    const columnName = own ?? takeName(`${wishFor(pair.name)}__${pair.kind}`, taken);
    return { ...pair, fieldId: ++fieldId, columnName };
  });
  return [...existing, ...added];
}

export type SqlType = 'BIGINT' | 'DOUBLE' | 'BOOLEAN' | 'VARCHAR';

/** One column of the SQL view: all kinds of one field. */
export interface PresentedColumn {
  /** As SQL knows it. */
  readonly name: string;
  /** The field's name in the JSON value. */
  readonly fieldName: string;
  readonly kinds: readonly ColumnKind[];
  readonly sqlType: SqlType;
  /** The column as SQL over the physical columns, of which at most one is not null in a row. */
  expression(physicalColumnRef: (pair: ColumnPair) => string): string;
}

const sqlTypeOfKind: Readonly<Record<ColumnKind, SqlType>> = { long: 'BIGINT', double: 'DOUBLE', bool: 'BOOLEAN', text: 'VARCHAR' };

/** DuckDB's type of a physical column of that kind. */
export function sqlTypeOf(kind: ColumnKind): SqlType {
  return sqlTypeOfKind[kind];
}

function mixedType(kinds: readonly ColumnKind[]): SqlType {
  if (kinds.length === 1) return sqlTypeOfKind[kinds[0] as ColumnKind];
  return kinds.every((kind) => kind === 'long' || kind === 'double') ? 'DOUBLE' : 'VARCHAR';
}

/** A value of a kind as the text it has in JSON (for a text: the text itself, as in a column that holds only texts). */
function asText(kind: ColumnKind, ref: string): string {
  if (kind === 'text') return ref;
  return kind === 'double' ? `to_json(${ref})::VARCHAR` : `${ref}::VARCHAR`;
}

/**
 * One column per field, in code-point order, from the pairs of table and tail together (repetitions do no harm): its name
 * and type are a function of the set of pairs. A bare coalesce over different types would err or round, so each is cast.
 */
export function presentColumns(pairs: readonly ColumnPair[]): PresentedColumn[] {
  const kindsByName = new Map<string, Set<ColumnKind>>();
  for (const { name, kind } of pairs) {
    const kinds = kindsByName.get(name);
    if (kinds === undefined) kindsByName.set(name, new Set([kind]));
    else kinds.add(kind);
  }
  const names = nameFields([...kindsByName.keys()], new Set(reservedNames));
  return [...kindsByName.keys()].sort(compareCodePoints).map((fieldName) => {
    const present = kindsByName.get(fieldName) as Set<ColumnKind>;
    const kinds = columnKinds.filter((kind) => present.has(kind));
    const sqlType = mixedType(kinds);
    return {
      name: names.get(fieldName) as string,
      fieldName,
      kinds,
      sqlType,
      expression: (physicalColumnRef) => {
        const refs = kinds.map((kind) => ({ kind, ref: physicalColumnRef({ name: fieldName, kind }) }));
        if (refs.length === 1) return (refs[0] as { ref: string }).ref;
        const parts = refs.map(({ kind, ref }) => (sqlType === 'DOUBLE' ? `${ref}::DOUBLE` : asText(kind, ref)));
        return `coalesce(${parts.join(', ')})`;
      },
    };
  });
}
