/**
 * The daemon as its process holds it: starts only on a bucket that is this cluster's and keeps its word, keeps the list of topics in step
 * with the broker's, and answers the `tier.*` calls.
 */
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { type BatchRebuilder, type ColumnWorkers, findTimestamp, type TimeLookup } from '../columns/index.js';
import type { LogReader } from '../client/index.js';
import type { BrokerState, ControlHandlers, ControlPeer, TopicState } from '../control/index.js';
import { ManifestReader } from '../iceberg/index.js';
import {
  backoffMs,
  type Clock,
  type ClusterId,
  type Disk,
  dayMs,
  isLakeError,
  LakeError,
  Mutex,
  type Random,
  Semaphore,
  systemDisk,
  type TopicId,
  secondMs,
} from '../kernel/index.js';
import { claimBucket, type DroppedTable, droppedTables, forgetDroppedTable, openTopicTable, type TopicTable } from '../lake/index.js';
import { LocalCache, type ObjectStore, probeConditionalWrites, probeLists } from '../objects/index.js';
import type { Logger, MetricSample } from '../telemetry/index.js';
import { ClusterNotes } from './cluster-notes.js';
import { Wakeup, withDeadline } from './deadline.js';
import { Follower } from './follow.js';
import { Hydrator } from './hydrate.js';
import type { TierPorts } from './ports.js';
import { defaultTierSettings, type TierSettings } from './settings.js';
import { BackgroundScrub, holesOf, scrubTopic } from './scrub.js';
import { openSpoolDir, type Processes, type SpoolDir } from './spool-dir.js';
import { statusOf } from './topic-status.js';
import { TopicTier } from './topic-tier.js';
import { Upkeep } from './upkeep.js';

export interface TierOptions {
  readonly store: ObjectStore;
  readonly reader: LogReader;
  readonly broker: Pick<ControlPeer, 'call'>;
  readonly workers: ColumnWorkers;
  /** Makes batches of rows for cold reads. */
  readonly rebuilder: BatchRebuilder;
  /** How a row is found in a cold file by time; another where the workers write files of their own. */
  readonly findTimestamp?: TimeLookup;
  /** Folder for spools and downloaded files; may be shared with other daemons. */
  readonly spoolDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly disk?: Disk;
  readonly processes?: Processes;
  readonly settings?: Partial<TierSettings>;
}

export interface TierDaemon {
  /** The `tier.*` methods. */
  readonly controlHandlers: ControlHandlers;
  /** Resolves when the daemon has begun to tier: bucket claimed and probed, topics known. */
  readonly ready: Promise<void>;
  /** Resolves to what makes going on impossible (`data-dir-foreign`, `store-unsafe`), if that is found after the start. */
  readonly failed: Promise<LakeError>;
  metricsSnapshot(): MetricSample[];
  /** Ends all work within seconds; what is not committed is fetched again at the next start. Store, reader and workers stay open. */
  close(): Promise<void>;
}

/** Errors after which another try cannot help. */
const isFatal = (error: unknown): error is LakeError =>
  isLakeError(error, 'data-dir-foreign', 'store-unsafe', 'table-corrupt', 'unsupported');
/** Manifests and stages waiting; far above what spool and topics can bring about. */
const waitingMax = 100_000;
const topicsInDropAtOnce = 4;
/** Folders of deleted topics that one look empties; the others wait for the next. A note takes some 200 bytes. */
const droppedAtOnce = 1000;
/** Folders of deleted topics are looked for so often while they grow old enough: one list request each time. */
const looksPerDroppedAge = 4;
/** Age at which an upload that is not finished never will be, and how often such are looked for: the slowest takes minutes. */
const unfinishedAgeMs = dayMs;

/**
 * Starts the daemon. Resolves after the first try to claim the bucket, and soon; where bucket or broker are merely away, it
 * goes on trying.
 * Errors: `data-dir-foreign`, `store-unsafe`.
 */
export async function startTier(options: TierOptions): Promise<TierDaemon> {
  const spool = await openSpoolDir(options.spoolDir, options.random, options.disk ?? systemDisk, options.processes);
  try {
    const daemon = new Daemon(options, spool);
    await daemon.start();
    return daemon;
  } catch (error) {
    await spool.remove();
    throw error;
  }
}

class Daemon implements TierDaemon {
  readonly ready: Promise<void>;
  readonly failed: Promise<LakeError>;
  readonly #spool: SpoolDir;
  readonly #stop = new AbortController();
  readonly #ports: TierPorts;
  readonly #topics = new Map<TopicId, TopicTier>();
  readonly #follower: Follower;
  readonly #manifests: ManifestReader;
  readonly #notes: ClusterNotes;
  readonly #lookAgain: Wakeup;
  readonly #inStep = new Mutex();
  #cache: LocalCache | undefined;
  #hydrator: Hydrator | undefined;
  #upkeep: Upkeep | undefined;
  readonly #scrub: BackgroundScrub;
  #isClaimed = false;
  #emptyAtMs = 0;
  #isReady = false;
  #setReady: () => void = () => undefined;
  #setFailed: (error: LakeError) => void = () => undefined;
  #loops: Promise<void>[] = [];
  #notesRunning: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: TierOptions, spool: SpoolDir) {
    const settings = { ...defaultTierSettings, ...options.settings };
    // As many listen as there are waits under way; each takes itself off again.
    setMaxListeners(0, this.#stop.signal);
    this.#spool = spool;
    this.#ports = {
      store: options.store,
      reader: options.reader,
      broker: options.broker,
      workers: options.workers,
      rebuilder: options.rebuilder,
      findTimestamp: options.findTimestamp ?? findTimestamp,
      clock: options.clock,
      random: options.random,
      disk: options.disk ?? systemDisk,
      logger: options.logger,
      settings,
      spoolDir: spool.path,
      stop: this.#stop.signal,
      counters: {
        commits: 0,
        commitsLost: 0,
        rows: 0,
        rawBytes: 0,
        fileBytes: 0,
        stageCpuMs: 0,
        encodeCpuMs: 0,
        verifyCpuMs: 0,
        compactCpuMs: 0,
        rewrites: 0,
        rewrittenFiles: 0,
        rewrittenBytes: 0,
        sweptObjects: 0,
        sweptBytes: 0,
        upkeepFailures: 0,
        scrubbedFiles: 0,
        scrubbedBytes: 0,
        scrubFindings: 0,
        expiredFiles: 0,
        expiredBytes: 0,
      },
      stageSlots: new Semaphore(settings.stagesAtOnce, waitingMax),
      cutSlots: new Semaphore(settings.cutsAtOnce, waitingMax),
    };
    this.ready = new Promise((resolve) => {
      this.#setReady = resolve;
    });
    this.failed = new Promise((resolve) => {
      this.#setFailed = resolve;
    });
    this.#manifests = new ManifestReader(options.store);
    this.#notes = new ClusterNotes(this.#ports);
    this.#follower = new Follower(this.#ports, () => this.#topics.values());
    this.#lookAgain = new Wakeup(options.clock);
    this.#scrub = new BackgroundScrub(this.#ports, () => this.#topics.values());
  }

  async start(): Promise<void> {
    const { store, spoolDir, settings, logger, clock, random, disk } = this.#ports;
    this.#cache = await LocalCache.open({ store, dir: join(spoolDir, 'cold'), maxBytes: settings.coldCacheBytes, disk });
    this.#hydrator = new Hydrator(this.#ports, this.#cache);
    let firstPause = 0;
    try {
      await withDeadline('the first look at bucket and broker', settings.firstTryMs, clock, this.#stop.signal, () => this.#reconcile());
    } catch (error) {
      if (isFatal(error)) throw error;
      firstPause = backoffMs(settings.retry, 1, random);
      logger.warn('tiering cannot begin yet', { error, retryMs: Math.round(firstPause) });
    }
    this.#upkeep = new Upkeep(this.#ports, this.#cache, () => this.#topics.values());
    this.#loops = [this.#keepInStep(firstPause), this.#follower.run(), this.#keepBucketTidy(), this.#upkeep.run(), this.#scrub.run()];
    logger.debug('tier daemon started', { atMs: clock.nowMs() });
  }

  /** Looks at the broker's topics again and again: soon when told that they changed, later otherwise. */
  async #keepInStep(firstPause: number): Promise<void> {
    const { settings, logger, random } = this.#ports;
    let failures = firstPause > 0 ? 1 : 0;
    let pause = firstPause > 0 ? firstPause : settings.describeIntervalMs;
    while (!this.#stop.signal.aborted) {
      await this.#lookAgain.wait(pause, this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      try {
        await this.#reconcile();
        failures = 0;
        pause = settings.describeIntervalMs;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (isFatal(error)) {
          logger.error('tiering cannot go on', { error });
          this.#setFailed(error);
          return;
        }
        failures++;
        pause = backoffMs(settings.retry, failures, random);
        logger.warn('the list of topics could not be brought up to date', { error, retryMs: Math.round(pause) });
      }
    }
  }

  /** Once a day, uploads that a daemon began and never finished go from the bucket: nobody sees them, and they cost. */
  async #keepBucketTidy(): Promise<void> {
    const { store, clock, logger } = this.#ports;
    const { signal } = this.#stop;
    await Promise.race([this.ready, aborted(signal)]);
    while (!signal.aborted) {
      try {
        const removed = await store.removeUnfinished(unfinishedAgeMs, signal);
        if (removed > 0) logger.info('removed uploads that were never finished', { removed });
      } catch (error) {
        if (!signal.aborted) logger.warn('uploads that were never finished could not be removed', { error });
      }
      await clock.sleep(unfinishedAgeMs, signal).catch(() => undefined);
    }
  }

  /** One at a time: whoever asks gets an answer that was begun after asking. */
  #reconcile(): Promise<void> {
    return this.#inStep.run(() => this.#reconcileNow(), this.#stop.signal);
  }

  async #reconcileNow(): Promise<void> {
    const { broker, clock, settings } = this.#ports;
    const state = await withDeadline('broker.describe', settings.brokerTimeoutMs, clock, this.#stop.signal, (signal) =>
      broker.call('broker.describe', {}, { signal }),
    );
    if (!this.#isClaimed) await this.#claim(state);
    this.#notesRunning ??= this.#notes.run();
    const alive = new Set<TopicId>();
    for (const topic of state.topics) {
      alive.add(topic.id);
      this.#adopt(state, topic);
    }
    const dropped = state.dropped.filter((topic) => !alive.has(topic.id));
    for (const [id, topic] of this.#topics) {
      if (alive.has(id)) continue;
      this.#topics.delete(id);
      await topic.close();
      await this.#cache?.forgetBelow(`${topic.table.prefix}/`);
    }
    // The bucket must not say of a topic that it is there while its table is being removed: it would be restored without it.
    if (dropped.length > 0) await this.#notes.note('now', this.#stop.signal);
    const slots = new Semaphore(topicsInDropAtOnce, dropped.length);
    const drops = await Promise.allSettled(dropped.map((topic) => slots.run(() => this.#drop(state, topic))));
    if (!this.#isReady) {
      this.#isReady = true;
      this.#setReady();
    }
    const failed = drops.find((drop) => drop.status === 'rejected');
    if (failed !== undefined) throw failed.reason as Error;
    await this.#emptyDropped(state);
  }

  async #claim(state: BrokerState): Promise<void> {
    const { store, clock, random, settings } = this.#ports;
    await withDeadline('claiming the bucket', settings.bucketTimeoutMs, clock, this.#stop.signal, async (signal) => {
      await claimBucket(store, state.clusterId, clock, signal);
      await probeConditionalWrites(store, random, { signal, clock });
      await probeLists(store, random, { signal, clock });
    });
    this.#isClaimed = true;
  }

  #adopt(state: BrokerState, topic: TopicState): void {
    const known = this.#topics.get(topic.id);
    if (known !== undefined) {
      known.update(topic);
      return;
    }
    // A topic that is no longer tiered may have a cold part all the same, which consumers go on reading.
    const hasCold = topic.partitions.some((partition) => partition.boundary > 0);
    if (topic.isInternal || (!topic.isTiered && !hasCold)) return;
    const started = new TopicTier(this.#ports, topic, this.#table(state.clusterId, topic), () => this.#follower.wake());
    this.#topics.set(topic.id, started);
    started.start();
  }

  #table(clusterId: ClusterId, topic: { readonly name: TopicState['name']; readonly id: TopicId }): TopicTable {
    const { store, clock, random } = this.#ports;
    return openTopicTable(store, { topic: topic.name, topicId: topic.id, clusterId }, { clock, random, reader: this.#manifests });
  }

  /** Removes a deleted topic's table and objects; the broker forgets the topic only then. */
  async #drop(state: BrokerState, topic: BrokerState['dropped'][number]): Promise<void> {
    const { broker, clock, settings, logger } = this.#ports;
    const { signal } = this.#stop;
    const table = this.#table(state.clusterId, topic);
    const removed = await withDeadline(`dropping the table of ${topic.name}`, settings.jobTimeoutMs, clock, signal, (inner) =>
      table.drop(inner),
    );
    await withDeadline('broker.topic-dropped', settings.brokerTimeoutMs, clock, signal, (inner) =>
      broker.call('broker.topic-dropped', { topicId: topic.id }, { signal: inner }),
    );
    logger.info('dropped the table of a deleted topic', { topic: topic.name, topicId: topic.id, ...removed });
  }

  /** Empties the folders of topics that were deleted long enough ago for the last time. */
  async #emptyDropped(state: BrokerState): Promise<void> {
    const { store, clock, settings, logger } = this.#ports;
    const { signal } = this.#stop;
    if (clock.monotonicMs() < this.#emptyAtMs) return;
    this.#emptyAtMs = clock.monotonicMs() + settings.droppedAgeMs / looksPerDroppedAge;
    const noted = await withDeadline('listing deleted topics', settings.bucketTimeoutMs, clock, signal, async (inner) => {
      const tables: DroppedTable[] = [];
      for await (const table of droppedTables(store, inner)) {
        const isDue = clock.nowMs() - table.droppedMs >= settings.droppedAgeMs;
        if (isDue && tables.length < droppedAtOnce) tables.push(table);
      }
      return tables;
    });
    for (const dropped of noted) {
      // A broker that was set back to a copy of an earlier day may have the topic again: then it is not for us to decide.
      if (state.topics.some((topic) => topic.id === dropped.topicId)) continue;
      const table = this.#table(state.clusterId, { name: dropped.topic, id: dropped.topicId });
      const removed = await withDeadline(`emptying ${table.prefix}`, settings.jobTimeoutMs, clock, signal, (inner) => table.drop(inner));
      await withDeadline(`forgetting ${table.prefix}`, settings.bucketTimeoutMs, clock, signal, (inner) =>
        forgetDroppedTable(store, dropped, inner),
      );
      if (removed.objects > 0) logger.info('removed what was left behind a deleted topic', { ...dropped, ...removed });
    }
  }

  /** The topics a call means. Errors: `cold-unavailable` before the start is done, `topic-unknown`. */
  async #named(name: string | undefined): Promise<readonly TopicTier[]> {
    if (name !== undefined && ![...this.#topics.values()].some((topic) => topic.name === name)) await this.#reconcile();
    this.#requireReady();
    const topics = [...this.#topics.values()].filter((topic) => name === undefined || topic.name === name);
    if (name === undefined || topics.length > 0) return topics;
    throw new LakeError('topic-unknown', `no tiered topic is called "${name}"`, {
      hint: 'List the topics; internal ones and those without remote.storage.enable are not tiered.',
      facts: { topic: name },
    });
  }

  async #ofId(id: TopicId): Promise<{ readonly topic: TopicTier; readonly hydrator: Hydrator }> {
    if (!this.#topics.has(id)) await this.#reconcile();
    this.#requireReady();
    const topic = this.#topics.get(id);
    if (topic === undefined || this.#hydrator === undefined) {
      throw new LakeError('topic-unknown', `no tiered topic has the id ${id}`, { facts: { topicId: id } });
    }
    return { topic, hydrator: this.#hydrator };
  }

  #requireReady(): void {
    if (this.#isReady && !this.#stop.signal.aborted) return;
    throw new LakeError('cold-unavailable', 'the tier daemon is not ready: bucket or broker have not answered yet', {
      hint: 'Wait a little; the daemon goes on trying. Its log says what is missing.',
    });
  }

  readonly controlHandlers: ControlHandlers = {
    'tier.flush': async ({ topic }, { signal }) => {
      // A topic that was made a moment ago is flushed too.
      await this.#reconcile();
      const topics = await this.#named(topic);
      return {
        topics: await Promise.all(topics.map(async (one) => ({ topic: one.name, topicId: one.id, partitions: await one.flush(signal) }))),
      };
    },
    'tier.hydrate': async (params, { signal, sendPart }) => {
      const { topic, hydrator } = await this.#ofId(params.topicId);
      return hydrator.hydrate(topic, params, sendPart, signal);
    },
    'tier.offset-for-timestamp': async (params) => {
      const { topic, hydrator } = await this.#ofId(params.topicId);
      return { found: await hydrator.offsetForTimestamp(topic, params) };
    },
    'tier.max-timestamp': async (params) => {
      const { topic, hydrator } = await this.#ofId(params.topicId);
      return { found: await hydrator.maxTimestamp(topic, params) };
    },
    'tier.topics-changed': async () => {
      this.#lookAgain.wake();
      this.#notes.wake();
      return {};
    },
    'tier.scrub': async ({ topic }, { signal, sendPart }) => {
      const either = AbortSignal.any([signal, this.#stop.signal]);
      const total = { files: 0, bytes: 0, findings: 0, holes: 0 };
      for (const one of await this.#named(topic)) {
        for await (const file of scrubTopic(this.#ports, one, either)) {
          total.files++;
          total.bytes += file.bytes;
          if (file.problem !== undefined) total.findings++;
          await sendPart(file, new Uint8Array());
        }
        total.holes += holesOf(await one.refresh());
      }
      return total;
    },
    'tier.status': async ({ topic }) => ({ topics: (await this.#named(topic)).map((one) => statusOf(one)) }),
  };

  metricsSnapshot(): MetricSample[] {
    const { counters } = this.#ports;
    const topics = [...this.#topics.values()];
    return [
      { name: 'tier_spool_bytes', value: topics.reduce((sum, topic) => sum + topic.spoolBytes, 0) },
      { name: 'tier_commits_total', value: counters.commits },
      { name: 'tier_commits_lost_total', value: counters.commitsLost },
      { name: 'tier_committed_rows_total', value: counters.rows },
      { name: 'tier_committed_raw_bytes_total', value: counters.rawBytes },
      { name: 'tier_committed_file_bytes_total', value: counters.fileBytes },
      { name: 'tier_cluster_states_total', value: this.#notes.writes },
      { name: 'tier_cluster_state_behind_ms', value: this.#notes.behindMs },
      { name: 'tier_expired_files_total', value: counters.expiredFiles },
      { name: 'tier_expired_file_bytes_total', value: counters.expiredBytes },
      { name: 'tier_stage_cpu_ms_total', value: counters.stageCpuMs },
      { name: 'tier_encode_cpu_ms_total', value: counters.encodeCpuMs },
      { name: 'tier_verify_cpu_ms_total', value: counters.verifyCpuMs },
      { name: 'tier_compact_cpu_ms_total', value: counters.compactCpuMs },
      { name: 'tier_rewrites_total', value: counters.rewrites },
      { name: 'tier_rewritten_files_total', value: counters.rewrittenFiles },
      { name: 'tier_rewritten_bytes_total', value: counters.rewrittenBytes },
      { name: 'tier_swept_objects_total', value: counters.sweptObjects },
      { name: 'tier_swept_bytes_total', value: counters.sweptBytes },
      { name: 'tier_upkeep_failures_total', value: counters.upkeepFailures },
      { name: 'tier_scrubbed_files_total', value: counters.scrubbedFiles },
      { name: 'tier_scrubbed_bytes_total', value: counters.scrubbedBytes },
      { name: 'tier_scrub_findings_total', value: counters.scrubFindings },
      { name: 'tier_scrub_last_pass_seconds', value: Math.floor(this.#scrub.lastPassMs / secondMs) },
      ...topics.flatMap((topic): MetricSample[] => {
        const labels = { topic: topic.name };
        const { coldBytes, files } = statusOf(topic);
        return [
          { name: 'tier_errors_total', value: topic.failures, labels },
          { name: 'tier_cold_bytes', value: coldBytes, labels },
          { name: 'tier_cold_files', value: files, labels },
          { name: 'tier_upload_lag_records', value: topic.lagRecords, labels },
        ];
      }),
    ];
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#notesRunning !== undefined) await this.#notes.last();
    this.#stop.abort(new LakeError('cancelled', 'the tier daemon is stopping'));
    this.#lookAgain.wake();
    this.#follower.wake();
    this.#upkeep?.wake();
    await Promise.allSettled([...this.#loops, this.#notesRunning, ...[...this.#topics.values()].map((topic) => topic.close())]);
    await this.#cache?.close();
    await this.#spool.remove();
  }
}

/** Resolves when the signal fires. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
