/**
 * One partition: the order of its segments, who may append what, and which offsets mean what. Appends are synchronous, so
 * that the producer check, the write and the new log end are one step of the event loop.
 */
import { join } from 'node:path';
import {
  type Disk,
  invariant,
  LakeError,
  type LeaderEpoch,
  type Offset,
  type PartitionId,
  type TimestampMs,
  toLakeError,
  type TopicId,
  type TopicName,
} from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import { batchBytes, batchLastOffsetDelta, batchMaxTimestamp, patchBatch } from '../wire/index.js';
import type { Spans } from './append-spans.js';
import type { AppendTimes } from './append-times.js';
import { ReadPlaces, readBatches } from './batch-reads.js';
import { BackgroundSaves } from './background-saves.js';
import type { CompactedGroup } from './compact-segments.js';
import type { CompactablePartition, CompactionView } from './compaction.js';
import { encodeEpochs } from './checkpoint-text.js';
import { type DamagedPartition, DamageResponse } from './damage-response.js';
import type { DurableOffsets } from './durable-offsets.js';
import type { Flusher } from './flush-pool.js';
import type { AppendResult, EvictResult, LogConfig, LogRead, PartitionLog } from './hot-log.js';
import { storageError } from './job-threads.js';
import type { LeaderEpochs } from './leader-epochs.js';
import { leaderEpochFile, partitionDirectory } from './log-files.js';
import type { ScrubbablePartition } from './log-scrub.js';
import { LowerOffsets } from './lower-offsets.js';
import { type FlushedPartition, PartitionFlush } from './partition-flush.js';
import type { ProducerSnapshot, ProducerSnapshotFiles } from './producer-snapshot-files.js';
import type { ProducerStates } from './producer-states.js';
import type { RecoveredPartition } from './recovery.js';
import type { SegmentList } from './segment-list.js';
import { SegmentRemoval, type ShrinkingPartition } from './segment-removal.js';
import { Segment, type SegmentPorts } from './segment.js';
import { compactionViewOf, replaceSegments } from './segment-replacement.js';
import { findByTimestamp, findMaxTimestamp } from './timestamp-lookup.js';

export interface PartitionPorts extends SegmentPorts {
  readonly disk: Disk;
  readonly pool: Flusher;
  readonly boundaries: DurableOffsets;
  readonly logStarts: DurableOffsets;
  readonly recoveryPoints: DurableOffsets;
  /** How far partitions are compacted. */
  readonly cleaned: DurableOffsets;
  readonly logger: Logger;
}

export class HotPartition
  implements PartitionLog, CompactablePartition, ShrinkingPartition, ScrubbablePartition, FlushedPartition, DamagedPartition
{
  readonly topic: TopicName;
  readonly partition: PartitionId;
  readonly topicId: TopicId;
  readonly key: string;
  readonly #directory: string;
  readonly #ports: PartitionPorts;
  readonly #segments: SegmentList;
  readonly #epochs: LeaderEpochs;
  readonly #producers: ProducerStates;
  readonly #producerSnapshots: ProducerSnapshotFiles;
  readonly #appendTimes: AppendTimes | undefined;
  readonly #flushes: PartitionFlush;
  readonly #lower: LowerOffsets;
  readonly #places = new ReadPlaces();
  /** What a roll left behind, and the like. */
  readonly #saves: BackgroundSaves;
  readonly #removal: SegmentRemoval;
  readonly #damage: DamageResponse;
  readonly #listeners = new Set<() => void>();
  #config: LogConfig;
  #localStartOffset: Offset;
  #logEndOffset: Offset;
  #offline: LakeError | undefined;
  /** Set while it is being closed: what has come is made durable, and nothing more comes. */
  #closing: LakeError | undefined;
  /** The active segment's file is held open for appends. */
  #holdsActive = false;

  constructor(
    name: { readonly topic: TopicName; readonly partition: PartitionId; readonly directory: string },
    recovered: RecoveredPartition,
    config: LogConfig,
    ports: PartitionPorts,
  ) {
    this.topic = name.topic;
    this.partition = name.partition;
    this.topicId = recovered.topicId;
    this.key = partitionDirectory(name.topic, name.partition);
    this.#directory = name.directory;
    this.#ports = ports;
    this.#saves = new BackgroundSaves(name.directory, ports.logger);
    this.#segments = recovered.segments;
    this.#epochs = recovered.epochs;
    this.#producers = recovered.producers;
    this.#producerSnapshots = recovered.producerSnapshots;
    this.#appendTimes = recovered.appendTimes;
    this.#config = config;
    this.#logEndOffset = recovered.segments.active.nextOffset;
    this.#localStartOffset = recovered.segments.unbrokenFrom;
    this.#offline = recovered.damage;
    this.#flushes = new PartitionFlush(this, this.#logEndOffset, {
      directory: name.directory,
      pool: ports.pool,
      onFlushed: () => this.#changed(),
    });
    this.#lower = new LowerOffsets(this, recovered, {
      boundaries: ports.boundaries,
      logStarts: ports.logStarts,
      onLogStart: (offset) => this.#forgetEpochsBelow(offset),
    });
    this.#removal = new SegmentRemoval(this, {
      segments: this.#segments,
      producers: this.#producers,
      snapshots: this.#producerSnapshots,
      saves: this.#saves,
      logger: ports.logger,
      moveLogStart: (offset) => this.#lower.moveLogStart(offset),
      onRemoved: () => {
        this.#localStartOffset = this.#segments.unbrokenFrom;
        this.#changed();
      },
    });
    this.#damage = new DamageResponse(this, {
      directory: name.directory,
      segments: this.#segments,
      places: this.#places,
      removal: this.#removal,
      pool: ports.pool,
      recoveryPoints: ports.recoveryPoints,
      logger: ports.logger,
    });
    if (this.#offline === undefined) {
      this.#segments.active.file.retain();
      this.#holdsActive = true;
      this.#segments.active.indexIntervalBytes = config.indexIntervalBytes;
      this.saveIndexesInBackground(...this.#segments.all.slice(0, -1));
    }
  }

  get logStartOffset(): Offset {
    return this.#lower.logStartOffset;
  }

  get localStartOffset(): Offset {
    return Math.max(this.#localStartOffset, this.#lower.logStartOffset);
  }

  get boundary(): Offset {
    return this.#lower.boundary;
  }

  get flushedOffset(): Offset {
    return this.#flushes.offset;
  }

  get logEndOffset(): Offset {
    return this.#logEndOffset;
  }

  get highWatermark(): Offset {
    return this.#logEndOffset;
  }

  get lastStableOffset(): Offset {
    return this.#logEndOffset;
  }

  get leaderEpoch(): LeaderEpoch {
    return this.#epochs.latest;
  }

  get hotBytes(): number {
    return this.#segments.bytes;
  }

  get tailBytes(): number {
    const { boundary } = this;
    let bytes = 0;
    for (const { baseOffset, nextOffset, bytes: segmentBytes } of this.#segments.all) {
      if (baseOffset >= boundary) bytes += segmentBytes;
      else if (nextOffset > boundary) bytes += Math.round((segmentBytes * (nextOffset - boundary)) / (nextOffset - baseOffset));
    }
    return bytes;
  }

  get segmentCount(): number {
    return this.#segments.count;
  }

  get compactedOffset(): Offset {
    return this.#ports.cleaned.get(this.key) ?? 0;
  }

  get offline(): Error | undefined {
    return this.#offline;
  }

  get config(): LogConfig {
    return this.#config;
  }

  append(batch: Buffer, nowMs: TimestampMs): AppendResult {
    this.#assertOnline();
    if (this.#closing !== undefined) throw this.#closing;
    invariant(batch.length === batchBytes(batch, 0), 'exactly one batch is appended', { bytes: batch.length });
    if (batch.length > this.#config.segmentBytes) {
      throw new LakeError(
        'record-list-too-large',
        `a batch of ${batch.length} bytes does not fit a segment of ${this.#config.segmentBytes}`,
        {
          hint: 'Produce smaller batches, or raise segment.bytes of the topic.',
          facts: { topic: this.topic, partition: this.partition, bytes: batch.length },
        },
      );
    }
    if (!this.#producers.check(batch, 0)) {
      return { ...this.#producers.duplicate, isDuplicate: true, logStartOffset: this.#lower.logStartOffset };
    }
    const baseOffset = this.#logEndOffset;
    const lastOffset = baseOffset + batchLastOffsetDelta(batch, 0);
    const maxTimestampMs = batchMaxTimestamp(batch, 0);
    if (this.#segments.active.mustRollFor(batch.length, lastOffset, nowMs, this.#config)) this.roll(nowMs);
    const segment = this.#segments.active;
    const position = segment.bytes;
    patchBatch(batch, 0, baseOffset, this.#epochs.latest);
    this.#flushes.note(segment);
    try {
      segment.file.appendSync(batch);
    } catch (error) {
      throw this.#writeFailed(segment, position, error);
    }
    segment.note(position, batch.length, lastOffset, maxTimestampMs, nowMs);
    this.#producers.note(batch, 0, lastOffset, nowMs);
    this.#logEndOffset = lastOffset + 1;
    this.#appendTimes?.note(nowMs, this.#logEndOffset);
    this.#changed();
    return { baseOffset, lastOffset, isDuplicate: false, maxTimestampMs, logStartOffset: this.#lower.logStartOffset };
  }

  /** A full disk refuses the batch and no more, if what was written of it can be dropped; any other failure is for good. */
  #writeFailed(segment: Segment, position: number, error: unknown): LakeError {
    const failure = storageError(`a write to ${segment.file.path} failed`, (error as NodeJS.ErrnoException).code, error);
    if (failure.code === 'disk-full') {
      try {
        segment.file.cutSync(position);
        return failure;
      } catch (cause) {
        return this.goOffline(new LakeError('log-offline', `${segment.file.path} could not be cut back`, { cause }));
      }
    }
    return this.goOffline(failure);
  }

  /** Refuses everything from now on with the first such error, which is returned. */
  goOffline(error: LakeError): LakeError {
    if (this.#offline !== undefined) return this.#offline;
    this.#offline = error;
    const facts = { topic: this.topic, partition: this.partition, error: error.message, hint: error.hint };
    this.#ports.logger.error('partition goes offline', facts);
    this.#changed();
    return error;
  }

  #assertOnline(): void {
    if (this.#offline !== undefined) throw this.#offline;
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Begins a new segment. Errors: `disk-full`, where nothing has changed, and `log-offline`. */
  roll(nowMs: TimestampMs): void {
    this.#assertOnline();
    const old = this.#segments.active;
    let fresh: Segment;
    try {
      fresh = Segment.createSync(this.#directory, this.#logEndOffset, this.#ports, {
        nowMs,
        indexIntervalBytes: this.#config.indexIntervalBytes,
      });
      fresh.file.retain();
    } catch (error) {
      const failure = storageError(`a new segment in ${this.#directory} failed`, (error as NodeJS.ErrnoException).code, error);
      throw failure.code === 'disk-full' ? failure : this.goOffline(failure);
    }
    old.seal();
    old.file.release();
    this.#segments.add(fresh);
    this.#flushes.noteDirectory();
    this.saveProducersInBackground();
    this.saveIndexesInBackground(old);
    void this.flush().catch(() => undefined);
  }

  /** Of everything that was appended so far. */
  get #presentProducers(): ProducerSnapshot {
    return { offset: this.#logEndOffset, entries: this.#producers.toSnapshot() };
  }

  saveProducersInBackground(): void {
    const snapshot = this.#presentProducers;
    this.#saves.add(() => this.#producerSnapshots.save(snapshot, this.#ports.pool));
  }

  saveIndexesInBackground(...segments: readonly Segment[]): void {
    for (const segment of segments) this.#saves.add(() => segment.saveIndexes((path, bytes) => this.#ports.pool.replaceFile(path, bytes)));
  }

  async flush(upTo: Offset = this.#logEndOffset): Promise<{ readonly flushedOffset: Offset; readonly leaderEpoch: LeaderEpoch }> {
    this.#assertOnline();
    if (upTo > this.#logEndOffset) throw this.#outOfRange(upTo);
    if (upTo > this.#flushes.offset) await this.#flushes.reach(upTo);
    return { flushedOffset: this.#flushes.offset, leaderEpoch: this.#epochs.latest };
  }

  async read(
    offset: Offset,
    maxBytes: number,
    options: { readonly isMinOneBatch: boolean; readonly endOffset?: Offset },
  ): Promise<LogRead> {
    return this.#damage.reading(async () => {
      if (offset < this.localStartOffset || offset > this.#logEndOffset) throw this.#outOfRange(offset);
      if (offset === this.#logEndOffset) this.#places.note(this.#segments.active, offset, this.#segments.active.bytes);
      const endOffset = Math.min(options.endOffset ?? this.#logEndOffset, this.#logEndOffset);
      return readBatches(this.#segments, this.#places, { offset, endOffset, maxBytes, isMinOneBatch: options.isMinOneBatch });
    });
  }

  examine(error: unknown): Promise<boolean> {
    return this.#damage.examine(error);
  }

  /** See `DamageResponse.noted`. */
  damageNoted(): Promise<void> {
    return this.#damage.noted();
  }

  verify(from: Offset, to: Offset): Promise<Error | undefined> {
    return this.#damage.verify(from, to);
  }

  segmentAt(offset: Offset): Segment | undefined {
    return this.#segments.at(offset);
  }

  async offsetForTimestamp(timestampMs: TimestampMs, fromOffset: Offset): ReturnType<PartitionLog['offsetForTimestamp']> {
    const found = await this.#damage.reading(() =>
      findByTimestamp(this.#segments, timestampMs, Math.max(fromOffset, this.localStartOffset), this.#logEndOffset),
    );
    return found === null ? null : { ...found, leaderEpoch: this.epochForOffset(found.offset) };
  }

  async maxTimestamp(): ReturnType<PartitionLog['maxTimestamp']> {
    const found = await this.#damage.reading(() => findMaxTimestamp(this.#segments, this.localStartOffset, this.#logEndOffset));
    return found === null ? null : { ...found, leaderEpoch: this.epochForOffset(found.offset) };
  }

  get appendsKnownSinceMs(): TimestampMs | undefined {
    return this.#appendTimes?.sinceMs;
  }

  async appendSpans(): Promise<Spans> {
    return this.#damage.reading(async () => this.#appendTimes?.spans() ?? []);
  }

  settledAppendMs(nowMs: TimestampMs): TimestampMs {
    return this.#appendTimes?.settledMs(nowMs) ?? nowMs - 1;
  }

  epochForOffset(offset: Offset): LeaderEpoch {
    return this.#epochs.epochFor(offset);
  }

  endOfEpoch(epoch: LeaderEpoch): ReturnType<PartitionLog['endOfEpoch']> {
    return this.#epochs.endOf(epoch, this.#logEndOffset);
  }

  producers(): ReturnType<PartitionLog['producers']> {
    return this.#producers.latest();
  }

  get mayBeCold(): boolean {
    return this.#lower.mayBeCold;
  }

  async moveBoundary(boundary: Offset, logStartOffset: Offset): Promise<void> {
    this.#assertOnline();
    await this.#lower.move(boundary, logStartOffset, this.#flushes.offset);
    this.#changed();
  }

  async raiseLogStart(logStartOffset: Offset): Promise<Offset> {
    this.#assertOnline();
    if (logStartOffset > this.highWatermark) throw this.#outOfRange(logStartOffset);
    if (logStartOffset > this.logStartOffset) {
      // Else a power cut could leave a log that ends below its start.
      await this.flush(logStartOffset);
      // Not for a partition that was deleted meanwhile: another may have its name.
      this.#assertOnline();
      await this.#lower.moveLogStart(logStartOffset);
      this.#changed();
    }
    return this.logStartOffset;
  }

  onChange(listener: () => void): () => void {
    const own = (): void => listener();
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  updateConfig(config: LogConfig): void {
    this.#config = config;
    this.#segments.active.indexIntervalBytes = config.indexIntervalBytes;
  }

  compactionView(): CompactionView | undefined {
    return compactionViewOf(this.#config, {
      segments: this.#segments,
      logStartOffset: this.logStartOffset,
      flushedOffset: this.flushedOffset,
      directory: this.#directory,
      producers: this.#producers,
    });
  }

  async replaceSegments(old: readonly Segment[], group: CompactedGroup, swapFiles: () => Promise<void>): Promise<boolean> {
    this.#assertOnline();
    const place = { directory: this.#directory, segments: this.#segments, places: this.#places, ports: this.#ports };
    const fresh = await replaceSegments(place, old, group, this.#config.indexIntervalBytes, async () => {
      try {
        await swapFiles();
      } catch (error) {
        // Which of the files count is known again at the next start.
        throw this.goOffline(toLakeError(error, 'log-offline'));
      }
    });
    if (fresh === undefined) return false;
    this.saveIndexesInBackground(fresh);
    this.#changed();
    return true;
  }

  /** Rolls by age, forgets silent producers, and drops what retention allows. */
  async upkeep(nowMs: TimestampMs): Promise<EvictResult> {
    this.#producers.expire(nowMs);
    this.#saves.add(async () => this.#appendTimes?.maintain(nowMs, this.logStartOffset));
    if (this.#segments.active.isOlderThan(this.#config.segmentMs, nowMs)) this.roll(nowMs);
    const deleted = await this.#removal.dropDeleted(nowMs);
    const expired = await this.#removal.dropExpired(nowMs);
    return { segments: deleted.segments + expired.segments, bytes: deleted.bytes + expired.bytes };
  }

  /** Segments that lie wholly below the boundary and are not written any more. */
  get evictableCount(): number {
    return this.#removal.evictableCount;
  }

  /** When the oldest segment was written last: which partition's goes first when the disk is short. */
  get oldestAppendMs(): TimestampMs {
    return (this.#segments.all[0] as Segment).lastAppendMs;
  }

  /** Evicts so many of the oldest, or fewer: see `SegmentRemoval.drop`. */
  evict(count: number): Promise<EvictResult> {
    return this.#removal.drop(Math.min(count, this.evictableCount));
  }

  /** Rolls where part of the active segment lies below the boundary, and evicts all that can go. */
  async evictAll(nowMs: TimestampMs): Promise<EvictResult> {
    this.#assertOnline();
    return this.#removal.evictAll(nowMs);
  }

  /** Those that end below the log start are of no use to anybody. */
  #forgetEpochsBelow(logStartOffset: Offset): void {
    if (!this.#epochs.forgetBelow(logStartOffset)) return;
    const bytes = Buffer.from(encodeEpochs(this.#epochs.entries));
    this.#saves.add(() => this.#ports.pool.replaceFile(join(this.#directory, leaderEpochFile), bytes));
  }

  /** Makes everything durable that a clean start takes as it is. True where that holds. */
  async close(): Promise<boolean> {
    if (this.#offline !== undefined) {
      await this.giveUp(this.#offline);
      return false;
    }
    // What came behind the last flush would count as flushed after the next start, and a power cut could take it then.
    this.#closing = new LakeError('log-offline', `${this.key} is closed`, { hint: 'Wait for the broker to start again.' });
    this.#appendTimes?.close();
    const isClean = await this.#saveAll().then(
      () => true,
      () => false,
    );
    this.#ports.recoveryPoints.note(this.key, this.flushedOffset);
    await this.giveUp(this.#closing);
    return isClean;
  }

  async #saveAll(): Promise<void> {
    await this.flush();
    await this.#saves.settled;
    for (const segment of this.#segments.all) await segment.saveIndexes((path, bytes) => this.#ports.pool.replaceFile(path, bytes));
    await this.#producerSnapshots.save(this.#presentProducers, this.#ports.pool);
  }

  /** Refuses everything from now on and lets go of the files; reads and flushes under way keep theirs until they end. */
  async giveUp(reason: LakeError): Promise<void> {
    this.#offline ??= reason;
    await Promise.all([this.#saves.settled, this.#damage.noted()]);
    for (const segment of this.#segments.all) {
      this.#ports.indexCache.forget(segment);
      segment.file.giveUp();
    }
    this.#flushes.letGo();
    if (this.#holdsActive) this.#segments.active.file.release();
    this.#holdsActive = false;
    this.#changed();
  }

  #outOfRange(offset: Offset): LakeError {
    return new LakeError(
      'offset-out-of-range',
      `offset ${offset} of ${this.key} is not in [${this.localStartOffset}, ${this.#logEndOffset}]`,
      {
        hint: 'Begin at an offset between the log start and the log end.',
        facts: { topic: this.topic, partition: this.partition, offset, localStart: this.localStartOffset, logEnd: this.#logEndOffset },
      },
    );
  }
}
