/** `POST /v1/query`: one SELECT over both tiers, as one JSON document or as a stream of NDJSON rows. */
import { LakeError } from '../kernel/index.js';
import type { QueryAnswer, QueryRequest, QueryService } from '../query/index.js';
import type { Context } from 'hono';
import { problemOf } from './problem.js';
import { bodyOf, textOf } from './stream.js';

export const snapshotHeader = 'X-Thermocline-Snapshot';
/** A query's text and parameters; results are streamed and have no such bound. */
const maxBodyBytes = 1024 * 1024;

const formats = ['json', 'ndjson'] as const;
type Format = (typeof formats)[number];
/** Planned formats, refused by name so that nobody takes the refusal for a typing error. */
const laterFormats = new Set(['csv', 'arrow', 'parquet', 'table']);

function formatOf(text: string | undefined): Format {
  if (text === undefined || text === '') return 'json';
  if ((formats as readonly string[]).includes(text)) return text as Format;
  throw new LakeError('unsupported', `format "${text}" is not ${laterFormats.has(text) ? 'served yet' : 'known'}`, {
    hint: `Use one of ${formats.join(', ')}.`,
    facts: { format: text },
  });
}

const known = new Set(['sql', 'params', 'as_of', 'format', 'limits']);

async function readRequest(c: Context): Promise<{ request: QueryRequest; format: Format }> {
  const body = await textOf(c.req.raw, maxBodyBytes, 'Shorten the query; pass long lists as parameters of fewer queries.');
  const type = (c.req.header('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
  if (type !== 'application/json') {
    const asOf = c.req.query('as_of');
    return { request: { sql: body, ...(asOf === undefined ? {} : { asOf }) }, format: formatOf(c.req.query('format')) };
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
  const fields = parsed as { sql: string; params?: unknown; as_of?: unknown; format?: unknown; limits?: unknown };
  for (const name of Object.keys(fields)) {
    if (!known.has(name)) {
      throw new LakeError('request-invalid', `"${name}" is not a field of a query`, { hint: `The fields are ${[...known].join(', ')}.` });
    }
  }
  if (fields.as_of !== undefined && fields.as_of !== null && typeof fields.as_of !== 'string') {
    throw new LakeError('request-invalid', '"as_of" is not a token', { hint: 'Pass the snapshot of an earlier answer.' });
  }
  if (fields.format !== undefined && typeof fields.format !== 'string') throw new LakeError('request-invalid', '"format" is not a text');
  return {
    request: {
      sql: fields.sql,
      ...(fields.params === undefined ? {} : { params: fields.params as QueryRequest['params'] }),
      ...(typeof fields.as_of === 'string' ? { asOf: fields.as_of } : {}),
      ...(fields.limits === undefined ? {} : { limits: fields.limits as QueryRequest['limits'] }),
    } as QueryRequest,
    format: formatOf(fields.format ?? c.req.query('format')),
  };
}

/** One JSON document, written row chunk by row chunk. A late error closes the document with an `error` member. */
async function* jsonDocument(answer: QueryAnswer): AsyncGenerator<string> {
  yield `{"columns":${JSON.stringify(answer.columns)},"rows":[`;
  let isFirst = true;
  try {
    for await (const rows of answer.rows) {
      const text = rows.map((row) => JSON.stringify(row)).join(',\n');
      if (text === '') continue;
      yield isFirst ? `\n${text}` : `,\n${text}`;
      isFirst = false;
    }
  } catch (error) {
    yield `],"error":${JSON.stringify(problemOf(error))}}\n`;
    return;
  }
  yield `],"snapshot":${JSON.stringify(answer.token)},"stats":${JSON.stringify(answer.stats())}}\n`;
}

/** A row a line, as an object by column name; then `_end` with token and stats, or `_error`. */
async function* ndjsonLines(answer: QueryAnswer): AsyncGenerator<string> {
  const names = answer.columns.map((column) => JSON.stringify(column.name));
  try {
    for await (const rows of answer.rows) {
      let text = '';
      for (const row of rows) text += `{${names.map((name, i) => `${name}:${JSON.stringify(row[i])}`).join(',')}}\n`;
      if (text !== '') yield text;
    }
  } catch (error) {
    yield `${JSON.stringify({ _error: problemOf(error) })}\n`;
    return;
  }
  yield `${JSON.stringify({ _end: { snapshot: answer.token, stats: answer.stats() } })}\n`;
}

export function queryRoute(query: QueryService): (c: Context) => Promise<Response> {
  return async (c) => {
    const { request, format } = await readRequest(c);
    // Closing the connection cancels the query.
    const gone = new AbortController();
    c.req.raw.signal.addEventListener('abort', () => gone.abort(new LakeError('cancelled', 'the client closed the connection')), {
      once: true,
    });
    const answer = await query.query(request, gone.signal);
    const chunks = format === 'json' ? jsonDocument(answer) : ndjsonLines(answer);
    return new Response(
      bodyOf(chunks, () => gone.abort(new LakeError('cancelled', 'the client stopped reading'))),
      {
        headers: {
          'content-type': format === 'json' ? 'application/json' : 'application/x-ndjson',
          [snapshotHeader]: answer.token,
        },
      },
    );
  };
}
