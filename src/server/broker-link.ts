/**
 * A role's lasting connection to the broker's control socket: connects again whenever it is lost, so that the death of one
 * process costs the others a pause, not a restart. A call waits for the connection for a bounded time.
 */
import {
  type CallOptions,
  connectControl,
  type ControlHandlers,
  type ControlMethod,
  type ControlParams,
  type ControlPeer,
  type ControlResult,
  type Hello,
} from '../control/index.js';
import { backoffMs, type Clock, isLakeError, LakeError, type Random } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';

/** Pauses between two tries to connect. */
const reconnect = { firstMs: 20, maxMs: 1000, tries: Number.POSITIVE_INFINITY };
/** How long a call waits for a broker that is not there before it fails with `peer-gone`. */
const waitForBrokerMs = 10_000;

export interface BrokerLinkOptions {
  readonly address: string;
  readonly hello: Hello;
  /** What the broker may ask of this role; may be filled after the link is made. */
  readonly handlers: ControlHandlers;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Told of each connection after the first. */
  readonly onReconnected?: () => void;
  /** How long a call waits for a connection; default `waitForBrokerMs`. */
  readonly waitMs?: number;
  /** Default: over the control socket. */
  readonly connect?: typeof connectControl;
}

export class BrokerLink {
  readonly #options: BrokerLinkOptions;
  readonly #closing = new AbortController();
  #peer: ControlPeer | undefined;
  #waiting: ((peer: ControlPeer) => void)[] = [];
  readonly #running: Promise<void>;
  #refused: (error: LakeError) => void = () => undefined;
  /** Rejects when the broker refuses this role for good (another version). */
  readonly refused: Promise<never>;

  constructor(options: BrokerLinkOptions) {
    this.#options = options;
    this.refused = new Promise<never>((_resolve, reject) => {
      this.#refused = reject;
    });
    this.refused.catch(() => undefined);
    this.#running = this.#keepConnected();
  }

  async #keepConnected(): Promise<void> {
    const { address, hello, handlers, clock, random, logger, connect = connectControl } = this.#options;
    const { signal } = this.#closing;
    let connections = 0;
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        const peer = await connect(address, hello, handlers, { signal });
        attempt = 0;
        connections++;
        this.#peer = peer;
        for (const resolve of this.#waiting.splice(0)) resolve(peer);
        if (connections > 1) {
          logger.info('connected to the broker again');
          this.#options.onReconnected?.();
        }
        await peer.closed;
        this.#peer = undefined;
        if (!signal.aborted) logger.warn('lost the broker, connecting again');
      } catch (error) {
        if (isLakeError(error, 'peer-refused', 'config-invalid-value')) {
          this.#refused(error);
          return;
        }
        logger.debug('broker not there yet', { error });
      }
      await clock.sleep(backoffMs(reconnect, Math.min(attempt + 1, 8), random), signal).catch(() => undefined);
    }
  }

  async #connected(signal: AbortSignal | undefined): Promise<ControlPeer> {
    if (this.#peer !== undefined) return this.#peer;
    return new Promise<ControlPeer>((resolve, reject) => {
      const over = new AbortController();
      const settle = (): void => {
        over.abort();
        signal?.removeEventListener('abort', onAbort);
        this.#waiting = this.#waiting.filter((one) => one !== arrived);
      };
      const arrived = (peer: ControlPeer): void => {
        settle();
        resolve(peer);
      };
      const onAbort = (): void => {
        settle();
        reject(new LakeError('cancelled', 'waiting for the broker was cancelled', { cause: signal?.reason }));
      };
      const onLate = (): void => {
        settle();
        reject(
          new LakeError('peer-gone', `no broker answers at ${this.#options.address}`, {
            hint: 'Start the broker, or look at its log lines.',
          }),
        );
      };
      this.#options.clock.sleep(this.#options.waitMs ?? waitForBrokerMs, over.signal).then(onLate, () => undefined);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (signal?.aborted === true) onAbort();
      else this.#waiting.push(arrived);
    });
  }

  /**
   * Resolves once the broker is there, however long that takes: after a crash it reads its logs before it answers.
   * Errors: `peer-refused` (another version), `cancelled` where the link is closed first.
   */
  async arrived(): Promise<void> {
    const { address, logger } = this.#options;
    for (;;) {
      try {
        await Promise.race([this.#connected(this.#closing.signal), this.refused]);
        return;
      } catch (error) {
        if (!isLakeError(error, 'peer-gone')) throw error;
        logger.warn('no broker answers yet, waiting for it', { address });
      }
    }
  }

  /** The Kafka address the broker gives to roles. Waits as `arrived` does. */
  async kafkaAddress(): Promise<string> {
    await this.arrived();
    return (await this.call('broker.describe', {})).kafka;
  }

  /** As `ControlPeer.call`. Errors also: `peer-gone` when no broker is there in time. */
  async call<M extends ControlMethod>(method: M, params: ControlParams<M>, options: CallOptions = {}): Promise<ControlResult<M>> {
    const peer = await this.#connected(options.signal);
    return peer.call(method, params, options);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#peer?.close();
    await this.#running;
  }
}
