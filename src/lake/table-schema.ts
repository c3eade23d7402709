/**
 * The table's schema: the columns every topic has, and the typed ones. Which (name, kind) stands behind a typed column is a table
 * property beside the schema, because the schema's own name for it is presentation only.
 *
 *     thermocline.columns   [[field id, kind, field name in the value, column name], …]
 */
import { baseColumns, type Column, columnKinds, leafTypeOfKind, pairKey, type TypedColumn } from '../columns/index.js';
import type { IcebergField, IcebergSchema } from '../iceberg/index.js';
import { invariant, LakeError } from '../kernel/index.js';
import { corruptProperty, parseRows } from './property-rows.js';

export const columnsProperty = 'thermocline.columns';

/** Every field is optional: DuckDB writes all Parquet columns so, and strict readers compare. */
function baseFieldOf(column: Column): IcebergField {
  const { fieldId: id, name } = column;
  if (column.type !== 'list') return { id, name, required: false, type: column.type };
  const fields = column.fields.map((field) => baseFieldOf(field));
  return {
    id,
    name,
    required: false,
    type: { type: 'list', elementId: column.elementId, elementRequired: false, element: { type: 'struct', fields } },
  };
}

/** Of a table without typed columns. */
export const baseSchema: IcebergSchema = { schemaId: 0, fields: baseColumns.map((column) => baseFieldOf(column)) };

function baseFieldId(name: (typeof baseColumns)[number]['name']): number {
  const column = baseColumns.find((candidate) => candidate.name === name);
  invariant(column !== undefined, 'a base column is there', { name });
  return column.fieldId;
}

export const offsetFieldId: number = baseFieldId('_offset');
export const timestampFieldId: number = baseFieldId('_timestamp');
export const keyFieldId: number = baseFieldId('_key');
export const timestampRawFieldId: number = baseFieldId('_timestamp_raw');

export function fieldOf(column: TypedColumn): IcebergField {
  return { id: column.fieldId, name: column.columnName, required: false, type: leafTypeOfKind[column.kind] };
}

export function formatColumns(columns: readonly TypedColumn[]): string {
  return JSON.stringify(columns.map((column) => [column.fieldId, column.kind, column.name, column.columnName]));
}

/** Errors: `table-corrupt`. */
export function parseColumns(text: string | undefined): TypedColumn[] {
  return parseRows(columnsProperty, text).map((row) => {
    const [fieldId, kind, name, columnName] = (Array.isArray(row) ? row : []) as unknown[];
    const known = columnKinds.find((candidate) => candidate === kind);
    if (!Number.isSafeInteger(fieldId) || known === undefined || typeof name !== 'string' || typeof columnName !== 'string')
      throw corruptProperty(columnsProperty);
    return { fieldId: fieldId as number, kind: known, name, columnName };
  });
}

/**
 * The columns of a change that the table has not yet, by field id. Errors: `commit-stale` where another writer has given a
 * pair another place, or a place to another pair: the file has to be encoded again.
 */
export function newColumns(
  present: readonly TypedColumn[],
  wanted: readonly TypedColumn[],
  lastColumnId: number | undefined,
): readonly TypedColumn[] {
  const byId = new Map(present.map((column) => [column.fieldId, column]));
  const byPair = new Map(present.map((column) => [pairKey(column), column]));
  const byName = new Map(present.map((column) => [column.columnName.toLowerCase(), column]));
  const added: TypedColumn[] = [];
  for (const column of wanted) {
    const others = [byId.get(column.fieldId), byPair.get(pairKey(column)), byName.get(column.columnName.toLowerCase())];
    if (others.every((other) => other !== undefined && isSameColumn(other, column))) continue;
    if (others.some((other) => other !== undefined) || column.fieldId <= (lastColumnId ?? 0)) {
      throw new LakeError('commit-stale', `column "${column.columnName}" (field ${column.fieldId}) has another place in the table`, {
        hint: 'Load the table and encode the file again with its columns.',
        facts: { column: column.columnName, fieldId: column.fieldId },
      });
    }
    byId.set(column.fieldId, column);
    byPair.set(pairKey(column), column);
    byName.set(column.columnName.toLowerCase(), column);
    added.push(column);
  }
  return added.sort((a, b) => a.fieldId - b.fieldId);
}

export function isSameColumn(a: TypedColumn, b: TypedColumn): boolean {
  return a.fieldId === b.fieldId && a.kind === b.kind && a.name === b.name && a.columnName === b.columnName;
}
