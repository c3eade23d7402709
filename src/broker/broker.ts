/** Puts a broker together: its core, and the listener in front of it. */
import { formatHostPort, type HostPort, parseHostPort, type ServerConfig } from '../config/index.js';
import type { ControlHandlers } from '../control/index.js';
import { type ClusterId, LakeError } from '../kernel/index.js';
import type { MetricSample } from '../telemetry/index.js';
import { brokerControlHandlers } from './control-handlers.js';
import { handlerTable } from './handlers/table.js';
import { brokerMetrics } from './metrics.js';
import { Listener } from './net/listener.js';
import { type BrokerOptions, openCore, type Undo, undoAll } from './open-core.js';

export interface Broker {
  /** Where it listens, with the port that was picked. */
  readonly kafkaAddress: HostPort;
  readonly clusterId: ClusterId;
  /** The `broker.*` methods of the control socket. */
  readonly controlHandlers: ControlHandlers;
  /** Called after a topic was created or deleted. Returns its own removal. */
  onTopicsChanged(listener: () => void): () => void;
  metricsSnapshot(): readonly MetricSample[];
  /** Answers what is held, closes connections, flushes and closes the log. */
  close(): Promise<void>;
}

/**
 * Opens the data directory, recovers the log, loads the groups and listens. Errors: `recover-unfinished`, `data-dir-locked`, `log-damaged`, `internal`
 * naming the file or address that cannot be used, and those of the configuration; what was opened is closed again.
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const undo: Undo = [];
  try {
    return await start(options, undo);
  } catch (error) {
    await undoAll(undo);
    throw error;
  }
}

async function start(options: BrokerOptions, undo: Undo): Promise<Broker> {
  const { config, logger } = options;
  const listen = parseHostPort('kafka.listen', config.get('kafka.listen'));
  const advertised = advertisedAddress(config, listen);
  let address = listen;
  const { core, cache } = await openCore(options, { advertised: () => advertised ?? address }, undo);
  const listener = new Listener({
    clock: options.clock,
    listen,
    logger,
    handlers: handlerTable(core),
    connectionsMax: config.get('max.connections'),
    requestBytesMax: config.get('socket.request.max.bytes'),
    queuedRequestBytesMax: config.get('queued.max.request.bytes'),
    idleMaxMs: config.get('connections.max.idle.ms'),
  });
  address = await listener.listen();
  // Groups are closed first, so that what they hold is answered while there are connections.
  undo.splice(-1, 0, () => listener.close());
  logger.info('broker listens', { kafka: formatHostPort(address), clusterId: core.clusterId });
  return {
    kafkaAddress: address,
    clusterId: core.clusterId,
    controlHandlers: brokerControlHandlers(core),
    onTopicsChanged: (heard) => core.topics.onChange(() => heard()),
    metricsSnapshot: () => brokerMetrics(core, listener, cache),
    close: () => undoAll(undo),
  };
}

/** What clients are told, where it differs from the address listened on; Kafka's `PLAINTEXT://` before it is understood. */
function advertisedAddress(config: ServerConfig, listen: HostPort): HostPort | undefined {
  const text = config.get('advertised.listeners').replace(/^PLAINTEXT:\/\//, '');
  if (text !== '') return parseHostPort('advertised.listeners', text);
  if (listen.host !== '0.0.0.0' && listen.host !== '::') return undefined;
  throw new LakeError('config-refused', `kafka.listen=${formatHostPort(listen)} is no address that clients can be told`, {
    hint: 'Set advertised.listeners to the HOST:PORT by which clients reach this broker.',
    facts: { key: 'advertised.listeners' },
  });
}
