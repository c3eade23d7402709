/**
 * The one definition of a typed column: SQL over the bytes of a value. The encoder's COPY evaluates it into the file, the
 * tail's view evaluates the same text at query time, so hot and cold cannot differ; `scanner.ts` foretells which pairs it
 * will find.
 *
 * A value that is a JSON object (UTF-8; as DuckDB reads JSON, that is with trailing commas and NaN allowed) contributes each
 * top-level field, the first of duplicate names, by what it is:
 *
 * | in the value                           | kind   | as                                      |
 * |----------------------------------------|--------|-----------------------------------------|
 * | integer within 64 bits                 | long   | 1, −0 as 0                              |
 * | number with fraction or exponent       | double | 1.0, 1e3, the nearest double, −0.0 as 0.0 |
 * | true, false                            | bool   |                                         |
 * | string                                 | text   | unescaped                               |
 * | object, array                          | text   | its JSON text without white space       |
 * | number no long and no double can hold  | text   | its digits: 9223372036854775808, 1e400  |
 * | null, NaN, Infinity                    | none   |                                         |
 */
import type { ColumnKind, ColumnPair } from './jobs.js';
import { sqlTypeOf } from './naming.js';
import { quoteName, quoteText } from './schema.js';

/** A typed column to compute, and what it shall be called in the result. */
export interface TypedOutput extends ColumnPair {
  readonly as: string;
}

/** Only what may begin a JSON object reaches the parser: a value it refuses costs microseconds. */
function objectBytes(valueRef: string): string {
  return (
    `CASE WHEN (${valueRef} >= '{'::BLOB AND ${valueRef} < '|'::BLOB) OR (${valueRef} >= '\\x09'::BLOB AND ${valueRef} < '\\x0E'::BLOB)` +
    ` OR (${valueRef} >= ' '::BLOB AND ${valueRef} < '!'::BLOB) THEN ${valueRef} END`
  );
}

/** The fields asked for, each as the type given, or as the JSON text it has in the value. */
function fieldsExpression(names: readonly string[], typeOf: (name: string) => string, valueRef: string): string {
  const structure = `{${names.map((name) => `${JSON.stringify(name)}:"${typeOf(name)}"`).join(',')}}`;
  return `TRY(from_json(TRY(decode(${objectBytes(valueRef)})), ${quoteText(structure)}))`;
}

/** JSON texts of numbers begin with a digit or a minus; nothing else lies between '-' and ':'. */
function isNumber(json: string): string {
  return `${json} >= '-' AND ${json} < ':'`;
}

function isDecimal(json: string): string {
  return `(contains(${json}, '.') OR contains(${json}, 'e') OR contains(${json}, 'E'))`;
}

/** Zero without a sign: in a Parquet file both zeros may share one entry of a dictionary, and either would come back as the other. */
function unsignedZero(double: string): string {
  return `${double} + 0::DOUBLE`;
}

const expressionOfKind: Readonly<Record<ColumnKind, (json: string) => string>> = {
  long: (json) => `CASE WHEN ${isNumber(json)} AND NOT ${isDecimal(json)} THEN TRY_CAST(${json} AS BIGINT) END`,
  double: (json) =>
    `CASE WHEN ${isNumber(json)} AND ${isDecimal(json)} AND isfinite(TRY_CAST(${json} AS DOUBLE)) THEN ${unsignedZero(`TRY_CAST(${json} AS DOUBLE)`)} END`,
  bool: (json) => `CASE WHEN ${json} = 'true' THEN true WHEN ${json} = 'false' THEN false END`,
  text: (json) =>
    `CASE WHEN ${json} < '#' THEN CASE WHEN contains(${json}, '\\') THEN ${json}::JSON->>'$' ELSE substr(${json}, 2, length(${json}) - 2) END` +
    ` WHEN starts_with(${json}, '{') OR starts_with(${json}, '[') THEN ${json}` +
    ` WHEN ${isNumber(json)} AND NOT contains(lower(${json}), 'n') AND NOT coalesce(` +
    `CASE WHEN ${isDecimal(json)} THEN isfinite(TRY_CAST(${json} AS DOUBLE)) ELSE TRY_CAST(${json} AS BIGINT) IS NOT NULL END, false)` +
    ` THEN ${json} END`,
};

/**
 * The same where every value of a field that is of any kind is of this one, and none is NaN or Infinity: then the parser may
 * convert it at once, without the detour of a JSON text, and gives what the definition gives. An infinity of the parser's own
 * making would be a number that no double can hold, which is of another kind; it is kept out all the same.
 */
const expressionOfOnlyKind: Readonly<Record<ColumnKind, (field: string) => string>> = {
  long: (field) => field,
  double: (field) => `CASE WHEN isfinite(${field}) THEN ${unsignedZero(field)} END`,
  bool: (field) => field,
  text: (field) => field,
};

export interface TypedSource {
  /** What stands behind FROM. */
  readonly from: string;
  /** SQL of the value (BLOB) over that relation. */
  readonly value: string;
  /** Select items that are passed on, each with its own name (`"_offset"`, `1 AS "_partition_id"`). */
  readonly keep: readonly string[];
}

/**
 * A SELECT of the kept items and the typed columns asked for. Only the fields asked for are looked at. `as` names must not
 * begin with `__thermocline`. `onlyKinds`: fields that are known to be of one kind in all these rows, as the scanner found them;
 * it makes the statement faster and never changes what it gives.
 */
export function typedSelect(
  columns: readonly TypedOutput[],
  source: TypedSource,
  onlyKinds: ReadonlyMap<string, ColumnKind> = new Map(),
): string {
  if (columns.length === 0) return `SELECT ${source.keep.join(', ')} FROM ${source.from}`;
  const names = [...new Set(columns.map((column) => column.name))];
  const position = new Map(names.map((name, index) => [name, index + 1]));
  const typeOf = (name: string): string => {
    const kind = onlyKinds.get(name);
    return kind === undefined ? 'JSON' : sqlTypeOf(kind);
  };
  const typed = columns.map((column) => {
    const field = `__thermocline_j${position.get(column.name)}`;
    const only = onlyKinds.get(column.name);
    if (only === undefined) return `${expressionOfKind[column.kind](field)} AS ${quoteName(column.as)}`;
    const expression = only === column.kind ? expressionOfOnlyKind[only](field) : `NULL::${sqlTypeOf(column.kind)}`;
    return `${expression} AS ${quoteName(column.as)}`;
  });
  const fields = names.map((name, index) => {
    const cast = typeOf(name) === 'JSON' ? '::VARCHAR' : '';
    return `struct_extract_at(__thermocline_s, ${index + 1})${cast} AS __thermocline_j${index + 1}`;
  });
  return (
    `SELECT * EXCLUDE (${names.map((_, index) => `__thermocline_j${index + 1}`).join(', ')}), ${typed.join(', ')} FROM (` +
    `SELECT * EXCLUDE (__thermocline_s), ${fields.join(', ')} FROM (` +
    `SELECT ${[...source.keep, `${fieldsExpression(names, typeOf, source.value)} AS __thermocline_s`].join(', ')} FROM ${source.from}))`
  );
}

/** The fields that have a single kind among these pairs. */
export function onlyKindsOf(pairs: readonly ColumnPair[]): Map<string, ColumnKind> {
  const kinds = new Map<string, ColumnKind>();
  const mixed = new Set<string>();
  for (const { name, kind } of pairs) {
    if (kinds.has(name) && kinds.get(name) !== kind) mixed.add(name);
    kinds.set(name, kind);
  }
  for (const name of mixed) kinds.delete(name);
  return kinds;
}

/** Typed columns where the value contributes nothing (`lake.value.format` string or bytes). */
export function untypedSelect(columns: readonly TypedOutput[], source: TypedSource): string {
  const nulls = columns.map((column) => `NULL::${sqlTypeOf(column.kind)} AS ${quoteName(column.as)}`);
  return `SELECT ${[...source.keep, ...nulls].join(', ')} FROM ${source.from}`;
}
