/** From `--bootstrap` to a connection: addresses tried in order, and a slot that connects again after a loss. */
import { isLakeError, LakeError } from '../kernel/index.js';
import { type BrokerAddress, type ConnectionOptions, KafkaConnection } from './connection.js';

export interface ClientOptions extends Omit<ConnectionOptions, 'signal'> {
  /** `host:port`, several separated by commas. */
  readonly bootstrap: string;
}

/** Errors: `config-invalid-value`. */
export function parseBootstrap(text: string): BrokerAddress[] {
  const addresses = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const match = /^(?:\[(?<v6>[0-9a-fA-F:]+)\]|(?<name>[^:\s]+))(?::(?<port>\d{1,5}))?$/.exec(part);
      const port = Number(match?.groups?.['port'] ?? 9092);
      if (match === null || port < 1 || port > 65_535) throw invalid(text);
      return { host: match.groups?.['v6'] ?? match.groups?.['name'] ?? '', port };
    });
  if (addresses.length === 0) throw invalid(text);
  return addresses;
}

function invalid(text: string): LakeError {
  return new LakeError('config-invalid-value', `bootstrap is not host:port[,host:port…]: ${text}`, {
    hint: 'Use an address such as 127.0.0.1:9092.',
    facts: { bootstrap: text },
  });
}

/** Connects to the first address that answers. Errors: those of the last one tried. */
export async function connectBroker(options: ClientOptions, signal?: AbortSignal): Promise<KafkaConnection> {
  const addresses = parseBootstrap(options.bootstrap);
  for (const [index, address] of addresses.entries()) {
    try {
      return await KafkaConnection.open(address, { ...options, signal });
    } catch (error) {
      if (index === addresses.length - 1 || isLakeError(error, 'cancelled')) throw error;
    }
  }
  throw invalid(options.bootstrap);
}

/** One connection, made when first asked for and again after it was lost. */
export class ConnectionSlot {
  readonly #options: ClientOptions;
  readonly #closing = new AbortController();
  #connection: KafkaConnection | undefined;
  #connecting: Promise<KafkaConnection> | undefined;

  constructor(options: ClientOptions) {
    parseBootstrap(options.bootstrap);
    this.#options = options;
  }

  get bootstrap(): string {
    return this.#options.bootstrap;
  }

  /** The open connection, where there is one. */
  get open(): KafkaConnection | undefined {
    return this.#connection?.isOpen === true ? this.#connection : undefined;
  }

  get(): Promise<KafkaConnection> {
    const open = this.open;
    if (open !== undefined) return Promise.resolve(open);
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  close(): void {
    this.#closing.abort();
    this.#connection?.close();
  }

  async #connect(): Promise<KafkaConnection> {
    this.#connection = await connectBroker(this.#options, this.#closing.signal);
    return this.#connection;
  }
}
