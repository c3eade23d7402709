// Ranges of an object: the first by the SDK's client, the others by the road it has shown. What a server says must come out alike.
import type { IncomingHttpHeaders } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { KiB, systemClock } from '../../../src/kernel/index.js';
import type { ObjectStore, RequestCounters } from '../../../src/objects/index.js';
import type { S3StoreOptions } from '../../../src/objects/s3-store.js';
import { type Answer, openFakeStore, refuse, startFakeS3 } from '../../support/fake-s3.js';

const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Opened {
  readonly store: ObjectStore;
  readonly counters: RequestCounters;
  readonly seen: { readonly url: string; readonly headers: IncomingHttpHeaders }[];
}

async function open(answer: Answer, options: Partial<S3StoreOptions> = {}): Promise<Opened> {
  const seen: Opened['seen'] = [];
  const server = await startFakeS3((request, response, body) => {
    seen.push({ url: String(request.url), headers: request.headers });
    answer(request, response, body);
  });
  const clock = { ...systemClock, sleep: async (_ms: number, signal?: AbortSignal) => signal?.throwIfAborted() };
  const opened = await openFakeStore(server.endpoint, { clock, silenceMs: 30_000, ...options });
  ends.push(
    () => server.stop(),
    () => opened.store.close(),
  );
  return { ...opened, seen };
}

const object = Buffer.from('0123456789');
/** Serves ranges of `object`, whatever the key is. */
const serve: Answer = (request, response) => {
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(String(request.headers.range)) ?? [];
  const part = object.subarray(Number(from), Number(to) + 1);
  response.writeHead(206, { 'content-length': String(part.length) }).end(part);
};
const byClient = ({ headers }: Opened['seen'][number]): boolean => headers['amz-sdk-invocation-id'] !== undefined;
const range = { start: 2, end: 5 };
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: unknown) => error,
  );

describe('a range', () => {
  it('goes through the client once, and then signed as it signs, to where it sends', async () => {
    const { store, seen, counters } = await open(serve, { prefix: 'a prefix/ü' });
    const key = "t/p=3/it's (1)*!~ +ä.parquet";
    for (let i = 0; i < 3; i++) expect((await store.get(key, { range })).toString()).toBe('234');
    expect(seen.map(byClient)).toEqual([true, false, false]);
    expect(new Set(seen.map(({ url }) => url.split('?')[0])).size).toBe(1);
    const signed = ({ headers }: Opened['seen'][number]): string[] =>
      String(headers.authorization)
        .replace(/Signature=.*/, '')
        .replace(/SignedHeaders=([^,]*)/, '')
        .split(/[ ,]+/)
        .filter(Boolean);
    expect(signed(seen[1]!)).toEqual(signed(seen[0]!));
    expect(String(seen[1]!.headers.authorization)).toMatch(/SignedHeaders=[^,]*host;range;[^,]*x-amz-date/);
    expect(seen[1]!.headers['user-agent']).toBe(seen[0]!.headers['user-agent']);
    expect([counters.requests('get', 'ok'), counters.receivedBytes]).toEqual([3, 9]);
  });

  it.each([
    ['NoSuchKey', 404],
    ['NoSuchBucket', 404],
    ['AccessDenied', 403],
    ['InvalidAccessKeyId', 403],
    ['RequestTimeTooSkewed', 403],
    ['PermanentRedirect', 301],
    ['InternalError', 500],
    ['Weird', 400],
  ])('that is refused (%s) fails as by the client, and the next goes through the client', async (code, status) => {
    const answers = await Promise.all(
      [false, true].map(async (isByRoad) => {
        let isGood = isByRoad;
        const { store, seen } = await open((request, response, body) => {
          if (isGood) serve(request, response, body);
          else refuse(response, status, code);
        });
        if (isByRoad) await store.get('a', { range });
        isGood = false;
        const error = (await failure(store.get('a', { range }))) as { code: string; facts: object; hint: string; message: string };
        expect(byClient(seen[isByRoad ? 1 : 0]!)).toBe(!isByRoad);
        isGood = true;
        expect((await store.get('a', { range })).toString()).toBe('234');
        expect(byClient(seen.at(-1)!)).toBe(true);
        const { store: _, ...facts } = error.facts as { readonly store?: unknown };
        return { code: error.code, facts, hint: error.hint };
      }),
    );
    expect(answers[1]).toEqual(answers[0]);
  });

  it('behind the end of the object is empty', async () => {
    const { store } = await open((request, response, body) => {
      if (request.headers.range === 'bytes=20-29') refuse(response, 416, 'InvalidRange');
      else serve(request, response, body);
    });
    await store.get('a', { range });
    expect(await store.get('a', { range: { start: 20, end: 30 } })).toHaveLength(0);
  });

  it('is asked for again after the time that a server names', async () => {
    const slept: number[] = [];
    let asked = 0;
    const clock = { ...systemClock, sleep: async (ms: number) => void slept.push(ms) };
    const { store, counters } = await open(
      (request, response, body) => {
        if (++asked === 2) refuse(response, 503, 'SlowDown', { 'retry-after': '7' });
        else serve(request, response, body);
      },
      { clock },
    );
    await store.get('a', { range });
    expect((await store.get('a', { range })).toString()).toBe('234');
    expect(Math.max(...slept)).toBeGreaterThanOrEqual(7000);
    expect([counters.requests('get', 'throttled'), counters.retries]).toEqual([1, 1]);
  });

  it('whose connection breaks in the middle is asked for again', async () => {
    let asked = 0;
    const { store, counters, seen } = await open((request, response, body) => {
      if (++asked !== 2) return serve(request, response, body);
      response.writeHead(206, { 'content-length': '3' });
      response.write('2', () => response.destroy());
    });
    await store.get('a', { range });
    expect((await store.get('a', { range })).toString()).toBe('234');
    expect([counters.requests('get', 'failed'), counters.retries]).toEqual([1, 1]);
    expect(seen.map(byClient)).toEqual([true, false, false]);
  });

  it('that falls silent, or trickles, is given up', async () => {
    let asked = 0;
    const { store, counters } = await open(
      (request, response, body) => {
        if (++asked === 1) return serve(request, response, body);
        response.writeHead(206, { 'content-length': String(64 * KiB) });
        const timer = setInterval(() => response.write('x'), 50);
        response.on('close', () => clearInterval(timer));
      },
      { silenceMs: 120 },
    );
    await store.get('a', { range });
    expect(await failure(store.get('a', { range: { start: 0, end: 64 * KiB } }))).toMatchObject({ code: 'store-unavailable' });
    expect(counters.requests('get', 'timeout')).toBeGreaterThan(0);
    expect(counters.running).toBe(0);
  });

  it("ends at once with the reason of its caller's signal, before and after the answer began", async () => {
    let asked = 0;
    const { store } = await open((request, response, body) => {
      if (++asked === 1) return serve(request, response, body);
      if (asked === 2) response.writeHead(206, { 'content-length': '3' }).write('2');
      return undefined;
    });
    await store.get('a', { range });
    for (let i = 0; i < 2; i++) {
      const leaving = new AbortController();
      const reason = new Error('enough');
      const reading = store.get('a', { range, signal: leaving.signal });
      setTimeout(() => leaving.abort(reason), 20);
      expect(await failure(reading)).toBe(reason);
    }
  });
});
