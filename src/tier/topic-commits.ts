/**
 * The commits of one topic: gathers what its partitions have ready, commits it in one change, and settles what came of it: committed,
 * lost to another writer, or for a topic that is no more. One commit is under way at a time.
 */
import { backoffMs, isLakeError, type LakeError, toLakeError } from '../kernel/index.js';
import { boundaryOf, type TableChange, type TableSnapshot } from '../lake/index.js';
import type { Logger } from '../telemetry/index.js';
import { appendedSince } from './append-cuts.js';
import type { BoundaryReports } from './boundary-reports.js';
import type { ColumnPlan } from './column-plan.js';
import { withDeadline } from './deadline.js';
import type { LostFiles } from './lost-files.js';
import type { TierPorts } from './ports.js';
import type { TieredPartition } from './tiered-partition.js';
import type { TieredTopic } from './tiered-topic.js';

/** What the topic and its commits do for each other. */
interface CommitParts {
  readonly columns: ColumnPlan;
  readonly reports: BoundaryReports;
  readonly lost: LostFiles;
  readonly logger: Logger;
  readonly refresh: () => Promise<TableSnapshot>;
  readonly adopt: (snapshot: TableSnapshot) => void;
  /** Another daemon was first with a range. */
  readonly moved: (partition: TieredPartition, snapshot: TableSnapshot) => void;
  /** Counts and logs a failure. */
  readonly noteFailure: (partition: TieredPartition, error: LakeError, what: string) => void;
  /** There is something to do that was not there before; `mayFetch`: also to fetch. */
  readonly onProgress: (mayFetch: boolean) => void;
}

interface PendingCommit {
  readonly change: TableChange;
  readonly partitions: readonly TieredPartition[];
}

export class TopicCommits {
  readonly #ports: TierPorts;
  readonly #topic: TieredTopic;
  readonly #parts: CommitParts;
  #pending: PendingCommit | undefined;
  #notBeforeMs = 0;
  #failures = 0;

  constructor(ports: TierPorts, topic: TieredTopic, parts: CommitParts) {
    this.#ports = ports;
    this.#topic = topic;
    this.#parts = parts;
  }

  /** When a commit that is under way is to be tried (again), in ms of the monotonic clock. */
  get dueAtMs(): number | undefined {
    return this.#pending === undefined ? undefined : this.#notBeforeMs;
  }

  /** Whether a range of this partition is being committed, so that this commit settles it. */
  isPending(partition: TieredPartition): boolean {
    return this.#pending?.partitions.includes(partition) === true;
  }

  /** No commit is tried before, in ms of the monotonic clock. */
  notBefore(ms: number): void {
    this.#notBeforeMs = ms;
  }

  /** Commits what is ready, once it is due. Its failures are handled here. */
  async commitReady(): Promise<void> {
    const { clock, settings, counters, random } = this.#ports;
    this.#pending ??= this.#gather();
    const pending = this.#pending;
    if (pending === undefined || clock.monotonicMs() < this.#notBeforeMs) return;
    try {
      const { change } = pending;
      const appended = await appendedSince(
        this.#ports,
        this.#topic,
        this.#topic.table.snapshot,
        change.moves,
        this.#parts.logger,
        this.#topic.signal,
      );
      const snapshot = await withDeadline(`commit to ${this.#topic.name}`, settings.bucketTimeoutMs, clock, this.#topic.signal, (signal) =>
        this.#topic.table.commit({ ...change, appended }, signal),
      );
      this.#settle(pending, snapshot);
    } catch (error) {
      if (this.#topic.signal.aborted) return;
      if (isLakeError(error, 'commit-stale')) {
        counters.commitsLost++;
        await this.#decideAgain(pending, error);
        return;
      }
      if (isLakeError(error, 'topic-unknown')) {
        this.#abandon(pending, error);
        return;
      }
      this.#failures++;
      this.#notBeforeMs = clock.monotonicMs() + backoffMs(settings.retry, this.#failures, random);
      for (const partition of pending.partitions)
        this.#parts.noteFailure(partition, toLakeError(error), 'a commit failed and is tried again');
    }
  }

  /** What is ready, if nothing is worth waiting for: another partition that is about to be, and not for long. */
  #gather(): PendingCommit | undefined {
    const { clock, settings, random } = this.#ports;
    const all = [...this.#topic.partitions.values()];
    const ready = all.filter((p) => p.phase === 'ready');
    const longestMs = Math.max(0, ...ready.map((p) => clock.monotonicMs() - p.readySinceMs));
    if (ready.length === 0 || (all.some((p) => p.phase === 'cutting') && longestMs < settings.commitGatherMs)) return undefined;
    const fitting = ready.filter((p) => {
      if (this.#parts.columns.fits(p.prepared?.columns ?? [])) return true;
      // Another writer gave its columns other places: the same pieces are encoded again.
      this.#cutAgain(p);
      return false;
    });
    const cuts = fitting.flatMap((p) => (p.prepared === undefined ? [] : [p.prepared]));
    if (cuts.length === 0) return undefined;
    const change: TableChange = {
      commitId: random.uuid(),
      moves: cuts.map((cut) => cut.move),
      columns: this.#parts.columns.forCommit(cuts.flatMap((cut) => cut.columns)),
      expireBeforeMs: clock.nowMs() - this.#topic.settings.snapshotMaxAgeMs,
      notAfterMs: Math.min(...cuts.map((cut) => cut.beganMs)) + settings.sweepMinAgeMs / 2,
      nowMs: clock.nowMs(),
    };
    return { change, partitions: fitting };
  }

  #cutAgain(partition: TieredPartition): void {
    partition.cutTarget = Math.max(partition.cutTarget, partition.prepared?.move.to ?? 0);
    this.#parts.lost.remove(partition.prepared?.move.files);
    partition.cutFailed();
    this.#parts.onProgress(false);
  }

  #settle(pending: PendingCommit, snapshot: TableSnapshot): void {
    const { counters } = this.#ports;
    this.#pending = undefined;
    this.#failures = 0;
    this.#notBeforeMs = 0;
    counters.commits++;
    for (const partition of pending.partitions) {
      const { prepared } = partition;
      if (prepared === undefined) continue;
      counters.rows += prepared.rows;
      counters.rawBytes += prepared.rawBytes;
      counters.fileBytes += prepared.fileBytes;
      partition.committed(prepared.move.to);
      this.#parts.reports.add(partition.partition, snapshot, pending.change.commitId);
    }
    this.#parts.logger.info('committed', {
      commitId: pending.change.commitId,
      metadataVersion: snapshot.metadataVersion,
      moves: pending.change.moves.map((move) => `${move.partition}:${move.from}-${move.to}`).join(' '),
    });
    this.#parts.adopt(snapshot);
    this.#parts.onProgress(true);
  }

  /** The topic was deleted, and we have slept over it: nothing of what was made for it may stay. */
  #abandon(pending: PendingCommit, error: LakeError): void {
    this.#pending = undefined;
    for (const partition of pending.partitions) {
      this.#parts.lost.remove(partition.prepared?.move.files);
      partition.alarm(error);
    }
    this.#parts.logger.warn('the topic was deleted meanwhile: its files are removed', { commitId: pending.change.commitId });
  }

  /** The table has moved under a change: each of its ranges is either somebody else's now, or is cut again. */
  async #decideAgain(pending: PendingCommit, reason: LakeError): Promise<void> {
    this.#parts.logger.info('another writer was first', { commitId: pending.change.commitId, reason: reason.message, ...reason.facts });
    let snapshot: TableSnapshot;
    try {
      snapshot = await this.#parts.refresh();
    } catch (error) {
      if (this.#topic.signal.aborted) return;
      // Nothing is decided: the same commit is tried again, and found stale again.
      this.#notBeforeMs = this.#ports.clock.monotonicMs() + this.#ports.settings.retry.firstMs;
      this.#parts.logger.warn('the table could not be loaded after a lost commit', { error });
      return;
    }
    this.#pending = undefined;
    const isLate = this.#ports.clock.nowMs() > (pending.change.notAfterMs ?? Number.POSITIVE_INFINITY);
    for (const partition of pending.partitions) {
      if (boundaryOf(snapshot.partitions, partition.partition) > partition.boundary) this.#parts.moved(partition, snapshot);
      else if (!this.#parts.columns.fits(partition.prepared?.columns ?? []) || isLate) this.#cutAgain(partition);
    }
    this.#parts.onProgress(false);
  }
}
