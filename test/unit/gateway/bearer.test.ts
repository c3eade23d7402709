import { describe, expect, it } from 'vitest';
import type { ControlPeer } from '../../../src/control/index.js';
import { gatewayApp } from '../../../src/gateway/index.js';
import { LakeError, systemClock, systemRandom } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import type { QueryService } from '../../../src/query/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';

const token = 'a-Token.of_23+chars/==';

function appWith(withToken: boolean): (path: string, headers?: Record<string, string>, method?: string) => Promise<Response> {
  const app = gatewayApp({
    listen: { host: '0.0.0.0', port: 8080 },
    query: { list: () => [] } as unknown as QueryService,
    control: {
      call: async () => {
        throw new LakeError('cold-unavailable', 'nobody is there');
      },
    } as unknown as Pick<ControlPeer, 'call'>,
    records: { send: async () => [] },
    samples: () => [],
    catalog: { store: new MemoryStore({ clock: systemClock }), access: null, clock: systemClock, random: systemRandom },
    logger: silentLogger,
    ...(withToken ? { token } : {}),
  });
  return async (path, headers = {}, method = 'GET') =>
    app.request(`http://lake.example:8080${path}`, { method, headers: { host: 'lake.example:8080', ...headers } });
}

const routes = ['/v1/queries', '/v1/topics', '/v1/views', '/metrics', '/v1/topics/a/records', '/nothing', '/', '/livez/x', '/readyz/'];

describe('a gateway with a token', () => {
  it.each(routes)('tells nothing at %s to whoever shows none, another one or half of it', async (path) => {
    const request = appWith(true);
    const shown = [
      undefined,
      '',
      'Bearer',
      'Bearer ',
      token,
      `Basic ${token}`,
      `Bearer ${token.slice(1)}`,
      `Bearer ${token}x`,
      `Bearer a ${token}`,
    ];
    for (const authorization of shown) {
      const answer = await request(path, authorization === undefined ? {} : { authorization });
      expect([authorization, answer.status]).toEqual([authorization, 401]);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="thermocline"');
      const text = await answer.text();
      expect(JSON.parse(text)).toMatchObject({ code: 'unauthenticated', status: 401, hint: expect.stringContaining('Authorization') });
      expect(text).not.toContain(token);
    }
  });

  it('refuses what changes something before it looks at it', async () => {
    const request = appWith(true);
    for (const path of ['/v1/query', '/v1/tier/flush', '/v1/topics/a/records']) expect((await request(path, {}, 'POST')).status).toBe(401);
    expect((await request('/v1/queries/1', {}, 'DELETE')).status).toBe(401);
  });

  it('answers whoever shows it, in any case of the scheme', async () => {
    const request = appWith(true);
    expect((await request('/v1/queries', { authorization: `Bearer ${token}` })).status).toBe(200);
    expect((await request('/v1/queries', { authorization: `bearer  ${token}` })).status).toBe(200);
    expect((await request('/nothing', { authorization: `Bearer ${token}` })).status).toBe(404);
  });

  it('says to all whether it lives and is ready, and what its routes are', async () => {
    const request = appWith(true);
    for (const path of [
      '/openapi.json',
      '/docs',
      '/docs/page.css',
      '/docs/page.js',
      '/docs/parts.js',
      '/docs/ask.js',
      '/docs/operations.js',
    ])
      expect([path, (await request(path)).status]).toEqual([path, 200]);
    expect((await request('/docs/other.js')).status).toBe(401);
    expect((await request('/livez')).status).toBe(200);
    expect((await request('/readyz')).status).toBe(503);
  });

  it("refuses in the catalog's own form there", async () => {
    const request = appWith(true);
    const refused = await request('/iceberg/v1/config');
    expect(refused.status).toBe(401);
    expect(refused.headers.get('www-authenticate')).toMatch(/^Bearer/);
    expect(await refused.json()).toMatchObject({ error: { type: 'NotAuthorizedException', code: 401 } });
    expect((await request('/iceberg/v1/config', { authorization: `Bearer ${token}` })).status).toBe(200);
  });

  it('wants none where none is set', async () => {
    expect((await appWith(false)('/v1/queries')).status).toBe(200);
  });
});
