/** Puts a broker together, in the order in which its parts need each other, and takes it apart in the reverse. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { formatHostPort, type HostPort, parseHostPort, type ServerConfig } from '../config/index.js';
import type { ControlHandlers } from '../control/index.js';
import type { Clock, ClusterId, Random } from '../kernel/index.js';
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

/**
 * Opens the data directory, recovers the log, loads the groups and listens. Errors: `data-dir-locked`, `log-damaged`, `internal`
 * naming the file or address that cannot be used, and those of the configuration.
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { config, dataDir, clock, random, logger, coldTier } = options;
  const nodeId = config.get('node.id');
  await mkdir(dataDir, { recursive: true });
  const store = await MetadataStore.open(dataDir, nodeId, random);
  const log = await openHotLog(
    {
      dir: join(dataDir, 'log'),
      flushPolicy: config.get('flush.policy'),
      flushWorkers,
      producerIdExpirationMs: config.get('producer.id.expiration.ms'),
    },
    { clock, random, logger },
  );
  const topics = await Topics.open({ config, store, log, clock, random, logger });
  const cache = await ChunkCache.open({ dir: join(dataDir, 'cache', 'chunks'), maxBytes: config.get('chunk.cache.bytes') });
  const cold = new ColdReader({ clock, logger, coldTier, cache });
  const counters: BrokerCounters = { producedBytes: 0, producedRecords: 0, fetchedBytes: 0, fetchedColdBytes: 0, evictedBytes: 0 };
  const groups = openGroups(options, topics);
  await groups.load();
  const upkeep = await Upkeep.start({ dataDir, config, clock, logger, log, cache, counters });

  let address: HostPort = parseHostPort('kafka.listen', config.get('kafka.listen'));
  const advertisedText = config.get('advertised.listeners');
  const advertised = advertisedText === '' ? undefined : parseHostPort('advertised.listeners', advertisedText.replace(/^[A-Z_]+:\/\//, ''));
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
    answerBytesMax: () => listener.answerBytesMax(),
  };
  const listener = new Listener({
    listen: address,
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
  const close = async (): Promise<void> => {
    groups.close();
    await listener.close();
    await cold.close();
    await upkeep.close();
    await log.close();
    await cache.close();
  };
  try {
    address = await listener.listen();
  } catch (error) {
    groups.close();
    await upkeep.close();
    await log.close();
    throw error;
  }
  logger.info('broker listens', { kafka: formatHostPort(address), clusterId: store.clusterId });
  return {
    kafkaAddress: address,
    clusterId: store.clusterId,
    controlHandlers: brokerControlHandlers(core),
    onTopicsChanged: (heard) => topics.onChange(() => heard()),
    metricsSnapshot: () => brokerMetrics(core, listener, cache),
    close,
  };
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
      partitions: () => topics.byName(offsetsTopic)?.partitions ?? new Map(),
      ensureTopic: () => topics.ensureOffsetsTopic(),
      isFlushed: config.get('flush.policy') === 'group-commit',
    }),
    isCurrent: (name, partition, committedMs) => {
      const topic = topics.byName(name);
      return topic !== undefined && topic.partitions.has(partition) && committedMs >= topic.record.createdMs;
    },
  });
}
