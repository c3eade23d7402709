/** Tables on a terminal, NDJSON when piped: how commands print rows. */

import { renderTable } from '../kernel/index.js';

export { renderTable, type TableColumn } from '../kernel/index.js';

/** Prints objects: as a table where stdout is a terminal (or `asTable` says so), else one JSON object a line. */
export function printRows(rows: readonly Readonly<Record<string, unknown>>[], asTable: boolean = process.stdout.isTTY): void {
  if (!asTable) {
    for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
    return;
  }
  if (rows.length === 0) return;
  const names = Object.keys(rows[0]!);
  const columns = names.map((name) => ({ name, isNumeric: rows.every((row) => row[name] === null || typeof row[name] === 'number') }));
  process.stdout.write(
    `${renderTable(
      columns,
      rows.map((row) => names.map((name) => row[name])),
    )}\n`,
  );
}
