import { describe, expect, it } from 'vitest';
import type { BrokerState, ControlPeer } from '../../../src/control/index.js';
import { gatewayApp, type GatewayOptions, type RecordInput } from '../../../src/gateway/index.js';
import { LakeError, systemClock, systemRandom, topicId, topicName } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import type { QueryAnswer, QueryRequest, QueryService, WrittenAnswer, WrittenRequest } from '../../../src/query/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { emptyBroker, partitionState } from './broker-state.js';

const state: BrokerState = {
  ...emptyBroker,
  topics: [
    {
      name: topicName('flights'),
      id: topicId('AAAAAAAAAAAAAAAAAAAAAw'),
      isInternal: false,
      isTiered: true,
      config: { 'retention.ms': '-1' },
      overrides: {},
      partitions: [partitionState],
    },
  ],
};

interface World {
  readonly asked: QueryRequest[];
  readonly produced: { topic: string; records: readonly RecordInput[] }[];
  readonly request: (path: string, init?: RequestInit) => Promise<Response>;
}

function world(answer: Partial<QueryAnswer> & { error?: LakeError } = {}): World {
  const asked: QueryRequest[] = [];
  const produced: World['produced'] = [];
  const query = {
    query: async (request: QueryRequest): Promise<QueryAnswer> => {
      asked.push(request);
      if (answer.error !== undefined) throw answer.error;
      return {
        columns: [
          { name: 'origin', type: 'VARCHAR' },
          { name: 'n', type: 'BIGINT' },
        ],
        rows: (async function* () {
          yield [
            ['ORD', 1],
            ['LAX', '9007199254740993'],
          ];
          yield [[null, 3]];
        })(),
        token: 't1.token',
        headerToken: 't1.token',
        stats: () => ({ hot_rows: 3 }) as unknown as ReturnType<QueryAnswer['stats']>,
        ...answer,
      };
    },
    records: async () => ({ lines: answer.rows, token: 't1.token', headerToken: 't1.token' }),
  };
  const service = {
    ...query,
    answer: async (request: WrittenRequest): Promise<WrittenAnswer> => {
      const { format, ...rest } = request;
      const answered = await query.query(rest);
      const { rows, columns, token, headerToken } = answered;
      const pieces = (async function* () {
        let separator = '';
        for await (const chunk of rows) {
          const texts = chunk.map((row) =>
            format === 'json' || format === 'ndjson-arrays'
              ? JSON.stringify(row)
              : format === 'csv'
                ? row.join(',')
                : JSON.stringify(Object.fromEntries(columns.map(({ name }, at) => [name, row[at]]))),
          );
          yield Buffer.from(format === 'json' ? separator + texts.join(',') : `${texts.join('\n')}\n`);
          separator = ',';
        }
      })();
      return { id: '7', columns, token, headerToken, stats: () => answered.stats(), pieces };
    },
  } as unknown as QueryService;
  const control = {
    call: async (method: string, params: { topic?: string }) => {
      if (method === 'broker.describe') {
        if (params.topic === undefined) return state;
        const topics = state.topics.filter((topic) => topic.name === params.topic);
        if (topics.length === 0) throw new LakeError('topic-unknown', `there is no topic ${params.topic}`);
        return { ...state, topics };
      }
      throw new LakeError('cold-unavailable', 'no tier daemon is connected');
    },
  } as unknown as Pick<ControlPeer, 'call'>;
  const options: GatewayOptions = {
    listen: { host: '127.0.0.1', port: 8080 },
    query: service,
    control,
    records: {
      send: async (topic, records) => {
        produced.push({ topic, records });
        return records.map((_, offset) => ({ partition: 0, offset }));
      },
    },
    samples: () => [{ name: 'queries_total', value: 7 }],
    catalog: { store: new MemoryStore({ clock: systemClock }), access: null, clock: systemClock, random: systemRandom },
    logger: silentLogger,
  };
  const app = gatewayApp(options);
  return {
    asked,
    produced,
    request: async (path, init = {}) => {
      const headers = { host: '127.0.0.1:8080', ...(init.headers as Record<string, string> | undefined) };
      return app.request(`http://127.0.0.1:8080${path}`, { ...init, headers });
    },
  };
}

const json = { 'content-type': 'application/json' };
const post = (body: unknown, headers: Record<string, string> = json): RequestInit => ({
  method: 'POST',
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

describe('POST /v1/query', () => {
  it('answers one JSON document with columns, rows, token and stats', async () => {
    const response = await world().request('/v1/query', post({ sql: 'SELECT 1' }));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-thermocline-snapshot')).toBe('t1.token');
    expect(await response.json()).toEqual({
      columns: [
        { name: 'origin', type: 'VARCHAR' },
        { name: 'n', type: 'BIGINT' },
      ],
      rows: [
        ['ORD', 1],
        ['LAX', '9007199254740993'],
        [null, 3],
      ],
      snapshot: 't1.token',
      stats: { hot_rows: 3 },
    });
  });

  it('streams NDJSON that ends with token and stats', async () => {
    const response = await world().request('/v1/query?format=ndjson', post('SELECT 1', { 'content-type': 'text/plain' }));
    const lines = (await response.text()).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { origin: 'ORD', n: 1 },
      { origin: 'LAX', n: '9007199254740993' },
      { origin: null, n: 3 },
      { _end: { snapshot: 't1.token', stats: { hot_rows: 3 } } },
    ]);
  });

  it('names the columns of NDJSON rows that are arrays before the first of them, and where there is none', async () => {
    const linesOf = async (answer: Partial<QueryAnswer> = {}): Promise<unknown[]> => {
      const response = await world(answer).request('/v1/query?format=ndjson-arrays', post('SELECT 1', { 'content-type': 'text/plain' }));
      expect(response.headers.get('content-type')).toBe('application/x-ndjson');
      return (await response.text())
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown);
    };
    const columns = [
      { name: '2', type: 'VARCHAR' },
      { name: '1', type: 'BIGINT' },
      { name: '1', type: 'BIGINT' },
    ];
    const end = { _end: { snapshot: 't1.token', stats: { hot_rows: 3 } } };
    const rows = [['ORD', 1, 2]];
    const some = (async function* () {
      yield rows;
    })();
    expect(await linesOf({ columns, rows: some })).toEqual([{ _columns: columns }, ...rows, end]);
    const none = (async function* () {})();
    expect(await linesOf({ columns, rows: none })).toEqual([{ _columns: columns }, end]);
  });

  it('shows an error after the first byte, in both formats', async () => {
    const broken = (): Partial<QueryAnswer> => ({
      rows: (async function* () {
        yield [['ORD', 1]];
        throw new LakeError('worker-died', 'the engine ended');
      })(),
    });
    const ndjson = await (await world(broken()).request('/v1/query', post({ sql: 'x', format: 'ndjson' }))).text();
    expect(JSON.parse(ndjson.trimEnd().split('\n').at(-1)!)).toMatchObject({ _error: { code: 'worker-died', status: 503 } });
    const document = (await (await world(broken()).request('/v1/query', post({ sql: 'x' }))).json()) as { error: unknown; rows: unknown[] };
    expect(document.rows).toEqual([['ORD', 1]]);
    expect(document.error).toMatchObject({ code: 'worker-died' });
  });

  it('takes the format from Accept where none is named', async () => {
    const accept = { ...json, accept: 'application/x-unknown, text/csv;q=0.5' };
    const csv = await world().request('/v1/query', post({ sql: 'x' }, accept));
    expect([csv.headers.get('content-type'), csv.headers.get('x-thermocline-query-id')]).toEqual(['text/csv; charset=utf-8', '7']);
    expect(await csv.text()).toBe('ORD,1\nLAX,9007199254740993\n,3\n');
    const named = await world().request('/v1/query', post({ sql: 'x', format: 'ndjson' }, accept));
    expect(named.headers.get('content-type')).toBe('application/x-ndjson');
  });

  it('hands over parameters, token and limits', async () => {
    const { asked, request } = world();
    await request('/v1/query', post({ sql: 'x', params: [1], as_of: 'token', limits: { max_rows: 5 } }));
    await request('/v1/query', post({ sql: 'x', as_of: 1_764_151_200_000 }));
    expect(asked).toEqual([
      { sql: 'x', params: [1], asOf: 'token', limits: { max_rows: 5 } },
      { sql: 'x', asOf: '1764151200000' },
    ]);
  });

  it('answers refusals as problem documents', async () => {
    const cases: [RequestInit, number, string][] = [
      [post('{"sql"'), 400, 'request-invalid'],
      [post({ sgl: 'x' }), 400, 'request-invalid'],
      [post({ sql: 'x', more: 1 }), 400, 'request-invalid'],
      [post({ sql: 'x', format: 'avro' }), 400, 'unsupported'],
      [post({ sql: 'x', as_of: 5.5 }), 400, 'request-invalid'],
      [post({ sql: 'x', as_of: ['t'] }), 400, 'request-invalid'],
    ];
    for (const [init, status, code] of cases) {
      const response = await world().request('/v1/query', init);
      expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([status, code]);
      expect(response.headers.get('content-type')).toContain('application/problem+json');
    }
    const error = new LakeError('query-forbidden', 'no', { hint: 'Ask one SELECT.' });
    const refused = await world({ error }).request('/v1/query', post({ sql: 'x' }));
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ code: 'query-forbidden', detail: 'no', hint: 'Ask one SELECT.' });
  });
});

describe('the guard', () => {
  it('turns away other hosts, other origins, and forms of other pages', async () => {
    const { request } = world();
    expect((await request('/v1/topics', { headers: { host: 'evil.example' } })).status).toBe(403);
    expect((await request('/v1/topics', { headers: { origin: 'http://evil.example' } })).status).toBe(403);
    expect((await request('/v1/topics', { headers: { origin: 'http://127.0.0.1:8080' } })).status).toBe(200);
    expect((await request('/v1/tier/flush', post('a=1', { 'content-type': 'application/x-www-form-urlencoded' }))).status).toBe(415);
    expect((await request('/v1/tier/flush', post('a=1', { 'content-type': 'text/plain' }))).status).toBe(415);
    expect((await request('/v1/topics/flights/records', post('x', { 'content-type': 'text/plain' }))).status).toBe(415);
  });
});

describe('topics', () => {
  it('are listed, described, and shown by tier', async () => {
    const { request } = world();
    expect(await (await request('/v1/topics')).json()).toMatchObject({ topics: [{ name: 'flights', records: 30, hot_bytes: 500 }] });
    expect(await (await request('/v1/topics/flights')).json()).toMatchObject({ name: 'flights', config: { 'retention.ms': '-1' } });
    expect(await (await request('/v1/topics/flights/storage')).json()).toMatchObject({
      cold_bytes: null,
      note: 'no tier daemon is connected',
      partitions: [{ log_start_offset: 0, local_start_offset: 10, boundary: 20, high_watermark: 30, hot_bytes: 500, lag_records: 10 }],
    });
  });

  it('that are not there get a suggestion', async () => {
    const response = await world().request('/v1/topics/flihgts');
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: 'topic-unknown', hint: 'Did you mean flights?' });
  });
});

describe('POST records', () => {
  it('takes NDJSON and arrays, texts and bytes, null and empty', async () => {
    const { produced, request } = world();
    const lines = '{"key":"a","value":{"x":1},"headers":{"h":"1"},"timestamp":"2001-03-04T05:06:07Z","partition":2}\n{"value":""}\n';
    const answer = await request('/v1/topics/t/records', post(lines, { 'content-type': 'application/x-ndjson' }));
    expect(await answer.json()).toEqual({
      records: 2,
      offsets: [
        { partition: 0, offset: 0 },
        { partition: 0, offset: 1 },
      ],
    });
    await request('/v1/topics/t/records', post([{ key_base64: '/w==', value: null }]));
    expect(produced.map(({ records }) => records)).toEqual([
      [
        {
          key: Buffer.from('a'),
          value: Buffer.from('{"x":1}'),
          headers: [{ key: Buffer.from('h'), value: Buffer.from('1') }],
          timestampMs: Date.UTC(2001, 2, 4, 5, 6, 7),
          partition: 2,
        },
        { key: null, value: Buffer.alloc(0), headers: [], timestampMs: undefined, partition: undefined },
      ],
      [{ key: Buffer.from([0xff]), value: null, headers: [], timestampMs: undefined, partition: undefined }],
    ]);
  });

  it('keeps the digits of JSON values as they came', async () => {
    const { produced, request } = world();
    const value = '{"id":9007199254740993,"x":1.0,"y":1e400,"t":" a\\" ] b ","n":[1 , {"z":-0}]}';
    const header = '12345678901234567890';
    const record = `{ "value" : ${value.replaceAll(',', ' ,\t')} , "key":1.50, "headers":{"h":${header}} }`;
    await request('/v1/topics/t/records', post(`[${record},\n ${record}]`));
    await request('/v1/topics/t/records', post(`${record}\n${record}\n`));
    await request('/v1/topics/t/records', post(`{"headers":[{"key":"h","value":${header}}]}`));
    const records = produced.flatMap((call) => call.records);
    expect(records).toHaveLength(5);
    for (const one of records) expect(one.headers[0]?.value?.toString()).toBe(header);
    for (const one of records.slice(0, 4)) {
      expect([one.key?.toString(), one.value?.toString()]).toEqual(['1.50', value.replace(' , ', ',')]);
    }
  });

  it('reads no more of a body than it takes', async () => {
    const { request } = world();
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        sent += 1;
        if (sent > 1000) controller.error(new Error('all of it was read'));
        else controller.enqueue(new Uint8Array(1024 * 1024).fill(0x20));
      },
    });
    const response = await request('/v1/topics/t/records', { method: 'POST', headers: json, body: endless, duplex: 'half' } as RequestInit);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([413, 'request-too-large']);
    expect(sent).toBeLessThan(20);
  });

  it('takes no text that is not UTF-8', async () => {
    const body = Buffer.from('[{"value":"\xff"}]', 'latin1');
    const response = await world().request('/v1/topics/t/records', { method: 'POST', headers: json, body });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([400, 'request-invalid']);
  });

  it('names the record that cannot be understood', async () => {
    for (const body of [
      '[{"timestamp":true}]',
      '[{"timestamp":1.5}]',
      '[{"timestamp":99999999999999999999}]',
      '[{"value_base64":"@@@@"}]',
      '[{"value_base64":"AAA"}, {"key_base64":"A A="}]',
      '[{"headers":"a"}]',
      '[1]',
      '[{"kye":"a"}]',
      '[{"partition":-1}]',
      '[{"timestamp":"soon"}]',
      '{"a"',
    ]) {
      const response = await world().request('/v1/topics/t/records', post(body));
      expect([response.status, ((await response.json()) as { code: string }).code], body).toEqual([400, 'request-invalid']);
    }
  });
});

describe('HEAD', () => {
  it('leaves nothing running behind its answer', async () => {
    let isRunning = false;
    const rows = (async function* () {
      isRunning = true;
      try {
        for (;;) yield 'x'.repeat(100_000);
      } finally {
        isRunning = false;
      }
    })();
    const { request } = world({ rows: rows as never });
    const response = await request('/v1/topics/flights/records', { method: 'HEAD' });
    expect([response.status, response.body]).toEqual([200, null]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isRunning).toBe(false);
  });
});

describe('health', () => {
  it('is alive, and ready only when every role answers', async () => {
    const { request } = world();
    expect((await request('/livez')).status).toBe(200);
    const ready = await request('/readyz');
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({ ready: false, reasons: ['tier: no tier daemon is connected'] });
    const metrics = await (await request('/metrics')).text();
    expect(metrics).toContain('thermocline_queries_total 7');
    expect(metrics).toContain('thermocline_up{role="gateway"} 1');
  });

  it('says that a route is not there', async () => {
    const response = await world().request('/v2/query');
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: 'route-unknown' });
  });
});
