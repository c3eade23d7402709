/** `GET` and `POST /v1/topics/{topic}/records`: records by offset and time over both tiers, and producing without a Kafka client. */
import { LakeError } from '../kernel/index.js';
import type { QueryService, RecordsRequest } from '../query/index.js';
import type { Context } from 'hono';
import { compactJson, jsonElements, jsonMembers } from './json-source.js';
import { problemOf } from './problem.js';
import { pageLines, pageRecords, requestOfCursor } from './records-page.js';
import { snapshotHeader } from './query-route.js';
import { base64Bytes, timeOf, whole } from './request-values.js';
import { bodyOf, callerOf, textOf } from './stream.js';

/** What a produce call may carry; larger loads go through Kafka's port. */
const maxProduceBytes = 16 * 1024 * 1024;

/** A record to produce. Text is UTF-8; the `_base64` forms carry any bytes; null is Kafka's null. */
export interface RecordInput {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: Buffer; readonly value: Buffer | null }[];
  readonly timestampMs: number | undefined;
  readonly partition: number | undefined;
}

/** Where produced records go: acknowledged when on disk (acks=all). Plugged by the server. */
export interface RecordSink {
  send(
    topic: string,
    records: readonly RecordInput[],
    signal: AbortSignal,
  ): Promise<readonly { readonly partition: number; readonly offset: number }[]>;
}

/** A late error is a line of its own. */
export async function* withLateError(lines: AsyncIterable<string>): AsyncGenerator<string> {
  try {
    yield* lines;
  } catch (error) {
    yield `${JSON.stringify({ _error: problemOf(error) })}\n`;
  }
}

/** A cursor holds the whole question. Errors: `request-invalid`. */
function requireAlone(c: Context): void {
  for (const name of ['from', 'to', 'partition', 'offset', 'order', 'as_of']) {
    if (c.req.query(name) === undefined) continue;
    throw new LakeError('request-invalid', `${name} cannot be changed between pages`, { hint: 'Give the cursor, and limit if you like.' });
  }
}

/** Of the records, other than by partition and offset. */
export const recordOrder = 'time';

export function readRecordsRoute(query: QueryService): (c: Context) => Promise<Response> {
  return async (c) => {
    const order = c.req.query('order');
    if (order !== undefined && order !== recordOrder) {
      throw new LakeError('request-invalid', `order=${order} is not known`, {
        hint: `Leave it out for partition and offset, or use order=${recordOrder}.`,
      });
    }
    const cursor = c.req.query('cursor');
    const isPaged = cursor !== undefined || c.req.query('page') === 'true';
    const limit = whole(c, 'limit') ?? (isPaged && cursor === undefined ? pageRecords : undefined);
    const topic = c.req.param('topic')!;
    if (cursor !== undefined) requireAlone(c);
    const asked: RecordsRequest = {
      topic,
      fromMs: timeOf('from', c.req.query('from')),
      toMs: timeOf('to', c.req.query('to')),
      partition: whole(c, 'partition'),
      offset: whole(c, 'offset'),
      limit,
      order: order === recordOrder ? 'time' : 'offset',
      asOf: c.req.query('as_of'),
    };
    const request = cursor === undefined ? asked : requestOfCursor(cursor, topic, limit);
    if (isPaged && request.limit === 0)
      throw new LakeError('request-invalid', 'a page of no records never ends', { hint: 'Give limit=1000.' });
    const { signal, onStopped } = callerOf(c.req.raw);
    const answer = await query.records(request, signal);
    const lines = isPaged ? pageLines(request, request.limit ?? pageRecords, answer) : answer.lines;
    return new Response(bodyOf(withLateError(lines), onStopped), {
      headers: { 'content-type': 'application/x-ndjson', [snapshotHeader]: answer.headerToken },
    });
  };
}

export const recordFieldNames = ['key', 'key_base64', 'value', 'value_base64', 'headers', 'timestamp', 'partition'] as const;
const recordFields: ReadonlySet<string> = new Set(recordFieldNames);

function refuse(at: number, message: string): LakeError {
  return new LakeError('request-invalid', `record ${at}: ${message}`, {
    hint: 'A record is {"key", "value", "headers", "timestamp", "partition"}, each optional.',
    facts: { record: at },
  });
}

/** Text as UTF-8, null as null, anything else as its JSON text (`source`); `base64` wins where given. */
function bytesOf(at: number, name: string, value: unknown, source: string | undefined, base64: unknown): Buffer | null {
  if (base64 !== undefined && base64 !== null) {
    const bytes = typeof base64 === 'string' ? base64Bytes(base64) : undefined;
    if (bytes === undefined) throw refuse(at, `${name}_base64 is not a base64 text`);
    return bytes;
  }
  if (value === undefined || value === null || source === undefined) return null;
  return Buffer.from(typeof value === 'string' ? value : compactJson(source));
}

function headersOf(at: number, value: unknown, source: string | undefined): RecordInput['headers'] {
  if (value === undefined || value === null || source === undefined) return [];
  if (typeof value !== 'object') throw refuse(at, 'its headers are neither an object nor an array');
  if (!Array.isArray(value)) {
    const sources = jsonMembers(source);
    return Object.entries(value).map(([key, inner]) => headerOf(at, key, inner, sources.get(key)));
  }
  const elements = jsonElements(source);
  return value.map((item: unknown, index) => {
    const header = item as { key?: unknown; value?: unknown } | null;
    if (typeof header !== 'object' || header === null || typeof header.key !== 'string') throw refuse(at, 'a header has no "key"');
    return headerOf(at, header.key, header.value, jsonMembers(elements[index] ?? '{}').get('value'));
  });
}

function headerOf(at: number, key: string, value: unknown, source: string | undefined): RecordInput['headers'][number] {
  return { key: Buffer.from(key), value: bytesOf(at, 'header', value, source, undefined) };
}

function timestampOf(at: number, value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string' && typeof value !== 'number') throw refuse(at, 'its timestamp is neither a text nor a number');
  return timeOf('timestamp', String(value));
}

function recordOf(at: number, source: string): RecordInput {
  const item = JSON.parse(source) as unknown;
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw refuse(at, 'it is not an object');
  const fields = item as Record<string, unknown>;
  for (const name of Object.keys(fields)) if (!recordFields.has(name)) throw refuse(at, `"${name}" is not a field of a record`);
  const { partition } = fields;
  if (partition !== undefined && (typeof partition !== 'number' || !Number.isInteger(partition) || partition < 0)) {
    throw refuse(at, 'its partition is not a whole number');
  }
  const sources = jsonMembers(source);
  return {
    key: bytesOf(at, 'key', fields['key'], sources.get('key'), fields['key_base64']),
    value: bytesOf(at, 'value', fields['value'], sources.get('value'), fields['value_base64']),
    headers: headersOf(at, fields['headers'], sources.get('headers')),
    timestampMs: timestampOf(at, fields['timestamp']),
    partition,
  };
}

/** Reads a JSON array, one JSON object, or NDJSON. Errors: `request-invalid` naming the record. */
export function parseRecords(body: string): RecordInput[] {
  const text = body.trim();
  let items: string[];
  try {
    items = text.startsWith('[') ? [text] : text.split('\n').filter((line) => line.trim() !== '');
    for (const item of items) JSON.parse(item);
  } catch (error) {
    throw new LakeError('request-invalid', 'the body is neither NDJSON nor a JSON array', {
      hint: 'Send one record a line, or an array of records.',
      cause: error,
    });
  }
  const sources = text.startsWith('[') ? jsonElements(text) : items;
  return sources.map((source, at) => recordOf(at, source));
}

export function produceRecordsRoute(sink: RecordSink): (c: Context) => Promise<Response> {
  return async (c) => {
    const records = parseRecords(await textOf(c.req.raw, maxProduceBytes, 'Send fewer records a call, or use the Kafka port.'));
    const offsets = await sink.send(c.req.param('topic')!, records, c.req.raw.signal);
    return c.json({ records: offsets.length, offsets });
  };
}
