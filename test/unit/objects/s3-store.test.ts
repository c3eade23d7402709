import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { MiB, systemClock, systemRandom } from '../../../src/kernel/index.js';
import { isOutcomeUnknown } from '../../../src/objects/index.js';
import { openS3Store } from '../../../src/objects/s3-store.js';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** Takes a body at a slow link's pace, or takes none and says nothing. */
async function slowServer(pauseMs: number | 'silent'): Promise<string> {
  const server = createServer((request, response) => {
    if (pauseMs === 'silent') return;
    request.on('data', () => {
      request.pause();
      setTimeout(() => request.resume(), pauseMs);
    });
    request.on('end', () => response.writeHead(200, { etag: '"1"' }).end());
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function openStore(endpoint: string) {
  process.env['AWS_ACCESS_KEY_ID'] = 'a';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'b';
  return openS3Store({ bucket: 'b', prefix: '', endpoint, silenceMs: 200, clock: systemClock, random: systemRandom });
}

it('an upload that moves on slowly is not given up', async () => {
  const store = await openStore(await slowServer(15));
  await store.put('a', Buffer.alloc(4 * MiB), { ifAbsent: true });
  await store.close();
});

it('a small write without an answer is given up after the silence, and may have been done', async () => {
  const store = await openStore(await slowServer('silent'));
  const error = await store.put('a', Buffer.from('x'), { ifAbsent: true }).catch((caught: unknown) => caught);
  expect(isOutcomeUnknown(error)).toBe(true);
  await store.close();
});
