/**
 * What goes of a partition, from its oldest segment on: records that were deleted, those beyond retention, and copies of what the table
 * has. Whatever the reason, segments go only where a start will still know their producers.
 */
import { none, type Offset, type TimestampMs } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import type { BackgroundSaves } from './background-saves.js';
import type { EvictResult, LogConfig, PartitionLog } from './hot-log.js';
import type { ProducerSnapshotFiles } from './producer-snapshot-files.js';
import type { ProducerStates } from './producer-states.js';
import { expiredSegments } from './retention.js';
import type { SegmentList } from './segment-list.js';
import type { Segment } from './segment.js';

/** `local.retention.*` = −2: as `retention.*` says (KIP-405). */
const asTotalRetention = -2;

const nothing: EvictResult = { segments: 0, bytes: 0 };

/** A partition as removal sees it. */
export interface ShrinkingPartition
  extends Pick<PartitionLog, 'topic' | 'partition' | 'offline' | 'logStartOffset' | 'boundary' | 'flushedOffset' | 'flush'> {
  readonly config: LogConfig;
  roll(nowMs: TimestampMs): void;
  /** Of all that was appended so far, behind what is being saved. */
  saveProducersInBackground(): void;
}

export interface RemovalPorts {
  readonly segments: SegmentList;
  readonly producers: ProducerStates;
  readonly snapshots: ProducerSnapshotFiles;
  readonly saves: BackgroundSaves;
  readonly logger: Logger;
  /** The log start is this, or above it, and on disk, when it resolves. */
  readonly moveLogStart: (offset: Offset) => Promise<void>;
  readonly onRemoved: () => void;
}

export class SegmentRemoval {
  readonly #partition: ShrinkingPartition;
  readonly #ports: RemovalPorts;
  /** Segments that may go are kept, which was said: no snapshot of their producers can be saved. */
  #keepsForProducers = false;

  constructor(partition: ShrinkingPartition, ports: RemovalPorts) {
    this.#partition = partition;
    this.#ports = ports;
  }

  /** Segments wholly below the log start, which is on disk: nobody may read them, whether they were tiered or not. */
  async dropDeleted(nowMs: TimestampMs): Promise<EvictResult> {
    const { segments } = this.#ports;
    const { logStartOffset } = this.#partition;
    const { active } = segments;
    if (active.bytes > 0 && active.nextOffset <= logStartOffset) this.#partition.roll(nowMs);
    const first = segments.all.findIndex((segment) => segment.nextOffset > logStartOffset);
    return this.drop(first < 0 ? segments.count - 1 : first);
  }

  /** What retention rules: of a tiered topic copies of what the table has, of any other records. */
  async dropExpired(nowMs: TimestampMs): Promise<EvictResult> {
    const { config, boundary, flushedOffset, logStartOffset } = this.#partition;
    if (config.isTiered) {
      const ms = config.localRetentionMs === asTotalRetention ? config.retentionMs : config.localRetentionMs;
      const bytes = config.localRetentionBytes === asTotalRetention ? config.retentionBytes : config.localRetentionBytes;
      return this.drop(this.#expired({ ms, bytes, belowOffset: boundary }, nowMs));
    }
    const count = this.#expired({ ms: config.retentionMs, bytes: config.retentionBytes, belowOffset: flushedOffset }, nowMs);
    const first = this.#ports.segments.all[count] as Segment;
    if (count > 0 && first.baseOffset > logStartOffset) await this.#ports.moveLogStart(first.baseOffset);
    return this.drop(count);
  }

  /** Segments beyond a rule; the active one is rolled first where it is among them. */
  #expired(rule: { readonly ms: number; readonly bytes: number; readonly belowOffset: Offset }, nowMs: TimestampMs): number {
    const { segments } = this.#ports;
    const count = expiredSegments(segments.all, rule, nowMs);
    if (count === segments.count) this.#partition.roll(nowMs);
    return count;
  }

  /** Segments that lie wholly below the boundary and are not written any more. */
  get evictableCount(): number {
    const { offline, config, boundary } = this.#partition;
    if (offline !== undefined || !config.isTiered) return 0;
    const { segments } = this.#ports;
    const first = segments.all.findIndex((segment) => segment.nextOffset > boundary);
    return Math.min(first < 0 ? segments.count : first, segments.count - 1);
  }

  /** Rolls where part of the active segment lies below the boundary, and evicts all that can go. */
  async evictAll(nowMs: TimestampMs): Promise<EvictResult> {
    const { active } = this.#ports.segments;
    if (active.bytes > 0 && active.baseOffset < this.#partition.boundary) this.#partition.roll(nowMs);
    return this.drop(this.evictableCount);
  }

  /**
   * Takes the oldest segments out and removes their files; reads under way go on. Fewer than `count`, or none, where a start would no
   * longer know the producers of what is in them. Errors: `log-offline`, where what is to know them cannot be flushed.
   */
  async drop(count: number): Promise<EvictResult> {
    if (count === 0) return nothing;
    const { segments, snapshots } = this.#ports;
    const upTo = await this.#producersKnownUpTo((segments.all[count] as Segment).baseOffset);
    // Others may have dropped some meanwhile, or ended the partition.
    if (this.#partition.offline !== undefined) return nothing;
    const dropped = segments.takeBelow(upTo);
    this.#ports.onRemoved();
    let bytes = 0;
    for (const segment of dropped) {
      bytes += segment.bytes;
      await segment.remove();
    }
    await snapshots.removeBelow((segments.all[0] as Segment).baseOffset);
    return { segments: dropped.length, bytes };
  }

  /**
   * How far below `offset` segments may go, so that a start knows every producer of theirs that is remembered today: by a snapshot that is
   * on disk, at an offset that is flushed. That of a roll is saved behind its back, and may have failed.
   */
  async #producersKnownUpTo(offset: Offset): Promise<Offset> {
    const { producers, snapshots, saves, logger } = this.#ports;
    if (producers.count === 0) return offset;
    const partition = this.#partition;
    await saves.settled;
    if (snapshots.savedTo < offset && partition.offline === undefined) {
      partition.saveProducersInBackground();
      await saves.settled;
    }
    const { savedTo } = snapshots;
    const isKept = savedTo < offset;
    if (isKept && !this.#keepsForProducers) {
      logger.warn('segments stay until a snapshot of their producers can be saved', {
        topic: partition.topic,
        partition: partition.partition,
        from: savedTo === none ? 0 : savedTo,
        to: offset,
      });
    }
    this.#keepsForProducers = isKept;
    if (partition.offline === undefined && savedTo > partition.flushedOffset) await partition.flush(savedTo);
    return Math.min(offset, savedTo);
  }
}
