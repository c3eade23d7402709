/** What the query service is asked, where the answer is written, and what it answers. */
import type { TokenTexts } from './as-of.js';
import type { AnswerColumn } from './engine-protocol.js';
import type { AnswerFormat } from './formats/format.js';
import type { QueryRequest } from './query-limits.js';
import type { QueryStats } from './query-stats.js';

/** With the token the same question can be asked again. */
export interface QueryAnswer extends TokenTexts {
  readonly columns: readonly AnswerColumn[];
  /** Chunks of rows, ready for JSON. To be read to its end or left by `return`; a late error is thrown here. */
  readonly rows: AsyncIterable<readonly (readonly unknown[])[]>;
  /** Final once the rows have ended. */
  stats(): Readonly<QueryStats>;
}

export interface RecordsAnswer extends TokenTexts {
  /** NDJSON: whole lines, each a `QueryRecord`, many in one text. To be read to its end or left by `return`, as rows are. */
  readonly lines: AsyncIterable<string>;
  stats(): Readonly<QueryStats>;
}

/** What is asked, and how the answer is to be written. */
export interface WrittenRequest extends QueryRequest {
  readonly format: AnswerFormat;
}

export interface WrittenAnswer extends TokenTexts {
  readonly id: string;
  /** Empty for `parquet`, whose file says it. */
  readonly columns: readonly AnswerColumn[];
  /**
   * The bytes of the format, whole rows a piece; of `json` the rows with commas between, of `ndjson` and `ndjson-arrays` the lines of
   * rows. To be read to its end or left by `return`, as rows are.
   */
  readonly pieces: AsyncIterable<Uint8Array>;
  stats(): Readonly<QueryStats>;
}
