/** `GET /v1/topics/{topic}/keys/{key}`: the last record of a key, or with `?history=true` all of them, over both tiers. */
import { LakeError } from '../kernel/index.js';
import { type KeyRequest, keyOrders, type QueryRecord, type QueryService } from '../query/index.js';
import type { Context } from 'hono';
import { asOf, count, flag, inPath, json, lines, type Operation, query as inQuery, shared, text, topicInPath } from './operation.js';
import { queryProblems } from './route-problems.js';
import { snapshotHeaders } from './query-operations.js';
import { snapshotHeader } from './query-route.js';
import { withLateError } from './records-route.js';
import { base64Bytes, whole } from './request-values.js';
import { bodyOf, callerOf } from './stream.js';

/** A record as JSON; of a history one a line. Errors: `key-unknown`, `key-deleted`, `request-invalid`, and those of a query. */
export function keyRoute(query: QueryService): (c: Context) => Promise<Response> {
  return async (c) => {
    const request = requestOf(c);
    const { signal, onStopped } = callerOf(c.req.raw);
    const answer = await query.keyRecords(request, signal);
    const { lines, headerToken } = answer;
    if (request.isHistory) {
      const body = bodyOf(withLateError(lines), onStopped);
      return new Response(body, { headers: { 'content-type': 'application/x-ndjson', [snapshotHeader]: headerToken } });
    }
    let line = '';
    for await (const text of lines) line += text;
    requireValue(request, line, headerToken);
    return new Response(line, { headers: { 'content-type': 'application/json', [snapshotHeader]: headerToken } });
  };
}

function requireValue({ topic }: KeyRequest, line: string, snapshot: string): void {
  if (line === '') {
    throw new LakeError('key-unknown', `no record of ${topic} has this key`, {
      hint: 'Keys are compared byte by byte; give bytes that are no text with ?encoding=base64.',
      facts: { topic, snapshot },
    });
  }
  const { partition, offset, timestamp, value } = JSON.parse(line) as QueryRecord;
  if (value !== null) return;
  throw new LakeError('key-deleted', `the key was deleted by the tombstone at offset ${offset} of ${topic}-${partition}`, {
    hint: 'Add ?history=true to see the records before it.',
    facts: { topic, partition, offset, timestamp, snapshot },
  });
}

function requestOf(c: Context): KeyRequest {
  const isHistory = flagOf(c, 'history');
  const order = keyOrders.find((known) => known === c.req.query('order'));
  if (order === undefined && c.req.query('order') !== undefined)
    throw invalid(`order=${c.req.query('order')} is not known`, `Give one of ${keyOrders.join(', ')}.`);
  for (const name of ['order', 'limit'])
    if (!isHistory && c.req.query(name) !== undefined) throw invalid(`${name} is of a history alone`, 'Add history=true.');
  return { topic: c.req.param('topic')!, key: keyOf(c), isHistory, order, limit: whole(c, 'limit'), asOf: c.req.query('as_of') };
}

function flagOf(c: Context, name: string): boolean {
  const text = c.req.query(name);
  if (text === undefined || text === 'false') return false;
  if (text === 'true' || text === '') return true;
  throw invalid(`${name}=${text} is neither true nor false`, `Give ${name}=true, or leave it out.`);
}

const keyEncodings = ['utf8', 'base64'] as const;

/** From the path as it was sent: what is decoded for routing leaves text that is not UTF-8 as it is. */
function keyOf(c: Context): Buffer {
  const { pathname } = new URL(c.req.url);
  let text: string;
  try {
    text = decodeURIComponent(pathname.slice(pathname.lastIndexOf('/') + 1));
  } catch (cause) {
    throw new LakeError('request-invalid', 'the key in the path is not URL-encoded UTF-8', {
      hint: 'Give its bytes as base64, with ?encoding=base64.',
      cause,
    });
  }
  const encoding = c.req.query('encoding');
  if (encoding === undefined || encoding === keyEncodings[0]) return Buffer.from(text);
  if (encoding !== keyEncodings[1]) throw invalid(`encoding=${encoding} is not known`, 'Leave it out for text, or give encoding=base64.');
  const bytes = base64Bytes(text);
  if (bytes === undefined) throw invalid('the key is not a base64 text', 'Correct it, or leave encoding out.');
  return bytes;
}

function invalid(message: string, hint: string): LakeError {
  return new LakeError('request-invalid', message, { hint });
}

const lookup = {
  tag: 'records',
  method: 'get',
  answers: {
    200: {
      description: 'the record; with `history` all of them, one a line, tombstones too',
      headers: snapshotHeaders,
      content: { ...json(shared('Record')), ...lines({ oneOf: [shared('Record'), shared('ErrorLine')] }) },
    },
  },
  problems: ['key-unknown', 'key-deleted', ...queryProblems],
} as const;
const lookupParameters = [
  inQuery('history', 'all records of the key', flag()),
  inQuery(
    'order',
    'of a history: by partition and offset, by time, or by time with the newest first',
    text(undefined, { enum: keyOrders }),
  ),
  inQuery('limit', 'of a history: at most so many, in that order', count()),
  asOf,
  inQuery('encoding', 'of the key in the path', text(undefined, { enum: keyEncodings, default: keyEncodings[0] })),
];

export const keyOperations: readonly Operation[] = [
  {
    ...lookup,
    id: 'lookupKey',
    path: '/v1/topics/{topic}/keys/{key}',
    summary: 'The last record of a key, or all of them',
    parameters: [topicInPath, inPath('key', 'URL-encoded', 'ORD'), ...lookupParameters],
  },
  {
    ...lookup,
    id: 'lookupEmptyKey',
    path: '/v1/topics/{topic}/keys/',
    summary: 'The same of the empty key',
    parameters: [topicInPath, ...lookupParameters],
  },
];
