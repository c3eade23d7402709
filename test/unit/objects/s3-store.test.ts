import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { KiB, MiB, systemClock, type Clock } from '../../../src/kernel/index.js';
import { isOutcomeUnknown, type ObjectStore, type RequestCounters } from '../../../src/objects/index.js';
import { crc32Header } from '../../../src/objects/crc32.js';
import { callLimitMs } from '../../../src/objects/s3-requests.js';
import { type Answer, type FakeS3, openFakeStore, refuse, startFakeS3 } from '../../support/fake-s3.js';

const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function open(
  answer: Answer,
  options: Parameters<typeof openFakeStore>[1] = {},
): Promise<{
  readonly store: ObjectStore;
  readonly counters: RequestCounters;
  readonly server: FakeS3;
}> {
  const server = await startFakeS3(answer);
  const opened = await openFakeStore(server.endpoint, options);
  ends.push(
    () => server.stop(),
    () => opened.store.close(),
  );
  return { ...opened, server };
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: unknown) => error,
  );
/** Sleeps are over at once, and told; time goes on as it does. */
const hurried = (slept: number[]): Clock => ({
  ...systemClock,
  sleep: async (ms, signal) => {
    signal?.throwIfAborted();
    slept.push(ms);
  },
});

/** Waits as long as the product does, but for its pauses. */
const patient = (slept: number[] = []): Parameters<typeof openFakeStore>[1] => ({ clock: hurried(slept), silenceMs: 30_000 });

/** Takes a body at a slow link's pace. */
async function slowServer(pauseMs: number): Promise<string> {
  const server: Server = createServer((request, response) => {
    request.on('data', () => {
      request.pause();
      setTimeout(() => request.resume(), pauseMs);
    });
    request.on('end', () => response.writeHead(200, { etag: '"1"' }).end());
  });
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('time', () => {
  it('an upload that moves on slowly is not given up', async () => {
    const { store } = await openFakeStore(await slowServer(15));
    await store.put('a', Buffer.alloc(4 * MiB), { ifAbsent: true });
    await store.close();
  });

  it('a write without an answer is given up, sent again, and may have been done', async () => {
    const { store, server, counters } = await open(() => undefined);
    expect(isOutcomeUnknown(await failure(store.put('a', Buffer.from('x'), { ifAbsent: true })))).toBe(true);
    expect(server.seen.length).toBeGreaterThan(1);
    expect(counters.requests('put', 'timeout')).toBe(server.seen.length);
    expect(counters.running).toBe(0);
  });

  it('a body that stops in the middle is given up, and one that trickles too', async () => {
    const slept: number[] = [];
    const { store, counters } = await open(
      (_request, response) => {
        response.writeHead(200, { 'content-length': String(64 * KiB) });
        // Never silent for long, and never done: at this pace it takes an hour.
        const timer = setInterval(() => response.write('x'), 50);
        response.on('close', () => clearInterval(timer));
      },
      { clock: hurried(slept), silenceMs: 120 },
    );
    expect(await failure(store.get('a'))).toMatchObject({ code: 'store-unavailable' });
    expect(counters.requests('get', 'timeout')).toBeGreaterThan(0);
    expect(counters.receivedBytes).toBeLessThan(64 * KiB);
  });

  it('has a bound that grows with the bytes, and no call of a peer that never answers goes beyond it', async () => {
    expect(callLimitMs(0)).toBe(90_000);
    expect(callLimitMs(16 * MiB)).toBe(90_000 + 2 * 64_000);
    const { store } = await open(() => undefined, { silenceMs: 50 });
    const calls = [
      store.put('a', Buffer.from('x')),
      store.put('a', Buffer.from('x'), { inParts: true }),
      store.get('a'),
      store.get('a', { range: { start: 0, end: 9 } }),
      store.head('a'),
      store.delete('a'),
      store.removeUnfinished(0),
      store.list('')[Symbol.asyncIterator]().next(),
    ];
    for (const error of await Promise.all(calls.map(failure))) expect(error).toMatchObject({ code: 'store-unavailable', retriable: true });
  });

  it("ends at once with the reason of its caller's signal", async () => {
    const { store } = await open(() => undefined, { silenceMs: 60_000 });
    const leaving = new AbortController();
    const reason = new Error('enough');
    const reads = [store.get('a', { signal: leaving.signal }), store.put('a', Buffer.from('x'), { signal: leaving.signal, inParts: true })];
    setTimeout(() => leaving.abort(reason), 20);
    for (const error of await Promise.all(reads.map(failure))) expect(error).toBe(reason);
  });
});

describe('tries', () => {
  it('of all callers of a bucket that is down are bounded together', async () => {
    const { store, server, counters } = await open((_request, response) => refuse(response, 500, 'InternalError'), patient());
    const callers = 60;
    await Promise.all(Array.from({ length: callers }, (_, index) => failure(store.head(`k${index}`))));
    expect(server.seen.length).toBe(callers + 40);
    expect(counters.retries).toBe(40);
    expect(counters.retriesRefused).toBeGreaterThan(0);
    expect(counters.requests('head', 'failed')).toBe(callers + 40);
  });

  it.each([
    ['SlowDown', 503],
    ['TooManyRequests', 429],
  ])('wait for the time that a server names with %s, and hold back all others meanwhile', async (code, status) => {
    const slept: number[] = [];
    let refusals = 1;
    const { store, counters } = await open((_request, response) => {
      if (refusals-- > 0) refuse(response, status, code, { 'retry-after': '7' });
      else response.writeHead(200, { etag: '"1"' }).end();
    }, patient(slept));
    await store.put('a', Buffer.from('x'));
    expect(slept[0]).toBeGreaterThanOrEqual(7000);
    await store.put('b', Buffer.from('x'));
    // The pause concerns the store, not only who was refused.
    expect(slept.at(-1)).toBeGreaterThan(5000);
    expect(counters.requests('put', 'throttled')).toBe(1);
  });

  it('of a conditional write that met another (409) are made, and one that lost (412) is told so', async () => {
    let conflicts = 2;
    const { store, server } = await open((request, response) => {
      if (request.method === 'HEAD') response.writeHead(200, { 'x-amz-meta-thermocline-write': 'somebody else' }).end();
      else if (conflicts-- > 0) refuse(response, 409, 'ConditionalRequestConflict');
      else refuse(response, 412, 'PreconditionFailed');
    }, patient());
    expect(await failure(store.put('a', Buffer.from('x'), { ifAbsent: true }))).toMatchObject({ code: 'object-exists' });
    expect(server.seen.map((line) => line.split(' ')[0])).toEqual(['PUT', 'PUT', 'PUT', 'HEAD']);
  });

  it('of a conditional write find that it has won, where its answer was lost or a network delivered it twice', async () => {
    let id: string | undefined;
    const { store } = await open((request, response) => {
      if (request.method === 'HEAD') response.writeHead(200, { 'x-amz-meta-thermocline-write': id }).end();
      else if (id === undefined) {
        id = String(request.headers['x-amz-meta-thermocline-write']);
        request.socket.destroy();
      } else refuse(response, 412, 'PreconditionFailed');
    }, patient());
    await store.put('a', Buffer.from('x'), { ifAbsent: true });
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('leave a conditional write open that is told "there already" and cannot look whose', async () => {
    const { store } = await open((request, response) => {
      if (request.method === 'HEAD') response.writeHead(500).end();
      else refuse(response, 412, 'PreconditionFailed');
    }, patient());
    expect(isOutcomeUnknown(await failure(store.put('a', Buffer.from('x'), { ifAbsent: true })))).toBe(true);
  });

  it('begin an upload in parts anew that the server gave up for the sake of another, and abort the first', async () => {
    let begun = 0;
    const { store, server } = await open((request, response) => {
      const url = String(request.url);
      if (request.method === 'DELETE') response.writeHead(204).end();
      else if (url.includes('uploads')) {
        begun++;
        response.end(`<InitiateMultipartUploadResult><UploadId>u${begun}</UploadId></InitiateMultipartUploadResult>`);
      } else if (request.method === 'PUT') response.writeHead(200, { etag: '"1"' }).end();
      else if (url.includes('u1')) refuse(response, 404, 'NoSuchUpload');
      else response.end('<CompleteMultipartUploadResult><ETag>"2"</ETag></CompleteMultipartUploadResult>');
    }, patient());
    await store.put('a', Buffer.from('x'), { inParts: true });
    expect(begun).toBe(2);
    expect(server.seen.filter((line) => line.startsWith('DELETE'))).toHaveLength(1);
  });
});

describe('bytes', () => {
  it('are sent with a checksum of what the caller gave', async () => {
    let header: unknown;
    const { store } = await open((request, response) => {
      header = request.headers['x-amz-checksum-crc32'];
      response.writeHead(200, { etag: '"1"' }).end();
    });
    await store.put('a', Buffer.from('some bytes'));
    expect(header).toBe(crc32Header(crc32(Buffer.from('some bytes'))));
  });

  it.each(['BadDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch', 'IncompleteBody'])(
    'that were damaged on their way (%s) are sent again',
    async (code) => {
      let damages = 1;
      const { store, counters } = await open((_request, response) => {
        if (damages-- > 0) refuse(response, 400, code);
        else response.writeHead(200, { etag: '"1"' }).end();
      }, patient());
      await store.put('a', Buffer.from('x'));
      expect(counters.retries).toBe(1);
      expect(counters.sentBytes).toBe(2);
    },
  );

  it('that came damaged, or too few, are fetched again', async () => {
    const good = Buffer.from('what was stored');
    const bad = Buffer.from('what was shored');
    const answers = [bad, good.subarray(0, 4), good];
    const { store, counters } = await open((_request, response) => {
      const body = answers.shift() ?? good;
      response.writeHead(200, { 'content-length': String(good.length), 'x-amz-checksum-crc32': crc32Header(crc32(good)) });
      response.write(body);
      if (body.length < good.length) response.destroy();
      else response.end();
    }, patient());
    expect(await store.get('a')).toEqual(good);
    expect(counters.requests('get', 'failed')).toBe(2);
    expect(counters.requests('get', 'ok')).toBe(1);
  });
});

describe('an upload in parts', () => {
  it('ends with the first part that is refused for good, and is aborted once all others have ended', async () => {
    let runningAtAbort = -1;
    const { store, server, counters } = await open((request, response) => {
      const url = String(request.url);
      if (request.method === 'DELETE') {
        runningAtAbort = counters.running;
        response.writeHead(204).end();
      } else if (url.includes('uploads')) {
        response.end('<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>');
      } else if (url.includes('partNumber=2')) {
        refuse(response, 403, 'AccessDenied');
      }
      // The other parts get no answer.
    }, patient());
    expect(await failure(store.put('a', Buffer.alloc(80 * MiB)))).toMatchObject({ code: 'store-refused' });
    expect(runningAtAbort).toBe(1);
    // Those that waited for their turn were never sent.
    expect(server.seen.filter((line) => line.startsWith('PUT')).length).toBeLessThanOrEqual(3);
    expect(counters.running).toBe(0);
  });

  it('that is left by its caller is aborted, and no part is begun any more', async () => {
    const leaving = new AbortController();
    const reason = new Error('enough');
    const { store, server } = await open((request, response) => {
      if (String(request.url).includes('uploads')) {
        response.end('<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>');
      } else if (request.method === 'DELETE') response.writeHead(204).end();
      else leaving.abort(reason);
    }, patient());
    expect(await failure(store.put('a', Buffer.alloc(80 * MiB), { signal: leaving.signal }))).toBe(reason);
    // A part that was on its way may be seen behind the abort, as the two come over different connections.
    expect(server.seen.some((line) => line.startsWith('DELETE'))).toBe(true);
    expect(server.seen.filter((line) => line.startsWith('PUT')).length).toBeLessThanOrEqual(3);
  });
});
