/** `GET` and `POST /v1/topics/{topic}/records`: records by offset and time over both tiers, and producing without a Kafka client. */
import { LakeError } from '../kernel/index.js';
import type { QueryService, RecordsRequest } from '../query/index.js';
import type { Context } from 'hono';
import { problemOf } from './problem.js';
import { snapshotHeader } from './query-route.js';
import { bodyOf } from './stream.js';

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

function whole(c: Context, name: string): number | undefined {
  const text = c.req.query(name);
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new LakeError('request-invalid', `${name}=${text} is not a whole number`, { hint: `Give ${name} as digits.` });
  }
  return value;
}

/** ISO 8601 (with a zone; without one it is UTC) or epoch milliseconds. */
export function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  if (/^-?\d+$/.test(text)) return Number(text);
  const hasZone = /(?:[zZ]|[+-]\d{2}:?\d{2})$/.test(text);
  const ms = Date.parse(hasZone || !text.includes('T') ? text : `${text}Z`);
  if (Number.isNaN(ms) || !/^\d{4}-\d{2}/.test(text)) {
    throw new LakeError('request-invalid', `${name}=${text} is not a time`, {
      hint: `Give ${name} as 2001-03-04T05:06:07Z or as epoch milliseconds.`,
    });
  }
  return ms;
}

/** A late error is a line of its own. */
async function* withLateError(lines: AsyncIterable<string>): AsyncGenerator<string> {
  try {
    yield* lines;
  } catch (error) {
    yield `${JSON.stringify({ _error: problemOf(error) })}\n`;
  }
}

export function readRecordsRoute(query: QueryService): (c: Context) => Promise<Response> {
  return async (c) => {
    const order = c.req.query('order');
    if (order !== undefined && order !== 'time') {
      throw new LakeError('request-invalid', `order=${order} is not known`, {
        hint: 'Leave it out for partition and offset, or use order=time.',
      });
    }
    const request: RecordsRequest = {
      topic: c.req.param('topic')!,
      fromMs: timeOf('from', c.req.query('from')),
      toMs: timeOf('to', c.req.query('to')),
      partition: whole(c, 'partition'),
      offset: whole(c, 'offset'),
      limit: whole(c, 'limit'),
      order: order === 'time' ? 'time' : 'offset',
    };
    const gone = new AbortController();
    c.req.raw.signal.addEventListener('abort', () => gone.abort(new LakeError('cancelled', 'the client closed the connection')), {
      once: true,
    });
    const answer = await query.records(request, gone.signal);
    return new Response(
      bodyOf(withLateError(answer.lines), () => gone.abort(new LakeError('cancelled', 'the client stopped reading'))),
      {
        headers: { 'content-type': 'application/x-ndjson', [snapshotHeader]: answer.token },
      },
    );
  };
}

const recordFields = new Set(['key', 'key_base64', 'value', 'value_base64', 'headers', 'timestamp', 'partition']);

function refuse(at: number, message: string): LakeError {
  return new LakeError('request-invalid', `record ${at}: ${message}`, {
    hint: 'A record is {"key", "value", "headers", "timestamp", "partition"}, each optional.',
    facts: { record: at },
  });
}

/** Text as UTF-8, null as null, anything else as its JSON text; `base64` wins where given. */
function bytesOf(at: number, name: string, value: unknown, base64: unknown): Buffer | null {
  if (base64 !== undefined && base64 !== null) {
    if (typeof base64 !== 'string') throw refuse(at, `${name}_base64 is not a text`);
    return Buffer.from(base64, 'base64');
  }
  if (value === undefined || value === null) return null;
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
}

function headersOf(at: number, value: unknown): RecordInput['headers'] {
  if (value === undefined || value === null) return [];
  const pairs: [string, unknown][] = Array.isArray(value)
    ? value.map((item: unknown) => {
        const header = item as { key?: unknown; value?: unknown } | null;
        if (typeof header !== 'object' || header === null || typeof header.key !== 'string') throw refuse(at, 'a header has no "key"');
        return [header.key, header.value];
      })
    : Object.entries(value);
  return pairs.map(([key, inner]) => ({ key: Buffer.from(key), value: bytesOf(at, 'header', inner, undefined) }));
}

function recordOf(at: number, item: unknown): RecordInput {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw refuse(at, 'it is not an object');
  const fields = item as Record<string, unknown>;
  for (const name of Object.keys(fields)) if (!recordFields.has(name)) throw refuse(at, `"${name}" is not a field of a record`);
  const { timestamp, partition } = fields;
  if (partition !== undefined && (typeof partition !== 'number' || !Number.isInteger(partition) || partition < 0)) {
    throw refuse(at, 'its partition is not a whole number');
  }
  return {
    key: bytesOf(at, 'key', fields['key'], fields['key_base64']),
    value: bytesOf(at, 'value', fields['value'], fields['value_base64']),
    headers: headersOf(at, fields['headers']),
    timestampMs: typeof timestamp === 'string' || typeof timestamp === 'number' ? timeOf('timestamp', String(timestamp)) : undefined,
    partition,
  };
}

/** Reads a JSON array, one JSON object, or NDJSON. Errors: `request-invalid` naming the record. */
export function parseRecords(body: string): RecordInput[] {
  const text = body.trim();
  let items: unknown[];
  try {
    const isArray = text.startsWith('[');
    items = isArray
      ? (JSON.parse(text) as unknown[])
      : text
          .split('\n')
          .filter((line) => line.trim() !== '')
          .map((line) => JSON.parse(line) as unknown);
  } catch (error) {
    throw new LakeError('request-invalid', 'the body is neither NDJSON nor a JSON array', {
      hint: 'Send one record a line, or an array of records.',
      cause: error,
    });
  }
  return items.map((item, at) => recordOf(at, item));
}

export function produceRecordsRoute(sink: RecordSink): (c: Context) => Promise<Response> {
  return async (c) => {
    const body = await c.req.text();
    if (body.length > maxProduceBytes) {
      throw new LakeError('request-invalid', `the body has ${body.length} characters; ${maxProduceBytes} are allowed`, {
        hint: 'Send fewer records a call, or use the Kafka port.',
      });
    }
    const records = parseRecords(body);
    const offsets = await sink.send(c.req.param('topic')!, records, c.req.raw.signal);
    return c.json({ records: offsets.length, offsets });
  };
}
