/**
 * `system.columns` and `DESCRIBE topic`: where each column of a topic comes from. A column of SQL is one field of the values, and may lie
 * in several columns of the table, one for each kind of value that was seen.
 */
import { baseColumns, type ColumnPair, duckType, pairKey, type PresentedColumn, quoteText } from '../columns/index.js';
import type { TableSnapshot } from '../lake/index.js';
import type { PinnedColumns } from './pin.js';
import { presented, viewBase } from './views.js';

/** The columns of a topic, and the files that they may lie in. */
export interface DescribedTopic {
  readonly columns: PinnedColumns;
  readonly snapshot: TableSnapshot;
}

export const columnsTableColumns = [
  ['topic', 'VARCHAR'],
  ['column_name', 'VARCHAR'],
  ['column_type', 'VARCHAR'],
  /** `value` for a field of the JSON value, `record` for what every record has. */
  ['source', 'VARCHAR'],
  /** The field's name in the value. */
  ['field', 'VARCHAR'],
  /** Kinds of value seen: long, double, bool, text. */
  ['kinds', 'VARCHAR'],
  /** What other engines call it in the table, one for each kind; null where only the hot tail has it. */
  ['table_columns', 'VARCHAR'],
  /** Ascending with the time since which the table has them. */
  ['field_ids', 'VARCHAR'],
  /** Kinds that only the hot tail has. */
  ['hot_only_kinds', 'VARCHAR'],
  /** Cold files with a value in it, … */
  ['files', 'BIGINT'],
  /** … of so many. */
  ['of_files', 'BIGINT'],
  /** What a column of several kinds makes of their values. */
  ['note', 'VARCHAR'],
] as const;

type Cell = string | number | null;

export function columnsTableRows(topics: readonly DescribedTopic[]): Cell[][] {
  return topics.flatMap(rowsOf);
}

function rowsOf({ columns, snapshot }: DescribedTopic): Cell[][] {
  const { topic, files } = snapshot;
  const filesByField = new Map<number, number[]>();
  for (const [at, file] of files.entries()) {
    for (const id of file.fieldIds) {
      const list = filesByField.get(id);
      if (list === undefined) filesByField.set(id, [at]);
      else list.push(at);
    }
  }
  const inTable = new Map(columns.table.map((column) => [pairKey(column), column]));
  const typed = presented(columns).map((column): Cell[] => {
    const pairs = column.kinds.map((kind): ColumnPair => ({ name: column.fieldName, kind }));
    const stored = pairs.map((pair) => inTable.get(pairKey(pair))).filter((column) => column !== undefined);
    const hotOnly = pairs.filter((pair) => !inTable.has(pairKey(pair)));
    const inFiles = new Set(stored.flatMap(({ fieldId }) => filesByField.get(fieldId) ?? []));
    return [
      topic,
      column.name,
      column.sqlType,
      'value',
      column.fieldName,
      listed(column.kinds),
      listed(stored.map(({ columnName }) => columnName)),
      listed(stored.map(({ fieldId }) => String(fieldId))),
      listed(hotOnly.map(({ kind }) => kind)),
      inFiles.size,
      files.length,
      noteOf(column),
    ];
  });
  const base = viewBase.map((name): Cell[] => {
    const column = baseColumns.find((candidate) => candidate.name === name);
    if (column === undefined) throw new Error(`no base column ${name}`);
    return [topic, name, duckType(column), 'record', null, null, name, String(column.fieldId), null, files.length, files.length, null];
  });
  return [...typed, ...base];
}

function noteOf({ kinds, sqlType, fieldName }: PresentedColumn): string | null {
  if (kinds.length === 1) return null;
  if (sqlType !== 'DOUBLE') return 'values of several kinds, each as its text in JSON';
  return `whole numbers and others; the digits of a whole one above 2^53 are in text(_value)->>${quoteText(fieldName)}`;
}

function listed(texts: readonly string[]): string | null {
  return texts.length === 0 ? null : texts.join(', ');
}
