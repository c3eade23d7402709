/**
 * The formats of an answer. The engine's child process writes the final bytes, whole rows (or record batches) a piece, so that whoever
 * passes them on need not look into them; what stands around the rows of `json`, `ndjson` and `ndjson-arrays` is the gateway's.
 */
import type { DuckDBDataChunk, DuckDBType } from '@duckdb/node-api';

export const answerFormats = ['json', 'ndjson', 'ndjson-arrays', 'csv', 'arrow', 'parquet', 'table'] as const;
export type AnswerFormat = (typeof answerFormats)[number];

/** A piece is handed on when it holds so many bytes (characters, of text); larger ones cost memory, smaller ones messages. */
export const pieceBytes = 256 * 1024;

export interface AnswerWriter {
  /** Takes the rows of a chunk; answers pieces that are full. A piece is never written to again. */
  add(chunk: DuckDBDataChunk): readonly Uint8Array[];
  /** What is left, and whatever ends the format. */
  end(): readonly Uint8Array[];
}

export interface WriterColumns {
  readonly names: readonly string[];
  readonly types: readonly DuckDBType[];
}

/** Loads what the format needs. `parquet` has no writer: DuckDB writes the file. */
export async function openWriter(format: Exclude<AnswerFormat, 'parquet'>, columns: WriterColumns): Promise<AnswerWriter> {
  switch (format) {
    case 'json':
    case 'ndjson':
    case 'ndjson-arrays':
      return new (await import('./json.js')).JsonWriter(format, columns);
    case 'csv':
      return new (await import('./csv.js')).CsvWriter(columns);
    case 'table':
      return new (await import('./table.js')).TableWriter(columns);
    case 'arrow':
      // Loading it takes as long as a small query.
      return new (await import('./arrow.js')).ArrowWriter(columns);
    default:
      return format satisfies never;
  }
}

/** Gathers text into pieces. */
export class TextPieces {
  #text = '';
  readonly #pieces: Uint8Array[] = [];

  write(text: string): void {
    this.#text += text;
    if (this.#text.length >= pieceBytes) this.#cut();
  }

  /** Those that are full. */
  take(): readonly Uint8Array[] {
    return this.#pieces.splice(0);
  }

  rest(): readonly Uint8Array[] {
    if (this.#text !== '') this.#cut();
    return this.take();
  }

  #cut(): void {
    this.#pieces.push(Buffer.from(this.#text));
    this.#text = '';
  }
}
