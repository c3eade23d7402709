import { beforeEach, describe, expect, it } from 'vitest';
import { gatewayApp } from '../../../src/gateway/index.js';
import { systemClock, systemRandom } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import type { KeyRequest, QueryService } from '../../../src/query/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';

let asked: KeyRequest[];
let lines: string[];
const record = { partition: 1, offset: 7, timestamp: '2001-01-01T00:00:00.000Z', key: 'k', value: 'v', headers: [] };
const line = `${JSON.stringify(record)}\n`;

beforeEach(() => {
  [asked, lines] = [[], [line]];
});

async function get(path: string): Promise<{ status: number; type: string; snapshot: string | null; text: string; body: unknown }> {
  const query = {
    keyRecords: async (request: KeyRequest) => {
      asked.push(request);
      const stream = async function* () {
        yield* lines;
      };
      return { lines: stream(), token: 'TOKEN', headerToken: 'TOKEN', stats: () => ({}) };
    },
  } as unknown as QueryService;
  const app = gatewayApp({
    listen: { host: '127.0.0.1', port: 8080 },
    query,
    control: {} as never,
    records: { send: async () => [] },
    samples: () => [],
    catalog: { store: new MemoryStore({ clock: systemClock }), access: null, clock: systemClock, random: systemRandom },
    logger: silentLogger,
  });
  const response = await app.request(`http://127.0.0.1:8080/v1/topics/${path}`, { headers: { host: '127.0.0.1:8080' } });
  const text = await response.text();
  const { headers } = response;
  const type = headers.get('content-type') ?? '';
  const body = type.includes('ndjson') ? undefined : (JSON.parse(text) as unknown);
  return { status: response.status, type, snapshot: headers.get('x-thermocline-snapshot'), text, body };
}

describe('the key route', () => {
  it('answers the last record of a key, with the snapshot', async () => {
    expect(await get('log/keys/k?as_of=T')).toMatchObject({ status: 200, type: 'application/json', snapshot: 'TOKEN', body: record });
    expect(asked).toMatchObject([{ topic: 'log', key: Buffer.from('k'), isHistory: false, asOf: 'T' }]);
  });

  it.each([
    ['a%2Fb%20c', 'a/b c'],
    ['%C3%A9', 'é'],
    ['100%25', '100%'],
    ['%2541', '%41'],
    ['', ''],
    ['a+b', 'a+b'],
  ])('takes %s for the key %j', async (path, key) => {
    expect((await get(`log/keys/${path}`)).status).toBe(200);
    expect(asked[0]!.key.toString()).toBe(key);
  });

  it.each([
    ['_wA=', [255, 0]],
    ['%2FwA', [255, 0]],
    ['', []],
  ])('takes %s as base64', async (path, bytes) => {
    expect((await get(`log/keys/${path}?encoding=base64`)).status).toBe(200);
    expect(asked[0]!.key).toEqual(Buffer.from(bytes));
  });

  it('answers a history as lines', async () => {
    lines = [line + line, line];
    expect(await get('log/keys/k?history=true&limit=3&order=newest')).toMatchObject({
      status: 200,
      type: 'application/x-ndjson',
      snapshot: 'TOKEN',
      text: line + line + line,
    });
    expect(asked).toMatchObject([{ isHistory: true, limit: 3, order: 'newest' }]);
  });

  it('says that there is no record, or that a tombstone deleted the key', async () => {
    lines = [];
    expect(await get('log/keys/k')).toMatchObject({
      status: 404,
      body: { code: 'key-unknown', facts: { topic: 'log', snapshot: 'TOKEN' } },
    });
    lines = [`${JSON.stringify({ ...record, value: null })}\n`];
    expect(await get('log/keys/k')).toMatchObject({
      status: 404,
      body: { code: 'key-deleted', facts: { partition: 1, offset: 7, timestamp: record.timestamp, snapshot: 'TOKEN' } },
    });
    const { value: _, ...rest } = record;
    lines = [`${JSON.stringify({ ...rest, value_base64: '/w==' })}\n`];
    expect((await get('log/keys/k')).status).toBe(200);
  });

  it.each([
    '%FF',
    'a?encoding=hex',
    'a%21?encoding=base64',
    'k?history=yes',
    'k?history=true&order=up',
    'k?history=true&limit=x',
    'k?limit=1',
    'k?order=time',
  ])('refuses %s', async (path) => {
    expect(await get(`log/keys/${path}`)).toMatchObject({ status: 400, body: { code: 'request-invalid' } });
    expect(asked).toEqual([]);
  });
});
