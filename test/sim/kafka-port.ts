/** Kafka requests in the simulated world: real frames, decoded and answered by the broker's own handlers. */
import {
  type FetchedPartition,
  fetchedPartitions,
  type FetchOptions,
  type FetchPartition,
  type LogReader,
} from '../../src/client/index.js';
import { type AnswerRoom, type Handler, noAnswer } from '../../src/broker/handlers/handler.js';
import { LakeError } from '../../src/kernel/index.js';
import {
  type Api,
  decodeRequest,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  fetchApi,
  type MessageInput,
} from '../../src/wire/index.js';
import type { SimLink } from './network.js';
import type { SimProcess } from './process.js';

const noRecords = Buffer.alloc(0);
/** Of the size before a frame. */
const sizeBytes = 4;

const reserveAnswer = (wantedBytes: number): AnswerRoom => ({ bytes: wantedBytes, release: () => undefined });

/** Where a broker answers for as long as it lives. */
export class KafkaServer {
  readonly process: SimProcess;
  readonly #handlers: ReadonlyMap<number, Handler>;
  readonly #underWay = new Set<() => void>();

  constructor(process: SimProcess, handlers: ReadonlyMap<number, Handler>) {
    this.process = process;
    this.#handlers = handlers;
  }

  /** Breaks off every connection. */
  reset(): void {
    for (const end of this.#underWay) end();
    this.#underWay.clear();
  }

  /** Calls back with the answer's frame, or with `undefined` where the connection ended first. */
  take(frame: Buffer, signal: AbortSignal, answered: (frame: Buffer | undefined) => void): void {
    const header = decodeRequestHeader(frame);
    const handler = this.#handlers.get(header.apiKey);
    const end = (): void => answered(undefined);
    this.#underWay.add(end);
    const done = (answer: Buffer | undefined): void => {
      if (this.#underWay.delete(end)) answered(answer);
    };
    const run = async (): Promise<Buffer | undefined> => {
      if (handler === undefined) return undefined;
      const { apiVersion: version, correlationId, clientId } = header;
      const request = decodeRequest(handler.api, version, frame, header.bodyAt);
      const answer = await handler.answer(request, { version, clientId, clientHost: '/127.0.0.1', signal, reserveAnswer });
      return answer === noAnswer
        ? noRecords
        : Buffer.concat(encodeResponse(handler.api, version, correlationId, answer)).subarray(sizeBytes);
    };
    run().then(done, () => done(undefined));
  }
}

/** One client's way to the broker: a connection for each request, or one for all, on which they arrive in order. */
export class KafkaClient {
  readonly #process: SimProcess;
  readonly #link: SimLink;
  readonly #server: () => KafkaServer | undefined;
  readonly #isInOrder: boolean;
  #arrivesMs = 0;

  constructor(process: SimProcess, link: SimLink, server: () => KafkaServer | undefined, isInOrder = false) {
    this.#process = process;
    this.#link = link;
    this.#server = server;
    this.#isInOrder = isInOrder;
  }

  #delayMs(): number {
    const delayMs = this.#link.delayMs();
    if (!this.#isInOrder) return delayMs;
    const { nowMs } = this.#process.scheduler;
    this.#arrivesMs = Math.max(this.#arrivesMs, nowMs + delayMs);
    return this.#arrivesMs - nowMs;
  }

  /** Errors: `peer-gone`, and never an end where the network is silent and the signal does not end it. */
  async request<Req, Res>(api: Api<Req, Res>, version: number, body: MessageInput<NoInfer<Req>>, signal?: AbortSignal): Promise<Res> {
    const frame = Buffer.concat(encodeRequest(api, version, 1, 'sim', body)).subarray(sizeBytes);
    const left = new AbortController();
    signal?.addEventListener('abort', () => left.abort(), { once: true });
    const answer = await this.#process.call<Buffer>(this.#delayMs(), this.#link.delayMs(), () => this.#deliver(frame, left.signal), {
      signal,
      isOutside: true,
    });
    return decodeResponse(api, version, answer).body;
  }

  #deliver(frame: Buffer, signal: AbortSignal): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const gone = (): void => reject(new LakeError('peer-gone', 'the connection to the broker has ended'));
      const server = this.#server();
      if (this.#link.isCut) return;
      if (server?.process.isAlive !== true) {
        gone();
        return;
      }
      server.process.deliver(() =>
        server.take(frame, signal, (answer) => {
          if (this.#link.isCut) return;
          if (answer === undefined) gone();
          else resolve(answer);
        }),
      );
    });
  }
}

/** Version of Fetch by topic id. */
const fetchVersion = 13;

/** The log as the daemon reads it. */
export function simLogReader(client: KafkaClient): LogReader {
  const notAsked = (): Promise<never> => Promise.reject(new LakeError('unsupported', 'not asked by the daemon'));
  return {
    topics: notAsked,
    listOffsets: notAsked,
    close: async () => undefined,
    fetch: (partitions, options) => fetchFrom(client, partitions, options),
  };
}

export async function fetchFrom(
  client: KafkaClient,
  partitions: readonly FetchPartition[],
  options: FetchOptions,
): Promise<readonly FetchedPartition[]> {
  const answer = await client.request(
    fetchApi,
    fetchVersion,
    {
      maxWaitMs: options.maxWaitMs,
      minBytes: options.minBytes,
      maxBytes: options.maxBytes,
      isolationLevel: options.isolation === 'committed' ? 1 : 0,
      topics: partitions.map(({ topicId, partition, offset, maxBytes }) => ({
        topicId,
        partitions: [{ partition, fetchOffset: offset, partitionMaxBytes: maxBytes }],
      })),
      forgottenTopicsData: [],
    },
    options.signal,
  );
  return fetchedPartitions(answer);
}
