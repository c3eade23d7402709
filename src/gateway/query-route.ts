/** `POST /v1/query`: one SELECT over both tiers, in the format that is asked for, streamed. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Clock, invariant, LakeError } from '../kernel/index.js';
import {
  type AnswerFormat,
  answerFormats,
  type QueryRequest,
  type QueryService,
  type WatchedQuery,
  type WrittenAnswer,
  type WrittenRequest,
} from '../query/index.js';
import type { Context } from 'hono';
import { problemOf } from './problem.js';
import { ProgressLines } from './progress-lines.js';
import { bytesBody, callerOf, textOf } from './stream.js';

export const snapshotHeader = 'X-Thermocline-Snapshot';
/** The id under which the query is listed and can be ended. */
export const queryIdHeader = 'X-Thermocline-Query-Id';
/** A query's text and parameters; results are streamed and have no such bound. */
const maxBodyBytes = 1024 * 1024;

export const mediaTypes: Readonly<Record<AnswerFormat, string>> = {
  'json': 'application/json',
  'ndjson': 'application/x-ndjson',
  // For `Accept` it is the one above.
  'ndjson-arrays': 'application/x-ndjson',
  'csv': 'text/csv; charset=utf-8',
  'arrow': 'application/vnd.apache.arrow.stream',
  'parquet': 'application/vnd.apache.parquet',
  'table': 'text/plain; charset=utf-8',
};
/** Of the streams that have no place for them. */
export const statsTrailer = 'X-Thermocline-Stats';

/** What the request names; else what its `Accept` names first among ours; else `json`. */
function formatOf(text: string | undefined, accept: string | undefined): AnswerFormat {
  if (text === undefined || text === '') return acceptedFormat(accept ?? '') ?? 'json';
  const format = answerFormats.find((name) => name === text);
  if (format !== undefined) return format;
  throw new LakeError('unsupported', `format "${text}" is not known`, {
    hint: `Use one of ${answerFormats.join(', ')}.`,
    facts: { format: text },
  });
}

function acceptedFormat(accept: string): AnswerFormat | undefined {
  const wanted = accept.split(',').map((part) => part.split(';')[0]!.trim().toLowerCase());
  for (const type of wanted) {
    const format = answerFormats.find((name) => mediaTypes[name].split(';')[0] === type);
    if (format !== undefined) return format;
  }
  return undefined;
}

/** Of a query's body. */
export const queryFields = ['sql', 'params', 'as_of', 'format', 'limits', 'progress'] as const;
const known: ReadonlySet<string> = new Set(queryFields);

interface Asked {
  readonly request: QueryRequest;
  readonly format: AnswerFormat;
  /** Whether lines are to tell how far it is. */
  readonly isWatched: boolean;
}

async function readRequest(c: Context): Promise<Asked> {
  const body = await textOf(c.req.raw, maxBodyBytes, 'Shorten the query; pass long lists as parameters of fewer queries.');
  const type = (c.req.header('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
  if (type !== 'application/json') {
    const asOf = c.req.query('as_of');
    return {
      request: { sql: body, ...(asOf === undefined ? {} : { asOf }) },
      format: formatOf(c.req.query('format'), c.req.header('accept')),
      isWatched: false,
    };
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (error) {
    throw new LakeError('request-invalid', 'the body is not JSON', {
      hint: 'Send {"sql": "SELECT …"}, or the SQL itself as text/plain.',
      cause: error,
    });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed) || typeof (parsed as { sql?: unknown }).sql !== 'string') {
    throw new LakeError('request-invalid', 'the body has no "sql"', { hint: 'Send {"sql": "SELECT …"}.' });
  }
  const fields = parsed as { sql: string; params?: unknown; as_of?: unknown; format?: unknown; limits?: unknown; progress?: unknown };
  for (const name of Object.keys(fields)) {
    if (!known.has(name)) {
      throw new LakeError('request-invalid', `"${name}" is not a field of a query`, { hint: `The fields are ${[...known].join(', ')}.` });
    }
  }
  if (fields.format !== undefined && typeof fields.format !== 'string') throw new LakeError('request-invalid', '"format" is not a text');
  const format = formatOf(fields.format ?? c.req.query('format'), c.req.header('accept'));
  return {
    request: {
      sql: fields.sql,
      ...(fields.params === undefined ? {} : { params: fields.params as QueryRequest['params'] }),
      ...asOfOf(fields.as_of),
      ...(fields.limits === undefined ? {} : { limits: fields.limits as QueryRequest['limits'] }),
    } as QueryRequest,
    format,
    isWatched: isWatched(fields.progress, format),
  };
}

/** Times may be numbers, epoch milliseconds. Errors: `request-invalid`. */
function asOfOf(asOf: unknown): Pick<QueryRequest, 'asOf'> {
  if (asOf === undefined || asOf === null) return {};
  if (typeof asOf === 'string') return { asOf };
  if (typeof asOf === 'number' && Number.isSafeInteger(asOf)) return { asOf: String(asOf) };
  throw new LakeError('request-invalid', '"as_of" is neither a token nor a time', {
    hint: 'Pass the snapshot of an earlier answer, or a time as 2001-03-04T05:06:07Z or epoch milliseconds.',
  });
}

/** Formats of lines, among which the service has some of its own. */
const isLines = (format: AnswerFormat): boolean => format === 'ndjson' || format === 'ndjson-arrays';

/** Only lines leave room for it. Errors: `request-invalid`, `unsupported`. */
function isWatched(progress: unknown, format: AnswerFormat): boolean {
  if (progress !== undefined && typeof progress !== 'boolean') {
    throw new LakeError('request-invalid', '"progress" is neither true nor false', { hint: 'Leave it out, or send "progress": true.' });
  }
  if (progress !== true || isLines(format)) return progress === true;
  throw new LakeError('unsupported', `an answer in ${format} cannot tell its progress`, {
    hint: 'Ask for ndjson or ndjson-arrays; GET /v1/queries tells of every query.',
    facts: { format },
  });
}

/** One JSON document around the rows as the engine wrote them. A late error closes the document with an `error` member. */
async function* jsonDocument(answer: WrittenAnswer): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`{"columns":${JSON.stringify(answer.columns)},"rows":[\n`);
  try {
    yield* answer.pieces;
  } catch (error) {
    yield Buffer.from(`],"error":${JSON.stringify(problemOf(error))}}\n`);
    return;
  }
  yield Buffer.from(`],"snapshot":${JSON.stringify(answer.token)},"stats":${JSON.stringify(answer.stats())}}\n`);
}

/** Rows that are arrays do not name their columns; so the answer does, also where it has no rows. */
async function* columnsFirst({ columns, pieces }: WrittenAnswer): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`${JSON.stringify({ _columns: columns })}\n`);
  yield* pieces;
}

const endLine = (answer: WrittenAnswer): Uint8Array =>
  Buffer.from(`${JSON.stringify({ _end: { snapshot: answer.token, stats: answer.stats() } })}\n`);
const errorLine = (error: unknown): Uint8Array => Buffer.from(`${JSON.stringify({ _error: problemOf(error) })}\n`);

/** As `ndjsonLines`, with lines of progress. */
async function* watchedLines(lines: ProgressLines, pending: Promise<WrittenAnswer>, watched: WatchedQuery): AsyncGenerator<Uint8Array> {
  try {
    yield endLine(yield* lines.lines(pending, watched));
  } catch (error) {
    yield errorLine(error);
  }
}

/** The engine's lines; then `_end` with token and stats, or `_error`. */
async function* ndjsonLines(answer: WrittenAnswer): AsyncGenerator<Uint8Array> {
  try {
    yield* answer.pieces;
  } catch (error) {
    yield errorLine(error);
    return;
  }
  yield endLine(answer);
}

/** The bytes alone. Stats follow in the trailer; a late error is thrown, which breaks the connection off. */
async function* plainBytes(answer: WrittenAnswer, outgoing: ServerResponse | undefined): AsyncGenerator<Uint8Array> {
  yield* answer.pieces;
  outgoing?.addTrailers({ [statsTrailer]: JSON.stringify(answer.stats()) });
}

function chunksOf(format: AnswerFormat, answer: WrittenAnswer, outgoing: ServerResponse | undefined): AsyncGenerator<Uint8Array> {
  if (format === 'json') return jsonDocument(answer);
  return isLines(format) ? ndjsonLines(answer) : plainBytes(answer, outgoing);
}

/** Node's own answer, where there is a socket; HTTP before 1.1 has no trailers. */
function outgoingOf(c: Context): ServerResponse | undefined {
  const { outgoing, incoming } = (c.env ?? {}) as { readonly outgoing?: ServerResponse; readonly incoming?: IncomingMessage };
  return incoming?.httpVersion === '1.1' ? outgoing : undefined;
}

function linesOf(format: AnswerFormat, answer: WrittenAnswer): WrittenAnswer {
  return format === 'ndjson-arrays' ? { ...answer, pieces: columnsFirst(answer) } : answer;
}

export function queryRoute(query: QueryService, clock: Clock): (c: Context) => Promise<Response> {
  return async (c) => {
    const { request, format, isWatched: tellsProgress } = await readRequest(c);
    // Closing the connection cancels the query.
    const { signal, onStopped } = callerOf(c.req.raw);
    if (tellsProgress) return watchedResponse(query, { ...request, format }, clock, signal, onStopped);
    const answer = linesOf(format, await query.answer({ ...request, format }, signal));
    const outgoing = outgoingOf(c);
    const hasTrailer = outgoing !== undefined && format !== 'json' && !isLines(format);
    return new Response(bytesBody(chunksOf(format, answer, hasTrailer ? outgoing : undefined), onStopped), {
      headers: {
        'content-type': mediaTypes[format],
        [snapshotHeader]: answer.headerToken,
        [queryIdHeader]: answer.id,
        ...(hasTrailer ? { 'transfer-encoding': 'chunked', 'trailer': statsTrailer } : {}),
      },
    });
  };
}

async function watchedResponse(
  query: QueryService,
  request: WrittenRequest,
  clock: Clock,
  signal: AbortSignal,
  onStopped: () => void,
): Promise<Response> {
  const lines = new ProgressLines(clock);
  let watched: WatchedQuery | undefined;
  const answered = query.answer(request, signal, (taken) => {
    watched = taken;
  });
  const pending = answered.then((written) => linesOf(request.format, written));
  const answer = await lines.first(pending);
  // What was not even taken has failed, which `first` has thrown.
  invariant(watched !== undefined, 'a query that runs was taken');
  return new Response(bytesBody(watchedLines(lines, pending, watched), onStopped), {
    headers: {
      'content-type': mediaTypes.ndjson,
      [queryIdHeader]: watched.id,
      ...(answer === undefined ? {} : { [snapshotHeader]: answer.headerToken }),
    },
  });
}
