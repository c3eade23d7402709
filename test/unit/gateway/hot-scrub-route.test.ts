// A scrub may take hours: its answer begins at once, goes on while there is nothing new, and says how it ended.
import { Hono } from 'hono';
import { expect, it } from 'vitest';
import type { CallOptions, ControlPeer } from '../../../src/control/index.js';
import { hotScrubRoute } from '../../../src/gateway/hot-scrub-route.js';
import { LakeError } from '../../../src/kernel/index.js';
import { emptyBroker } from './broker-state.js';

interface Scrub {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly options: CallOptions;
  end(outcome: Promise<unknown>): void;
}

async function begun(): Promise<Scrub> {
  let options: CallOptions | undefined;
  let end: Scrub['end'] = () => undefined;
  const outcome = new Promise<unknown>((resolve) => {
    end = resolve;
  });
  const call = (method: string, _params: unknown, its: CallOptions): unknown => {
    if (method === 'broker.describe') return Promise.resolve({ ...emptyBroker, topics: [{ name: 'flights' }] });
    options = its;
    return outcome;
  };
  const app = new Hono().post('/v1/topics/:topic/scrub', hotScrubRoute({ call } as unknown as Pick<ControlPeer, 'call'>));
  const answer = await app.request('/v1/topics/flights/scrub', { method: 'POST' });
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
  return { reader: answer.body!.getReader(), options: options!, end };
}

async function line({ reader }: Scrub): Promise<unknown> {
  return JSON.parse(Buffer.from((await reader.read()).value!).toString());
}

it('begins before anything was read, and has a line for all that the broker tells', async () => {
  const scrub = await begun();
  const parts: readonly (readonly [part: object, line: object])[] = [
    [{ soFar: { bytes: 7, findings: 0 } }, { _progress: { bytes: 7, findings: 0 } }],
    [
      { partition: 0, bytes: 9, findings: 0 },
      { partition: 0, bytes: 9, findings: 0 },
    ],
  ];
  for (const [part, said] of parts) {
    const told = scrub.options.onPart?.(part, Buffer.alloc(0));
    expect(await line(scrub)).toEqual(said);
    await told;
  }
  scrub.end(Promise.resolve({ bytes: 9, findings: 0 }));
  expect(await line(scrub)).toEqual({ _end: { bytes: 9, findings: 0 } });
  expect(await scrub.reader.read()).toMatchObject({ done: true });
});

it('ends with the error of the scrub', async () => {
  const scrub = await begun();
  scrub.end(Promise.reject(new LakeError('overloaded', 'others wait for theirs already')));
  expect(await line(scrub)).toMatchObject({ _error: { code: 'overloaded' } });
});

it('is over for the broker, too, where nobody reads on', async () => {
  const scrub = await begun();
  await scrub.reader.cancel();
  await expect.poll(() => scrub.options.signal?.aborted).toBe(true);
});
