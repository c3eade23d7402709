/** All partitions of a log folder: found and recovered at start, made, deleted, kept within their bounds, and closed. */
import { join } from 'node:path';
import {
  type Clock,
  dayMs,
  type Disk,
  GiB,
  invariant,
  LakeError,
  MiB,
  Mutex,
  type Offset,
  type PartitionId,
  type Random,
  Semaphore,
  systemDisk,
  systemRandom,
  type TimestampMs,
  toLakeError,
  type TopicId,
  type TopicName,
  zeroTopicId,
} from '../kernel/index.js';
import { type Logger, silentLogger } from '../telemetry/index.js';
import { spansFrom, encodeSpans } from './append-times.js';
import { encodeEpochs, encodePartitionMetadata, type EpochStart } from './checkpoint-text.js';
import { type DirectoryLock, lockDirectory } from './directory-lock.js';
import { allDone } from './all-done.js';
import { fsyncDirectorySync } from './durable-file.js';
import { DurableOffsets } from './durable-offsets.js';
import { Compaction } from './compaction.js';
import { CompactionPool, type Compactor } from './compaction-pool.js';
import { type Flusher, FlushPool } from './flush-pool.js';
import type {
  CompactionTally,
  EvictResult,
  HotLog,
  HotLogOptions,
  LogConfig,
  PartitionLog,
  PartitionStart,
  Scrubbed,
  ScrubFound,
  ScrubLimits,
  ScrubWatch,
} from './hot-log.js';
import {
  appendTimesFile,
  boundaryFile,
  cleanerFile,
  cleanShutdownFile,
  isPassingDirectory,
  leaderEpochFile,
  logStartFile,
  offsetFile,
  partitionDirectory,
  partitionMetadataFile,
  partitionOfDirectory,
  passingDirectory,
  recoveryPointFile,
  suffixes,
} from './log-files.js';
import { LogScrub } from './log-scrub.js';
import { HotPartition, type PartitionPorts } from './partition-log.js';
import { recoverPartition } from './recovery.js';
import { idleFilesMax, OpenFiles } from './segment-file.js';
import { IndexCache, type Segment } from './segment.js';
import { type WarmReader, WarmReads } from './warm-reads.js';

export interface HotLogPorts {
  readonly clock: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
  readonly disk?: Disk;
  /** Default: `flushWorkers` threads, which work on the system's own disk. Closed with the log. */
  readonly flusher?: Flusher;
  /** Default: judged by the clock. */
  readonly warmReads?: WarmReader;
  /** Default: a thread, which works on the system's own disk. Closed with the log. */
  readonly compactor?: Compactor;
  /** Default: `lockDirectory`, which works on the system's own disk. */
  readonly lock?: (directory: string) => Promise<DirectoryLock>;
}

/** What holds for a partition that was found at start until its topic's configuration is known: nothing is deleted. */
const configAtStart: LogConfig = {
  segmentBytes: GiB,
  segmentMs: 7 * dayMs,
  indexIntervalBytes: 4096,
  maxMessageBytes: MiB,
  retentionMs: -1,
  retentionBytes: -1,
  localRetentionMs: -1,
  localRetentionBytes: -1,
  isTiered: false,
  timestampBeforeMaxMs: Number.MAX_SAFE_INTEGER,
  timestampAfterMaxMs: Number.MAX_SAFE_INTEGER,
};

/** Partitions recovered at the same time: enough to keep a disk busy. */
const recoveriesAtOnce = 4;
/** Partitions made anew at the same time: each waits for a handful of syncs, and those of several are one write of a journal. */
const startsAtOnce = 16;

/** Kafka has 128 MiB for all of a broker; one thread at a time has this. */
const keyTableBytes = 32 * MiB;
/** A broker that has nothing else to do writes faster; one that has, should not notice. */
const compactionBytesPerSecond = 64 * MiB;

const cleanShutdownText = '{"version":0,"brokerEpoch":-1}';

/**
 * Takes the lock of the folder and recovers every partition in it; a damaged one is there, offline.
 * Errors: `data-dir-locked`, `log-damaged` where a checkpoint of the folder cannot be used.
 */
export async function openHotLog(options: HotLogOptions, ports: HotLogPorts): Promise<HotLog> {
  await (ports.disk ?? systemDisk).mkdir(options.dir, { recursive: true });
  const lockOnce = ports.lock ?? ((dir) => lockDirectory(dir, { clock: ports.clock, random: ports.random ?? systemRandom }));
  const lock = await lockOnce(options.dir);
  const pool = ports.flusher ?? new FlushPool(options.flushWorkers);
  try {
    const log = new HotLogDirectory(options, ports, lock, pool);
    await log.recover();
    return log;
  } catch (error) {
    await pool.close();
    await lock.release();
    throw error;
  }
}

class HotLogDirectory implements HotLog {
  readonly #options: HotLogOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #disk: Disk;
  readonly #lock: DirectoryLock;
  readonly #ports: PartitionPorts;
  readonly #compactor: Compactor;
  readonly #compaction: Compaction;
  readonly #scrub: LogScrub;
  readonly #partitions = new Map<string, HotPartition>();
  /** Partitions are made, deleted, kept in bounds and closed one at a time; appends and reads go on meanwhile. */
  readonly #changes = new Mutex();
  #isClosed = false;

  constructor(options: HotLogOptions, ports: HotLogPorts, lock: DirectoryLock, pool: Flusher) {
    this.#options = options;
    this.#clock = ports.clock;
    this.#random = ports.random ?? systemRandom;
    this.#disk = ports.disk ?? systemDisk;
    this.#lock = lock;
    const disk = this.#disk;
    const replaceFile = (path: string, bytes: Uint8Array): Promise<void> => pool.replaceFile(path, bytes);
    this.#ports = {
      disk,
      pool,
      logger: ports.logger ?? silentLogger,
      openFiles: new OpenFiles(idleFilesMax, disk, ports.warmReads ?? new WarmReads(ports.clock)),
      indexCache: new IndexCache(),
      boundaries: new DurableOffsets(disk, options.dir, boundaryFile, replaceFile),
      logStarts: new DurableOffsets(disk, options.dir, logStartFile, replaceFile),
      recoveryPoints: new DurableOffsets(disk, options.dir, recoveryPointFile, replaceFile),
      cleaned: new DurableOffsets(disk, options.dir, cleanerFile, replaceFile),
    };
    this.#compactor = ports.compactor ?? new CompactionPool(options.compaction?.bytesPerSecond ?? compactionBytesPerSecond);
    this.#compaction = new Compaction({
      compactor: this.#compactor,
      checkpoints: this.#ports.cleaned,
      logger: this.#ports.logger,
      keyTableBytes: options.compaction?.keyTableBytes ?? keyTableBytes,
      exclusively: (work) => this.#changes.run(work),
    });
    this.#scrub = new LogScrub({
      partitions: this.#partitions,
      clock: this.#clock,
      random: this.#random,
      logger: this.#ports.logger,
    });
  }

  get partitions(): ReadonlyMap<string, PartitionLog> {
    return this.#partitions;
  }

  get hotBytes(): number {
    let bytes = 0;
    for (const partition of this.#partitions.values()) bytes += partition.hotBytes;
    return bytes;
  }

  partition(topic: TopicName, partition: PartitionId): PartitionLog | undefined {
    return this.#partitions.get(partitionDirectory(topic, partition));
  }

  /** Called once, before anybody else has the log. */
  async recover(): Promise<void> {
    const { dir } = this.#options;
    const names = await this.#disk.readdir(dir);
    const isClean = names.includes(cleanShutdownFile);
    for (const name of names) if (isPassingDirectory(name)) await this.#disk.rm(join(dir, name), { recursive: true, force: true });
    const found = names.filter((name) => partitionOfDirectory(name) !== undefined).sort();
    const slots = new Semaphore(recoveriesAtOnce, Number.POSITIVE_INFINITY);
    // Nothing may be under way where the folder is given up.
    const recovered = await allDone(found.map((name) => slots.run(() => this.#recoverOne(name, isClean))));
    recovered.forEach((partition) => this.#partitions.set(partition.key, partition));
    for (const offsets of this.#checkpoints()) {
      if (offsets.keepOnly((key) => this.#partitions.has(key))) await offsets.write();
    }
    // From here on a stop is clean only if `close` says so.
    await this.#disk.rm(join(dir, cleanShutdownFile), { force: true });
    fsyncDirectorySync(this.#disk, dir);
  }

  async #recoverOne(name: string, isClean: boolean): Promise<HotPartition> {
    const { topic, partition } = partitionOfDirectory(name) as { topic: TopicName; partition: PartitionId };
    const directory = join(this.#options.dir, name);
    const recoveryPoint = this.#ports.recoveryPoints.get(name) ?? 0;
    const recovered = await recoverPartition({
      directory,
      recoveryPoint,
      logStartOffset: this.#ports.logStarts.get(name) ?? 0,
      boundary: this.#ports.boundaries.get(name) ?? 0,
      isClean,
      compactedOffset: this.#ports.cleaned.get(name) ?? 0,
      producerIdExpirationMs: this.#options.producerIdExpirationMs,
      nowMs: this.#clock.nowMs(),
      ports: this.#ports,
      appendTimes: { disk: this.#disk, replaceFile: (path, bytes) => this.#ports.pool.replaceFile(path, bytes) },
      logger: this.#ports.logger,
    });
    const damage =
      recovered.damage ??
      (await this.#flushAnew(directory, recovered.unflushed, recoveryPoint)) ??
      this.#openAnew(directory, recovered.segments.active);
    return new HotPartition({ topic, partition, directory }, { ...recovered, damage }, configAtStart, this.#ports);
  }

  /** Writes what no flush is known to have covered once more, and flushes it. Answers why that failed: that partition is offline, and no other. */
  async #flushAnew(directory: string, segments: readonly Segment[], recoveryPoint: Offset): Promise<LakeError | undefined> {
    const fds: number[] = [];
    try {
      for (const segment of segments) fds.push(segment.file.retain());
      for (const segment of segments) await segment.writeAgain(recoveryPoint);
      if (fds.length > 0) await this.#ports.pool.flush(fds, [directory]);
      return undefined;
    } catch (cause) {
      const hint = 'Look at the disk and its messages, then restart the broker.';
      const what = `what was not flushed of ${directory} could not be written again: ${toLakeError(cause).message}`;
      const error = new LakeError('log-offline', what, { cause, hint });
      this.#ports.logger.error('partition stays offline', { directory, error: error.message });
      return error;
    } finally {
      for (const segment of segments.slice(0, fds.length)) segment.file.release();
    }
  }

  /** Opens the segment that is written, which stays open from here on. Answers why that failed: that partition is offline, and no other. */
  #openAnew(directory: string, { file }: Segment): LakeError | undefined {
    try {
      file.retain();
      file.release();
      return undefined;
    } catch (cause) {
      const error = toLakeError(cause, 'log-offline', file.path);
      this.#ports.logger.error('partition stays offline', { directory, error: error.message });
      return error;
    }
  }

  createPartitions(
    topic: TopicName,
    topicId: TopicId,
    partitions: readonly PartitionId[],
    config: LogConfig,
  ): Promise<readonly PartitionLog[]> {
    return this.#changes.run(() => {
      const slots = new Semaphore(startsAtOnce, partitions.length);
      return allDone(partitions.map((partition) => slots.run(() => this.#createOne(topic, topicId, partition, config))));
    });
  }

  async #createOne(topic: TopicName, topicId: TopicId, partition: PartitionId, config: LogConfig): Promise<PartitionLog> {
    this.#assertOpen();
    const key = partitionDirectory(topic, partition);
    const known = this.#partitions.get(key);
    if (known !== undefined) {
      // A damaged folder that does not say whose it is belongs to the topic of its name: offline, until that is deleted.
      const isUnnamed = known.topicId === zeroTopicId && known.offline !== undefined;
      if (known.topicId !== topicId && !isUnnamed) throw anotherTopic(key, known.topicId, topicId);
      known.updateConfig(config);
      return known;
    }
    await Promise.all(this.#checkpoints().map((offsets) => offsets.remove(key)));
    await this.#makeDirectory(topic, topicId, partition);
    const created = await this.#recoverOne(key, true);
    created.updateConfig(config);
    this.#partitions.set(key, created);
    return created;
  }

  startPartitions(starts: readonly PartitionStart[], onStarted: (count: number) => void = () => undefined): Promise<void> {
    return this.#changes.run(async () => {
      this.#assertOpen();
      const { boundaries, logStarts } = this.#ports;
      for (const { topic, partition, boundary, logStartOffset, startOffset } of starts) {
        const key = partitionDirectory(topic, partition);
        invariant(!this.#partitions.has(key), 'a partition is started once', { key });
        invariant(boundary <= startOffset && logStartOffset <= startOffset, 'a log starts at or above its boundary', { key });
        boundaries.note(key, boundary);
        logStarts.note(key, logStartOffset);
      }
      // Before the folders: a partition that is there begins where it is to.
      await Promise.all([boundaries.write(), logStarts.write()]);
      const slots = new Semaphore(startsAtOnce, starts.length);
      let count = 0;
      const startOne = async ({ topic, topicId, partition, startOffset, leaderEpoch }: PartitionStart): Promise<void> => {
        const key = partitionDirectory(topic, partition);
        await this.#makeDirectory(topic, topicId, partition, { startOffset, epoch: leaderEpoch });
        this.#partitions.set(key, await this.#recoverOne(key, true));
        onStarted(++count);
      };
      await allDone(starts.map((start) => slots.run(() => startOne(start))));
    });
  }

  /** Under a passing name first, so that a kill midway leaves no half partition. */
  async #makeDirectory(
    topic: TopicName,
    topicId: TopicId,
    partition: PartitionId,
    start: EpochStart = { epoch: 0, startOffset: 0 },
  ): Promise<void> {
    const { dir } = this.#options;
    const making = join(dir, passingDirectory(topic, partition, this.#random.bytes(16).toString('hex'), 'creating'));
    await this.#ports.pool.makeFolder(join(dir, partitionDirectory(topic, partition)), making, [
      [partitionMetadataFile, Buffer.from(encodePartitionMetadata(topicId))],
      [leaderEpochFile, Buffer.from(encodeEpochs([start]))],
      [appendTimesFile, encodeSpans(spansFrom(this.#clock.nowMs(), start.startOffset))],
      [offsetFile(start.startOffset, suffixes.log), Buffer.alloc(0)],
    ]);
  }

  deletePartitions(topic: TopicName, partitions: readonly PartitionId[]): Promise<void> {
    return this.#changes.run(async () => {
      this.#assertOpen();
      const { dir } = this.#options;
      const keys = partitions.map((partition) => partitionDirectory(topic, partition)).filter((key) => this.#partitions.has(key));
      const passing = await allDone(keys.map((key) => this.#giveUp(key)));
      if (keys.length > 0) await this.#ports.pool.flush([], [dir]);
      await Promise.all(this.#checkpoints().flatMap((offsets) => keys.map((key) => offsets.remove(key))));
      await allDone(passing.map((path) => this.#disk.rm(path, { recursive: true, force: true })));
    });
  }

  /** Answers under which name its folder is now. */
  async #giveUp(key: string): Promise<string> {
    const known = this.#partitions.get(key)!;
    const { topic, partition } = known;
    this.#partitions.delete(key);
    await known.giveUp(new LakeError('partition-unknown', `${key} was deleted`, { facts: { topic, partition } }));
    const { dir } = this.#options;
    const passing = join(dir, passingDirectory(topic, partition, this.#random.bytes(16).toString('hex'), 'delete'));
    await this.#disk.rename(join(dir, key), passing);
    return passing;
  }

  /** What goes wrong in one partition does not keep the others from their upkeep; the first error is thrown at the end. */
  maintain(nowMs: TimestampMs, hotDiskBytes: number): Promise<EvictResult> {
    return this.#changes.run(async () => {
      this.#assertOpen();
      const tally = new Tally();
      for (const partition of this.#partitions.values()) {
        if (partition.offline === undefined) await tally.add(() => partition.upkeep(nowMs));
        else await partition.damageNoted();
      }
      await this.#evictDownTo(hotDiskBytes, tally);
      await tally.add(() => this.#writeRecoveryPoints());
      return tally.result();
    });
  }

  async #evictDownTo(hotDiskBytes: number, tally: Tally): Promise<void> {
    /** Of these nothing can go now. */
    const kept = new Set<HotPartition>();
    let excess = this.hotBytes - hotDiskBytes;
    while (excess > 0) {
      let oldest: HotPartition | undefined;
      for (const partition of this.#partitions.values()) {
        if (kept.has(partition)) continue;
        if (partition.evictableCount > 0 && (oldest === undefined || partition.oldestAppendMs < oldest.oldestAppendMs)) oldest = partition;
      }
      if (oldest === undefined) return;
      const partition = oldest;
      let isLess = false;
      await tally.add(async () => {
        const evicted = await partition.evict(1);
        isLess = evicted.segments > 0;
        return evicted;
      });
      if (!isLess) kept.add(partition);
      excess = this.hotBytes - hotDiskBytes;
    }
  }

  async #writeRecoveryPoints(): Promise<EvictResult> {
    let isNew = false;
    for (const partition of this.#partitions.values()) {
      if (partition.offline === undefined && this.#ports.recoveryPoints.note(partition.key, partition.flushedOffset)) isNew = true;
    }
    if (isNew) await this.#ports.recoveryPoints.write();
    return { segments: 0, bytes: 0 };
  }

  async compact(nowMs: TimestampMs, signal: AbortSignal): Promise<CompactionTally> {
    this.#assertOpen();
    return this.#compaction.round(this.#partitions, nowMs, signal);
  }

  get scrubbed(): Scrubbed {
    return this.#scrub;
  }

  async scrub(limits: ScrubLimits, signal: AbortSignal): Promise<void> {
    this.#assertOpen();
    await this.#scrub.round(limits, signal);
  }

  async scrubTopic(topic: TopicName, limits: ScrubLimits, signal: AbortSignal, watch?: ScrubWatch): Promise<ScrubFound> {
    this.#assertOpen();
    return this.#scrub.topic(topic, limits, signal, watch);
  }

  evictAll(partitions: readonly PartitionLog[]): Promise<EvictResult> {
    return this.#changes.run(async () => {
      this.#assertOpen();
      const tally = new Tally();
      const nowMs = this.#clock.nowMs();
      for (const partition of this.#partitions.values())
        if (partitions.includes(partition)) await tally.add(() => partition.evictAll(nowMs));
      return tally.result();
    });
  }

  close(): Promise<void> {
    return this.#changes.run(async () => {
      if (this.#isClosed) return;
      this.#isClosed = true;
      await this.#compactor.close();
      const closed = await Promise.all([...this.#partitions.values()].map((partition) => partition.close()));
      try {
        await Promise.all([this.#ports.recoveryPoints.write(), this.#ports.logStarts.write(), this.#ports.boundaries.write()]);
        if (closed.every(Boolean))
          await this.#ports.pool.replaceFile(join(this.#options.dir, cleanShutdownFile), Buffer.from(cleanShutdownText));
      } finally {
        await this.#ports.pool.close();
        await this.#lock.release();
      }
    });
  }

  /** All files that hold an offset a partition. */
  #checkpoints(): readonly DurableOffsets[] {
    const { boundaries, logStarts, recoveryPoints, cleaned } = this.#ports;
    return [boundaries, logStarts, recoveryPoints, cleaned];
  }

  #assertOpen(): void {
    if (this.#isClosed)
      throw new LakeError('log-offline', `the log in ${this.#options.dir} is closed`, { facts: { dir: this.#options.dir } });
  }
}

/** Adds up what went and keeps the first error until all had their turn. */
class Tally {
  #segments = 0;
  #bytes = 0;
  #error: unknown;

  async add(work: () => Promise<EvictResult>): Promise<void> {
    try {
      const { segments, bytes } = await work();
      this.#segments += segments;
      this.#bytes += bytes;
    } catch (error) {
      this.#error ??= error;
    }
  }

  result(): EvictResult {
    if (this.#error !== undefined) throw this.#error;
    return { segments: this.#segments, bytes: this.#bytes };
  }
}

function anotherTopic(key: string, found: TopicId, wanted: TopicId): LakeError {
  return new LakeError('topic-exists', `the folder ${key} belongs to another topic of that name (${found}, not ${wanted})`, {
    hint: 'Delete the partition of the former topic first.',
    facts: { key, found, wanted },
  });
}
