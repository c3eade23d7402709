/** What `POST /v1/query` says of itself, and the parts that other routes share with it. */
import { type AnswerFormat, answerFormats, type QueryStats, type RequestLimits } from '../query/index.js';
import {
  asOf,
  type Content,
  count,
  flag,
  json,
  lines,
  list,
  mapOf,
  object,
  type Operation,
  query as inQuery,
  type Schema,
  shared,
  text,
} from './operation.js';
import type { ProgressDocument } from './progress-lines.js';
import { queryProblems } from './route-problems.js';
import { mediaTypes, type queryFields, queryIdHeader, snapshotHeader, statsTrailer } from './query-route.js';

export const phase = text(undefined, {
  enum: ['queued', 'planning', 'staging', 'reading', 'running'] satisfies ProgressDocument['phase'][],
});
export const percent: Schema = { type: 'number', minimum: -1, maximum: 100, description: 'as DuckDB estimates it; −1 where it cannot' };

const progress = object({
  phase,
  rows: count('of the answer so far'),
  bytes: count('within reach so far'),
  files: count('cold ones, within reach so far'),
  percent,
  elapsed_ms: count(),
} satisfies Record<keyof ProgressDocument, Schema>);

const stats = object(
  {
    hot_rows: count(),
    hot_bytes: count(),
    staged_rows: count('of the hot log, fetched for this query; the others were there from earlier ones'),
    cold_files: count(),
    cold_rows: count(),
    cold_bytes: count('within reach: of a file that is read in parts the parts'),
    read_bytes: count('fetched from the bucket for this query'),
    requests: count('to the bucket'),
    cache_hits: count(),
    pruned_files: count('left out, as they can hold nothing that is asked for'),
    metadata_files: count('counted or compared by what the table knows of them, and not opened'),
    remembered_files: count('not read, as what they give is remembered'),
    rows: count('of the answer'),
    boundary: mapOf(mapOf(count()), 'by topic and partition: the first offset read from the hot log'),
    plan_ms: { type: 'number' },
    elapsed_ms: { type: 'number' },
  } satisfies Record<keyof Omit<QueryStats, 'as_of_ms'>, Schema>,
  { as_of_ms: { type: 'integer', description: 'of a query as of a time: the time that the answer is of' } },
);

/** Parts of the document that more than one route refers to. */
export const querySchemas: Readonly<Record<string, Schema>> = {
  Column: object({ name: text(), type: text("DuckDB's name of it") }),
  Stats: stats,
  ErrorLine: object({ _error: shared('Problem') }),
};

export const snapshotHeaders = {
  [snapshotHeader]: { description: 'gives the same rows again, as `as_of`', schema: text() },
} as const;

const scalar: Schema = { type: ['string', 'number', 'boolean', 'null'] };
const parameter: Schema = {
  oneOf: [scalar, object({ type: text('BIGINT, DECIMAL(p,s), TIMESTAMP, BLOB (base64), BIGINT[], …'), value: {} })],
};

const body: Schema = {
  ...object({ sql: text('one read-only SELECT, or EXPLAIN, EXPLAIN ANALYZE, DESCRIBE or SHOW TABLES') }, {
    params: {
      oneOf: [list(parameter), mapOf(parameter)],
      description: 'a list for `$1 …`, or an object for `$name`; numbers beyond 2^53 as texts',
    },
    as_of: { type: ['string', 'integer', 'null'], description: asOf.description },
    format: text('else as `Accept` says, else json', { enum: answerFormats }),
    limits: {
      ...object({}, { timeout_ms: count(), max_rows: count(), max_scan_bytes: count() } satisfies Record<keyof RequestLimits, Schema>),
      description: 'each lowers what the server allows',
    },
    progress: flag('with ndjson and ndjson-arrays: lines of `_progress` before and between the rows'),
  } satisfies Record<Exclude<(typeof queryFields)[number], 'sql'>, Schema>),
  additionalProperties: false,
};

const jsonAnswer = object(
  { columns: list(shared('Column')), rows: list({ type: 'array' }, 'an array a row; integers beyond 2^53 are texts') },
  { snapshot: text('gives the same rows again, as `as_of`'), stats: shared('Stats'), error: shared('Problem') },
);
const endLine = object({ _end: object({ snapshot: text(), stats: shared('Stats') }) });
const rowLine = { type: 'object', description: 'of ndjson: a row, by the names of its columns' };
const arrayLine = { type: 'array', description: 'of ndjson-arrays: a row, in the order of its columns' };
const columnsLine = { ...object({ _columns: list(shared('Column')) }), description: 'of ndjson-arrays, before the first row' };
const line = {
  anyOf: [rowLine, object({ _progress: progress }), endLine, shared('ErrorLine'), columnsLine, arrayLine],
  description: 'rows, and lines of progress where they are asked for; last `_end` or `_error`',
};
const lineContent = lines(line)[mediaTypes.ndjson]!;

const binary: Content = { schema: {} };
const contents: Readonly<Record<AnswerFormat, Content>> = {
  'json': json(jsonAnswer)['application/json']!,
  'ndjson': lineContent,
  'ndjson-arrays': lineContent,
  'csv': { schema: text('RFC 4180 with a header line') },
  'arrow': binary,
  'parquet': binary,
  'table': { schema: text('the first 1,000 rows aligned') },
};

export const queryOperations: readonly Operation[] = [
  {
    id: 'query',
    tag: 'query',
    method: 'post',
    path: '/v1/query',
    summary: 'Ask one SELECT over both tiers',
    description:
      'The answer is streamed; closing the connection cancels the query. A late error is the `error` of json, the line `_error` of ndjson and ndjson-arrays, and breaks the other formats off. An object has one value of a name, and names that are whole numbers come first in most readers: `ndjson-arrays` has its columns in order, and all of them.',
    parameters: [
      inQuery('format', 'where the body names none', text(undefined, { enum: answerFormats })),
      { ...asOf, description: `of SQL as text/plain: ${asOf.description}` },
    ],
    body: {
      'application/json': { schema: body, example: { sql: 'SHOW TABLES', format: 'json' } },
      'text/plain': { schema: text('the SQL'), example: 'SHOW TABLES' },
    },
    answers: {
      200: {
        description: `the answer; formats without a place for stats have them in the trailer ${statsTrailer}`,
        headers: {
          ...snapshotHeaders,
          [queryIdHeader]: { description: 'under which the query is listed and can be ended', schema: text() },
        },
        content: Object.fromEntries(answerFormats.map((format) => [mediaTypes[format].split(';')[0]!, contents[format]])),
      },
    },
    problems: [...queryProblems, 'query-unbounded'],
  },
];
