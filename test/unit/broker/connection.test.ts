import { connect, Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Handler, handlerOf, noAnswer, type RequestContext } from '../../../src/broker/handlers/handler.js';
import { Listener, type ListenerOptions } from '../../../src/broker/net/listener.js';
import { MiB, systemClock } from '../../../src/kernel/index.js';
import { freeBuffersMax, readBufferBytes, takeReadBuffer } from '../../../src/log/read-buffers.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import {
  type Api,
  apiVersionsApi,
  decodeCorrelationId,
  decodeResponse,
  encodeRequest,
  fetchApi,
  FrameReader,
  heartbeatApi,
  produceApi,
} from '../../../src/wire/index.js';

interface Served {
  readonly listener: Listener;
  readonly port: number;
  readonly warnings: string[];
}

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function serve(handlers: readonly Handler[], over: Partial<ListenerOptions> = {}): Promise<Served> {
  const warnings: string[] = [];
  const listener = new Listener({
    clock: systemClock,
    listen: { host: '127.0.0.1', port: 0 },
    logger: { ...silentLogger, warn: (message) => warnings.push(message) },
    handlers: new Map(handlers.map((handler) => [handler.api.key, handler])),
    connectionsMax: 10,
    requestBytesMax: 8 * MiB,
    queuedRequestBytesMax: 64 * MiB,
    idleMaxMs: 60_000,
    ...over,
  });
  const { port } = await listener.listen();
  closing.push(() => listener.close());
  return { listener, port, warnings };
}

/** A bare client: writes frames, and keeps the frames that come. */
async function open(port: number): Promise<{ socket: Socket; frames: Buffer[]; closed: Promise<void> }> {
  const socket = connect({ host: '127.0.0.1', port });
  const frames: Buffer[] = [];
  const reader = new FrameReader();
  socket.on('data', (chunk: Buffer) => frames.push(...reader.push(chunk)));
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => resolve());
  });
  await new Promise<void>((resolve) => {
    socket.on('connect', () => resolve());
  });
  closing.push(() => socket.destroy());
  return { socket, frames, closed };
}

const heartbeat = (correlationId: number, groupId = 'g'): Buffer =>
  Buffer.concat(encodeRequest(heartbeatApi, 0, correlationId, 'c', { groupId, generationId: 1, memberId: 'm' }));

const produce = (correlationId: number, acks = 1, bytes = 10): Buffer =>
  Buffer.concat(
    encodeRequest(produceApi, 7, correlationId, 'c', {
      acks,
      timeoutMs: 1,
      topicData: [{ name: 't', partitionData: [{ index: 0, records: Buffer.alloc(bytes) }] }],
    }),
  );

/** A handler whose answers the test gives, in whatever order. */
function heldHandler<Req, Res>(
  api: Api<Req, Res>,
  isPipelined: boolean,
): { handler: Handler; started: Req[]; release: ((answer: unknown) => void)[] } {
  const started: Req[] = [];
  const release: ((answer: unknown) => void)[] = [];
  const handler = handlerOf(
    api,
    (request: Req) => {
      started.push(request);
      return new Promise((resolve) => {
        release.push(resolve as (answer: unknown) => void);
      });
    },
    { isPipelined },
  );
  return { handler, started, release };
}

const answered = handlerOf(heartbeatApi, () => ({ errorCode: 0 }));

describe('a connection', () => {
  it('starts a request only when the one before is answered', async () => {
    const { handler, started, release } = heldHandler(heartbeatApi, false);
    const { port } = await serve([handler]);
    const client = await open(port);
    client.socket.write(Buffer.concat([heartbeat(1), heartbeat(2)]));
    await expect.poll(() => started.length).toBe(1);
    release[0]!({ errorCode: 0 });
    await expect.poll(() => started.length).toBe(2);
    release[1]!({ errorCode: 0 });
    await expect.poll(() => client.frames.map(decodeCorrelationId)).toEqual([1, 2]);
  });

  it('lets pipelined requests wait together and still answers in their order', async () => {
    const produced = heldHandler(produceApi, true);
    const { port } = await serve([produced.handler, answered]);
    const client = await open(port);
    client.socket.write(Buffer.concat([produce(1), produce(2), produce(3), heartbeat(4)]));
    await expect.poll(() => produced.started.length).toBe(3);
    for (const i of [2, 1, 0]) {
      expect(client.frames).toEqual([]);
      produced.release[i]!({ responses: [] });
    }
    await expect.poll(() => client.frames.map(decodeCorrelationId)).toEqual([1, 2, 3, 4]);
  });

  it('sends nothing for a request that wants no answer, and goes on', async () => {
    const { port } = await serve([handlerOf(produceApi, () => noAnswer, { isPipelined: true }), answered]);
    const client = await open(port);
    client.socket.write(Buffer.concat([produce(1, 0), heartbeat(2)]));
    await expect.poll(() => client.frames.map(decodeCorrelationId)).toEqual([2]);
  });

  it('answers thousands of small requests sent at once', async () => {
    const { port } = await serve([answered]);
    const client = await open(port);
    client.socket.write(Buffer.concat(Array.from({ length: 20_000 }, (_, i) => heartbeat(i))));
    await expect.poll(() => client.frames.length, { timeout: 10_000 }).toBe(20_000);
    expect(client.frames.map(decodeCorrelationId).every((id, i) => id === i)).toBe(true);
  });

  it('reads ahead only so far while a request is under way', async () => {
    const { handler, release } = heldHandler(produceApi, false);
    const { port } = await serve([handler]);
    const client = await open(port);
    const one = produce(1, 1, MiB);
    let isAllTaken = false;
    client.socket.write(Buffer.concat(Array.from({ length: 40 }, () => one)), () => {
      isAllTaken = true;
    });
    await expect.poll(() => release.length).toBe(1);
    expect(isAllTaken).toBe(false);
    const answering = setInterval(() => release.shift()?.({ responses: [] }), 1);
    closing.push(() => clearInterval(answering));
    await expect.poll(() => client.frames.length, { timeout: 10_000 }).toBe(40);
  });

  it.each([
    ['a negative frame size', Buffer.from('ffffffff', 'hex')],
    ['a frame above the bound', Buffer.from('7fffffff', 'hex')],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['a frame too short for a header', Buffer.from('0000000100', 'hex')],
    ['an API that is not there', Buffer.from('0000000c' + '03e70000' + '00000001' + '0000' + '0000', 'hex')],
    ['a version that is not served', Buffer.from('0000000c' + '000c0063' + '00000001' + '0000' + '0000', 'hex')],
    ['a body that ends too early', Buffer.from('0000000c' + '000c0000' + '00000001' + '0000' + '0009', 'hex')],
  ])('is closed with one log line for %s, and no other is', async (_, bytes) => {
    const { port, warnings, listener } = await serve([answered]);
    const [bad, good] = [await open(port), await open(port)];
    bad.socket.write(bytes);
    await bad.closed;
    expect(warnings).toHaveLength(1);
    expect(listener.refused).toBe(1);
    good.socket.write(heartbeat(1));
    await expect.poll(() => good.frames.length).toBe(1);
  });

  it('is closed when a request cannot be answered', async () => {
    const { port, warnings } = await serve([
      handlerOf(heartbeatApi, () => {
        throw new Error('no');
      }),
    ]);
    const client = await open(port);
    client.socket.write(heartbeat(1));
    await client.closed;
    expect(warnings).toEqual(['connection closed: a request that cannot be answered']);
  });

  it('answers an unknown version of ApiVersions in v0, with error 35 and the range', async () => {
    const { port } = await serve([]);
    const client = await open(port);
    client.socket.write(Buffer.from('0000000e' + '00120063' + '00000007' + '0001' + '63' + '000000', 'hex'));
    await expect.poll(() => client.frames.length).toBe(1);
    expect(decodeResponse(apiVersionsApi, 0, client.frames[0]!)).toMatchObject({
      correlationId: 7,
      body: { errorCode: 35, apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 5 }] },
    });
  });

  /** Fetches, each with room for all that is wanted; the rooms that were given. */
  const fetching = (answerBytes: number): { handler: Handler; rooms: number[] } => {
    const rooms: number[] = [];
    const handler = handlerOf(fetchApi, async (_request, { reserveAnswer }) => {
      rooms.push((await reserveAnswer(Number.POSITIVE_INFINITY)).bytes);
      const records = Buffer.alloc(answerBytes);
      return {
        responses: [
          { topic: 't', partitions: [{ partitionIndex: 0, errorCode: 0, highWatermark: 0, abortedTransactions: null, records }] },
        ],
      };
    });
    return { handler, rooms };
  };
  const fetch = Buffer.concat(encodeRequest(fetchApi, 4, 1, 'c', { maxWaitMs: 0, minBytes: 0, topics: [] }));

  it('starts nothing more for a client that does not take its answers, and costs nobody else', async () => {
    const { handler, rooms } = fetching(8 * MiB);
    const { port } = await serve([handler, answered]);
    const [slow, good] = [await open(port), await open(port)];
    slow.socket.pause();
    slow.socket.write(Buffer.concat([fetch, fetch, fetch, fetch]));
    await expect.poll(() => rooms.length).toBe(1);
    good.socket.write(heartbeat(1));
    await expect.poll(() => good.frames.length).toBe(1);
    // Half of all, for it has not taken anything; less what lies unsent, for another.
    good.socket.write(fetch);
    await expect.poll(() => good.frames.length).toBe(2);
    expect(rooms).toHaveLength(2);
    expect(rooms[0]).toBe(96 * MiB);
    expect(rooms[1]).toBeLessThan(96 * MiB);
    slow.socket.resume();
    await expect.poll(() => slow.frames.length).toBe(4);
    good.socket.write(fetch);
    await expect.poll(() => good.frames.length).toBe(3);
    expect(rooms.at(-1), 'all of it, for one that has taken an answer').toBe(192 * MiB);
  });

  it('gives the memory of what it sends back only when that is sent', async () => {
    const sent: Buffer[] = [];
    const fetched = handlerOf(fetchApi, () => {
      for (let i = 0; i < 16; i++) sent.push(takeReadBuffer(readBufferBytes).fill(i));
      return {
        responses: [
          { topic: 't', partitions: [{ partitionIndex: 0, errorCode: 0, highWatermark: 0, abortedTransactions: null, records: sent }] },
        ],
      };
    });
    const { port } = await serve([fetched]);
    const slow = await open(port);
    slow.socket.pause();
    slow.socket.write(Buffer.concat(encodeRequest(fetchApi, 4, 1, 'c', { maxWaitMs: 0, minBytes: 0, topics: [] })));
    await expect.poll(() => sent.length).toBe(16);
    const isSent = ({ buffer }: Buffer): boolean => sent.some((one) => one.buffer === buffer);
    const others = Array.from({ length: freeBuffersMax }, () => takeReadBuffer(readBufferBytes));
    expect(others.filter(isSent)).toHaveLength(0);
    slow.socket.resume();
    await expect.poll(() => slow.frames.length).toBe(1);
    const records = slow.frames[0]!.subarray(-16 * readBufferBytes);
    for (let i = 0; i < 16; i++)
      expect(records.subarray(i * readBufferBytes, (i + 1) * readBufferBytes).every((byte) => byte === i)).toBe(true);
    expect(Array.from({ length: freeBuffersMax }, () => takeReadBuffer(readBufferBytes)).filter(isSent)).toHaveLength(16);
  });

  it('gives its room back when its client goes, whatever its answer waits for', async () => {
    const { handler, rooms } = fetching(8);
    const held = heldHandler(produceApi, false);
    const { port } = await serve([
      handlerOf(produceApi, async (request, context) => {
        await context.reserveAnswer(Number.POSITIVE_INFINITY);
        return (await held.handler.answer(request, context)) as never;
      }),
      handler,
    ]);
    const [gone, good] = [await open(port), await open(port)];
    gone.socket.write(produce(1));
    await expect.poll(() => held.started.length).toBe(1);
    good.socket.write(fetch);
    await expect.poll(() => good.frames.length).toBe(1);
    gone.socket.destroy();
    await expect
      .poll(async () => {
        good.socket.write(fetch);
        await expect.poll(() => good.frames.length).toBe(rooms.length);
        return rooms.at(-1);
      })
      .toBe(192 * MiB);
    expect(rooms[0]).toBe(MiB);
  });

  it('is closed after silence, but not while its request is held', async () => {
    const { handler } = heldHandler(heartbeatApi, false);
    const { port, listener } = await serve([handler], { idleMaxMs: 50 });
    const [silent, held] = [await open(port), await open(port)];
    held.socket.write(heartbeat(1));
    await silent.closed;
    await new Promise((resolve) => {
      setTimeout(resolve, 150);
    });
    expect(listener.connectionCount).toBe(1);
  });

  it('tells a held request that its client is gone', async () => {
    let context: RequestContext | undefined;
    const { port } = await serve([
      handlerOf(heartbeatApi, (_request, given) => {
        context = given;
        return new Promise(() => undefined);
      }),
    ]);
    const client = await open(port);
    client.socket.write(heartbeat(1));
    await expect.poll(() => context).toBeDefined();
    client.socket.destroy();
    await expect.poll(() => context?.signal.aborted).toBe(true);
  });
});

describe('the listener', () => {
  it('goes on being accepted after the system could not accept some', async () => {
    const listen = vi.spyOn(Server.prototype, 'listen');
    const { port, warnings } = await serve([answered]);
    const [server] = listen.mock.contexts as Server[];
    listen.mockRestore();
    for (const code of ['EMFILE', 'ENOBUFS']) server!.emit('error', Object.assign(new Error(`accept ${code}`), { code }));
    expect(warnings).toHaveLength(2);
    const { socket, frames } = await open(port);
    socket.write(heartbeat(1));
    await expect.poll(() => frames.length).toBe(1);
  });

  it('refuses connections above max.connections', async () => {
    const { port, warnings } = await serve([answered], { connectionsMax: 1 });
    await open(port);
    const second = await open(port);
    await second.closed;
    expect(warnings).toHaveLength(1);
  });

  it('sheds the largest half-received request when only such hold the memory', async () => {
    const { port, warnings } = await serve([answered], { queuedRequestBytesMax: MiB });
    const [large, small] = [await open(port), await open(port)];
    const size = Buffer.alloc(4);
    size.writeInt32BE(4 * MiB);
    small.socket.write(heartbeat(1).subarray(0, 10));
    large.socket.write(Buffer.concat([size, Buffer.alloc(2 * MiB)]));
    await large.closed;
    expect(warnings).toHaveLength(1);
    small.socket.write(heartbeat(1).subarray(10));
    await expect.poll(() => small.frames.length).toBe(1);
  });
});
