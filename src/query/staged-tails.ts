/**
 * The part of the hot log that one query holds, per topic and partition: what its scans can find rows in, fetched from the broker or
 * still there from an earlier query. Held until `release`.
 */
import { isLakeError, MiB, type Offset, sum } from '../kernel/index.js';
import { damagedTail } from './damaged-tail.js';
import { valueFormatOf } from './format-of-then.js';
import type { PinnedPartition, PinnedTopic } from './pin.js';
import { fullScan, partitionRange, type ScanRange, type Scans } from './ranges.js';
import type { RunContext } from './run-context.js';
import { type TailBudget, type TailChunk, type TailLease, type TailPartition, tailTooLarge } from './tail.js';

/** Below this, finding out where a time begins costs more than staging what lies before it. */
const timeLookupBytesMin = 4 * MiB;

export interface StagedTail {
  readonly partition: PinnedPartition;
  readonly lease: TailLease;
}

export class StagedTails {
  readonly #run: RunContext;
  readonly #tails = new Map<string, StagedTail[]>();

  constructor(run: RunContext) {
    this.#run = run;
  }

  of(topic: PinnedTopic): readonly StagedTail[] {
    return this.#tails.get(topic.state.name) ?? [];
  }

  chunksOf(topic: PinnedTopic, partition: number): readonly TailChunk[] {
    return this.of(topic).find((tail) => tail.partition.partition === partition)?.lease.chunks ?? [];
  }

  release(): void {
    for (const tails of this.#tails.values()) for (const tail of tails) tail.lease.release();
  }

  /** By estimate, and only where it is far above; a near miss is found while fetching. */
  refuseLarge(pinned: readonly PinnedTopic[], scans: Scans | undefined): void {
    const isUnpruned = (topic: PinnedTopic): boolean =>
      (scans?.get(topic.state.name) ?? [fullScan]).every(
        (range) => range.timestampsMs.min === Number.NEGATIVE_INFINITY && range.offsets.min === Number.NEGATIVE_INFINITY,
      );
    const topics = pinned.filter(isUnpruned);
    const partitions = topics.flatMap((topic) => {
      const ranges = scans?.get(topic.state.name) ?? [fullScan];
      return topic.partitions.filter((partition) => partitionRange(ranges, partition.partition) !== undefined);
    });
    const bytes = Math.round(sum(partitions.map((partition) => partition.tailBytesEstimate)));
    const { tailMaxBytes } = this.#run.ports.limits;
    if (bytes <= 2 * tailMaxBytes) return;
    const lag = sum(partitions.map((partition) => partition.endOffset - Math.max(partition.boundary, partition.startOffset)));
    throw tailTooLarge(topics.map((topic) => topic.state.name).join(', '), bytes, tailMaxBytes, lag);
  }

  async lease(pinned: readonly PinnedTopic[], scans: Scans | undefined, budget: TailBudget): Promise<void> {
    this.#run.record.phase = 'staging';
    this.#run.record.stages.enter('stage');
    const work = pinned.flatMap((topic) => {
      const leases: StagedTail[] = [];
      this.#tails.set(topic.state.name, leases);
      const ranges = scans?.get(topic.state.name) ?? [fullScan];
      return topic.partitions.map(async (partition) => {
        const bounds = await this.#boundsOf(topic, partition, ranges);
        if (bounds === undefined) return;
        const lease = await this.#leaseOf(tailPartition(topic, partition), bounds, budget);
        leases.push({ partition, lease });
        this.#run.record.stats.cache_hits += lease.cacheHits;
        this.#run.record.stats.staged_rows += lease.stagedRows;
      });
    });
    const failed = (await Promise.allSettled(work)).find((outcome) => outcome.status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
    this.#run.record.phase = 'planning';
    this.#run.record.stages.enter('plan');
  }

  async #leaseOf(of: TailPartition, bounds: { readonly from: Offset; readonly end: Offset }, budget: TailBudget): Promise<TailLease> {
    const { ports, signal } = this.#run;
    try {
      return await ports.tails.lease(of, bounds.from, bounds.end, budget, signal);
    } catch (error) {
      throw isLakeError(error, 'batch-corrupt') ? await damagedTail(ports.control, of, bounds, error, signal) : error;
    }
  }

  /** The part of a partition's tail that the scans can find rows in; `undefined` where none. */
  async #boundsOf(
    topic: PinnedTopic,
    partition: PinnedPartition,
    ranges: readonly ScanRange[],
  ): Promise<{ readonly from: number; readonly end: number } | undefined> {
    const range = partitionRange(ranges, partition.partition);
    if (range === undefined) return undefined;
    let from = Math.max(partition.boundary, partition.startOffset, range.offsets.min);
    const end = Math.min(partition.endOffset, range.offsets.max + 1);
    const isLong = partition.tailBytesEstimate >= timeLookupBytesMin;
    if (from < end && isLong && range.timestampsMs.min > 0 && Number.isFinite(range.timestampsMs.min)) {
      const ask = [{ partition: partition.partition, timestampMs: range.timestampsMs.min }];
      const [found] = await this.#run.ports.reader.listOffsets(topic.state.name, ask, this.#run.signal);
      if (found !== undefined && found.errorCode === 0) from = Math.max(from, found.offset < 0 ? end : found.offset);
    }
    return from < end ? { from, end } : undefined;
  }
}

function tailPartition(topic: PinnedTopic, partition: PinnedPartition) {
  return {
    topic: topic.state.name,
    topicId: topic.state.id,
    partition: partition.partition,
    leaderEpoch: partition.leaderEpoch,
    compactedOffset: partition.compactedOffset,
    valueFormat: valueFormatOf(topic),
  };
}
