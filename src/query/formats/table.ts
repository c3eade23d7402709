/** An aligned text table for people: the first rows, and how many more there are. */
import type { DuckDBDataChunk } from '@duckdb/node-api';
import { isNumericType, renderTable, type TableColumn } from '../../kernel/index.js';
import { type AnswerValue, answerRows } from '../values.js';
import type { AnswerWriter, WriterColumns } from './format.js';

/** More rows than anybody reads; the widths of columns are only known when all that are shown have been seen. */
const shownRowsMax = 1000;

export class TableWriter implements AnswerWriter {
  readonly #columns: readonly TableColumn[];
  readonly #shown: AnswerValue[][] = [];
  #rows = 0;

  constructor({ names, types }: WriterColumns) {
    this.#columns = names.map((name, at) => ({ name, isNumeric: isNumericType(String(types[at])) }));
  }

  add(chunk: DuckDBDataChunk): readonly Uint8Array[] {
    this.#rows += chunk.rowCount;
    const room = shownRowsMax - this.#shown.length;
    if (room > 0) this.#shown.push(...answerRows(chunk).slice(0, room));
    return [];
  }

  end(): readonly Uint8Array[] {
    const more = this.#rows - this.#shown.length;
    const note = more === 0 ? '' : `… and ${more} more ${more === 1 ? 'row' : 'rows'}\n`;
    return [Buffer.from(`${renderTable(this.#columns, this.#shown)}\n${note}`)];
  }
}
