/**
 * The columns every cold file has, with the field ids they keep for ever, as plain values from which the Iceberg schema, the
 * clauses of DuckDB and the staging file's own schema are made.
 */
import type { ColumnKind, TypedColumn } from './jobs.js';

export type LeafType = 'int' | 'long' | 'double' | 'boolean' | 'string' | 'binary' | 'timestamptz';

export interface LeafColumn {
  readonly fieldId: number;
  readonly name: string;
  readonly type: LeafType;
}

/** A list of structs; the only nesting there is. */
export interface ListColumn {
  readonly fieldId: number;
  readonly name: string;
  readonly type: 'list';
  readonly elementId: number;
  readonly fields: readonly LeafColumn[];
}

export type Column = LeafColumn | ListColumn;

/** Typed columns have ids from here on; below is room for ours. */
export const firstTypedFieldId = 100;

/** Smallest and largest `_timestamp`: 0001-01-01 and 9999-12-31T23:59:59.999Z, in ms. Beyond, `_timestamp_raw` is exact. */
export const timestampMinMs = -62_135_596_800_000;
export const timestampMaxMs = 253_402_300_799_999;

/** All optional; in the order they stand in a table. */
export const baseColumns = [
  { fieldId: 1, name: '_partition_id', type: 'int' },
  { fieldId: 2, name: '_offset', type: 'long' },
  { fieldId: 3, name: '_timestamp', type: 'timestamptz' },
  { fieldId: 4, name: '_timestamp_raw', type: 'long' },
  { fieldId: 5, name: '_key', type: 'binary' },
  { fieldId: 6, name: '_value', type: 'binary' },
  {
    fieldId: 7,
    name: '_headers',
    type: 'list',
    elementId: 8,
    fields: [
      { fieldId: 9, name: 'key', type: 'string' },
      { fieldId: 10, name: 'key_raw', type: 'binary' },
      { fieldId: 11, name: 'value', type: 'binary' },
    ],
  },
  { fieldId: 12, name: '_timestamp_type', type: 'int' },
  { fieldId: 13, name: '_leader_epoch', type: 'int' },
  { fieldId: 14, name: '_producer_id', type: 'long' },
  { fieldId: 15, name: '_producer_epoch', type: 'int' },
  { fieldId: 16, name: '_sequence', type: 'int' },
  { fieldId: 17, name: '_raw_batch', type: 'binary' },
] as const satisfies readonly Column[];

export type BaseColumnName = (typeof baseColumns)[number]['name'];
export const baseColumnNames: readonly BaseColumnName[] = baseColumns.map((column) => column.name);

/** The table's type of a typed column. */
export const leafTypeOfKind: Readonly<Record<ColumnKind, LeafType>> = { long: 'long', double: 'double', bool: 'boolean', text: 'string' };

/** All columns of a table with these typed columns. */
export function tableColumns(typedColumns: readonly TypedColumn[]): Column[] {
  const typed = typedColumns.map((column) => ({ fieldId: column.fieldId, name: column.columnName, type: leafTypeOfKind[column.kind] }));
  return [...baseColumns, ...typed];
}

/** Columns that make up most of a file, and that SQL seldom asks for. */
const wideColumns: readonly BaseColumnName[] = ['_value', '_headers', '_raw_batch'];
/** Keys are small as a rule, and asked for more often. */
const largeColumns: ReadonlySet<string> = new Set<BaseColumnName>([...wideColumns, '_key']);

/** Field ids of the columns that lie apart from the others: `largeTyped` and those of ours that make up most of a file. */
export function wideFieldIds(largeTyped: ReadonlySet<number>): ReadonlySet<number> {
  const names: ReadonlySet<string> = new Set(wideColumns);
  return new Set([...largeTyped, ...baseColumns.filter(({ name }) => names.has(name)).map(({ fieldId }) => fieldId)]);
}

/**
 * The order of columns in a file: the typed ones that are large, then large ones of ours, then the others of ours, then the other typed
 * ones. So what most questions ask of a row group, its times and some typed columns, lies together and is one request of a bucket.
 */
export function inFileOrder(columns: readonly Column[], largeTyped: ReadonlySet<number> = new Set()): Column[] {
  const ours = columns.filter(({ fieldId }) => fieldId < firstTypedFieldId);
  const typed = columns.filter(({ fieldId }) => fieldId >= firstTypedFieldId);
  return [
    ...typed.filter(({ fieldId }) => largeTyped.has(fieldId)),
    ...[...largeColumns].flatMap((name) => ours.find((column) => column.name === name) ?? []),
    ...ours.filter(({ name }) => !largeColumns.has(name)),
    ...typed.filter(({ fieldId }) => !largeTyped.has(fieldId)),
  ];
}

const duckTypes: Readonly<Record<LeafType, string>> = {
  int: 'INTEGER',
  long: 'BIGINT',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  string: 'VARCHAR',
  binary: 'BLOB',
  timestamptz: 'TIMESTAMPTZ',
};

/** DuckDB's name of a column's type. */
export function duckType(column: Column): string {
  if (column.type !== 'list') return duckTypes[column.type];
  return `STRUCT(${column.fields.map((field) => `${quoteName(field.name)} ${duckTypes[field.type]}`).join(', ')})[]`;
}

/** A text as an SQL literal. A NUL would end the statement for DuckDB's parser, so it is put in by its number. */
export function quoteText(text: string): string {
  const literal = (part: string): string => `'${part.replaceAll("'", "''")}'`;
  if (!text.includes('\0')) return literal(text);
  return `(${text.split('\0').map(literal).join(' || chr(0) || ')})`;
}

/** A name as an SQL identifier. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The value of COPY's FIELD_IDS; `nameOf` gives the column's name in the COPY. */
export function fieldIdsClause(columns: readonly Column[]): string {
  const entries = columns.map((column) => {
    if (column.type !== 'list') return `${quoteName(column.name)}: ${column.fieldId}`;
    const fields = column.fields.map((field) => `${quoteName(field.name)}: ${field.fieldId}`).join(', ');
    return `${quoteName(column.name)}: {__duckdb_field_id: ${column.fieldId}, element: {__duckdb_field_id: ${column.elementId}, ${fields}}}`;
  });
  return `{${entries.join(', ')}}`;
}

/** Typed columns by field id alone: their own names may need quotes, or be those of others. For `readSchemaMap`. */
export function plainNameOf(column: Column): string {
  return column.fieldId < firstTypedFieldId ? column.name : `c${column.fieldId}`;
}

/**
 * The value of `read_parquet`'s `schema`: columns are found by field id and called as `nameOf` says (default: their own
 * name); what a file does not have is null.
 */
export function readSchemaMap(columns: readonly Column[], nameOf: (column: Column) => string = (column) => column.name): string {
  const entries = columns.map(
    (column) => `${column.fieldId}: {name: ${quoteText(nameOf(column))}, type: ${quoteText(duckType(column))}, default_value: NULL}`,
  );
  return `MAP {${entries.join(', ')}}`;
}
