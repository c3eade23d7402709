/** Rows that the service tells of itself, as SQL that an engine answers in any format. */
import { quoteText } from '../columns/index.js';

export type Cell = string | number | null;

/** A SELECT of the rows, also where there is none. `columns` are names and DuckDB's types. */
export function rowsSql(columns: readonly (readonly [name: string, type: string])[], rows: readonly (readonly Cell[])[]): string {
  const none = `SELECT ${columns.map(([name, type]) => `NULL::${type} AS ${name}`).join(', ')} WHERE false`;
  if (rows.length === 0) return none;
  return `${none} UNION ALL VALUES ${rows.map((row) => `(${row.map(cellSql).join(', ')})`).join(', ')}`;
}

function cellSql(cell: Cell): string {
  if (cell === null) return 'NULL';
  return typeof cell === 'string' ? quoteText(cell) : String(cell);
}
