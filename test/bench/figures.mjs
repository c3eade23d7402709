// Medians, rates and tables: how every bench's numbers are summed up and shown.

/** Median, smallest and largest of the values of several rounds. */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1), rounds: values.length };
}

/** Gathers figures by row and by name, one value a round. */
export class Figures {
  #rows = new Map();

  add(row, figures) {
    const known = this.#rows.get(row) ?? {};
    for (const [name, value] of Object.entries(figures)) (known[name] ??= []).push(value);
    this.#rows.set(row, known);
  }

  /** Row → figure → spread, in the order in which they came. */
  spreads() {
    return Object.fromEntries(
      [...this.#rows].map(([row, figures]) => [row, Object.fromEntries(Object.entries(figures).map(([name, all]) => [name, spread(all)]))]),
    );
  }
}

/** Three significant digits, without an exponent. */
export function short(value) {
  if (value === undefined || Number.isNaN(value)) return '-';
  const size = Math.abs(value);
  return value.toFixed(size >= 100 || value === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** `median (min–max)`. */
export function shown(figure) {
  if (figure === undefined) return '-';
  return figure.rounds === 1 ? short(figure.median) : `${short(figure.median)} (${short(figure.min)}–${short(figure.max)})`;
}

/** A table in plain text; the first column is left-aligned, the others right. */
export function table(title, columns, rows) {
  const cells = [columns, ...rows.map((row) => row.map(String))];
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => row[at].length)));
  const line = (row) => `  ${row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join('  ')}`.trimEnd();
  return [title, line(columns), `  ${widths.map((width) => '─'.repeat(width)).join('  ')}`, ...cells.slice(1).map(line)].join('\n');
}
