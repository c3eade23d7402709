import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { gatewayApp } from '../../../src/gateway/index.js';
import { systemClock, systemRandom } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';

const base = 'http://127.0.0.1:8080';

async function get(path: string): Promise<{ status: number; type: string; policy: string; text: string }> {
  const app = gatewayApp({
    listen: { host: '127.0.0.1', port: 8080 },
    query: {} as never,
    control: {} as never,
    records: { send: async () => [] },
    samples: () => [],
    catalog: { store: new MemoryStore({ clock: systemClock }), access: null, clock: systemClock, random: systemRandom },
    logger: silentLogger,
  });
  const answer = await app.request(`${base}${path}`, { headers: { host: '127.0.0.1:8080' } });
  const { status, headers } = answer;
  const text = await answer.text();
  return { status, type: headers.get('content-type') ?? '', policy: headers.get('content-security-policy') ?? '', text };
}

/** All that a file loads, as paths. */
function loads(path: string, text: string): string[] {
  const found = [...text.matchAll(/(?:src|href)="([^"]+)"|(?:from|import) '([^']+)'|url\(([^)]+)\)/g)];
  return found
    .map((match) => match[1] ?? match[2] ?? match[3]!)
    .filter((named) => named !== 'data:,')
    .map((named) => new URL(named, `${base}${path}`).href);
}

describe('the page to try the API', () => {
  it('is made of files that are served, all from this service, and of all that lie there', async () => {
    const seen = new Set<string>();
    const open = ['/docs'];
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      const { status, text } = await get(path);
      expect([path, status]).toEqual([path, 200]);
      if (path === '/openapi.json') continue;
      for (const loaded of loads(path, text)) {
        expect(loaded.startsWith(`${base}/`)).toBe(true);
        open.push(loaded.slice(base.length));
      }
    }
    const folder = fileURLToPath(new URL('../../../src/gateway/docs-page', import.meta.url));
    const files = readdirSync(folder).filter((name) => !/^(tsconfig\.json|page\.html)$/.test(name));
    expect([...seen].sort()).toEqual(['/docs', '/openapi.json', ...files.map((name) => `/docs/${name}`)].sort());
  });

  it('runs under a policy that allows nothing but its own files, and has nothing inline', async () => {
    const { type, policy, text } = await get('/docs');
    expect(type).toBe('text/html; charset=utf-8');
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(text).not.toMatch(/<style|<script[^>]*>[^<]|\s(?:on\w+|style)=/);
  });

  it('opens on a statement that runs', async () => {
    expect((await get('/docs')).text).toMatch(/<textarea id="sql"[^>]*>SHOW TABLES</);
  });

  it('keeps the token in its field alone', async () => {
    for (const file of ['page.js', 'parts.js', 'ask.js', 'operations.js'])
      expect((await get(`/docs/${file}`)).text).not.toMatch(/localStorage|sessionStorage|document\.cookie|indexedDB|innerHTML|eval\(/);
  });

  it.each(['/docs/tsconfig.json', '/docs/..%2Fapp.js', '/docs/page.html'])('has no %s', async (path) => {
    expect((await get(path)).status).toBe(404);
  });
});
