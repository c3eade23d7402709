import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020, type AnySchemaObject } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { beforeAll, describe, expect, it } from 'vitest';
import type { BrokerState, ControlPeer } from '../../../src/control/index.js';
import { gatewayApp, openapiDocument } from '../../../src/gateway/index.js';
import { LakeError, packageVersion, systemClock, systemRandom, topicId, topicName } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import { answerFormats, type QueryService, type QueryStats, type QuerySummary, type WrittenRequest } from '../../../src/query/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { emptyBroker, partitionState } from './broker-state.js';

interface OperationDocument {
  readonly operationId: string;
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
  readonly requestBody?: unknown;
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, AnySchemaObject>> }>>;
}

interface Document {
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationDocument>>>>;
}

const document = openapiDocument(packageVersion()) as unknown as Document;
const methods: readonly (readonly [string, string, OperationDocument])[] = Object.entries(document.paths).flatMap(([path, byMethod]) =>
  Object.entries(byMethod).map(([method, operation]) => [method.toUpperCase(), path, operation] as const),
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

const stats: QueryStats = {
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
function appOf(failure?: LakeError): ReturnType<typeof gatewayApp> {
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
  });
}

/** What is sent to each operation: by its id, what differs from the example of its parameters. */
const paths: Readonly<Record<string, string>> = {
  readRecords: '/v1/topics/flights/records?page=true&limit=2',
  lookupKey: '/v1/topics/flights/keys/ORD?history=true',
};

async function send(app: ReturnType<typeof gatewayApp>, method: string, path: string, operation: OperationDocument): Promise<Response> {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const parameter = operation.parameters?.find((one) => one.in === 'path' && one.name === name);
    return (parameter as unknown as { example: string }).example;
  });
  const body = operation.requestBody as { content: Record<string, { example: unknown }> } | undefined;
  return app.request(`http://127.0.0.1:8080${paths[operation.operationId] ?? filled}`, {
    method,
    headers: { 'host': '127.0.0.1:8080', 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body.content['application/json']!.example) }),
  });
}

/** The document with each object closed to fields that are not described, so that none of an answer goes untold. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const fields = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, name === 'example' ? value : closed(value)]));
  const isObject = fields['type'] === 'object' && fields['properties'] !== undefined && fields['additionalProperties'] === undefined;
  return isObject ? { ...fields, additionalProperties: false } : fields;
}

const ajv = new Ajv2020({ strict: false, allErrors: true });
formats.default(ajv);
const root = 'http://gateway.test/openapi.json';
ajv.addSchema({ ...(closed(document) as object), $id: root });
const pointer = (...parts: readonly string[]): string =>
  `${root}#/${parts.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;

function expectValid(value: unknown, ...at: readonly string[]): void {
  const isValid = ajv.validate({ $ref: pointer(...at) }, value);
  expect([at.join(' '), isValid, ajv.errorsText(), value]).toEqual([at.join(' '), true, 'No errors', value]);
}

/** Checks status, media type and body of an answer against what the operation declares. */
async function expectDeclared(answer: Response, method: string, path: string, operation: OperationDocument): Promise<void> {
  const status = operation.responses[answer.status] === undefined ? 'default' : String(answer.status);
  const declared = operation.responses[status];
  expect(declared, `${method} ${path} answered ${answer.status}: ${declared === undefined ? await answer.text() : ''}`).toBeDefined();
  const type = (answer.headers.get('content-type') ?? '').split(';')[0]!;
  const text = await answer.text();
  if (declared!.content === undefined) {
    expect(text).toBe('');
    return;
  }
  expect(Object.keys(declared!.content)).toContain(type);
  const at = ['paths', path, method.toLowerCase(), 'responses', status, 'content', type];
  if (type === 'application/x-ndjson') {
    for (const line of text.trimEnd().split('\n')) expectValid(JSON.parse(line), ...at, 'x-itemSchema');
  } else expectValid(type.endsWith('json') ? JSON.parse(text) : text, ...at, 'schema');
}

describe('the OpenAPI document', () => {
  it('is one by the schema of OpenAPI 3.1', async () => {
    const validator = new Validator();
    const result = await validator.validate(JSON.parse(JSON.stringify(document)) as Record<string, unknown>);
    expect(result).toMatchObject({ valid: true });
    expect(validator.version).toBe('3.1');
  });

  it('has an operation for each route and a route for each operation', () => {
    const routes = appOf()
      .routes.filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
    expect(methods.map(([method, path]) => `${method} ${path}`).sort()).toEqual([...new Set(routes)].sort());
  });

  it('names each operation once, and each part of a path', () => {
    const ids = methods.map(([, , { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, path, { parameters = [] }] of methods) {
      const named = parameters.filter((one) => one.in === 'path').map((one) => one.name);
      expect([path, named]).toEqual([path, [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])]);
    }
  });

  it('is served as it is', async () => {
    const answer = await appOf().request('http://127.0.0.1:8080/openapi.json', { headers: { host: '127.0.0.1:8080' } });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json']);
    const served = (await answer.json()) as Document;
    expect(served).toEqual(JSON.parse(JSON.stringify(document)));
    expect(served.info.version).toBe(packageVersion());
  });
});

describe('what a route answers is as the document says', () => {
  beforeAll(() => {
    // So that the check can fail.
    expect(ajv.validate({ $ref: pointer('components', 'schemas', 'Stats') }, { ...stats, other: 1 })).toBe(false);
  });

  it.each(methods)('%s %s', async (method, path, operation) => {
    const answer = await send(appOf(), method, path, operation);
    const isRefused = ['icebergView', 'readyz'].includes(operation.operationId);
    expect(answer.ok).toBe(!isRefused);
    await expectDeclared(answer, method, path, operation);
  });

  it.each(answerFormats)('a query in %s', async (format) => {
    const [method, path, operation] = methods.find(([, , { operationId }]) => operationId === 'query')!;
    const answer = await appOf().request(`http://127.0.0.1:8080${path}?format=${format}`, {
      method,
      headers: { 'host': '127.0.0.1:8080', 'content-type': 'text/plain' },
      body: 'SELECT 1',
    });
    if (format === 'ndjson') {
      const last = JSON.parse((await answer.clone().text()).trimEnd().split('\n').at(-1)!) as unknown;
      const at = ['paths', path, 'post', 'responses', '200', 'content', 'application/x-ndjson', 'x-itemSchema', 'anyOf', '2'];
      expectValid(last, ...at);
    }
    await expectDeclared(answer, method, path, operation);
  });

  it.each(methods)('%s %s where the service behind it fails', async (method, path, operation) => {
    const failure = new LakeError('internal', 'it broke', { hint: 'Mend it.', facts: { line: 1 } });
    await expectDeclared(await send(appOf(failure), method, path, operation), method, path, operation);
  });
});
