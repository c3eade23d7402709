/**
 * Raises a topic's log starts in its table: to where the broker's lie, as soon as it is heard that records were deleted, and by
 * retention, every so often. One commit for all partitions of the topic; the broker is told afterwards.
 *
 *     DeleteRecords ──► broker's log start ──told──┐
 *                                                  ├──► log start of the table ──reported──► broker
 *     retention.ms, retention.bytes ──every so often┘
 */
import { backoffMs, isLakeError, type LakeError, type PartitionId, toLakeError } from '../kernel/index.js';
import {
  boundaryOf,
  filesOfPartition,
  type LogStartMove,
  logStartOf,
  type RangeMove,
  type TableChange,
  type TableSnapshot,
  type TopicTable,
} from '../lake/index.js';
import type { Logger } from '../telemetry/index.js';
import { withDeadline } from './deadline.js';
import type { TierPorts } from './ports.js';
import { retainedFrom, type RetentionRule } from './retention.js';
import type { TieredPartition } from './tiered-partition.js';

export interface Expired {
  readonly snapshot: TableSnapshot;
  readonly commitId: string;
  readonly partitions: readonly PartitionId[];
}

export class TopicExpiry {
  readonly #ports: TierPorts;
  readonly #table: TopicTable;
  readonly #logger: Logger;
  readonly #signal: AbortSignal;
  /** A commit of unknown outcome is sent again as it was. */
  #pending: TableChange | undefined;
  #failures = 0;
  #retryAtMs = 0;
  #checkAtMs = 0;
  #isBounded = false;

  constructor(ports: TierPorts, table: TopicTable, logger: Logger, signal: AbortSignal) {
    this.#ports = ports;
    this.#table = table;
    this.#logger = logger;
    this.#signal = signal;
  }

  /** When the next look is due, monotonic; `undefined` where only the broker can bring something about. */
  get dueAtMs(): number | undefined {
    if (this.#pending !== undefined) return this.#retryAtMs;
    return this.#isBounded ? Math.max(this.#checkAtMs, this.#retryAtMs) : undefined;
  }

  /**
   * Commits what is due, and resolves to it; `undefined` where nothing is, or it did not come through and is tried again; `stale` where
   * the table has moved meanwhile and must be loaded. Never fails. A table that has not been loaded yet is left alone.
   */
  async round(partitions: Iterable<TieredPartition>, rule: RetentionRule): Promise<Expired | 'stale' | undefined> {
    const { clock, settings, counters } = this.#ports;
    const nowMs = clock.monotonicMs();
    this.#isBounded = rule.ms >= 0 || rule.bytes >= 0;
    const before = this.#table.snapshot;
    if (before === undefined || nowMs < this.#retryAtMs) return undefined;
    this.#pending ??= this.#decide([...partitions], rule, before, nowMs);
    const change = this.#pending;
    if (change === undefined) return undefined;
    try {
      const snapshot = await withDeadline('a commit of log starts', settings.bucketTimeoutMs, clock, this.#signal, (signal) =>
        this.#table.commit(change, signal),
      );
      this.#pending = undefined;
      this.#failures = 0;
      const left = new Set(snapshot.files.map((file) => file.key));
      const gone = before.files.filter((file) => !left.has(file.key) && file.lastOffset < logStartOf(snapshot.partitions, file.partition));
      counters.commits++;
      counters.expiredFiles += gone.length;
      counters.expiredBytes += gone.reduce((sum, file) => sum + file.bytes, 0);
      this.#logger.info('log starts raised', {
        commitId: change.commitId,
        metadataVersion: snapshot.metadataVersion,
        logStarts: (change.logStarts ?? []).map((move) => `${move.partition}:${move.logStartOffset}`).join(' '),
        files: gone.length,
      });
      return { snapshot, commitId: change.commitId, partitions: partitionsOf(change) };
    } catch (error) {
      if (this.#signal.aborted) return undefined;
      this.#tryLater(toLakeError(error), nowMs);
      if (!isLakeError(error, 'commit-stale')) return undefined;
      counters.commitsLost++;
      this.#pending = undefined;
      this.#checkAtMs = 0;
      return 'stale';
    }
  }

  #tryLater(error: LakeError, nowMs: number): void {
    const { settings, random } = this.#ports;
    this.#failures++;
    this.#retryAtMs = nowMs + backoffMs(settings.retry, this.#failures, random);
    this.#logger.warn('log starts could not be raised; it is tried again', { error });
  }

  #decide(partitions: readonly TieredPartition[], rule: RetentionRule, table: TableSnapshot, nowMs: number): TableChange | undefined {
    const { clock, random, settings } = this.#ports;
    const isDue = this.#isBounded && nowMs >= this.#checkAtMs;
    if (isDue) this.#checkAtMs = nowMs + settings.retentionCheckMs;
    const moves: RangeMove[] = [];
    const logStarts: LogStartMove[] = [];
    for (const partition of partitions) {
      // What is cold of a partition that is offline grows old all the same.
      if (!partition.isFollowed && !partition.isOffline) continue;
      const move = moveOver(partition, table);
      if (move !== undefined) moves.push(move);
      const retained = isDue ? retainedOf(partition, table, rule, clock.nowMs()) : 0;
      const boundary = move?.to ?? boundaryOf(table.partitions, partition.partition);
      const logStartOffset = Math.min(Math.max(partition.logStartOffset, retained), boundary);
      if (logStartOffset > logStartOf(table.partitions, partition.partition))
        logStarts.push({ partition: partition.partition, logStartOffset });
    }
    if (moves.length + logStarts.length === 0) return undefined;
    return { commitId: random.uuid(), moves, logStarts, columns: [], nowMs: clock.nowMs() };
  }
}

/**
 * A log start above the boundary takes the boundary along: there is nothing to be cut below it. Not while a cut is about that range,
 * nor over a piece that was staged with records below it: these are cut as they are.
 */
function moveOver(partition: TieredPartition, table: TableSnapshot): RangeMove | undefined {
  const from = boundaryOf(table.partitions, partition.partition);
  if (partition.phase !== 'following' || partition.boundary !== from || partition.logStartOffset <= from) return undefined;
  partition.trim();
  const to = Math.min(partition.logStartOffset, partition.spool.pieces[0]?.baseOffset ?? Number.POSITIVE_INFINITY);
  if (to <= from) return undefined;
  return { partition: partition.partition, from, to, leaderEpoch: partition.leaderEpoch, files: [] };
}

function retainedOf(partition: TieredPartition, table: TableSnapshot, rule: RetentionRule, nowMs: number): number {
  const boundary = boundaryOf(table.partitions, partition.partition);
  // What the broker counted against an older boundary is in a file by now, and of a log that is offline it knows a part: half known is
  // taken for nothing, which deletes less.
  const isKnown = partition.isFollowed && partition.tail.boundary >= boundary;
  const tailBytes = isKnown ? partition.tail.bytes : 0;
  const files = filesOfPartition(table, partition.partition);
  const logStartOffset = logStartOf(table.partitions, partition.partition);
  return retainedFrom({ partition: partition.partition, files, logStartOffset, tailBytes, samples: table.samples }, rule, nowMs);
}

function partitionsOf({ moves, logStarts = [] }: TableChange): readonly PartitionId[] {
  return [...new Set([...moves, ...logStarts].map((move) => move.partition))];
}
