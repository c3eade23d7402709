/**
 * Pages of records: each ends with a line that says where the next one begins, `{"_end":{"next","snapshot"}}`. The cursor holds the
 * whole question, the snapshot and the last record's place, so that the pages together are one answer, whatever is tiered, compacted or
 * written meanwhile; without `next` there are no more.
 */
import { LakeError } from '../kernel/index.js';
import type { RecordPlace, RecordsAnswer, RecordsRequest } from '../query/index.js';

/** Records of a page where no limit is given. */
export const pageRecords = 1000;
/** A cursor is little more than a token as a header carries it, which has at most 4 KiB. */
const cursorCharsMax = 16 * 1024;

interface CursorFields {
  readonly v: 1;
  readonly topic: string;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly partition?: number | undefined;
  readonly offset?: number | undefined;
  readonly order?: 'time' | undefined;
  readonly limit: number;
  readonly after: readonly [partition: number, offset: number, timestampMs: number];
  readonly snapshot: string;
}

function cursorOf(request: RecordsRequest, limit: number, after: RecordPlace, snapshot: string): string {
  const { topic, fromMs, toMs, partition, offset, order } = request;
  const fields: CursorFields = {
    v: 1,
    topic,
    from: fromMs,
    to: toMs,
    partition,
    offset,
    order: order === 'time' ? 'time' : undefined,
    limit,
    after: [after.partition, after.offset, after.timestampMs],
    snapshot,
  };
  return Buffer.from(JSON.stringify(fields)).toString('base64url');
}

/** The request that a cursor stands for. Errors: `request-invalid`. */
export function requestOfCursor(text: string, topic: string, limit: number | undefined): RecordsRequest {
  let fields: CursorFields;
  try {
    if (text.length > cursorCharsMax) throw new TypeError('it is too long');
    fields = JSON.parse(Buffer.from(text, 'base64url').toString()) as CursorFields;
    if (fields.v !== 1 || !Array.isArray(fields.after) || fields.after.length !== 3) throw new TypeError('it is none');
    if (typeof fields.snapshot !== 'string' || typeof fields.limit !== 'number') throw new TypeError('it is none');
  } catch (cause) {
    throw new LakeError('request-invalid', 'the cursor cannot be read', { hint: 'Pass `next` of the last page as it was given.', cause });
  }
  if (fields.topic !== topic) {
    throw new LakeError('request-invalid', `the cursor is of topic ${fields.topic}`, { hint: 'Ask the topic that the page was of.' });
  }
  const [partition, offset, timestampMs] = fields.after;
  return {
    topic,
    fromMs: fields.from,
    toMs: fields.to,
    partition: fields.partition,
    offset: fields.offset,
    limit: limit ?? fields.limit,
    order: fields.order ?? 'offset',
    after: { partition, offset, timestampMs },
    asOf: fields.snapshot,
  };
}

/** A page's lines and its closing one. */
export async function* pageLines(request: RecordsRequest, limit: number, answer: RecordsAnswer): AsyncGenerator<string> {
  let count = 0;
  let lastLine: string | undefined;
  for await (const text of answer.lines) {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
    lastLine = text.slice(text.lastIndexOf('\n', text.length - 2) + 1);
    yield text;
  }
  const next = count < limit || lastLine === undefined ? {} : { next: cursorOf(request, limit, placeOf(lastLine), answer.headerToken) };
  yield `${JSON.stringify({ _end: { records: count, ...next, snapshot: answer.token } })}\n`;
}

function placeOf(line: string): RecordPlace {
  const { partition, offset, timestamp } = JSON.parse(line) as { partition: number; offset: number; timestamp: string | number };
  return { partition, offset, timestampMs: typeof timestamp === 'number' ? timestamp : Date.parse(timestamp) };
}
