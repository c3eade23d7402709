/** A broker without its network: the data directory opened, the log recovered, the groups loaded, upkeep running. */
import { join, resolve } from 'node:path';
import { checkGroupBounds, DynamicServerConfig, type HostPort, isDynamicKey, type ServerConfig } from '../config/index.js';
import { type Clock, type Random, systemDisk } from '../kernel/index.js';
import { BatchThreads, type HotLogPorts, openHotLog } from '../log/index.js';
import type { Logger } from '../telemetry/index.js';
import { AppendLines } from './append-lines.js';
import { ChunkCache } from './cold/chunk-cache.js';
import { ColdReader } from './cold/cold-reader.js';
import { HydrationPace } from './cold/hydration-pace.js';
import type { ColdTier } from './cold-tier.js';
import type { BrokerCore, BrokerCounters } from './core.js';
import { FetchSessions } from './fetch/fetch-sessions.js';
import { assignorNamesOf } from './groups/consumer/assignor.js';
import { GroupCoordinator } from './groups/coordinator.js';
import { GroupConfigs } from './groups/group-configs.js';
import { GroupLog, offsetsTopic } from './groups/group-log.js';
import { allBrokers, MetadataStore } from './metadata-store.js';
import { ProducerIds } from './producer-ids.js';
import { requireRecovered } from './recover-journal.js';
import { topicView } from './topic-view.js';
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
  /** Default: the system's disk. */
  readonly storage?: Pick<HotLogPorts, 'disk' | 'flusher' | 'compactor' | 'lock' | 'warmReads'>;
}

/** What the listener gives to the handlers. */
export interface CoreNetwork {
  /** What clients are told to connect to. */
  readonly advertised: () => HostPort;
}

/** What undoes each step of a start, in the order of the steps. */
export type Undo = (() => Promise<void> | void)[];

export async function undoAll(undo: Undo): Promise<void> {
  for (const step of undo.splice(0).reverse()) await step();
}

/** Adds to `undo` what closes it again, the groups last. Errors: those of `startBroker`. */
export async function openCore(
  options: BrokerOptions,
  network: CoreNetwork,
  undo: Undo,
): Promise<{ readonly core: BrokerCore; readonly cache: ChunkCache }> {
  const { dataDir, clock, random, logger, coldTier, storage = {} } = options;
  const config = new DynamicServerConfig(options.config);
  const { disk = systemDisk } = storage;
  checkGroupBounds(config);
  const nodeId = config.get('node.id');
  await disk.mkdir(dataDir, { recursive: true });
  await requireRecovered(dataDir, disk);
  const log = await openHotLog(
    {
      dir: join(dataDir, 'log'),
      flushPolicy: config.get('flush.policy'),
      flushWorkers,
      producerIdExpirationMs: config.get('producer.id.expiration.ms'),
      compaction: {
        keyTableBytes: config.get('log.cleaner.dedupe.buffer.size'),
        bytesPerSecond: config.get('log.cleaner.io.max.bytes.per.second'),
      },
    },
    { clock, random, logger, ...storage },
  );
  undo.push(() => log.close());
  const batchThreads = new BatchThreads();
  undo.push(() => batchThreads.close());
  const store = await MetadataStore.open(dataDir, nodeId, random, disk);
  loadDynamic(config, store, nodeId);
  const topics = await Topics.open({ config, store, log, clock, random, logger });
  const cache = await ChunkCache.open({ dir: join(dataDir, 'cache', 'chunks'), maxBytes: config.get('chunk.cache.bytes'), disk });
  undo.push(() => cache.close());
  const pace = config.get('cold.read.pace') === 'yield' ? new HydrationPace(clock) : undefined;
  const cold = new ColdReader({ clock, logger, coldTier, cache, ...(pace === undefined ? {} : { pace }) });
  undo.push(() => cold.close());
  const groupConfigs = new GroupConfigs(config, store);
  const groups = openGroups(options, topics, groupConfigs);
  await groups.load();
  const counters: BrokerCounters = {
    producedBytes: 0,
    producedRecords: 0,
    fetchedBytes: 0,
    fetchedColdBytes: 0,
    evictedBytes: 0,
    compactionPasses: 0,
    compactedRecords: 0,
  };
  const upkeep = await Upkeep.start({ dataDir, config, clock, disk, logger, log, cache, counters, groups });
  undo.push(() => upkeep.close());
  topics.onChange((removed) => {
    if (removed !== undefined) {
      for (const partition of removed.partitions.values()) cold.forget(partition);
      cache.drop(removed.record.id);
    }
    coldTier.topicsChanged();
  });
  undo.push(() => groups.close());
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
    batchThreads,
    appendLines: new AppendLines(),
    logDir: resolve(dataDir, 'log'),
    groups,
    groupConfigs,
    producerIds: new ProducerIds(store),
    fetchSessions: new FetchSessions(clock, random, config.get('max.incremental.fetch.session.cache.slots')),
    cold,
    pace,
    coldTier,
    counters,
    disk: upkeep,
    ...network,
  };
  return { core, cache };
}

/** A key of a later release, or one that cannot be changed any more, is passed over. */
function loadDynamic(config: DynamicServerConfig, store: MetadataStore, nodeId: number): void {
  for (const { kind, name, overrides } of store.configured) {
    if (kind !== 'broker') continue;
    const known = Object.fromEntries(Object.entries(overrides).filter(([key]) => isDynamicKey(key)));
    if (name === allBrokers) config.set('brokers', known);
    else if (name === String(nodeId)) config.set('broker', known);
  }
}

function openGroups({ config, clock, random, logger }: BrokerOptions, topics: Topics, groupConfigs: GroupConfigs): GroupCoordinator {
  const assignors = assignorNamesOf(config.get('group.consumer.assignors'));
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
    consumerSettingsOf: (group) => ({
      get sessionTimeoutMs() {
        return groupConfigs.of(group).get('consumer.session.timeout.ms');
      },
      get assignmentIntervalMs() {
        return groupConfigs.of(group).get('consumer.assignment.interval.ms');
      },
      maxSize: config.get('group.consumer.max.size'),
      assignors,
    }),
    topics: topicView(topics),
    migration: {
      mayUpgrade: ['bidirectional', 'upgrade'].includes(config.get('group.consumer.migration.policy')),
      mayDowngrade: ['bidirectional', 'downgrade'].includes(config.get('group.consumer.migration.policy')),
    },
    createdMs: (name, partition) => {
      const topic = topics.byName(name);
      return topic?.partitions.has(partition) === true ? topic.record.createdMs : undefined;
    },
  });
}
