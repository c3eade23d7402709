// An HTTP proxy in front of an S3 server that does what networks and load balancers do: hangs, cuts, trickles, throttles, delivers
// twice, loses answers, changes bytes. What it does to which request is the test's to say.
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request as send, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * hang: never an answer · cut: the connection breaks before the server hears of it · lose: the server does it, the answer is
 * lost · unavailable, throttled: 503 and 429 with `Retry-After` · failed: done, and answered with 500 · twice: delivered twice, the second
 * answer counts · damage-request, damage-answer: a byte of the body is changed · short: the answer's body breaks off in the middle ·
 * slow: the answer comes in small pieces · trickle: so small that it would take for ever.
 */
export const faults = [
  'hang',
  'cut',
  'lose',
  'unavailable',
  'throttled',
  'failed',
  'twice',
  'damage-request',
  'damage-answer',
  'short',
  'slow',
  'trickle',
] as const;
export type Fault = (typeof faults)[number];

export interface ProxiedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface FaultyProxy {
  readonly endpoint: string;
  /** How many requests met which fault. */
  readonly met: ReadonlyMap<Fault | 'none', number>;
  stop(): Promise<void>;
}

interface Passed {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const pieces = 8;
const pieceMs = 5;

export async function startFaultyProxy(targetPort: number, decide: (request: ProxiedRequest) => Fault | undefined): Promise<FaultyProxy> {
  const met = new Map<Fault | 'none', number>();
  const server = createServer((request, response) => {
    response.on('error', () => undefined);
    void read(request).then(async (body) => {
      const asked: ProxiedRequest = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
      const fault = decide(asked);
      met.set(fault ?? 'none', (met.get(fault ?? 'none') ?? 0) + 1);
      await apply(fault, asked, response).catch(() => response.destroy());
    });
  });
  const pass = (asked: ProxiedRequest): Promise<Passed> =>
    new Promise((resolve, reject) => {
      const { method, url: path, headers } = asked;
      const outbound = send({ host: '127.0.0.1', port: targetPort, method, path, headers }, (answer) => {
        void read(answer).then((body) => resolve({ status: answer.statusCode ?? 500, headers: answer.headers, body }));
      });
      outbound.on('error', reject);
      outbound.end(asked.body);
    });
  const apply = async (fault: Fault | undefined, asked: ProxiedRequest, response: ServerResponse): Promise<void> => {
    switch (fault) {
      case 'hang':
        return;
      case 'cut':
        response.destroy();
        return;
      case 'unavailable':
        refuse(response, 503, 'SlowDown');
        return;
      case 'throttled':
        refuse(response, 429, 'TooManyRequests');
        return;
      case 'lose':
        await pass(asked);
        response.destroy();
        return;
      case 'failed':
        await pass(asked);
        refuse(response, 500, 'InternalError');
        return;
      case 'twice':
        await pass(asked);
        answer(response, await pass(asked));
        return;
      case 'damage-request':
        answer(response, await pass({ ...asked, body: damaged(asked.body) }));
        return;
      default: {
        const passed = await pass(asked);
        if (fault === 'damage-answer') answer(response, { ...passed, body: damaged(passed.body) });
        else if (fault === 'short') {
          response.writeHead(passed.status, passed.headers);
          response.write(passed.body.subarray(0, passed.body.length >> 1), () => response.destroy());
        } else if (fault === 'slow' || fault === 'trickle') trickle(response, passed, fault === 'slow' ? pieces : Number.POSITIVE_INFINITY);
        else answer(response, passed);
      }
    }
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    met,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function read(from: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of from) chunks.push(chunk as Buffer);
  } catch {
    // Whoever sent it has left.
  }
  return Buffer.concat(chunks);
}

function answer(response: ServerResponse, passed: Passed): void {
  response.writeHead(passed.status, passed.headers);
  response.end(passed.body);
}

function trickle(response: ServerResponse, passed: Passed, many: number): void {
  response.writeHead(passed.status, passed.headers);
  const step = Number.isFinite(many) ? Math.ceil(passed.body.length / many) || 1 : 1;
  let at = 0;
  const timer = setInterval(() => {
    response.write(passed.body.subarray(at, at + step));
    at += step;
    if (at < passed.body.length) return;
    clearInterval(timer);
    response.end();
  }, pieceMs);
  response.on('close', () => clearInterval(timer));
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml', 'retry-after': '1' });
  response.end(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
}

function damaged(body: Buffer): Buffer {
  if (body.length === 0) return body;
  const copy = Buffer.from(body);
  copy[copy.length >> 1]! ^= 1;
  return copy;
}
