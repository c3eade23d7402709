/**
 * Compacts partitions, the one with most to gain first, pass by pass: holds the segments that a pass reads, puts what came out in their
 * place, and notes how far each key is there once. The work itself is the `Compactor`'s.
 */
import { isLakeError, LakeError, type Offset, type TimestampMs, toLakeError } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import type { CompactedGroup, CompactionJob } from './compact-segments.js';
import { type CompactionPlan, type CompactionRules, planCompaction } from './compaction-plan.js';
import type { Compactor } from './compaction-pool.js';
import type { DurableOffsets } from './durable-offsets.js';
import type { CompactionTally } from './hot-log.js';
import type { Segment } from './segment.js';

/** A partition as compaction sees it. */
export interface CompactablePartition {
  readonly key: string;
  readonly offline: Error | undefined;
  /** What may be compacted; `undefined` where the topic is not. */
  compactionView(): CompactionView | undefined;
  /** Looks whether what a reader met is damage; where it is, the partition goes offline. */
  examine(error: unknown): Promise<boolean>;
  /** Puts the group in the place of `old`; false where these are not all there any more. Not while segments are dropped. */
  replaceSegments(old: readonly Segment[], group: CompactedGroup, swapFiles: () => Promise<void>): Promise<boolean>;
}

export interface CompactionView {
  readonly rules: CompactionRules;
  /** Without the active one and those behind the first that is not flushed. */
  readonly segments: readonly Segment[];
  readonly logStartOffset: Offset;
  readonly flushedOffset: Offset;
  readonly directory: string;
  readonly segmentBytes: number;
  readonly indexIntervalBytes: number;
  readonly producers: ReadonlyMap<bigint, Offset>;
}

export interface CompactionPorts {
  readonly compactor: Compactor;
  readonly checkpoints: DurableOffsets;
  readonly logger: Logger;
  /** Memory of one pass's table of keys. */
  readonly keyTableBytes: number;
  /** While it runs no partition is made, deleted, or loses segments. */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>;
}

interface Due<P> {
  readonly partition: P;
  readonly view: CompactionView;
  readonly plan: CompactionPlan;
}

export class Compaction {
  readonly #ports: CompactionPorts;
  /** Cannot be read: until the next start, which tells why. */
  readonly #unreadable = new WeakSet<CompactablePartition>();

  constructor(ports: CompactionPorts) {
    this.#ports = ports;
  }

  /**
   * Compacts until nothing is due. What goes wrong with a partition is logged, and does not keep the others from their turn.
   * Errors: the signal's reason.
   */
  async round(partitions: ReadonlyMap<string, CompactablePartition>, nowMs: TimestampMs, signal: AbortSignal): Promise<CompactionTally> {
    const tally = { passes: 0, droppedRecords: 0, bytesBefore: 0, bytesAfter: 0 };
    const failed = new Set<CompactablePartition>();
    for (;;) {
      signal.throwIfAborted();
      const due = this.#dirtiest(partitions.values(), failed, nowMs);
      if (due === undefined) return tally;
      try {
        await this.#pass(due, nowMs, signal, tally);
      } catch (error) {
        signal.throwIfAborted();
        if (!isLakeError(error) && (error as NodeJS.ErrnoException).code === undefined) throw error;
        failed.add(due.partition);
        const { message, kind } = toLakeError(error, 'log-offline');
        await due.partition.examine(error);
        if (kind === 'corrupt' || kind === 'invalid') this.#unreadable.add(due.partition);
        this.#ports.logger.error('a partition could not be compacted', { partition: due.partition.key, error: message });
      }
    }
  }

  #dirtiest(
    partitions: Iterable<CompactablePartition>,
    failed: ReadonlySet<CompactablePartition>,
    nowMs: TimestampMs,
  ): Due<CompactablePartition> | undefined {
    let dirtiest: Due<CompactablePartition> | undefined;
    for (const partition of partitions) {
      if (partition.offline !== undefined || failed.has(partition) || this.#unreadable.has(partition)) continue;
      const view = partition.compactionView();
      if (view === undefined) continue;
      const plan = planCompaction({ ...view, checkpoint: this.#ports.checkpoints.get(partition.key) }, view.rules, nowMs);
      if (plan?.isDue !== true) continue;
      if (dirtiest === undefined || plan.dirtyRatio > dirtiest.plan.dirtyRatio) dirtiest = { partition, view, plan };
    }
    return dirtiest;
  }

  async #pass(
    { partition, view, plan }: Due<CompactablePartition>,
    nowMs: TimestampMs,
    signal: AbortSignal,
    tally: { passes: number; droppedRecords: number; bytesBefore: number; bytesAfter: number },
  ): Promise<void> {
    const { compactor, checkpoints, exclusively, logger, keyTableBytes } = this.#ports;
    const segments = view.segments.filter((segment) => segment.nextOffset <= plan.endOffset);
    const held: Segment[] = [];
    try {
      const job: CompactionJob = {
        directory: view.directory,
        segments: segments.map((segment) => {
          const fd = segment.file.retain();
          held.push(segment);
          const { baseOffset, nextOffset, bytes, lastAppendMs } = segment;
          return { baseOffset, nextOffset, bytes, lastAppendMs, fd };
        }),
        firstDirtyOffset: plan.firstDirtyOffset,
        nowMs,
        deleteRetentionMs: view.rules.deleteRetentionMs,
        segmentBytes: view.segmentBytes,
        indexIntervalBytes: view.indexIntervalBytes,
        keyTableBytes,
        producers: view.producers,
      };
      let first = 0;
      let [droppedRecords, bytesBefore, bytesAfter] = [0, 0, 0];
      const { cleanOffset, keys } = await compactor.compact(
        job,
        async (group) => {
          const old = segments.slice(first, first + group.segments);
          first += group.segments;
          droppedRecords += group.droppedRecords;
          bytesBefore += old.reduce((sum, segment) => sum + segment.bytes, 0);
          bytesAfter += group.bytes;
          if (!group.isChanged) return;
          const swap = { directory: view.directory, baseOffset: group.baseOffset, nextOffset: group.nextOffset };
          const isReplaced = await exclusively(() => partition.replaceSegments(old, group, () => compactor.swap(swap)));
          if (!isReplaced) throw superseded(partition.key);
        },
        signal,
      );
      // Not for a partition that was deleted meanwhile: another may have its name.
      await exclusively(async () => {
        if (partition.offline === undefined) await checkpoints.set(partition.key, cleanOffset);
      });
      tally.passes++;
      tally.droppedRecords += droppedRecords;
      tally.bytesBefore += bytesBefore;
      tally.bytesAfter += bytesAfter;
      logger.info('partition compacted', { partition: partition.key, cleanOffset, keys, droppedRecords, bytesBefore, bytesAfter });
    } finally {
      for (const segment of held) segment.file.release();
    }
  }
}

function superseded(key: string): LakeError {
  return new LakeError('log-offline', `segments of ${key} were dropped while they were compacted`, { hint: 'It is tried again.' });
}
