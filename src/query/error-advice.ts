/**
 * What an error of DuckDB means for whoever asked, and what to do about it: in the engine by the error's kind and its candidates, and
 * in the service by where it points to in the text.
 */
import { maxTypedColumns } from '../columns/index.js';
import { LakeError, nearestName } from '../kernel/index.js';

/** An error as DuckDB writes it with `errors_as_json`. */
export interface DuckDBError {
  readonly exception_type?: string;
  readonly exception_message?: string;
  /** Byte in the text. */
  readonly position?: string;
  readonly error_subtype?: string;
  /** What was not found. */
  readonly name?: string;
  /** Names or forms that come near, with commas between them. */
  readonly candidates?: string;
}

/** Forms of a function that are shown. */
const formsShown = 4;

interface Advice {
  readonly pattern: RegExp;
  readonly hint: string | ((found: RegExpExecArray) => string);
}

const advices: readonly Advice[] = [
  { pattern: /^syntax error at end of input/, hint: 'The statement ends too early: something is missing, or a bracket is not closed.' },
  { pattern: /^syntax error at or near/, hint: 'Look at what stands before it too; put a name that is a word of SQL into double quotes.' },
  { pattern: /unterminated/i, hint: 'Close it; a quote inside a text is written twice.' },
  {
    pattern: /^Cannot extract field '(.*)' from expression (.*) because/,
    hint: ([, field, column]) => `Nested values are kept as JSON text: write ${column}->>'${field}'.`,
  },
  {
    pattern: /^column (.*) must appear in the GROUP BY clause/,
    hint: ([, column]) => `Add ${column} to GROUP BY, or take any_value(${column}).`,
  },
  { pattern: /^Ambiguous reference to column/, hint: 'Write the name of its table before it.' },
  {
    pattern: /^Cannot compare values of type TIMESTAMP/,
    hint: "Compare a time with TIMESTAMPTZ '2026-01-31T12:00:00Z', or with epoch_ms(_timestamp) where you have milliseconds.",
  },
  { pattern: /^Malformed JSON/, hint: 'TRY_CAST(column AS JSON) gives NULL where a value is no JSON.' },
  { pattern: /^Cannot compare values/, hint: 'Cast one side: TRY_CAST(column AS type) gives NULL where a value does not fit.' },
  { pattern: /Could not convert|^Failed to cast|out of range/i, hint: 'TRY_CAST(… AS type) gives NULL where a value does not fit.' },
  { pattern: /argument types '(?:~~|!~~|LIKE|ILIKE).*BLOB/i, hint: 'The column is bytes: write text(column).' },
];

const noSuchColumnHint = 'DESCRIBE and the name of a topic list its columns: the fields of the values that it keeps.';

export function missingColumnOf(error: DuckDBError, message: string): string | undefined {
  if (error.error_subtype === 'COLUMN_NOT_FOUND') return error.name;
  return /^Table ".*" does not have a column named "(.*)"/.exec(message)?.[1];
}

/** `undefined` where there is nothing to say that the message does not. */
export function adviceFor(error: DuckDBError, message: string): string | undefined {
  const candidates = (error.candidates ?? '').split(',').filter((name) => name !== '');
  switch (error.error_subtype) {
    case 'COLUMN_NOT_FOUND': {
      const near = nearestName(error.name ?? '', candidates);
      return near === undefined ? noSuchColumnHint : `Did you mean ${near}?`;
    }
    case 'MISSING_ENTRY': {
      const near = nearestName(error.name ?? '', candidates);
      return near === undefined ? undefined : `Did you mean ${near}?`;
    }
    default:
  }
  for (const { pattern, hint } of advices) {
    const found = pattern.exec(message);
    if (found !== null) return typeof hint === 'string' ? hint : hint(found);
  }
  if (error.error_subtype === 'NO_MATCHING_FUNCTION' && error.candidates !== undefined) {
    const forms = error.candidates.split(/,(?=\S)/);
    const more = forms.length > formsShown ? `, and ${forms.length - formsShown} more` : '';
    return `Cast what does not fit (TRY_CAST(… AS type)). There are ${forms.slice(0, formsShown).join('; ')}${more}.`;
  }
  const listed = /\nCandidate (?:bindings|tables): (.*)/.exec(error.exception_message ?? '')?.[1] ?? '';
  const names = [...listed.matchAll(/"([^"]+)"/g)].map(([, name]) => name ?? '');
  const column = missingColumnOf(error, message);
  if (column !== undefined) {
    const near = nearestName(column, names);
    return near === undefined ? noSuchColumnHint : `Did you mean ${near}?`;
  }
  const table = /^Referenced table "(.*)" not found/.exec(message)?.[1];
  const near = table === undefined ? undefined : nearestName(table, names);
  if (near !== undefined) return `Did you mean ${near}?`;
  if (table !== undefined) {
    return `Give the table that alias, or, if ${table} is a column that holds JSON, write "${table}"->>'field'.`;
  }
  return undefined;
}

const nearCharsMax = 24;

/** The error with line and column (in characters, from 1) of where it points to, and what stands there. */
export function locatedIn(sql: string, error: LakeError): LakeError {
  const { position } = error.facts;
  const bytes = Buffer.from(sql);
  if (typeof position !== 'number' || position < 0 || position > bytes.length || error.facts['line'] !== undefined) return error;
  const before = bytes.subarray(0, position).toString();
  const lineStart = before.lastIndexOf('\n') + 1;
  const line = before.split('\n').length;
  const column = Array.from(before.slice(lineStart)).length + 1;
  const near = nearOf(bytes.subarray(position).toString()) || nearEnd(before);
  const isText = near.startsWith('"') && /column .* not found/.test(error.message);
  const hint = isText ? `${error.hint ?? ''} A text stands in single quotes; double quotes make it a name.`.trim() : error.hint;
  const facts = { ...error.facts, line, column, ...(near === '' ? {} : { near }) };
  return new LakeError(error.code, error.message, {
    facts,
    retriable: error.retriable,
    ...(hint === undefined ? {} : { hint }),
    ...(error.cause === undefined ? {} : { cause: error.cause }),
  });
}

/** The word, name or text that begins here. */
function nearOf(text: string): string {
  const found = /^(?:"[^"\n]*"?|'[^'\n]*'?|[\p{L}\p{N}_$.]+|\S+)/u.exec(text)?.[0] ?? '';
  return Array.from(found).slice(0, nearCharsMax).join('');
}

/** At the end of a text, what it ends with. */
function nearEnd(before: string): string {
  return Array.from(before.trimEnd()).slice(-nearCharsMax).join('').replace(/\s+/g, ' ');
}

/** What is known of a topic's columns beyond those that the query saw. */
export interface ColumnKnowledge {
  readonly topic: string;
  /** Names that the topic has now, where the query saw those of an earlier answer. */
  readonly laterNames: readonly string[];
  /** Only a part of the hot log was looked at. */
  readonly isPartial: boolean;
  /** The topic has as many columns as it may have, and its values may have more fields. */
  readonly isCapped: boolean;
}

/** A column that is not found may be one that came later, or one that is only in a part of the log. */
export function withColumnAdvice(error: LakeError, topics: readonly ColumnKnowledge[]): LakeError {
  const { missingColumn } = error.facts;
  if (typeof missingColumn !== 'string') return error;
  const later = topics.find(({ laterNames }) => laterNames.some((name) => name.toLowerCase() === missingColumn.toLowerCase()));
  const partial = topics.find(({ isPartial }) => isPartial);
  const capped = topics.find(({ isCapped }) => isCapped);
  const advice =
    later !== undefined
      ? `The column came into ${later.topic} after the snapshot that as_of names: ask without as_of.`
      : capped !== undefined
        ? `${error.hint ?? ''} ${capped.topic} has more fields than the ${maxTypedColumns} that become columns; read one that did not from the value: text(_value)->>'$."${missingColumn.replaceAll("'", "''")}"'.`.trim()
        : partial !== undefined
          ? `${error.hint ?? ''} Columns that are only in hot records of ${partial.topic} outside of the question's range are not known to it: widen the range.`.trim()
          : error.hint;
  return new LakeError(error.code, error.message, {
    facts: error.facts,
    ...(advice === undefined ? {} : { hint: advice }),
  });
}
