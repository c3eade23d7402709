/** The TCP listener: accepts connections up to `max.connections`, keeps their shared bounds, and closes them all at the end. */
import { createServer, type Server, type Socket } from 'node:net';
import { type HostPort } from '../../config/index.js';
import { type Clock, LakeError } from '../../kernel/index.js';
import type { Logger } from '../../telemetry/index.js';
import type { Handler } from '../handlers/handler.js';
import { AnswerBudget } from './answer-budget.js';
import { Connection, type ConnectionPorts } from './connection.js';
import { RequestBudget } from './request-budget.js';

/** Connections that wait in the kernel to be accepted. */
const backlog = 511;

export interface ListenerOptions {
  readonly clock: Clock;
  readonly listen: HostPort;
  readonly logger: Logger;
  readonly handlers: ReadonlyMap<number, Handler>;
  readonly connectionsMax: number;
  readonly requestBytesMax: number;
  readonly queuedRequestBytesMax: number;
  readonly idleMaxMs: number;
}

export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #budget: RequestBudget;
  readonly #answers: AnswerBudget;
  /** Requests answered, by API name. */
  readonly answered = new Map<string, number>();
  refused = 0;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#answers = new AnswerBudget(options.clock);
    this.#budget = new RequestBudget(options.queuedRequestBytesMax);
    this.#server = createServer({ pauseOnConnect: false }, (socket) => this.#accept(socket));
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Resolves to the address bound. Errors: `internal` with a hint where the port is taken. */
  listen(): Promise<HostPort> {
    const { host, port } = this.#options.listen;
    return new Promise((resolve, reject) => {
      const refused = (cause: Error): void => {
        reject(
          new LakeError('internal', `the broker cannot listen on ${host}:${port}: ${cause.message}`, {
            hint: 'Set kafka.listen to a free address; port 0 picks one.',
            facts: { host, port },
            cause,
          }),
        );
      };
      this.#server.once('error', refused);
      this.#server.listen({ host, port, backlog }, () => {
        this.#server.off('error', refused);
        this.#server.on('error', ({ message }) => this.#options.logger.warn('a connection could not be accepted', { error: message }));
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? { host, port: address.port } : { host, port });
      });
    });
  }

  /** Stops accepting and ends every connection; resolves when all are closed. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const connection of this.#connections) connection.close();
    });
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= this.#options.connectionsMax) {
      this.#options.logger.warn('connection refused: max.connections are open', { client: socket.remoteAddress });
      socket.destroy();
      return;
    }
    const { clock, logger, handlers, requestBytesMax, idleMaxMs } = this.#options;
    const ports: ConnectionPorts = {
      clock,
      logger,
      handlers,
      requestBytesMax,
      idleMaxMs,
      budget: this.#budget,
      answers: this.#answers,
      onAnswered: (handler) => {
        const { name } = handler.api;
        this.answered.set(name, (this.answered.get(name) ?? 0) + 1);
      },
      onRefused: () => {
        this.refused++;
      },
      onClosed: (connection) => this.#connections.delete(connection),
    };
    this.#connections.add(new Connection(socket, ports));
  }
}
