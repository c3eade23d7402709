/** Tables of text with aligned columns: what commands print on a terminal, and a format of an answer. */

export interface TableColumn {
  readonly name: string;
  readonly isNumeric?: boolean;
}

/** Widest that a cell is printed on a terminal; the whole value is in the other formats. */
const maxCellWidth = 60;

function cellText(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const line = text.replaceAll('\n', '⏎').replaceAll(/[\u0000-\u001f\u007f]/g, '·');
  return line.length > maxCellWidth ? `${line.slice(0, maxCellWidth - 1)}…` : line;
}

/** Lines of a table with a header; numbers stand right. */
export function renderTable(columns: readonly TableColumn[], rows: readonly (readonly unknown[])[]): string {
  const cells = rows.map((row) => row.map(cellText));
  const widths = columns.map((column, i) => Math.max(column.name.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (texts: readonly string[], pad: (text: string, i: number) => string): string => texts.map(pad).join('  ').trimEnd();
  const aligned = (text: string, i: number): string =>
    columns[i]?.isNumeric === true ? text.padStart(widths[i]!) : text.padEnd(widths[i]!);
  return [
    line(
      columns.map((column) => column.name),
      aligned,
    ),
    line(
      widths.map((width) => '─'.repeat(width)),
      (text) => text,
    ),
    ...cells.map((row) => line(row, aligned)),
  ].join('\n');
}

const numericType = /^(?:U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL.*)$/;

/** Whether a column of DuckDB's type of that name stands right. */
export function isNumericType(type: string): boolean {
  return numericType.test(type);
}
