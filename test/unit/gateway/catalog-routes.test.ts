// The Iceberg REST catalog without a socket: documents, paging, conditional reads, refusals as its clients expect them.
import { describe, expect, it } from 'vitest';
import type { BrokerState, ControlPeer, TopicState } from '../../../src/control/index.js';
import { gatewayApp } from '../../../src/gateway/index.js';
import { LakeError, systemClock, systemRandom, topicId, topicName, uuidOfId } from '../../../src/kernel/index.js';
import type { QueryService } from '../../../src/query/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { change, cluster, id, memoryStore, move, openTable, topic } from '../lake/table-fixture.js';

const states = (
  [
    ['orders', id, true, false],
    ['empty', topicId('CCCCCCCCCCCCCCCCCCCCCQ'), true, false],
    ['a.b-c_1', topicId('DDDDDDDDDDDDDDDDDDDDDQ'), true, false],
    ['compacted', topicId('EEEEEEEEEEEEEEEEEEEEEQ'), false, false],
    ['__consumer_offsets', topicId('FFFFFFFFFFFFFFFFFFFFFQ'), false, true],
  ] as const
).map(
  ([name, ofTopic, isTiered, isInternal]): TopicState => ({
    name: topicName(name),
    id: ofTopic,
    isInternal,
    isTiered,
    config: {},
    overrides: {},
    partitions: [],
  }),
);

function catalog(
  store = memoryStore(),
  access: { readonly endpoint?: string; readonly region?: string; readonly isPathStyle?: boolean } | null = null,
) {
  const control = {
    call: async (_method: string, params: { readonly topic?: string }): Promise<BrokerState> => {
      const topics = states.filter((state) => params.topic === undefined || state.name === params.topic);
      if (topics.length === 0) throw new LakeError('topic-unknown', `there is no topic ${params.topic ?? ''}`);
      return { clusterId: cluster, nodeId: 1, kafka: '127.0.0.1:1', topics, dropped: [], views: [], diskFreeBytes: 1 };
    },
  } as unknown as Pick<ControlPeer, 'call'>;
  const app = gatewayApp({
    listen: { host: '127.0.0.1', port: 8080 },
    query: {} as unknown as QueryService,
    control,
    records: { send: async () => [] },
    samples: () => [],
    catalog: { store, access, clock: systemClock, random: systemRandom },
    logger: silentLogger,
  });
  const ask = async (path: string, init: RequestInit = {}): Promise<Response> =>
    app.request(`http://127.0.0.1:8080/iceberg/v1/${path}`, {
      ...init,
      headers: { host: '127.0.0.1:8080', ...(init.headers as Record<string, string> | undefined) },
    });
  const json = async (path: string): Promise<Record<string, unknown>> => (await (await ask(path)).json()) as Record<string, unknown>;
  return { store, ask, json };
}

const tables = 'namespaces/thermocline/tables';

async function errorOf(response: Response): Promise<unknown> {
  const { error } = (await response.json()) as { error: { type: string; code: number; message: string } };
  expect(error.message).not.toBe('');
  expect(error.code).toBe(response.status);
  return [error.code, error.type];
}

describe('the catalog', () => {
  it('says how to reach the bucket, never with what key, and lets the reader override it', async () => {
    const access = { endpoint: 'http://127.0.0.1:9000', region: 'eu-west-1', isPathStyle: true };
    const { defaults, overrides } = await catalog(memoryStore(), access).json('config?warehouse=x');
    expect(defaults).toEqual({
      's3.endpoint': 'http://127.0.0.1:9000',
      'client.region': 'eu-west-1',
      's3.region': 'eu-west-1',
      's3.path-style-access': 'true',
      's3.force-virtual-addressing': 'false',
    });
    expect(overrides).toEqual({});
    const config = await catalog().json('config');
    expect(config['defaults']).toEqual({});
    expect(config['endpoints']).toContain('GET /v1/{prefix}/namespaces/{namespace}/tables/{table}');
  });

  it('has one namespace without others in it', async () => {
    const { ask, json } = catalog();
    expect(await json('namespaces')).toEqual({ namespaces: [['thermocline']] });
    expect(await json('namespaces?parent=thermocline')).toEqual({ namespaces: [] });
    expect(await json('namespaces/thermocline')).toMatchObject({ namespace: ['thermocline'] });
    expect((await ask('namespaces/thermocline', { method: 'HEAD' })).status).toBe(204);
    for (const path of ['namespaces/other', 'namespaces/thermocline%1Fx', 'namespaces/other/tables', 'namespaces?parent=other']) {
      expect(await errorOf(await ask(path))).toEqual([404, 'NoSuchNamespaceException']);
    }
    expect((await ask('namespaces/other', { method: 'HEAD' })).status).toBe(404);
  });

  it('lists tiered topics, all at once or page by page', async () => {
    const { ask, json } = catalog();
    const names = async (query: string): Promise<unknown[]> => {
      const page = await json(`${tables}${query}`);
      return [(page['identifiers'] as { name: string }[]).map(({ name }) => name), page['next-page-token']];
    };
    expect(await names('')).toEqual([['a.b-c_1', 'empty', 'orders'], undefined]);
    const [first, token] = await names('?pageToken=&pageSize=2');
    expect(first).toEqual(['a.b-c_1', 'empty']);
    expect(await names(`?pageToken=${String(token)}&pageSize=2`)).toEqual([['orders'], null]);
    expect(await names('?pageToken=')).toEqual([['a.b-c_1', 'empty', 'orders'], null]);
    for (const query of ['?pageToken=bm8', '?pageToken=&pageSize=0', '?pageToken=&pageSize=x']) {
      expect(await errorOf(await ask(`${tables}${query}`))).toEqual([400, 'BadRequestException']);
    }
    expect(await json('namespaces/thermocline/views')).toEqual({ identifiers: [] });
    expect(await errorOf(await ask('namespaces/thermocline/views/orders'))).toEqual([404, 'NoSuchViewException']);
  });

  it('gives the metadata of the newest version, byte for byte, and nothing again while it is the newest', async () => {
    const { store, ask } = catalog();
    const table = openTable(store);
    await table.commit(change([move(table, 0, 0, 10)]));
    await table.commit(change([move(table, 0, 10, 20)]));
    const answer = await ask(`${tables}/orders`);
    const text = await answer.text();
    const stored = (await store.get(`${table.prefix}/metadata/v2.metadata.json`)).toString();
    expect(text).toBe(`{"metadata-location":"${store.location(table.prefix)}/metadata/v2.metadata.json","metadata":${stored},"config":{}}`);
    expect(answer.headers.get('content-length')).toBe(String(Buffer.byteLength(text)));
    const etag = answer.headers.get('etag') ?? '';
    const again = await ask(`${tables}/orders`, { headers: { 'if-none-match': `"other", W/${etag}` } });
    expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', etag]);
    // A copy with all snapshots is no copy of the short form.
    expect((await ask(`${tables}/orders?snapshots=refs`, { headers: { 'if-none-match': etag } })).status).toBe(200);
    await table.commit(change([move(table, 0, 20, 30)]));
    const newer = await ask(`${tables}/orders`, { headers: { 'if-none-match': etag } });
    expect(newer.status).toBe(200);
    expect(newer.headers.get('etag')).not.toBe(etag);
  });

  it('leaves out the snapshots no branch points to where it is asked to', async () => {
    const { store, json, ask } = catalog();
    const table = openTable(store);
    for (let from = 0; from < 30; from += 10) await table.commit(change([move(table, 0, from, from + 10)]));
    const all = (await json(`${tables}/orders?snapshots=all`))['metadata'] as { snapshots: { 'snapshot-id': number }[] };
    const short = (await json(`${tables}/orders?snapshots=refs`))['metadata'] as typeof all & { 'current-snapshot-id': number };
    expect(all.snapshots).toHaveLength(3);
    expect(short.snapshots.map((snapshot) => snapshot['snapshot-id'])).toEqual([short['current-snapshot-id']]);
    expect(await errorOf(await ask(`${tables}/orders?snapshots=some`))).toEqual([400, 'BadRequestException']);
  });

  it('has a topic of which nothing is cold yet as an empty table, which stays the same table', async () => {
    const { store, json, ask } = catalog();
    const empty = await json(`${tables}/${topic}`);
    const metadata = empty['metadata'] as Record<string, unknown>;
    expect(empty['metadata-location']).toBeUndefined();
    expect(metadata).toMatchObject({ 'table-uuid': uuidOfId(id), 'current-snapshot-id': -1, 'snapshots': [] });
    expect((await ask(`${tables}/empty`, { method: 'HEAD' })).status).toBe(204);
    const table = openTable(store);
    await table.commit(change([move(table, 0, 0, 10)]));
    const written = (await json(`${tables}/${topic}`))['metadata'] as Record<string, unknown>;
    expect(written['table-uuid']).toBe(metadata['table-uuid']);
    expect(written['location']).toBe(metadata['location']);
  });

  it('knows no table of a topic that is not there, not tiered, or internal', async () => {
    const { ask } = catalog();
    for (const name of ['nothing', 'compacted', '__consumer_offsets']) {
      expect(await errorOf(await ask(`${tables}/${name}`))).toEqual([404, 'NoSuchTableException']);
      expect((await ask(`${tables}/${name}`, { method: 'HEAD' })).status).toBe(404);
    }
  });

  it('takes the reports of readers and hands out no credentials', async () => {
    const { ask, json } = catalog();
    const report = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"report-type":"scan-report"}' };
    expect((await ask(`${tables}/orders/metrics`, report)).status).toBe(204);
    expect(await json(`${tables}/orders/credentials`)).toEqual({ 'storage-credentials': [] });
  });

  it('refuses to change anything, in the words of the specification', async () => {
    const { ask } = catalog();
    const calls: [string, string][] = [
      ['POST', 'namespaces'],
      ['DELETE', 'namespaces/thermocline'],
      ['POST', 'namespaces/thermocline/properties'],
      ['POST', tables],
      ['POST', `${tables}/orders`],
      ['DELETE', `${tables}/orders`],
      ['POST', 'namespaces/thermocline/register'],
      ['POST', 'tables/rename'],
      ['POST', 'transactions/commit'],
      ['POST', `${tables}/orders/plan`],
    ];
    for (const [method, path] of calls) {
      expect([path, await errorOf(await ask(path, { method }))]).toEqual([path, [406, 'UnsupportedOperationException']]);
    }
    expect(await errorOf(await ask('nothing'))).toEqual([404, 'NotFoundException']);
  });

  it('keeps out the pages of others, and says so as a catalog does', async () => {
    const { ask } = catalog();
    expect(await errorOf(await ask('config', { headers: { host: 'evil.example' } }))).toEqual([403, 'ForbiddenException']);
    expect(await errorOf(await ask('config', { headers: { origin: 'http://evil.example' } }))).toEqual([403, 'ForbiddenException']);
  });
});
