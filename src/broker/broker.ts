/** Puts a broker together, in the order in which its parts need each other, and takes it apart in the reverse. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { formatHostPort, type HostPort, parseHostPort, type ServerConfig } from '../config/index.js';
import type { ControlHandlers } from '../control/index.js';
import { type Clock, type ClusterId, LakeError, type Random } from '../kernel/index.js';
import { openHotLog } from '../log/index.js';
import type { Logger, MetricSample } from '../telemetry/index.js';
import { ChunkCache } from './cold/chunk-cache.js';
import { ColdReader } from './cold/cold-reader.js';
import type { ColdTier } from './cold-tier.js';
import { brokerControlHandlers } from './control-handlers.js';
import type { BrokerCore, BrokerCounters } from './core.js';
import { GroupCoordinator } from './groups/coordinator.js';
import { GroupLog, offsetsTopic } from './groups/group-log.js';
import { handlerTable } from './handlers/table.js';
import { MetadataStore } from './metadata-store.js';
import { brokerMetrics } from './metrics.js';
import { Listener } from './net/listener.js';
import { ProducerIds } from './producer-ids.js';
import { Topics } from './topics.js';
import { Upkeep } from './upkeep.js';

/** Threads that flush: fsyncs of different files overlap on most disks, and two keep a slow one from holding up the rest. */
const flushWorkers = 2;

export interface BrokerOptions {
  readonly config: ServerConfig;
  /** The service's data directory; the broker owns `log/`, `cache/chunks/`, `meta.properties` and `metadata.json` in it. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly coldTier: ColdTier;
}

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

/** What undoes each step of a start, in the order of the steps. */
type Undo = (() => Promise<void> | void)[];

async function undoAll(undo: Undo): Promise<void> {
  for (const step of undo.splice(0).reverse()) await step();
}

/**
 * Opens the data directory, recovers the log, loads the groups and listens. Errors: `data-dir-locked`, `log-damaged`, `internal`
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
  const { config, dataDir, clock, random, logger, coldTier } = options;
  const nodeId = config.get('node.id');
  const listen = parseHostPort('kafka.listen', config.get('kafka.listen'));
  const advertised = advertisedAddress(config, listen);

  await mkdir(dataDir, { recursive: true });
  const log = await openHotLog(
    {
      dir: join(dataDir, 'log'),
      flushPolicy: config.get('flush.policy'),
      flushWorkers,
      producerIdExpirationMs: config.get('producer.id.expiration.ms'),
    },
    { clock, random, logger },
  );
  undo.push(() => log.close());
  const store = await MetadataStore.open(dataDir, nodeId, random);
  const topics = await Topics.open({ config, store, log, clock, random, logger });
  const cache = await ChunkCache.open({ dir: join(dataDir, 'cache', 'chunks'), maxBytes: config.get('chunk.cache.bytes') });
  undo.push(() => cache.close());
  const cold = new ColdReader({ clock, logger, coldTier, cache });
  undo.push(() => cold.close());
  const groups = openGroups(options, topics);
  await groups.load();
  const counters: BrokerCounters = { producedBytes: 0, producedRecords: 0, fetchedBytes: 0, fetchedColdBytes: 0, evictedBytes: 0 };
  const upkeep = await Upkeep.start({ dataDir, config, clock, logger, log, cache, counters });
  undo.push(() => upkeep.close());

  let address = listen;
  const core: BrokerCore = {
    config,
    clock,
    random,
    logger,
    nodeId,
    clusterId: store.clusterId,
    store,
    topics,
    log,
    groups,
    producerIds: new ProducerIds(store),
    cold,
    coldTier,
    counters,
    disk: upkeep,
    advertised: () => advertised ?? address,
    reserveAnswer: (wantedBytes) => listener.reserveAnswer(wantedBytes),
  };
  const listener = new Listener({
    listen,
    logger,
    handlers: handlerTable(core),
    connectionsMax: config.get('max.connections'),
    requestBytesMax: config.get('socket.request.max.bytes'),
    queuedRequestBytesMax: config.get('queued.max.request.bytes'),
    idleMaxMs: config.get('connections.max.idle.ms'),
  });
  topics.onChange((removed) => {
    if (removed !== undefined) {
      for (const partition of removed.partitions.values()) cold.forget(partition);
      cache.drop(removed.record.id);
    }
    coldTier.topicsChanged();
  });
  undo.push(() => groups.close());
  address = await listener.listen();
  // Groups are closed first, so that what they hold is answered while there are connections.
  undo.splice(-1, 0, () => listener.close());
  logger.info('broker listens', { kafka: formatHostPort(address), clusterId: store.clusterId });
  return {
    kafkaAddress: address,
    clusterId: store.clusterId,
    controlHandlers: brokerControlHandlers(core),
    onTopicsChanged: (heard) => topics.onChange(() => heard()),
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

function openGroups({ config, clock, random, logger }: BrokerOptions, topics: Topics): GroupCoordinator {
  return new GroupCoordinator({
    clock,
    random,
    logger,
    settings: {
      initialRebalanceDelayMs: config.get('group.initial.rebalance.delay.ms'),
      maxSize: config.get('group.max.size'),
    },
    log: new GroupLog({
      clock,
      logger,
      partitions: () => topics.byName(offsetsTopic)?.partitions ?? new Map(),
      ensureTopic: () => topics.ensureOffsetsTopic(),
      isFlushed: config.get('flush.policy') === 'group-commit',
    }),
    createdMs: (name, partition) => {
      const topic = topics.byName(name);
      return topic?.partitions.has(partition) === true ? topic.record.createdMs : undefined;
    },
  });
}
