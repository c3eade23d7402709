/** What the records routes say of themselves. */
import type { QueryRecord } from '../query/index.js';
import {
  asOf,
  count,
  flag,
  json,
  lines,
  list,
  ndjson,
  object,
  type Operation,
  orNull,
  query as inQuery,
  type Schema,
  shared,
  text,
  topicInPath,
} from './operation.js';
import { produceProblems, queryProblems } from './route-problems.js';
import { snapshotHeaders } from './query-operations.js';
import { pageRecords } from './records-page.js';
import { type recordFieldNames, recordOrder } from './records-route.js';

const bytesFields = {
  key: orNull(text('where it is UTF-8')),
  key_base64: text('where it is not'),
  value: orNull(text('where it is UTF-8; null is a tombstone')),
  value_base64: text('where it is not'),
};

const record = object(
  {
    partition: count(),
    offset: count(),
    timestamp: { type: ['string', 'integer'], description: 'ISO 8601 in UTC; epoch ms where a date cannot say it' },
    headers: list(object({}, bytesFields), 'in order, duplicates kept'),
  } satisfies Record<'partition' | 'offset' | 'timestamp' | 'headers', Schema>,
  bytesFields satisfies Record<Exclude<keyof QueryRecord, 'partition' | 'offset' | 'timestamp' | 'headers'>, Schema>,
);

const anyJson: Schema = { description: 'text as UTF-8; anything else but null as its JSON text, digit for digit' };

const given: Schema = {
  ...object({}, {
    key: anyJson,
    key_base64: orNull(text('bytes; wins over `key`')),
    value: anyJson,
    value_base64: orNull(text('bytes; wins over `value`')),
    headers: {
      description: 'by name, or in order with duplicates',
      oneOf: [{ type: 'object' }, list(object({ key: text() }, { value: {} })), { type: 'null' }],
    },
    timestamp: { type: ['string', 'integer', 'null'], description: 'ISO 8601 (UTC without a zone) or epoch ms; now where left out' },
    partition: count("by the key's hash where left out"),
  } satisfies Record<(typeof recordFieldNames)[number], Schema>),
  additionalProperties: false,
};

export const recordsSchemas: Readonly<Record<string, Schema>> = { Record: record, GivenRecord: given };

const line: Schema = {
  oneOf: [
    shared('Record'),
    object({ _end: object({ records: count('of the page'), snapshot: text() }, { next: text('the cursor of the page that follows') }) }),
    shared('ErrorLine'),
  ],
};

const example = { key: 'ORD', value: { delay: 12 } };

export const recordsOperations: readonly Operation[] = [
  {
    id: 'readRecords',
    tag: 'records',
    method: 'get',
    path: '/v1/topics/{topic}/records',
    summary: 'Records by offset and time over both tiers',
    parameters: [
      topicInPath,
      inQuery('from', 'at or after this time: ISO 8601 (UTC without a zone) or epoch ms'),
      inQuery('to', 'before this time'),
      inQuery('partition', 'only this one', count()),
      inQuery('offset', 'at or after this offset', count()),
      { ...inQuery('limit', `at most so many; a page has ${pageRecords} where left out`, count()), example: '10' },
      inQuery('order', 'by time; by partition and offset where left out', text(undefined, { enum: [recordOrder] })),
      asOf,
      inQuery('page', 'end with a line `_end` that says where the next page begins', flag()),
      inQuery('cursor', '`next` of the last page, alone or with `limit`'),
    ],
    answers: { 200: { description: 'a record a line; of a page last `_end`', headers: snapshotHeaders, content: lines(line) } },
    problems: queryProblems,
  },
  {
    id: 'produceRecords',
    tag: 'records',
    method: 'post',
    path: '/v1/topics/{topic}/records',
    summary: 'Produce without a Kafka client',
    parameters: [topicInPath],
    body: {
      'application/json': { schema: { oneOf: [list(shared('GivenRecord')), shared('GivenRecord')] }, example: [example] },
      [ndjson]: { schema: text('a record a line'), line: shared('GivenRecord'), example: `${JSON.stringify(example)}\n` },
    },
    answers: {
      200: {
        description: 'all are on disk',
        content: json(object({ records: count(), offsets: list(object({ partition: count(), offset: count() }), 'in the order given') })),
      },
    },
    problems: produceProblems,
  },
];
