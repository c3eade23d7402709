import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { beforeAll, describe, expect, it } from 'vitest';
import { LakeError, packageVersion } from '../../../src/kernel/index.js';
import { answerFormats } from '../../../src/query/index.js';
import { appOf, type Document, document, methods, type OperationDocument, send, stats } from './answering-app.js';

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
  const status = String(answer.status);
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
