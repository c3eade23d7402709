import { describe, expect, it } from 'vitest';
import { gatewayApp } from '../../../src/gateway/index.js';
import { type Clock, LakeError, systemRandom } from '../../../src/kernel/index.js';
import { MemoryStore } from '../../../src/objects/index.js';
import type { QueryService, WatchedQuery, WrittenAnswer } from '../../../src/query/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { ManualClock } from '../broker/manual-clock.js';

/** A query whose answer and pieces come when the test says so. */
function world() {
  const clock = new ManualClock();
  let phase: 'queued' | 'running' = 'queued';
  let answered: (answer: WrittenAnswer) => void = () => undefined;
  let failed: (error: unknown) => void = () => undefined;
  const pieces: ((piece: IteratorResult<Uint8Array>) => void)[] = [];
  let breakPieces: (error: unknown) => void = () => undefined;
  const seen = { signal: undefined as AbortSignal | undefined, isReturned: false };
  const query = {
    answer: (_: unknown, signal: AbortSignal, onTaken?: (query: WatchedQuery) => void) => {
      seen.signal = signal;
      onTaken?.({ id: '9', progress: () => ({ phase, rows: 3, bytes: 40, files: 2, percent: 12.345, elapsedMs: 501.4 }) });
      return new Promise<WrittenAnswer>((resolve, reject) => {
        answered = resolve;
        failed = reject;
      });
    },
  } as unknown as QueryService;
  const app = gatewayApp({
    listen: { host: '127.0.0.1', port: 8080 },
    query,
    control: { call: async () => Promise.reject(new LakeError('cold-unavailable', 'nobody')) },
    records: { send: async () => [] },
    samples: () => [],
    catalog: { store: new MemoryStore({ clock: clock as Clock }), access: null, clock, random: systemRandom },
    logger: silentLogger,
  });
  const answer = {
    id: '9',
    columns: [{ name: 'a', type: 'BIGINT' }],
    token: 't1.token',
    headerToken: 't1.token',
    stats: () => ({}),
    pieces: {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
            pieces.push(resolve);
            breakPieces = reject;
          }),
        return: async () => {
          seen.isReturned = true;
          return { done: true, value: undefined };
        },
      }),
    },
  } as unknown as WrittenAnswer;
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 30; turn++) await Promise.resolve();
  };
  return {
    clock,
    seen,
    ask: (body: object = {}) =>
      app.request('http://127.0.0.1:8080/v1/query', {
        method: 'POST',
        headers: { 'host': '127.0.0.1:8080', 'content-type': 'application/json' },
        body: JSON.stringify({ sql: 'SELECT 1', format: 'ndjson', progress: true, ...body }),
      }),
    begin: () => {
      phase = 'running';
      answered(answer);
    },
    fail: (error: unknown) => failed(error),
    piece: async (text?: string) => {
      await settle();
      pieces.shift()!(text === undefined ? { done: true, value: undefined } : { done: false, value: Buffer.from(text) });
      await settle();
    },
    breakOff: async (error: unknown) => {
      await settle();
      breakPieces(error);
    },
    /** Lets the time pass, after whoever waits for it has begun to. */
    pass: async (ms: number) => {
      await new Promise((resolve) => setImmediate(resolve));
      await clock.advance(ms);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

async function lineOf(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<unknown> {
  const { done, value } = await reader.read();
  return done ? undefined : (JSON.parse(Buffer.from(value).toString()) as unknown);
}

const told = (phase: string) => ({ _progress: { phase, rows: 3, bytes: 40, files: 2, percent: 12.3, elapsed_ms: 501 } });

describe('an answer with progress', () => {
  it('begins when the first line is due, and tells before and between the rows, twice a second', async () => {
    const w = world();
    const asked = w.ask();
    await w.pass(499);
    await w.pass(1);
    const response = await asked;
    expect(response.status).toBe(200);
    expect(response.headers.get('x-thermocline-query-id')).toBe('9');
    expect(response.headers.get('x-thermocline-snapshot')).toBeNull();
    const reader = response.body!.getReader();
    expect(await lineOf(reader)).toEqual(told('queued'));
    w.begin();
    await w.piece('{"a":1}\n');
    expect(await lineOf(reader)).toEqual({ a: 1 });
    await w.pass(500);
    expect(await lineOf(reader)).toEqual(told('running'));
    await w.piece();
    expect(await lineOf(reader)).toEqual({ _end: { snapshot: 't1.token', stats: {} } });
    expect(await lineOf(reader)).toBeUndefined();
  });

  it('names the columns after the progress before them, where rows are arrays', async () => {
    const w = world();
    const asked = w.ask({ format: 'ndjson-arrays' });
    await w.pass(500);
    const reader = (await asked).body!.getReader();
    expect(await lineOf(reader)).toEqual(told('queued'));
    w.begin();
    await w.pass(1);
    expect(await lineOf(reader)).toEqual({ _columns: [{ name: 'a', type: 'BIGINT' }] });
    await w.pass(500);
    expect(await lineOf(reader)).toEqual(told('running'));
    await w.piece('[1]\n');
    expect(await lineOf(reader)).toEqual([1]);
    await w.piece();
    expect(await lineOf(reader)).toMatchObject({ _end: {} });
  });

  it('says nothing of progress where the answer is there sooner, and has its snapshot in the header', async () => {
    const w = world();
    const asked = w.ask();
    await w.pass(100);
    w.begin();
    const response = await asked;
    expect(response.headers.get('x-thermocline-snapshot')).toBe('t1.token');
    const reader = response.body!.getReader();
    await w.piece('{"a":1}\n');
    expect(await lineOf(reader)).toEqual({ a: 1 });
    await w.piece();
    expect(await lineOf(reader)).toMatchObject({ _end: {} });
  });

  it('keeps the status of what fails before, and writes a line of what fails after', async () => {
    const early = world();
    const asked = early.ask();
    await early.pass(100);
    early.fail(new LakeError('query-invalid', 'no such column'));
    expect((await asked).status).toBe(400);
    const late = world();
    const begun = late.ask();
    await late.pass(500);
    const reader = (await begun).body!.getReader();
    expect(await lineOf(reader)).toEqual(told('queued'));
    late.fail(new LakeError('query-too-large', 'the tail is long'));
    expect(await lineOf(reader)).toMatchObject({ _error: { code: 'query-too-large', status: 413 } });
    expect(await lineOf(reader)).toBeUndefined();
  });

  it('ends the query whose reader goes away', async () => {
    const w = world();
    const asked = w.ask();
    await w.pass(500);
    const reader = (await asked).body!.getReader();
    await lineOf(reader);
    w.begin();
    await w.pass(1);
    const cancelled = reader.cancel();
    expect(w.seen.signal?.aborted).toBe(true);
    await w.breakOff(new LakeError('cancelled', 'gone'));
    await cancelled;
    expect(w.seen.isReturned).toBe(true);
  });

  it('is for ndjson alone, and is true or false', async () => {
    const csv = await world().ask({ format: 'csv' });
    expect(await csv.json()).toMatchObject({ code: 'unsupported', hint: expect.stringContaining('ndjson') });
    expect((await world().ask({ progress: 'yes' })).status).toBe(400);
  });
});
