/**
 * One connection to a broker: requests are pipelined and bounded, answers matched by correlation id, versions negotiated once.
 * A connection that does not answer in time is closed, as Kafka's own clients do: nothing behind that request would be answered.
 */
import { connect, type Socket } from 'node:net';
import { LakeError, toLakeError } from '../kernel/index.js';
import {
  type Api,
  apiVersionsApi,
  decodeCorrelationId,
  decodeResponse,
  encodeRequest,
  FrameReader,
  kafkaErrors,
  type MessageInput,
} from '../wire/index.js';
import { brokerError } from './kafka-error.js';

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

export interface ConnectionOptions {
  readonly clientId: string;
  readonly connectTimeoutMs?: number;
  /** For requests that name no deadline of their own. */
  readonly requestTimeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
  /** The lowest version that carries what the caller needs. */
  readonly minVersion?: number;
}

/** Requests sent and not answered; further ones wait their turn. Kafka's brokers answer in order, so more gains nothing. */
export const requestsInFlightMax = 16;
const requestsWaitingMax = 1_024;
const connectTimeoutMsDefault = 5_000;
const requestTimeoutMsDefault = 30_000;
/** Written everywhere since Kafka 2.4; a broker that does not know it answers at version 0 (KIP-511). */
const apiVersionsVersion = 3;

interface Pending {
  readonly api: Api;
  readonly version: number;
  readonly settle: (outcome: { readonly frame: Buffer } | { readonly error: LakeError }) => void;
}

export class KafkaConnection {
  readonly address: BrokerAddress;
  readonly #clientId: string;
  readonly #requestTimeoutMs: number;
  readonly #socket: Socket;
  readonly #frames = new FrameReader();
  readonly #pending = new Map<number, Pending>();
  readonly #waiting: (() => void)[] = [];
  /** Those whose turn it is and who have not sent yet: nobody overtakes them. */
  #woken = 0;
  #versions: ReadonlyMap<number, { readonly min: number; readonly max: number }> = new Map();
  #lastCorrelationId = 0;
  #gone: LakeError | undefined;

  private constructor(address: BrokerAddress, socket: Socket, options: ConnectionOptions) {
    this.address = address;
    this.#socket = socket;
    this.#clientId = options.clientId;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? requestTimeoutMsDefault;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#end(toLakeError(error, 'peer-gone', this.#name)));
    socket.on('close', () => this.#end(new LakeError('peer-gone', `${this.#name} closed the connection`)));
  }

  /** Connects and negotiates versions. Errors: `peer-gone`, `timeout`, `cancelled`, `frame-invalid` (not a Kafka broker). */
  static async open(address: BrokerAddress, options: ConnectionOptions): Promise<KafkaConnection> {
    const { signal, connectTimeoutMs = connectTimeoutMsDefault } = options;
    const name = `${address.host}:${address.port}`;
    const connection = await new Promise<KafkaConnection>((resolve, reject) => {
      if (signal?.aborted === true) throw new LakeError('cancelled', `connecting to ${name} was cancelled`, { cause: signal.reason });
      const socket = connect({ host: address.host, port: address.port });
      const fail = (error: LakeError): void => {
        done();
        socket.destroy();
        reject(error);
      };
      const onAbort = (): void => fail(new LakeError('cancelled', `connecting to ${name} was cancelled`, { cause: signal?.reason }));
      const onError = (error: Error): void =>
        fail(
          new LakeError('peer-gone', `cannot connect to ${name}: ${error.message}`, {
            hint: 'Start the broker with `thermocline serve`, or correct the bootstrap address.',
            cause: error,
          }),
        );
      const timer = setTimeout(
        () => fail(new LakeError('timeout', `no connection to ${name} within ${connectTimeoutMs} ms`)),
        connectTimeoutMs,
      );
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        socket.off('error', onError);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      socket.on('error', onError);
      socket.once('connect', () => {
        done();
        resolve(new KafkaConnection(address, socket, options));
      });
    });
    try {
      await connection.#negotiate({ signal, timeoutMs: connectTimeoutMs });
    } catch (error) {
      connection.close();
      throw error;
    }
    return connection;
  }

  get isOpen(): boolean {
    return this.#gone === undefined;
  }

  get requestsInFlight(): number {
    return this.#pending.size;
  }

  get #name(): string {
    return `${this.address.host}:${this.address.port}`;
  }

  /**
   * Sends a request and resolves to its answer; byte fields are views of the frame it came in. Requests go out in order of calling.
   * Errors: `peer-gone`, `timeout`, `cancelled`, `unsupported-version`, `overloaded`. A cancelled request leaves the connection
   * open; its answer is dropped when it comes.
   */
  async request<Req, Res>(api: Api<Req, Res>, body: MessageInput<NoInfer<Req>>, options: RequestOptions = {}): Promise<Res> {
    const version = this.versionOf(api, options.minVersion);
    const slot = this.#slot(api);
    if (slot === undefined) return decodeResponse(api, version, await this.#exchange(api, version, body, options)).body;
    await slot;
    this.#woken--;
    const answer = this.#exchange(api, version, body, options);
    this.#wakeNext();
    return decodeResponse(api, version, await answer).body;
  }

  /** Sends a request that is never answered (produce with acks=0); resolves when its bytes have left. */
  async sendOnly<Req, Res>(api: Api<Req, Res>, body: MessageInput<NoInfer<Req>>): Promise<void> {
    const version = this.versionOf(api);
    if (this.#gone !== undefined) throw this.#gone;
    const chunks = encodeRequest(api, version, this.#nextCorrelationId(), this.#clientId, body);
    await new Promise<void>((resolve, reject) => {
      this.#write(chunks, (error) => {
        if (error === undefined || error === null) resolve();
        else reject(this.#gone ?? toLakeError(error, 'peer-gone', this.#name));
      });
    });
  }

  /** The highest version that both sides speak. Errors: `unsupported-version`. */
  versionOf(api: Api, minVersion = 0): number {
    const theirs = this.#versions.get(api.key);
    const lowest = Math.max(api.minVersion, theirs?.min ?? 0, minVersion);
    const highest = Math.min(api.maxVersion, theirs?.max ?? -1);
    if (highest < lowest) {
      throw new LakeError('unsupported-version', `${this.#name} does not speak ${api.name} at a version of ${lowest} or above that we do`, {
        hint: 'Use a broker of a newer version.',
        facts: { apiKey: api.key, lowest, brokerMax: theirs?.max },
      });
    }
    return highest;
  }

  /** Ends the connection; what is under way fails with `peer-gone`. */
  close(): void {
    this.#end(new LakeError('peer-gone', `the connection to ${this.#name} was closed`));
  }

  async #negotiate(options: RequestOptions): Promise<void> {
    const body = { clientSoftwareName: 'thermocline', clientSoftwareVersion: '1' };
    let version = apiVersionsVersion;
    let frame = await this.#exchange(apiVersionsApi, version, body, options);
    // The answer to a version that is not known is written at version 0; the error code comes first in both.
    if (frame.length >= 6 && frame.readInt16BE(4) === kafkaErrors.UNSUPPORTED_VERSION) {
      version = 0;
      frame = await this.#exchange(apiVersionsApi, version, {}, options);
    }
    const answer = decodeResponse(apiVersionsApi, version, frame).body;
    if (answer.errorCode !== 0) throw brokerError(answer.errorCode, `ApiVersions at ${this.#name}`);
    this.#versions = new Map(answer.apiKeys.map((key) => [key.apiKey, { min: key.minVersion, max: key.maxVersion }]));
  }

  /** Undefined where a request may go at once; else resolves when it may. */
  #slot(api: Api): Promise<void> | undefined {
    if (this.#pending.size < requestsInFlightMax && this.#woken === 0 && this.#waiting.length === 0) return undefined;
    if (this.#waiting.length >= requestsWaitingMax) {
      throw new LakeError('overloaded', `${this.#waiting.length} requests wait for ${this.#name} already`, { facts: { api: api.name } });
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wakeNext(): void {
    if (this.#pending.size + this.#woken >= requestsInFlightMax && this.isOpen) return;
    const wake = this.#waiting.shift();
    if (wake === undefined) return;
    this.#woken++;
    wake();
  }

  #exchange<Req, Res>(api: Api<Req, Res>, version: number, body: MessageInput<Req>, options: RequestOptions): Promise<Buffer> {
    const { signal, timeoutMs = this.#requestTimeoutMs } = options;
    return new Promise<Buffer>((resolve, reject) => {
      if (this.#gone !== undefined) throw this.#gone;
      if (signal?.aborted === true) throw this.#cancelled(api, signal);
      const correlationId = this.#nextCorrelationId();
      const chunks = encodeRequest(api, version, correlationId, this.#clientId, body);
      const onAbort = (): void => reject(this.#cancelled(api, signal));
      const timer = setTimeout(() => {
        this.#end(
          new LakeError('timeout', `${this.#name} did not answer ${api.name} within ${timeoutMs} ms`, {
            facts: { api: api.name, timeoutMs },
          }),
        );
      }, timeoutMs);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#pending.set(correlationId, {
        api,
        version,
        settle: (outcome) => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          if ('error' in outcome) reject(outcome.error);
          else resolve(outcome.frame);
        },
      });
      this.#write(chunks);
    });
  }

  #write(chunks: readonly Buffer[], done?: (error?: Error | null) => void): void {
    this.#socket.cork();
    const last = chunks.length - 1;
    for (const [index, chunk] of chunks.entries()) this.#socket.write(chunk, index === last ? done : undefined);
    this.#socket.uncork();
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#frames.push(chunk)) {
        const correlationId = decodeCorrelationId(frame);
        const pending = this.#pending.get(correlationId);
        if (pending === undefined)
          throw new LakeError('frame-invalid', `${this.#name} answered a request that was not sent (${correlationId})`);
        this.#pending.delete(correlationId);
        pending.settle({ frame });
        this.#wakeNext();
      }
    } catch (error) {
      this.#end(toLakeError(error, 'frame-invalid', this.#name));
    }
  }

  #end(error: LakeError): void {
    if (this.#gone !== undefined) return;
    this.#gone = error;
    this.#socket.destroy();
    for (const pending of this.#pending.values()) pending.settle({ error });
    this.#pending.clear();
    while (this.#waiting.length > 0) this.#wakeNext();
  }

  #nextCorrelationId(): number {
    this.#lastCorrelationId = (this.#lastCorrelationId + 1) & 0x7fffffff;
    return this.#lastCorrelationId;
  }

  #cancelled(api: Api, signal: AbortSignal | undefined): LakeError {
    return new LakeError('cancelled', `${api.name} was cancelled`, { cause: signal?.reason });
  }
}
