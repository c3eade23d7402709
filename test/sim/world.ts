/**
 * The simulated world: a broker, one to three tier daemons, a bucket, two machines' disks and the network between them, all of the
 * product's own code behind its ports, in one process and in virtual time. Machine A has the broker and the first daemon, as `serve`
 * has; machine B the others. What dies is started again, as by a supervisor.
 */
import { brokerControlHandlers } from '../../src/broker/control-handlers.js';
import type { BrokerCore } from '../../src/broker/core.js';
import { handlerTable } from '../../src/broker/handlers/table.js';
import { openCore, type Undo, undoAll } from '../../src/broker/open-core.js';
import type { ColumnWorkers } from '../../src/columns/index.js';
import { loadServerConfig } from '../../src/config/index.js';
import { type ControlHandlers, type ControlPeer, routeTierCalls, tierCallsAtStart } from '../../src/control/index.js';
import { type ClusterId, type Disk, isLakeError, LakeError, toLakeError, type TopicId } from '../../src/kernel/index.js';
import type { Flusher, LogConfig, PartitionLog } from '../../src/log/index.js';
import type { ObjectStore } from '../../src/objects/index.js';
import { BrokerLink } from '../../src/server/broker-link.js';
import { coldTierOverControl } from '../../src/server/cold-tier-over-control.js';
import { startTier, type TierDaemon, type TierSettings } from '../../src/tier/index.js';
import { simFindTimestamp, simRebuilder, simWorkers } from '../support/sim-workers.js';
import type { Seeded } from '../support/seed.js';
import { SimBucket, weathers } from './bucket.js';
import { capacityBytes, SimDisk } from './disk.js';
import { simCompactor } from './compactor.js';
import { simFlusher } from './flusher.js';
import { simWarmReads } from './warm-reads.js';
import { KafkaClient, KafkaServer, simLogReader } from './kafka-port.js';
import { Model, type PartitionModel } from './model.js';
import { type ControlServer, type SimConnection, SimLink } from './network.js';
import { type PlannedDeath, SimProcess } from './process.js';
import { realRebuilder, realWorkers } from './real-columns.js';
import type { IdempotentBatch } from './idempotent.js';
import { HotRot } from './rot.js';
import { Scheduler, Violation } from './scheduler.js';
import { TableOracle } from './table-oracle.js';

/** What a planted bug may put between the product and a port. */
export interface Plant {
  readonly store?: (store: ObjectStore, process: SimProcess, world: World, disk: Disk) => ObjectStore;
  readonly brokerCalls?: (broker: Pick<ControlPeer, 'call'>, process: SimProcess, world: World) => Pick<ControlPeer, 'call'>;
  readonly controlHandlers?: (handlers: ControlHandlers, world: World) => ControlHandlers;
  readonly workers?: (workers: ColumnWorkers, disk: Disk) => ColumnWorkers;
  /** Those of the query service. */
  readonly queryWorkers?: (workers: ColumnWorkers) => ColumnWorkers;
  readonly flusher?: (flusher: Flusher) => Flusher;
  /** The broker's. */
  readonly disk?: (disk: Disk) => Disk;
  /** The broker's, beside those of the world. */
  readonly flags?: Readonly<Record<string, string>>;
  /** As the log sees the batches of idempotent producers. */
  readonly batch?: (fields: IdempotentBatch) => IdempotentBatch;
  readonly settings?: Partial<TierSettings>;
}

/** A planned one, at a call of a port of the first broker or daemon. */
export interface Death {
  readonly of: 'daemon' | 'broker' | 'power';
  readonly calls: number;
  readonly when: PlannedDeath['when'];
}

export interface WorldShape {
  readonly daemons: number;
  readonly segmentBytes: number;
  readonly fileBytes: number;
  readonly commitIntervalMs: number;
  readonly localRetentionMs: number;
  readonly spoolBytes: number;
  readonly wallSpeed: number;
  /** Of virtual time; −1 keeps all. */
  readonly retentionMs: number;
  readonly retentionBytes: number;
  /** Of virtual time. */
  readonly snapshotMaxAgeMs: number;
  /** Of the hot log: slow enough, and somebody else meets damage first. */
  readonly scrubBytesPerSecond: number;
}

interface RunningBroker {
  readonly process: SimProcess;
  readonly core: BrokerCore;
  readonly kafka: KafkaServer;
  readonly control: ControlServer;
  readonly undo: Undo;
}

/** One daemon's place: its lives follow one another. */
export class DaemonSlot {
  readonly name: string;
  readonly link: SimLink;
  readonly disk: SimDisk;
  process: SimProcess | undefined;
  daemon: TierDaemon | undefined;
  lives = 0;

  constructor(name: string, link: SimLink, disk: SimDisk) {
    this.name = name;
    this.link = link;
    this.disk = disk;
  }
}

const dataDir = '/a/data';

/** In virtual time; what the daemon counts in wall time passes with it. Nothing is under way for longer than two minutes. */
export const upkeepTimes = { intervalMs: 3_000, sweepIntervalMs: 30_000, minAgeMs: 400_000, graceMs: 60_000, droppedAgeMs: 300_000 };
const hello = { version: 'sim' } as const;
/** Until a supervisor starts what died. */
const restartMsMax = 3_000;

export class World {
  readonly scheduler: Scheduler;
  readonly shape: WorldShape;
  readonly plant: Plant;
  /** Cold files are Parquet, by the product's own column jobs, so that they can be asked in SQL. */
  readonly isReal: boolean;
  readonly model = new Model();
  readonly bucket: SimBucket;
  readonly diskA: SimDisk;
  readonly diskB: SimDisk;
  readonly slots: DaemonSlot[];
  readonly client: SimProcess;
  readonly clientLink: SimLink;
  readonly kafka: KafkaClient;
  readonly tables: TableOracle;
  readonly rot: HotRot;
  broker: RunningBroker | undefined;
  /** Also while it starts. */
  brokerProcess: SimProcess | undefined;
  brokerLives = 0;
  firstBroker: SimProcess | undefined;
  firstDaemon: SimProcess | undefined;
  /** Ids of topics that a broker had. */
  readonly #madeTopics = new Set<TopicId>();
  /** Ids of topics whose deletion was asked for. */
  readonly deletedTopics = new Set<TopicId>();
  #clusterId: ClusterId | undefined;
  /** The supervisor starts nothing any more. */
  isClosing = false;
  /** Time passes, and nothing else is done. */
  isAging = false;
  readonly #processes = new Map<number, SimProcess>();
  readonly #watched = new WeakSet<PartitionLog>();
  /** Offline since their start: what such a log would call flushed was never true for anybody. */
  readonly #brokenAtStart = new WeakSet<PartitionLog>();

  constructor(seed: number, shape: WorldShape, plant: Plant = {}, isReal = false) {
    this.isReal = isReal;
    this.scheduler = new Scheduler(seed);
    this.scheduler.wallSpeed = shape.wallSpeed;
    this.shape = shape;
    this.plant = plant;
    this.bucket = new SimBucket(this.scheduler);
    this.diskA = new SimDisk(this.scheduler);
    this.diskB = new SimDisk(this.scheduler);
    this.diskA.mount(dataDir);
    this.diskB.mount('/b');
    this.slots = Array.from(
      { length: shape.daemons },
      (_, index) => new DaemonSlot(`tier${index}`, new SimLink(this.scheduler), index === 0 ? this.diskA : this.diskB),
    );
    this.client = new SimProcess(this.scheduler, 'client');
    this.clientLink = new SimLink(this.scheduler);
    this.kafka = new KafkaClient(this.client, this.clientLink, () => this.broker?.kafka);
    this.tables = new TableOracle(this);
    this.rot = new HotRot(this, dataDir);
    this.scheduler.betweenEvents = () => this.tables.look();
  }

  /** With a death, if one is wanted, of the first lives. */
  start(death?: Death): void {
    this.#startBroker();
    for (const slot of this.slots) this.#startDaemon(slot);
    const [slot] = this.slots;
    if (death === undefined || slot === undefined) return;
    const process = death.of === 'daemon' ? slot.process : this.brokerProcess;
    const dies = { daemon: () => this.killDaemon(slot), broker: () => this.killBroker(), power: () => this.powerCut() };
    if (process !== undefined) process.death = { calls: death.calls, when: death.when, die: dies[death.of] };
  }

  /** Requests on it reach the broker in their order. */
  newConnection(): KafkaClient {
    return new KafkaClient(this.client, this.clientLink, () => this.broker?.kafka, true);
  }

  partitionModel(log: PartitionLog): PartitionModel {
    return this.model.of(log.topicId, log.partition, log.topic);
  }

  // The broker's lives.

  #startBroker(): void {
    const process = new SimProcess(this.scheduler, `broker.${++this.brokerLives}`);
    this.brokerProcess = process;
    this.firstBroker ??= process;
    process.trace('starts');
    process.onLine = (_level, message, facts) => {
      const { error } = facts;
      if (isLakeError(error, 'log-damaged') && !this.rot.hasSpoiled(error)) this.#violated('log-damaged', `${message}: ${error.message}`);
    };
    const undo: Undo = [];
    const peers: ControlPeer[] = [];
    const own = this.diskA.of(process);
    const disk = this.plant.disk?.(own) ?? own;
    const flusher = simFlusher(process, disk);
    const { clock } = process;
    openCore(
      {
        config: loadServerConfig({
          flags: {
            'kafka.listen': '127.0.0.1:9092',
            'offsets.topic.num.partitions': '1',
            'disk.reserve.bytes': '65536',
            'disk.low.bytes': '131072',
            'log.retention.check.interval.ms': '2000',
            'auto.create.topics.enable': 'false',
            // A segment in several steps, and rounds often enough to meet everything that happens to one.
            'log.scrub.bytes.per.second': String(this.shape.scrubBytesPerSecond),
            'log.scrub.interval.ms': '500',
            // In a fast run a day is over before a retry is.
            'producer.id.expiration.ms': String(86_400_000 * this.shape.wallSpeed),
            ...this.plant.flags,
          },
        }),
        dataDir,
        clock,
        random: process.ids,
        logger: process.logger,
        coldTier: coldTierOverControl(() => peers),
        storage: {
          disk,
          flusher: this.plant.flusher?.(flusher) ?? flusher,
          warmReads: simWarmReads(process),
          compactor: simCompactor(process, disk),
          lock: async () => ({ release: async () => undefined }),
        },
      },
      { advertised: () => ({ host: '127.0.0.1', port: 9092 }) },
      undo,
    ).then(
      ({ core }) => this.#brokerStarted(process, core, peers, undo),
      (error: unknown) => {
        if (!process.isAlive) return;
        process.trace(`could not start: ${String(error)}`);
        this.killBroker();
      },
    );
  }

  #brokerStarted(process: SimProcess, core: BrokerCore, peers: ControlPeer[], undo: Undo): void {
    process.trace('has started');
    if (this.#clusterId !== undefined && this.#clusterId !== core.clusterId) this.#violated('cluster', 'the cluster id has changed');
    this.#clusterId = core.clusterId;
    this.#tune(core);
    core.topics.onChange(() => this.#tune(core));
    for (const topic of core.topics.all) {
      for (const log of topic.partitions.values()) this.#logOpened(log);
    }
    const own = brokerControlHandlers(core);
    const describe = own['broker.describe'];
    let handlers: ControlHandlers = {
      ...routeTierCalls(() => peers),
      ...own,
      'broker.describe': async (params, context) => {
        const state = await describe!(params, context);
        return {
          ...state,
          topics: state.topics.map((topic) => ({ ...topic, config: { ...topic.config, 'lake.file.bytes': String(this.shape.fileBytes) } })),
        };
      },
    };
    handlers = this.plant.controlHandlers?.(handlers, this) ?? handlers;
    const kafka = new KafkaServer(process, handlerTable(core));
    const control: ControlServer = {
      process,
      hello: { ...hello, role: 'broker', pid: 1 },
      handlers,
      accept: (peer: ControlPeer, _connection: SimConnection) => {
        peers.push(peer);
        void peer.closed.then(() => peers.splice(peers.indexOf(peer), 1));
      },
    };
    this.broker = { process, core, kafka, control, undo };
  }

  /** What is checked when a log was opened again. */
  #logOpened(log: PartitionLog): void {
    const known = this.partitionModel(log);
    if (log.topic.startsWith('__')) return;
    if (log.offline !== undefined) {
      this.#brokenAtStart.add(log);
      // What the disk refused at the start it may give at the next.
      if (!this.rot.explains(log.offline) && !/\b(EIO|ENOSPC)\b/.test(log.offline.message))
        this.#violated('offline', `${known.where} is offline after a start: ${log.offline.message}`);
      return;
    }
    if (this.rot.isForgotten(log)) this.#violated('damage-forgotten', `${known.where} is served after a start, and was damaged before`);
    this.scheduler.trace(
      'oracle',
      `${known.where} is [${log.logStartOffset}, ${log.logEndOffset}), boundary ${log.boundary}, epoch ${log.leaderEpoch}`,
    );
    if (log.logEndOffset < known.tableBoundary) {
      this.#violated('re-used', `${known.where} ends at ${log.logEndOffset}, below the table's boundary ${known.tableBoundary}`);
    }
    if (log.logStartOffset < known.promisedStart) {
      this.#violated('log-start-back', `${known.where} begins at ${log.logStartOffset} after a start; ${known.promisedStart} was answered`);
    }
    try {
      known.endsAt(log.logEndOffset);
    } catch (error) {
      this.scheduler.fail(error as Error);
    }
    this.#watch(log);
  }

  #violated(oracle: string, message: string): Violation {
    const violation = new Violation(oracle, message);
    this.scheduler.fail(violation);
    return violation;
  }

  /** Boundary and log start never go back, and never pass what they depend on. */
  #watch(log: PartitionLog): void {
    if (this.#watched.has(log)) return;
    this.#watched.add(log);
    const known = this.partitionModel(log);
    const look = (): void => {
      if (log.offline !== undefined || !this.isAlive(log.topicId)) return;
      if (log.boundary < known.boundary)
        this.#violated('boundary-back', `${known.where}: boundary ${log.boundary} after ${known.boundary}`);
      if (log.logStartOffset < known.logStart)
        this.#violated('log-start-back', `${known.where}: log start ${log.logStartOffset} after ${known.logStart}`);
      if (log.boundary > Math.max(known.tableBoundary, log.logStartOffset)) {
        this.#violated(
          'boundary-ahead',
          `${known.where}: the broker's boundary ${log.boundary} is above the table's, ${known.tableBoundary}`,
        );
      }
      known.boundary = log.boundary;
      known.logStart = log.logStartOffset;
      if (log.localStartOffset > Math.max(known.tableBoundary, log.logStartOffset)) {
        this.#violated('evicted-early', `${known.where}: local start ${log.localStartOffset}, table boundary ${known.tableBoundary}`);
      }
    };
    log.onChange(look);
    look();
  }

  /** Segments small enough that they roll; the configuration's own bounds are meant for real disks. */
  #tune(core: BrokerCore): void {
    for (const topic of core.topics.all) {
      if (topic.record.isInternal) continue;
      this.#madeTopics.add(topic.record.id);
      for (const log of topic.partitions.values()) {
        const { config } = log as unknown as { readonly config: LogConfig };
        if (config.segmentBytes === this.shape.segmentBytes) continue;
        log.updateConfig({ ...config, segmentBytes: this.shape.segmentBytes, indexIntervalBytes: 200 });
        if (this.broker !== undefined) this.#watch(log);
      }
    }
  }

  killBroker(): void {
    const process = this.brokerProcess;
    if (process === undefined || !process.isAlive) return;
    this.#noteFlushed();
    process.kill();
    this.broker?.kafka.reset();
    this.broker = undefined;
    for (const slot of this.slots) slot.link.reset();
    this.#later(() => {
      if (this.brokerProcess === process) this.#startBroker();
    });
  }

  /** What was flushed before the death must be there after it. */
  #noteFlushed(): void {
    const core = this.broker?.core;
    if (core === undefined) return;
    for (const log of core.log.partitions.values()) {
      if (!this.#brokenAtStart.has(log)) this.partitionModel(log).flushedBelow(log.flushedOffset);
    }
  }

  /** Stops the broker in order. */
  async stopBroker(): Promise<void> {
    const stopping = this.broker;
    if (stopping === undefined) return;
    stopping.process.trace('stops in order');
    try {
      await Promise.race([undoAll(stopping.undo), stopping.process.ended]);
    } finally {
      // A process ends also where its last checkpoint could not be written.
      if (this.broker === stopping) this.killBroker();
    }
  }

  powerCut(): void {
    this.scheduler.trace('world', 'power cut');
    this.killBroker();
    const [first] = this.slots;
    if (first !== undefined) this.killDaemon(first);
    this.diskA.powerCut();
  }

  #later(work: () => void): void {
    this.scheduler.after(100 + this.scheduler.random.float() * restartMsMax, () => {
      if (!this.isClosing) work();
    });
  }

  // The daemons' lives.

  #startDaemon(slot: DaemonSlot): void {
    const process = new SimProcess(this.scheduler, `${slot.name}.${++slot.lives}`);
    slot.process = process;
    this.firstDaemon ??= process;
    this.#processes.set(process.pid, process);
    process.trace('starts');
    process.onLine = (level, message, facts) => this.tables.onDaemonLine(level, message, facts);
    this.#runDaemon(slot, process).catch((error: unknown) => {
      if (!process.isAlive) return;
      process.trace(`ends: ${String(error)}`);
      this.#fatal(error);
      this.killDaemon(slot);
    });
  }

  #fatal(error: unknown): void {
    if (isLakeError(error, 'data-dir-foreign', 'store-unsafe', 'table-corrupt', 'unsupported')) {
      this.#violated('daemon-gave-up', `${error.code}: ${error.message}`);
    }
  }

  async #runDaemon(slot: DaemonSlot, process: SimProcess): Promise<void> {
    const { clock, logger } = process;
    const disk: Disk = slot.disk.of(process);
    const handlers: { -readonly [M in keyof ControlHandlers]: ControlHandlers[M] } = tierCallsAtStart();
    const link = new BrokerLink({
      address: 'sim',
      hello: { ...hello, role: 'tier', pid: process.pid },
      handlers,
      clock,
      random: process.ids,
      logger,
      connect: (_address, own, served) => slot.link.connect({ process, hello: own, handlers: served }, () => this.broker?.control),
    });
    await link.arrived();
    const kafka = new KafkaClient(process, slot.link, () => this.broker?.kafka);
    const store = this.bucket.of(process, disk);
    const slow = async (): Promise<void> => {
      await process.call(process.random.float() * 20, 0, () => undefined);
      if (process.random.float() < 0.002) throw toLakeError(new Error('killed by the kernel'), 'worker-died');
    };
    const workers = this.isReal ? realWorkers(slow, process, disk) : simWorkers(slow, disk);
    const daemon = await startTier({
      store: this.plant.store?.(store, process, this, disk) ?? store,
      reader: simLogReader(kafka),
      broker: this.plant.brokerCalls?.(link, process, this) ?? link,
      workers: this.plant.workers?.(workers, disk) ?? workers,
      ...(this.isReal ? {} : { findTimestamp: simFindTimestamp }),
      rebuilder: this.isReal ? realRebuilder(slow, disk) : simRebuilder(slow, disk),
      spoolDir: slot.disk === this.diskA ? `${dataDir}/tier` : '/b/tier',
      clock,
      random: process.ids,
      logger,
      disk,
      processes: { pid: process.pid, isAlive: (pid) => this.#processes.get(pid)?.isAlive === true },
      settings: {
        spoolBytesMax: this.shape.spoolBytes,
        pieceBytes: Math.ceil(this.shape.fileBytes / 3),
        pieceBytesMin: 64,
        fetchBytes: 64 * 1024,
        fetchPartitionBytes: 8 * 1024,
        commitGatherMs: 500,
        retentionCheckMs: 5_000,
        upkeepIntervalMs: upkeepTimes.intervalMs,
        sweepIntervalMs: upkeepTimes.sweepIntervalMs,
        sweepMinAgeMs: upkeepTimes.minAgeMs * this.shape.wallSpeed,
        sweepGraceMs: upkeepTimes.graceMs * this.shape.wallSpeed,
        droppedAgeMs: upkeepTimes.droppedAgeMs * this.shape.wallSpeed,
        scrubPauseMs: 60_000,
        ...this.plant.settings,
      },
    });
    slot.daemon = daemon;
    Object.assign(handlers, daemon.controlHandlers);
    void daemon.failed.then((error) => this.#fatal(error));
    process.trace('has started');
  }

  killDaemon(slot: DaemonSlot): void {
    const { process } = slot;
    if (process === undefined || !process.isAlive) return;
    process.kill();
    slot.daemon = undefined;
    slot.link.reset();
    this.#later(() => {
      if (slot.process === process) this.#startDaemon(slot);
    });
  }

  /** Whether a topic was made, and nobody has asked for its deletion. */
  isAlive(topicId: TopicId): boolean {
    return this.#madeTopics.has(topicId) && !this.deletedTopics.has(topicId);
  }

  get clusterId(): ClusterId {
    if (this.#clusterId === undefined) throw new Error('no broker has started yet');
    return this.#clusterId;
  }

  /** Kills a process at one of its next calls of a port, before the call's effect or after. */
  planDeath(process: SimProcess | undefined, random: Seeded, die: () => void): void {
    if (process === undefined) return;
    process.death = { calls: random.pick([0, 5, 40, 200, 1_000]) * random.float(), when: random.pick(['before', 'after']), die };
  }

  /** Asks the broker over a control connection, as an operator's command does. */
  async control(method: 'tier.flush' | 'broker.evict', params: { readonly topic?: string }): Promise<void> {
    await this.asGateway((peer, signal) => peer.call(method, params, { signal }));
  }

  /** Work over a control connection of its own, given up after a minute. */
  async asGateway<T>(work: (peer: ControlPeer, signal: AbortSignal) => Promise<T>): Promise<T> {
    const limit = new AbortController();
    this.scheduler.after(60_000, () => limit.abort(new LakeError('timeout', 'a command gave up')));
    const peer = await this.clientLink.connect(
      { process: this.client, hello: { ...hello, role: 'gateway', pid: this.client.pid }, handlers: {} },
      () => this.broker?.control,
    );
    try {
      return await work(peer, limit.signal);
    } finally {
      peer.close();
    }
  }

  /** Everything that was made to fail works again. */
  heal(): void {
    this.rot.leave();
    this.bucket.weather = weathers.fine;
    for (const disk of [this.diskA, this.diskB]) {
      disk.faults.nextWrite = undefined;
      disk.faults.nextFsync = undefined;
      disk.capacityBytes = capacityBytes;
    }
    for (const link of [this.clientLink, ...this.slots.map((slot) => slot.link)]) link.heal();
    for (const process of [this.brokerProcess, ...this.slots.map((slot) => slot.process)]) {
      if (process === undefined) continue;
      process.death = undefined;
      process.resume();
    }
  }

  isAllUp(): boolean {
    return this.broker !== undefined && this.slots.every((slot) => slot.daemon !== undefined);
  }

  /** A partition that went offline after a failed write comes back with the next start of the broker. */
  async restartOffline(): Promise<void> {
    const logs = [...(this.broker?.core.log.partitions.values() ?? [])];
    if (logs.some((log) => log.offline !== undefined)) this.killBroker();
  }

  /** Whether every boundary is at the end of its log, in the table and in the broker. */
  isAllCold(): boolean {
    const core = this.broker?.core;
    if (core === undefined) return false;
    for (const topic of core.topics.all) {
      if (!topic.isTiered || !this.isAlive(topic.record.id)) continue;
      for (const log of topic.partitions.values()) {
        const known = this.partitionModel(log);
        if (log.boundary !== log.logEndOffset || known.tableBoundary !== log.logEndOffset) return false;
      }
    }
    return true;
  }

  droppedTopics(): readonly unknown[] {
    return this.broker?.core.store.dropped ?? ['the broker is down'];
  }
}
