/** The output modes that are made for reading: a table, a line a value, a table in Markdown. */
import { sum } from '../../kernel/index.js';
import { displayWidth, fitted, padded } from './display-width.js';
import type { AnswerColumn } from './json-rows.js';

export const printedModes = ['table', 'line', 'markdown'] as const;
export type PrintedMode = (typeof printedModes)[number];

export interface PrintOptions {
  /** Columns of the terminal; undefined: as wide as the rows are. */
  readonly width: number | undefined;
  /** Widest a cell may be; undefined: as wide as its value, up to what fits. */
  readonly cellWidth: number | undefined;
  readonly nullText: string;
}

/** Turns rows into text, a chunk at a time. */
export interface RowPrinter {
  rows(rows: readonly (readonly unknown[])[]): string;
  end(): string;
}

type Rows = readonly (readonly unknown[])[];

/** The widths of a table are those of its first rows. */
const measuredRows = 1000;
/** Widest that a cell is printed where nothing else is said; the whole value is in the other modes. */
const cellWidthDefault = 60;
/** Narrower columns say nothing. */
const columnWidthMin = 6;
const gap = '  ';

const numericTypes =
  /^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|UTINYINT|USMALLINT|UINTEGER|UBIGINT|UHUGEINT|BIGNUM|FLOAT|DOUBLE|DECIMAL.*)$/;

/** A value on one line, without what would steer the terminal. */
export function cellText(value: unknown, nullText: string): string {
  if (value === null || value === undefined) return nullText;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.replaceAll('\n', '⏎').replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '·');
}

export function rowPrinter(mode: PrintedMode, columns: readonly AnswerColumn[], options: PrintOptions): RowPrinter {
  if (mode === 'line') return linePrinter(columns, options);
  return mode === 'markdown' ? markdownPrinter(columns, options) : tablePrinter(columns, options);
}

function tablePrinter(columns: readonly AnswerColumn[], options: PrintOptions): RowPrinter {
  let held: string[][] | undefined = [];
  let widths: readonly number[] = [];
  const isNumeric = columns.map(({ type }) => numericTypes.test(type));
  const names = columns.map(({ name }) => cellText(name, ''));
  const shownLine = (cells: readonly string[]): string =>
    `${widths
      .map((width, i) => padded(fitted(cells[i] ?? '', width), width, isNumeric[i]!))
      .join(gap)
      .trimEnd()}\n`;
  const header = (): string => {
    const rows = held ?? [];
    held = undefined;
    widths = tableWidths(names, rows, options);
    const left = names.length - widths.length;
    const note = left === 0 ? '' : `(${left} more ${left === 1 ? 'column' : 'columns'}: \`.mode line\` or another format shows all)\n`;
    return note + shownLine(names) + shownLine(widths.map((width) => '─'.repeat(width))) + rows.map(shownLine).join('');
  };
  return {
    rows: (rows) => {
      const cells = rows.map((row) => row.map((value) => cellText(value, options.nullText)));
      if (held === undefined) return cells.map(shownLine).join('');
      held.push(...cells);
      return held.length < measuredRows ? '' : header();
    },
    end: () => (held === undefined ? '' : header()),
  };
}

/** Of each column that is shown; the widest give way first, and where that is not enough the last ones are left out. */
function tableWidths(names: readonly string[], rows: readonly (readonly string[])[], options: PrintOptions): number[] {
  const widest = options.cellWidth ?? cellWidthDefault;
  const widths = names.map((name, i) =>
    Math.min(
      Math.max(1, displayWidth(name), ...rows.map((row) => displayWidth(row[i] ?? ''))),
      Math.max(widest, options.cellWidth === undefined ? displayWidth(name) : 1),
    ),
  );
  if (options.width === undefined) return widths;
  const room = Math.max(columnWidthMin, options.width - 1);
  const total = (): number => sum(widths) + gap.length * (widths.length - 1);
  while (total() > room) {
    const largest = Math.max(...widths);
    if (largest > columnWidthMin) {
      const second = Math.max(columnWidthMin, ...widths.filter((width) => width < largest));
      const many = widths.filter((width) => width === largest).length;
      const target = Math.max(second, Math.floor(largest - (total() - room) / many), columnWidthMin);
      for (const [i, width] of widths.entries()) if (width === largest) widths[i] = Math.min(width - 1, target);
    } else if (widths.length > 1) widths.pop();
    else break;
  }
  return widths;
}

function linePrinter(columns: readonly AnswerColumn[], { nullText }: PrintOptions): RowPrinter {
  const names = columns.map(({ name }) => cellText(name, ''));
  const width = Math.max(0, ...names.map(displayWidth));
  let isFirst = true;
  const rowText = (row: readonly unknown[]): string => {
    const lines = names.map((name, i) => `${padded(name, width, true)} = ${cellText(row[i], nullText)}\n`).join('');
    const between = isFirst ? '' : '\n';
    isFirst = false;
    return between + lines;
  };
  return { rows: (rows: Rows) => rows.map(rowText).join(''), end: () => '' };
}

function markdownPrinter(columns: readonly AnswerColumn[], { nullText }: PrintOptions): RowPrinter {
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('\\', '\\\\').replaceAll('|', '\\|')).join(' | ')} |\n`;
  let isBegun = false;
  const header = (): string => {
    if (isBegun) return '';
    isBegun = true;
    const rule = columns.map(({ type }) => (numericTypes.test(type) ? '--:' : '---'));
    return `${row(columns.map(({ name }) => cellText(name, '')))}| ${rule.join(' | ')} |\n`;
  };
  return {
    rows: (rows: Rows) => header() + rows.map((cells) => row(cells.map((value) => cellText(value, nullText)))).join(''),
    end: header,
  };
}
