import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  callsInFlightMax,
  connectControl,
  type ControlHandlers,
  type ControlListener,
  type ControlPeer,
  controlPair,
  type Hello,
  listenControl,
  partsInFlightMax,
  routeTierCalls,
} from '../../../src/control/index.js';
import { LakeError, topicId } from '../../../src/kernel/index.js';

const hello = (role: Hello['role'], version = '1'): Hello => ({ role, pid: 1, version });
const hydrateParams = { topicId: topicId('AAAAAAAAAAAAAAAAAAAAAQ'), partition: 0, offset: 0, maxBytes: 1 };

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise(setImmediate);
}

interface Wire {
  /** The end that asks; the other end answers with `handlers`. */
  open(handlers: ControlHandlers, ownHandlers?: ControlHandlers): Promise<{ asker: ControlPeer; answerer: ControlPeer }>;
  close(): Promise<void>;
}

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'control-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

function overSocket(address: () => string): () => Wire {
  return () => {
    let listener: ControlListener | undefined;
    return {
      async open(handlers, ownHandlers = {}) {
        let answerer: ControlPeer | undefined;
        listener = await listenControl(
          address(),
          hello('broker'),
          (peer) => (answerer = peer),
          () => handlers,
        );
        const asker = await connectControl(listener.address, hello('gateway'), ownHandlers);
        return { asker, answerer: answerer as ControlPeer };
      },
      close: async () => listener?.close(),
    };
  };
}

const wires: [string, () => Wire][] = [
  ['a Unix socket', overSocket(() => `unix:${join(dir, 'c.sock')}`)],
  ['TCP', overSocket(() => '127.0.0.1:0')],
  [
    'a pair in one process',
    () => ({
      open: async (handlers, ownHandlers = {}) => {
        const [asker, answerer] = controlPair({ hello: hello('gateway'), handlers: ownHandlers }, { hello: hello('broker'), handlers });
        return { asker, answerer };
      },
      close: async () => {},
    }),
  ],
];

describe.each(wires)('control over %s', (_name, make) => {
  let wire: Wire;
  beforeEach(() => {
    wire = make();
  });
  afterEach(async () => {
    await wire.close();
  });

  it('introduces both sides, and both may ask', async () => {
    const status: ControlHandlers = { 'tier.status': async (_params, context) => ({ topics: [], asked: context.peer.role }) };
    const { asker, answerer } = await wire.open(status, status);
    expect([asker.peer.role, answerer.peer.role]).toEqual(['broker', 'gateway']);
    expect(await asker.call('tier.status', {})).toEqual({ topics: [], asked: 'gateway' });
    expect(await answerer.call('tier.status', {})).toEqual({ topics: [], asked: 'broker' });
  });

  it('carries errors with code, hint and facts, and refuses what it does not know', async () => {
    const { asker } = await wire.open({
      'broker.flush': async () => {
        throw new LakeError('log-offline', 'p-0 is offline', { hint: 'Restart.', facts: { partition: 0 } });
      },
    });
    await expect(asker.call('broker.flush', { topicId: hydrateParams.topicId, partitions: [] })).rejects.toMatchObject({
      code: 'log-offline',
      message: 'p-0 is offline',
      hint: 'Restart.',
      facts: { partition: 0 },
      retriable: true,
    });
    await expect(asker.call('broker.evict', {})).rejects.toMatchObject({ code: 'unsupported' });
    await expect(asker.call('toString' as 'broker.evict', {})).rejects.toMatchObject({ code: 'unsupported' });
  });

  it('delivers parts in order and whole, before the answer', async () => {
    const scratch = Buffer.alloc(300_000);
    const { asker } = await wire.open({
      'tier.hydrate': async (_params, { sendPart }) => {
        for (let part = 0; part < 20; part++) {
          scratch.fill(part);
          await sendPart({ baseOffset: part, nextOffset: part + 1 }, scratch);
        }
        return { nextOffset: 20, bytes: 20 * scratch.length };
      },
    });
    const seen: unknown[] = [];
    const result = await asker.call('tier.hydrate', hydrateParams, {
      onPart: async (facts, payload) => {
        await new Promise(setImmediate);
        seen.push([facts, payload.length, payload.every((byte) => byte === seen.length)]);
      },
    });
    expect(result).toEqual({ nextOffset: 20, bytes: 6_000_000 });
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => [{ baseOffset: i, nextOffset: i + 1 }, 300_000, true]));
  });

  it('holds a sender that is ahead of its reader, and lets it go when the reader cancels', async () => {
    let sent = 0;
    let reason: unknown;
    const { asker } = await wire.open({
      'tier.hydrate': async (_params, { sendPart, signal }) => {
        try {
          for (;;) {
            await sendPart({}, Buffer.alloc(10));
            sent++;
          }
        } catch (error) {
          reason = signal.reason;
          throw error;
        }
      },
    });
    const abort = new AbortController();
    let read = 0;
    const call = asker.call('tier.hydrate', hydrateParams, {
      signal: abort.signal,
      onPart: async () => {
        read++;
        if (read === 3) await new Promise(() => {});
      },
    });
    await until(() => sent === 2 + partsInFlightMax);
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    expect([sent, read]).toEqual([2 + partsInFlightMax, 3]);
    abort.abort(new Error('enough'));
    await expect(call).rejects.toMatchObject({ code: 'cancelled' });
    await until(() => reason !== undefined);
    expect(reason).toMatchObject({ code: 'cancelled' });
  });

  it('ends a call whose reader fails with the reader’s error', async () => {
    const { asker } = await wire.open({
      'tier.hydrate': async (_params, { sendPart }) => {
        for (;;) await sendPart({}, Buffer.alloc(10));
      },
    });
    const onPart = (): void => {
      throw new LakeError('disk-full', 'no room for the part');
    };
    await expect(asker.call('tier.hydrate', hydrateParams, { onPart })).rejects.toMatchObject({ code: 'disk-full' });
  });

  it('gives up at the deadline', async () => {
    const { asker } = await wire.open({ 'tier.status': () => new Promise(() => {}) });
    await expect(asker.call('tier.status', {}, { timeoutMs: 5 })).rejects.toMatchObject({ code: 'timeout' });
    await expect(asker.call('tier.status', {}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('bounds the calls under way', async () => {
    const { asker } = await wire.open({ 'tier.status': () => new Promise(() => {}) });
    const calls = Array.from({ length: callsInFlightMax }, () => asker.call('tier.status', {}));
    await expect(asker.call('tier.status', {})).rejects.toMatchObject({ code: 'overloaded' });
    asker.close();
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.every((o) => o.status === 'rejected')).toBe(true);
  });

  it('tells both sides when the connection ends', async () => {
    let aborted: AbortSignal | undefined;
    const { asker, answerer } = await wire.open({
      'tier.status': (_params, { signal }) => {
        aborted = signal;
        return new Promise(() => {});
      },
    });
    const call = asker.call('tier.status', {});
    await until(() => aborted !== undefined);
    answerer.close();
    await expect(call).rejects.toMatchObject({ code: 'peer-gone', retriable: true });
    await Promise.all([asker.closed, answerer.closed]);
    expect((aborted as AbortSignal | undefined)?.reason).toMatchObject({ code: 'peer-gone' });
    await expect(asker.call('tier.status', {})).rejects.toMatchObject({ code: 'peer-gone' });
  });
});

describe('the hub', () => {
  const gateway = hello('gateway');

  it('passes tier calls, their parts and their cancellation to the tier daemon that connected last', async () => {
    const signals: AbortSignal[] = [];
    const tierHandlers = (name: string): ControlHandlers => ({
      'tier.status': async () => ({ topics: [], name }),
      'tier.hydrate': async (_params, { sendPart, signal }) => {
        signals.push(signal);
        for (let n = 0; ; n++) await sendPart({ n }, Buffer.from(name));
      },
    });
    const [toFirst] = controlPair({ hello: hello('broker'), handlers: {} }, { hello: hello('tier'), handlers: tierHandlers('first') });
    const [toSecond] = controlPair({ hello: hello('broker'), handlers: {} }, { hello: hello('tier'), handlers: tierHandlers('second') });
    const [toGateway] = controlPair({ hello: hello('broker'), handlers: {} }, { hello: gateway, handlers: {} });
    const routes = routeTierCalls(() => [toFirst, toSecond, toGateway]);
    const [asker] = controlPair({ hello: gateway, handlers: {} }, { hello: hello('broker'), handlers: routes });
    expect(await asker.call('tier.status', {})).toMatchObject({ name: 'second' });
    const abort = new AbortController();
    const parts: unknown[] = [];
    const call = asker.call('tier.hydrate', hydrateParams, {
      signal: abort.signal,
      onPart: (facts, payload) => {
        parts.push([facts, payload.toString()]);
        if (parts.length === 10) abort.abort();
      },
    });
    await expect(call).rejects.toMatchObject({ code: 'cancelled' });
    expect(parts.slice(0, 2)).toEqual([
      [{ n: 0 }, 'second'],
      [{ n: 1 }, 'second'],
    ]);
    await until(() => signals[0]?.aborted ?? false);
  });

  it('answers cold-unavailable where no tier daemon is, or where it goes away', async () => {
    const peers: ControlPeer[] = [];
    const [asker] = controlPair({ hello: gateway, handlers: {} }, { hello: hello('broker'), handlers: routeTierCalls(() => peers) });
    await expect(asker.call('tier.status', {})).rejects.toMatchObject({ code: 'cold-unavailable', retriable: true });
    let isAsked = false;
    const [toTier] = controlPair(
      { hello: hello('broker'), handlers: {} },
      {
        hello: hello('tier'),
        handlers: {
          'tier.status': () => {
            isAsked = true;
            return new Promise(() => {});
          },
        },
      },
    );
    peers.push(toTier);
    const call = asker.call('tier.status', {});
    await until(() => isAsked);
    toTier.close();
    await expect(call).rejects.toMatchObject({ code: 'cold-unavailable' });
  });
});

describe('the socket file', () => {
  it('is for its owner alone and goes with the listener', async () => {
    const path = join(dir, 'c.sock');
    const listener = await listenControl(
      path,
      hello('broker'),
      () => {},
      () => ({}),
    );
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await listener.close();
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
