// A server that answers S3 requests as a test tells it, to the letter: what real servers do only now and then.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock, systemRandom } from '../../src/kernel/index.js';
import { type ObjectStore, RequestCounters } from '../../src/objects/index.js';
import { openS3Store, type S3StoreOptions } from '../../src/objects/s3-store.js';

export type Answer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

export interface FakeS3 {
  readonly port: number;
  readonly endpoint: string;
  /** `METHOD path?query` of each request, in order. */
  readonly seen: string[];
  stop(): Promise<void>;
}

/** Reads each body whole, then answers. */
export async function startFakeS3(answer: Answer): Promise<FakeS3> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      seen.push(`${request.method} ${request.url}`);
      answer(request, response, Buffer.concat(chunks));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    endpoint: `http://127.0.0.1:${port}`,
    seen,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function refuse(response: ServerResponse, status: number, code: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/xml', ...headers });
  response.end(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
}

/** A store on such a server, impatient, with its counters. */
export async function openFakeStore(
  endpoint: string,
  options: Partial<S3StoreOptions> = {},
): Promise<{ readonly store: ObjectStore; readonly counters: RequestCounters }> {
  process.env['AWS_ACCESS_KEY_ID'] ??= 'a';
  process.env['AWS_SECRET_ACCESS_KEY'] ??= 'b';
  const counters = new RequestCounters();
  const store = await openS3Store({
    bucket: 'b',
    prefix: '',
    endpoint,
    silenceMs: 200,
    counters,
    clock: systemClock,
    random: systemRandom,
    ...options,
  });
  return { store, counters };
}
