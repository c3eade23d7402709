// A gateway whose every route has something to answer, and the requests that the document's own examples make.
import type { BrokerState, ControlPeer } from '../../../src/control/index.js';
import { gatewayApp, openapiDocument } from '../../../src/gateway/index.js';
import { type LakeError, packageVersion, systemClock, systemRandom, topicId, topicName } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import type { QueryService, QueryStats, QuerySummary, WrittenRequest } from '../../../src/query/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import type { AnySchemaObject } from 'ajv/dist/2020.js';
import { emptyBroker, partitionState } from './broker-state.js';

export interface OperationDocument {
  readonly operationId: string;
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
  readonly requestBody?: unknown;
  readonly security?: readonly unknown[];
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, AnySchemaObject>> }>>;
}

export interface Document {
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationDocument>>>>;
}

export const document = openapiDocument(packageVersion()) as unknown as Document;
export const methods: readonly (readonly [string, string, OperationDocument])[] = Object.entries(document.paths).flatMap(
  ([path, byMethod]) => Object.entries(byMethod).map(([method, operation]) => [method.toUpperCase(), path, operation] as const),
);

const id = topicId('AAAAAAAAAAAAAAAAAAAAAw');
const flights = { id, isInternal: false, isTiered: true, config: { 'retention.ms': '-1' }, overrides: {} };
const state: BrokerState = {
  ...emptyBroker,
  views: [{ name: 'late', sql: 'SELECT 1', savedMs: 0 }],
  topics: [
    { ...flights, name: topicName('flights'), partitions: [partitionState, { ...partitionState, partition: 1, offline: 'no disk' }] },
  ],
};
const cold = {
  topic: 'flights',
  topicId: id,
  metadataVersion: 3,
  files: 1,
  coldBytes: 5,
  coldRows: 20,
  partitions: [
    {
      partition: 0,
      boundary: 20,
      logStartOffset: 0,
      files: 1,
      bytes: 5,
      pendingBytes: 0,
      holes: [{ from: 2, to: 3 }],
      error: 'the bucket is away',
    },
  ],
};

export const stats: QueryStats = {
  hot_rows: 1,
  hot_bytes: 2,
  staged_rows: 1,
  cold_files: 3,
  cold_rows: 4,
  cold_bytes: 5,
  read_bytes: 6,
  requests: 7,
  cache_hits: 8,
  pruned_files: 9,
  metadata_files: 10,
  remembered_files: 1,
  rows: 11,
  boundary: { flights: { 0: 20 } },
  as_of_ms: 1,
  plan_ms: 0.5,
  elapsed_ms: 1.5,
};
const summary: QuerySummary = {
  id: '7',
  sql: 'SELECT 1',
  state: 'running',
  phase: 'reading',
  rows: 1,
  bytes: 2,
  files: 3,
  percent: -1,
  startedMs: 0,
  elapsedMs: 5,
};
const records = [
  { partition: 0, offset: 7, timestamp: '2001-01-01T00:00:00.000Z', key: 'k', value: 'v', headers: [{ key: 'h', value: null }] },
  { partition: 0, offset: 8, timestamp: 9e15, key: null, value_base64: '/w==', headers: [] },
];

async function* only<T>(...items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** Answers every route well, or, with `failure`, badly where the service behind is asked. */
export function appOf(failure?: LakeError, token?: string): ReturnType<typeof gatewayApp> {
  const may = <T>(value: T): T => {
    if (failure !== undefined) throw failure;
    return value;
  };
  const answers: Readonly<Record<string, unknown>> = {
    'broker.describe': state,
    'tier.status': { topics: [cold] },
    'tier.flush': { topics: [{ topic: 'flights', topicId: id, partitions: [{ partition: 0, boundary: 30, logStartOffset: 0 }] }] },
    'broker.evict': { evictedSegments: 1, evictedBytes: 5, topics: state.topics },
    'broker.put-view': { view: { name: 'late', sql: 'SELECT 1', description: 'd', savedMs: 0 }, isNew: true },
    'broker.drop-view': {},
    'broker.metrics': { samples: [] },
    'tier.metrics': { samples: [] },
  };
  const ofRecords = { token: 'T', headerToken: 'T', stats: () => stats };
  const query = {
    answer: async ({ format }: WrittenRequest) =>
      may({
        id: '7',
        columns: [{ name: 'n', type: 'BIGINT' }],
        token: 'T',
        headerToken: 'T',
        stats: () => stats,
        pieces: only(Buffer.from(format === 'ndjson' ? '{"n":1}\n' : format === 'ndjson-arrays' ? '[1]\n[2]\n' : '[1],[2]')),
      }),
    list: () => may([summary, { ...summary, state: 'failed', error: 'it is gone' }]),
    cancel: () => may(true),
    records: async () => may({ ...ofRecords, lines: only(...records.map((record) => `${JSON.stringify(record)}\n`)) }),
    keyRecords: async () => may({ ...ofRecords, lines: only(`${JSON.stringify(records[0])}\n`) }),
    columnsOfView: async () => may([{ name: 'x', type: 'INTEGER' }]),
  } as unknown as QueryService;
  const control = {
    call: async (method: string, _params: unknown, options?: { onPart?: (facts: unknown) => Promise<void> }) => {
      if (method === 'tier.scrub') {
        await options?.onPart?.({ topic: 'flights', partition: 0, key: 'a/b.parquet', rows: 1, bytes: 2, problem: 'p', hint: 'h' });
        return { files: 1, bytes: 2, findings: 1, holes: 0 };
      }
      if (method === 'broker.scrub') {
        await options?.onPart?.({ soFar: { bytes: 0, findings: 0 } });
        await options?.onPart?.({ partition: 0, bytes: 5, findings: 1, offline: 'a segment is damaged' });
        return { bytes: 5, findings: 1 };
      }
      return may(answers[method]);
    },
  } as unknown as Pick<ControlPeer, 'call'>;
  return gatewayApp({
    listen: { host: '127.0.0.1', port: 8080 },
    query,
    control,
    records: { send: async () => may([{ partition: 0, offset: 5 }]) },
    samples: () => [],
    catalog: { store: new MemoryStore({ clock: systemClock }), access: null, clock: systemClock, random: systemRandom },
    logger: silentLogger,
    ...(token === undefined ? {} : { token }),
  });
}

/** What is sent to each operation: by its id, what differs from the example of its parameters. */
const paths: Readonly<Record<string, string>> = {
  readRecords: '/v1/topics/flights/records?page=true&limit=2',
  lookupKey: '/v1/topics/flights/keys/ORD?history=true',
};

/** The path of an operation's example. */
export function pathOf(path: string, operation: OperationDocument): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const parameter = operation.parameters?.find((one) => one.in === 'path' && one.name === name);
    return (parameter as unknown as { example: string }).example;
  });
  return paths[operation.operationId] ?? filled;
}

export async function send(
  app: ReturnType<typeof gatewayApp>,
  method: string,
  path: string,
  operation: OperationDocument,
  init: RequestInit = {},
): Promise<Response> {
  const body = operation.requestBody as { content: Record<string, { example: unknown }> } | undefined;
  return app.request(`http://127.0.0.1:8080${pathOf(path, operation)}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body.content['application/json']!.example) }),
    ...init,
    headers: { 'host': '127.0.0.1:8080', 'content-type': 'application/json', ...(init.headers as Record<string, string> | undefined) },
  });
}
