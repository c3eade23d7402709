// A TCP peer that speaks the protocol and answers as a test tells it to: what a client must cope with, without a broker.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import {
  type Api,
  apiByKey,
  apis,
  apiVersionsApi,
  decodeRequest,
  decodeRequestHeader,
  encodeResponse,
  FrameReader,
  type MessageInput,
} from '../../src/wire/index.js';

export interface Asked<Req = unknown> {
  readonly body: Req;
  readonly version: number;
  readonly socket: Socket;
  /** Of all connections, from 0. */
  readonly connection: number;
}

/** Undefined: no answer. */
type Answer = (asked: Asked<never>) => unknown;

export class ScriptedBroker {
  readonly #server: Server;
  readonly #answers = new Map<number, Answer>();
  readonly sockets = new Set<Socket>();
  connections = 0;
  /** Names of the APIs asked, in order of arrival. */
  readonly seen: string[] = [];
  bootstrap = '';
  /** Versions announced, by key; default: all we serve. */
  versions: ReadonlyMap<number, readonly [number, number]> = new Map();

  constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
    this.on(apiVersionsApi, () => ({
      errorCode: 0,
      apiKeys: apis.map((api) => {
        const [minVersion, maxVersion] = this.versions.get(api.key) ?? [api.minVersion, api.maxVersion];
        return { apiKey: api.key, minVersion, maxVersion };
      }),
    }));
  }

  on<Req, Res>(
    api: Api<Req, Res>,
    answer: (asked: Asked<Req>) => MessageInput<NoInfer<Res>> | undefined | Promise<MessageInput<NoInfer<Res>> | undefined>,
  ): void {
    this.#answers.set(api.key, answer as Answer);
  }

  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.bootstrap = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    const connection = this.connections++;
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => {});
    const frames = new FrameReader();
    let turn = Promise.resolve();
    socket.on('data', (chunk: Buffer) => {
      for (const frame of frames.push(chunk)) turn = turn.then(() => this.#answer(frame, socket, connection));
    });
  }

  async #answer(frame: Buffer, socket: Socket, connection: number): Promise<void> {
    const header = decodeRequestHeader(frame);
    const api = apiByKey(header.apiKey);
    if (api === undefined) throw new Error(`no API ${header.apiKey}`);
    this.seen.push(api.name);
    const body = decodeRequest(api, header.apiVersion, frame, header.bodyAt);
    const asked = { body: body as never, version: header.apiVersion, socket, connection };
    const answer = await this.#answers.get(header.apiKey)?.(asked);
    if (answer === undefined || socket.destroyed) return;
    for (const bytes of encodeResponse(api, header.apiVersion, header.correlationId, answer as never)) socket.write(bytes);
  }
}
