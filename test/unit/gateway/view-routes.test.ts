import { beforeEach, describe, expect, it } from 'vitest';
import type { BrokerState, ControlPeer, SavedView } from '../../../src/control/index.js';
import { gatewayApp } from '../../../src/gateway/index.js';
import { LakeError, systemClock, systemRandom } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import type { QueryService } from '../../../src/query/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { emptyBroker } from './broker-state.js';

const saved: SavedView = { name: 'late', sql: 'SELECT 1 AS x', description: 'what is late', savedMs: 0 };
let calls: [string, unknown][];
let tried: SavedView[];
let problem: LakeError | undefined;

beforeEach(() => {
  [calls, tried, problem] = [[], [], undefined];
});

async function request(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
  const state: BrokerState = { ...emptyBroker, views: [saved] };
  const control = {
    call: async (name: string, params: SavedView) => {
      if (name === 'broker.describe') return state;
      calls.push([name, params]);
      if (name === 'broker.drop-view') return {};
      return { view: { ...params, savedMs: 1000 }, isNew: params.name !== saved.name };
    },
  } as unknown as Pick<ControlPeer, 'call'>;
  const query = {
    columnsOfView: async (view: SavedView) => {
      tried.push(view);
      if (problem !== undefined) throw problem;
      return [{ name: 'x', type: 'INTEGER' }];
    },
  } as unknown as QueryService;
  const app = gatewayApp({
    listen: { host: '127.0.0.1', port: 8080 },
    query,
    control,
    records: { send: async () => [] },
    samples: () => [],
    catalog: { store: new MemoryStore({ clock: systemClock }), access: null, clock: systemClock, random: systemRandom },
    logger: silentLogger,
  });
  const headers = { 'host': '127.0.0.1:8080', 'content-type': 'application/json' };
  const text = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) };
  const response = await app.request(`http://127.0.0.1:8080${path}`, { method, headers, ...text });
  return { status: response.status, body: response.status === 204 ? undefined : await response.json() };
}

const plain = { name: 'late', sql: 'SELECT 1 AS x', description: 'what is late', saved: '1970-01-01T00:00:00.000Z' };
const columns = [{ name: 'x', type: 'INTEGER' }];

describe('saved views over HTTP', () => {
  it('are listed with their columns', async () => {
    expect(await request('GET', '/v1/views')).toEqual({ status: 200, body: { views: [{ ...plain, columns }] } });
    expect(await request('GET', '/v1/views/late')).toEqual({ status: 200, body: { ...plain, columns } });
    expect(await request('GET', '/v1/views?check=false')).toEqual({ status: 200, body: { views: [plain] } });
    expect(tried).toHaveLength(2);
  });

  it('that cannot be used say why', async () => {
    problem = new LakeError('view-invalid', 'the view late cannot be used: so', { hint: 'Do.' });
    const { body } = await request('GET', '/v1/views');
    expect(body).toMatchObject({
      views: [{ ...plain, problem: { code: 'view-invalid', detail: expect.stringContaining('so'), hint: 'Do.' } }],
    });
    problem = new LakeError('overloaded', 'not now');
    expect(await request('GET', '/v1/views')).toMatchObject({ status: 429 });
  });

  it('are tried before they are saved', async () => {
    const fields = { sql: 'SELECT 2 AS x', description: 'two' };
    expect(await request('PUT', '/v1/views/new', fields)).toMatchObject({ status: 201, body: { name: 'new', ...fields, columns } });
    expect(await request('PUT', '/v1/views/late', { sql: 'SELECT 3' })).toMatchObject({ status: 200 });
    expect(calls).toEqual([
      ['broker.put-view', { name: 'new', ...fields }],
      ['broker.put-view', { name: 'late', sql: 'SELECT 3' }],
    ]);
    expect(tried).toMatchObject([
      { name: 'new', ...fields },
      { name: 'late', sql: 'SELECT 3' },
    ]);
    problem = new LakeError('view-invalid', 'no');
    expect(await request('PUT', '/v1/views/new', fields)).toMatchObject({ status: 400, body: { code: 'view-invalid' } });
    expect(calls).toHaveLength(2);
  });

  it.each(['', '[]', '{', '{}', '{"sql":5}', '{"sql":" "}', '{"sql":"SELECT 1","description":5}', '{"sql":"SELECT 1","x":1}'])(
    'are not saved from %j',
    async (body) => {
      expect(await request('PUT', '/v1/views/v', body)).toMatchObject({ status: 400, body: { code: 'request-invalid' } });
      expect(tried).toEqual([]);
    },
  );

  it('are dropped, and asked for by a wrong name with a suggestion', async () => {
    expect(await request('DELETE', '/v1/views/late')).toMatchObject({ status: 204 });
    expect(calls).toEqual([['broker.drop-view', { name: 'late' }]]);
    expect(await request('GET', '/v1/views/lat')).toMatchObject({
      status: 404,
      body: { code: 'view-unknown', hint: 'Did you mean late?' },
    });
  });
});
