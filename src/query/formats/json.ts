/**
 * Rows as JSON: arrays for `json` (a line each, with the commas between them) and `ndjson-arrays`, objects by column name for `ndjson`: what
 * reads those has one value of a name, and not in every order.
 */
import type { DuckDBDataChunk, DuckDBValue } from '@duckdb/node-api';
import { answerValue } from '../values.js';
import { type AnswerWriter, TextPieces, type WriterColumns } from './format.js';

export class JsonWriter implements AnswerWriter {
  readonly #pieces = new TextPieces();
  /** What stands before each value. */
  readonly #before: readonly string[];
  readonly #after: string;
  readonly #separator: string;
  #isFirst = true;

  constructor(shape: 'json' | 'ndjson' | 'ndjson-arrays', { names }: WriterColumns) {
    const isArray = shape !== 'ndjson';
    const isDocument = shape === 'json';
    this.#before = names.map((name, at) => `${at === 0 ? (isArray ? '[' : '{') : ','}${isArray ? '' : `${JSON.stringify(name)}:`}`);
    this.#after = `${isArray ? ']' : '}'}${isDocument ? '' : '\n'}`;
    this.#separator = isDocument ? ',\n' : '';
  }

  add(chunk: DuckDBDataChunk): readonly Uint8Array[] {
    const columns = Array.from({ length: chunk.columnCount }, (_, at) => chunk.getColumnValues(at));
    for (let row = 0; row < chunk.rowCount; row++) {
      let text = this.#isFirst ? '' : this.#separator;
      this.#isFirst = false;
      for (let at = 0; at < columns.length; at++) text += `${this.#before[at]}${jsonText(columns[at]?.[row] ?? null)}`;
      this.#pieces.write(text + this.#after);
    }
    return this.#pieces.take();
  }

  end(): readonly Uint8Array[] {
    return this.#pieces.rest();
  }
}

/** The JSON text of a value, as `answerValue` has it. */
export function jsonText(value: DuckDBValue): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : `"${value}"`;
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  return JSON.stringify(answerValue(value));
}
