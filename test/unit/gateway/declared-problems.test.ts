import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ErrorCode, errorCatalogue, LakeError } from '../../../src/kernel/index.js';
import { codesOf, operationOf, undeclared } from '../../support/declared-problems.js';
import { appOf, methods, type OperationDocument, pathOf, send } from './answering-app.js';

const problemsRoutes = methods.filter(([, path]) => !path.startsWith('/iceberg/'));
/** They ask nobody. */
const askNobody = new Set(['livez', 'readyz', 'metrics', 'openapi', 'docs', 'docsFile']);
const changing = methods.filter(([method, path]) => method !== 'GET' && !path.startsWith('/iceberg/'));
const withBody = changing.filter(([, , { requestBody }]) => requestBody !== undefined);
const isPublic = ({ security }: OperationDocument): boolean => security?.length === 0;

/** The answer's code, after it was held against the document. */
async function declaredCode(answer: Response, method: string, path: string): Promise<string | undefined> {
  const type = answer.headers.get('content-type') ?? '';
  expect(type).toMatch(/^application\/(problem\+)?json/);
  const { code } = (await answer.json()) as { code?: string };
  expect(undeclared(method, path, { status: answer.status, code, headers: answer.headers })).toBeUndefined();
  return code;
}

describe('what stands before every route is declared by it', () => {
  it.each(methods.filter(([, , operation]) => !isPublic(operation)))('%s %s without the token', async (method, path, operation) => {
    const answer = await send(appOf(undefined, 'secret'), method, path, operation);
    expect(answer.status).toBe(401);
    await declaredCode(answer, method, pathOf(path, operation));
  });

  it.each(methods)('%s %s of another host and of another origin', async (method, path, operation) => {
    for (const name of ['host', 'origin']) {
      const headers = { [name]: name === 'host' ? 'evil.example' : 'http://evil.example' };
      const answer = await send(appOf(), method, path, operation, { headers });
      expect(answer.status).toBe(403);
      await declaredCode(answer, method, pathOf(path, operation));
    }
  });

  it.each(changing)('%s %s as a form of another page', async (method, path, operation) => {
    const answer = await send(appOf(), method, path, operation, { headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    expect([answer.status, await declaredCode(answer, method, pathOf(path, operation))]).toEqual([415, 'media-type-unsupported']);
  });

  it.each(withBody)('%s %s with a body that is too large, no JSON, or no UTF-8', async (method, path, operation) => {
    const bodies: [string | Buffer, number, string][] = [
      [' '.repeat(17 * 1024 * 1024), 413, 'request-too-large'],
      ['{"sql', 400, 'request-invalid'],
      [Buffer.from('"\xff"', 'latin1'), 400, 'request-invalid'],
    ];
    for (const [body, status, code] of bodies) {
      const answer = await send(appOf(), method, path, operation, { body });
      expect([answer.status, await declaredCode(answer, method, pathOf(path, operation))]).toEqual([status, code]);
    }
  });
});

describe('values that cannot be read', () => {
  const topic = '/v1/topics/flights';
  it.each([
    ['GET', '/v1/queries?state=tired'],
    ['GET', `${topic}/records?from=soon`],
    ['GET', `${topic}/records?limit=-1`],
    ['GET', `${topic}/records?order=up`],
    ['GET', `${topic}/records?cursor=none`],
    ['GET', `${topic}/records?page=true&limit=0`],
    ['GET', `${topic}/keys/a?history=perhaps`],
    ['GET', `${topic}/keys/a?order=time`],
    ['GET', `${topic}/keys/%FF`],
    ['GET', `${topic}/keys/a?encoding=rot13`],
    ['GET', `${topic}/keys/?limit=1`],
  ])('%s %s', async (method, path) => {
    const answer = await appOf().request(`http://127.0.0.1:8080${path}`, { method, headers: { host: '127.0.0.1:8080' } });
    expect([answer.status, await declaredCode(answer, method, path)]).toEqual([400, 'request-invalid']);
  });

  it('a format that is not known, of a query', async () => {
    const init = { method: 'POST', headers: { 'host': '127.0.0.1:8080', 'content-type': 'text/plain' }, body: 'SELECT 1' };
    const answer = await appOf().request('http://127.0.0.1:8080/v1/query?format=xml', init);
    expect([answer.status, await declaredCode(answer, 'POST', '/v1/query')]).toEqual([400, 'unsupported']);
  });
});

describe('things that are not there', () => {
  it.each([
    ['GET', '/v1/topics/flihgts', 'topic-unknown'],
    ['GET', '/v1/topics/flihgts/storage', 'topic-unknown'],
    ['POST', '/v1/tier/flush?topic=flihgts', 'topic-unknown'],
    ['POST', '/v1/tier/evict?topic=flihgts', 'topic-unknown'],
    ['POST', '/v1/tier/scrub?topic=flihgts', 'topic-unknown'],
    ['GET', '/v1/views/early', 'view-unknown'],
    ['GET', '/docs/page.ts', 'route-unknown'],
  ])('%s %s', async (method, path, code) => {
    const headers = { 'host': '127.0.0.1:8080', 'x-thermocline': '1' };
    const answer = await appOf().request(`http://127.0.0.1:8080${path}`, { method, headers });
    expect([answer.status, await declaredCode(answer, method, path)]).toEqual([404, code]);
  });

  it.each([
    ['/iceberg/v1/namespaces/elsewhere', 404],
    ['/iceberg/v1/namespaces?parent=elsewhere', 404],
    ['/iceberg/v1/namespaces/default/tables?pageSize=0&pageToken=', undefined],
    ['/iceberg/v1/namespaces/elsewhere/tables', 404],
    ['/iceberg/v1/namespaces/elsewhere/tables/flights', 404],
    ['/iceberg/v1/namespaces/elsewhere/tables/flights/credentials', 404],
    ['/iceberg/v1/namespaces/elsewhere/views', 404],
  ])('GET %s', async (path, status) => {
    const answer = await appOf().request(`http://127.0.0.1:8080${path}`, { headers: { host: '127.0.0.1:8080' } });
    if (status !== undefined) expect(answer.status).toBe(status);
    await declaredCode(answer, 'GET', path);
  });
});

describe('what a route is answered by those it asks', () => {
  const asking = problemsRoutes.filter(([, , { operationId }]) => !askNobody.has(operationId));
  it.each(asking)('%s %s is answered as declared, with when to try again', async (method, path, operation) => {
    const filled = pathOf(path, operation);
    for (const code of [...codesOf(operationOf(method, filled)!).values()].flat() as ErrorCode[]) {
      const answer = await send(appOf(new LakeError(code, 'it is so')), method, path, operation);
      // It is told in a line of the stream, or behind the guard.
      if (answer.ok) continue;
      expect([code, await declaredCode(answer, method, filled)]).toEqual([code, code]);
      if (answer.status === 429 || answer.status === 503) expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    }
  });

  it.each(asking)('%s %s declares that a role is away, refuses or takes too long', (method, path, operation) => {
    // They look at this process's own list.
    if (['listQueries', 'cancelQuery'].includes(operation.operationId)) return;
    const declared = [...codesOf(operationOf(method, pathOf(path, operation))!).values()].flat();
    expect(declared).toEqual(expect.arrayContaining(['peer-gone', 'peer-refused', 'timeout', 'overloaded', 'cancelled', 'internal']));
  });

  it('and what is not declared is found out', async () => {
    const [method, path, operation] = methods.find(([, , { operationId }]) => operationId === 'listTopics')!;
    const answer = await send(appOf(new LakeError('view-unknown', 'no view')), method, path, operation);
    const { code } = (await answer.json()) as { code: string };
    expect(undeclared(method, path, { status: answer.status, code, headers: answer.headers })).toMatch(/404.*not declared/);
    const of = { status: 503, code: 'peer-gone', headers: new Headers() };
    expect(undeclared(method, path, of)).toMatch(/without Retry-After/);
    expect(undeclared(method, path, { ...of, code: 'cold-unavailable' })).toMatch(/declared are/);
  });
});

/** Codes that stand in the sources of a room. */
function thrownIn(room: string, isCounted: (file: string) => boolean = () => true): ReadonlySet<string> {
  const directory = join(import.meta.dirname, '../../../src', room);
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts') && isCounted(file));
  const texts = files.map((file) => readFileSync(join(directory, file), 'utf8'));
  const quoted = texts.flatMap((text) =>
    [...text.matchAll(/(?:LakeError\(|code: |Error\(\w+, |\? )\s*'([a-z-]+)'/g)].map((match) => match[1]!),
  );
  return new Set(quoted.filter((code) => code in errorCatalogue));
}

describe('codes that stand in the sources behind a route', () => {
  const declaredBy = (id: string): readonly string[] => {
    const [method, path, operation] = methods.find(([, , { operationId }]) => operationId === id)!;
    return [...codesOf(operationOf(method, pathOf(path, operation))!).values()].flat();
  };
  /** Thrown only where a table is written, at start, or by whoever opens a bucket. */
  const ofWriters = ['commit-lost', 'commit-stale', 'data-dir-foreign', 'store-unsafe', 'object-exists', 'config-invalid-value'];

  it('are declared by a query', () => {
    const declared = new Set(declaredBy('query'));
    const thrown = ['query', 'lake', 'iceberg', 'objects'].flatMap((room) => [...thrownIn(room)]);
    expect(thrown.length).toBeGreaterThan(30);
    expect([...new Set(thrown)].filter((code) => !declared.has(code) && !ofWriters.includes(code))).toEqual([]);
  });

  it('are declared by producing', () => {
    const declared = new Set(declaredBy('produceRecords'));
    const thrown = [...thrownIn('client', (file) => file.startsWith('producer') || file.startsWith('connection'))];
    expect(thrown.length).toBeGreaterThan(8);
    // An idempotent producer is opened with acks of its own choice, at start.
    expect(thrown.filter((code) => !declared.has(code) && code !== 'config-invalid-value')).toEqual([]);
  });
});
