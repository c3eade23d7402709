/**
 * RFC 4180: a header line, lines ended by CRLF, fields quoted where they must be. Null is an empty field, empty text is `""`. Nested
 * values are their JSON text, bytes as in JSON.
 */
import { type DuckDBDataChunk, DuckDBDecimalValue, type DuckDBValue } from '@duckdb/node-api';
import { answerValue } from '../values.js';
import { type AnswerWriter, TextPieces, type WriterColumns } from './format.js';

const mustBeQuoted = /[",\r\n]|^$|^\s|\s$/;

export class CsvWriter implements AnswerWriter {
  readonly #pieces = new TextPieces();

  constructor({ names }: WriterColumns) {
    this.#pieces.write(`${names.map(field).join(',')}\r\n`);
  }

  add(chunk: DuckDBDataChunk): readonly Uint8Array[] {
    const columns = Array.from({ length: chunk.columnCount }, (_, at) => chunk.getColumnValues(at));
    for (let row = 0; row < chunk.rowCount; row++) {
      let text = '';
      for (let at = 0; at < columns.length; at++) text += `${at === 0 ? '' : ','}${csvText(columns[at]?.[row] ?? null)}`;
      this.#pieces.write(`${text}\r\n`);
    }
    return this.#pieces.take();
  }

  end(): readonly Uint8Array[] {
    return this.#pieces.rest();
  }
}

function csvText(value: DuckDBValue): string {
  if (value === null) return '';
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  // In full, where JSON gives a number.
  if (value instanceof DuckDBDecimalValue) return value.toString();
  const plain = typeof value === 'string' ? value : answerValue(value);
  return field(typeof plain === 'string' ? plain : JSON.stringify(plain));
}

function field(text: string): string {
  return mustBeQuoted.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
