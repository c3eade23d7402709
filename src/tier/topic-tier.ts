/**
 * One topic on its way into its table: takes over what is fetched of it, has it cut (`topic-cuts.ts`) and committed (`topic-commits.ts`),
 * tells the broker. All decisions are taken in one loop; only the long work of a cut (see `cut.ts`) runs beside it.
 */
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import type { FetchedPartition, FetchPartition } from '../client/index.js';
import type { BoundaryMove, PartitionState, TopicState } from '../control/index.js';
import {
  backoffMs,
  isLakeError,
  LakeError,
  type PartitionId,
  SingleFlight,
  toLakeError,
  type TopicId,
  type TopicName,
} from '../kernel/index.js';
import { boundaryOf, logStartOf, type TableSnapshot, type TopicTable } from '../lake/index.js';
import type { Logger } from '../telemetry/index.js';
import { kafkaErrors } from '../wire/index.js';
import { boundaryMoves, BoundaryReports, loadedId } from './boundary-reports.js';
import { describePartitions } from './broker-questions.js';
import { ColumnPlan } from './column-plan.js';
import { Wakeup, withDeadline } from './deadline.js';
import { fetchRefusal } from './fetch-errors.js';
import { TopicExpiry } from './expiry.js';
import { FlushWaiters } from './flush-waiters.js';
import { LostFiles } from './lost-files.js';
import { openingOf } from './open-partition.js';
import { PartitionSpool } from './partition-spool.js';
import type { TierPorts } from './ports.js';
import { pieceBytesFor, type TopicSettings, topicSettings } from './settings.js';
import { TieredPartition } from './tiered-partition.js';
import { TopicCommits } from './topic-commits.js';
import { TopicCuts } from './topic-cuts.js';

/** The loop looks at least so often, though everything it waits for wakes it. */
const idleMs = 60_000;
/** A partition fetches ahead of its cut at most so many files' worth of raw bytes. */
const filesAhead = 2;
/** So often may a partition fail before its spool makes room for others. */
const shedAfterFailures = 3;

export class TopicTier {
  readonly name: TopicName;
  readonly id: TopicId;
  readonly table: TopicTable;
  readonly partitions = new Map<PartitionId, TieredPartition>();
  /** Cuts and commits that failed and were tried again. */
  failures = 0;
  settings: TopicSettings;
  /** Aborted when the topic is closed or the daemon stops. */
  readonly signal: AbortSignal;
  readonly #ports: TierPorts;
  readonly #logger: Logger;
  readonly #folder: string;
  readonly #stop = new AbortController();
  readonly #wakeup: Wakeup;
  readonly #onFetchable: () => void;
  readonly #columns = new ColumnPlan();
  readonly #waiters = new FlushWaiters();
  readonly #refreshes = new SingleFlight<'table', TableSnapshot>();
  #loop: Promise<void> | undefined;
  #isTiered: boolean;
  readonly #cuts: TopicCuts;
  readonly #commits: TopicCommits;
  readonly #reports: BoundaryReports;
  readonly #expiry: TopicExpiry;
  readonly #lost: LostFiles;

  /** `onFetchable` is called when there may be something to fetch that was not before. */
  constructor(ports: TierPorts, state: TopicState, table: TopicTable, onFetchable: () => void) {
    this.name = state.name;
    this.id = state.id;
    this.table = table;
    this.settings = topicSettings(state.config);
    this.#isTiered = state.isTiered;
    this.#ports = ports;
    this.#logger = ports.logger.child({ topic: state.name, topicId: state.id });
    this.#folder = join(ports.spoolDir, state.id);
    this.signal = AbortSignal.any([ports.stop, this.#stop.signal]);
    setMaxListeners(0, this.signal);
    this.#wakeup = new Wakeup(ports.clock);
    this.#reports = new BoundaryReports(ports, state.id, this.#logger, this.signal);
    this.#expiry = new TopicExpiry(ports, table, this.#logger, this.signal);
    this.#lost = new LostFiles(ports, this.#logger, this.signal);
    this.#onFetchable = onFetchable;
    this.#cuts = new TopicCuts(ports, this, {
      columns: this.#columns,
      lost: this.#lost,
      logger: this.#logger,
      refresh: () => this.refresh(),
      rewind: (partition) => this.#rewind(partition),
      noteFailure: (partition, error, what) => this.#noteFailure(partition, error, what),
      onEnd: () => this.#wakeup.wake(),
    });
    this.#commits = new TopicCommits(ports, this, {
      columns: this.#columns,
      reports: this.#reports,
      lost: this.#lost,
      logger: this.#logger,
      refresh: () => this.refresh(),
      adopt: (snapshot) => this.adopt(snapshot),
      moved: (partition, snapshot) => this.#moved(partition, snapshot),
      noteFailure: (partition, error, what) => this.#noteFailure(partition, error, what),
      onProgress: (mayFetch) => {
        if (mayFetch) this.#onFetchable();
        this.#wakeup.wake();
      },
    });
    this.update(state);
  }

  /** Takes over what the broker says of the topic now: configuration, new partitions. */
  update(state: TopicState): void {
    this.settings = topicSettings(state.config);
    this.#isTiered = state.isTiered;
    for (const told of state.partitions) {
      const partition = this.partitions.get(told.partition) ?? this.#add(told.partition);
      partition.told(told);
      if (this.#isTiered && this.table.snapshot !== undefined) this.#tellAgain(partition, told, this.table.snapshot);
    }
    this.#wakeup.wake();
  }

  #add(id: PartitionId): TieredPartition {
    const folder = join(this.#folder, String(id));
    this.#ports.disk.mkdirSync(folder, { recursive: true });
    const spool = new PartitionSpool(this.#ports.disk, id, folder, pieceBytesFor(this.#ports.settings, this.settings), 0);
    const partition = new TieredPartition(id, spool);
    this.partitions.set(id, partition);
    return partition;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Ends all work of this topic and removes its spools. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#waiters.rejectAll(new LakeError('cancelled', `tiering of ${this.name} has ended`));
    this.#wakeup.wake();
    await this.#loop;
    await this.#cuts.settled();
    await this.#lost.settled();
    await Promise.allSettled([...this.partitions.values()].map(({ spool }) => spool.settled()));
    await this.#ports.disk.rm(this.#folder, { recursive: true, force: true });
  }

  get spoolBytes(): number {
    let bytes = 0;
    for (const { spool } of this.partitions.values()) bytes += spool.diskBytes;
    return bytes;
  }

  /** Whether a cut or commit is under way, so that spool space will come free. */
  get isCutting(): boolean {
    for (const { phase } of this.partitions.values()) if (phase === 'cutting' || phase === 'ready') return true;
    return false;
  }

  /** Records below the high watermark that are not in the table; none of a topic that is not tiered any more. */
  get lagRecords(): number {
    if (!this.#isTiered) return 0;
    let records = 0;
    for (const { lagRecords } of this.partitions.values()) records += lagRecords;
    return records;
  }

  /** What to ask the broker for next. */
  fetches(): {
    readonly owner: TopicTier;
    readonly partition: TieredPartition;
    readonly generation: number;
    readonly ask: FetchPartition;
  }[] {
    if (!this.#isTiered || this.signal.aborted) return [];
    const now = this.#ports.clock.monotonicMs();
    const aheadMax = this.settings.fileBytes * filesAhead;
    return [...this.partitions.values()]
      .filter((p) => p.isFollowed && p.fetchAtMs <= now && p.spool.rawBytes < aheadMax)
      .map((partition) => ({
        owner: this,
        partition,
        generation: partition.generation,
        ask: {
          topicId: this.id,
          partition: partition.partition,
          offset: partition.spool.nextOffset,
          maxBytes: this.#ports.settings.fetchPartitionBytes,
        },
      }));
  }

  /** Takes over one partition's answer and resolves to its bytes. An answer to what is no longer asked is dropped. */
  async accept(partition: TieredPartition, generation: number, answer: FetchedPartition): Promise<number> {
    if (partition.generation !== generation || !partition.isFollowed || this.signal.aborted) return 0;
    const now = this.#ports.clock.monotonicMs();
    try {
      if (answer.errorCode !== kafkaErrors.NONE) {
        this.#fetchRefused(partition, answer);
        return 0;
      }
      const bytes = await partition.spool.append(answer, now);
      partition.fetched(answer.highWatermark);
      if (bytes > 0) {
        this.#cuts.stageClosed(partition);
        this.#wakeup.wake();
      }
      return bytes;
    } catch (error) {
      partition.fetchAtMs = now + this.#noteFailure(partition, toLakeError(error), 'a fetched range could not be taken over');
      this.#waiters.check(this.partitions, this.#reports.waiting);
      return 0;
    }
  }

  #fetchRefused(partition: TieredPartition, answer: FetchedPartition): void {
    const now = this.#ports.clock.monotonicMs();
    const asked = { partition: partition.partition, offset: partition.spool.nextOffset };
    const error = fetchRefusal(`${this.name}-${partition.partition}`, asked, answer);
    partition.fetchAtMs = now + this.#noteFailure(partition, error, 'a fetch was refused');
    if (isLakeError(error, 'offset-out-of-range')) this.#rewind(partition);
    this.#waiters.check(this.partitions, this.#reports.waiting);
  }

  async #run(): Promise<void> {
    while (!this.signal.aborted) {
      await this.#guard(() => this.#open());
      await this.#guard(() => this.#expire());
      this.#cuts.begin();
      await this.#guard(() => this.#commits.commitReady());
      await this.#reports.send();
      this.#waiters.check(this.partitions, this.#reports.waiting);
      if (!this.signal.aborted) await this.#wakeup.wait(this.#nextLookMs(), this.signal);
    }
  }

  /** Each step handles its own failures; one that does not must not end the loop of the topic. */
  async #guard(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (this.signal.aborted) return;
      this.failures++;
      this.#logger.error('a step of tiering failed', { error });
      this.#commits.notBefore(this.#ports.clock.monotonicMs() + this.#ports.settings.retry.firstMs);
    }
  }

  #nextLookMs(): number {
    const now = this.#ports.clock.monotonicMs();
    let at = now + idleMs;
    const look = (ms: number): void => {
      if (ms > now) at = Math.min(at, ms);
    };
    for (const p of this.partitions.values()) {
      look(p.retryAtMs);
      const first = p.spool.pieces[0];
      if (p.phase === 'following' && first !== undefined) look(first.sinceMs + this.settings.commitIntervalMs);
      if (p.phase === 'ready') look(p.readySinceMs + this.#ports.settings.commitGatherMs);
      if (p.phase === 'opening' && this.#isTiered) at = Math.min(at, Math.max(p.retryAtMs, now + 1));
    }
    for (const { dueAtMs } of [this.#commits, this.#reports, this.#expiry])
      if (dueAtMs !== undefined) at = Math.min(at, Math.max(dueAtMs, now + 1));
    return Math.max(1, at - now);
  }

  /** Learns from table and broker where each new or rewound partition goes on. */
  async #open(): Promise<void> {
    const nowMs = this.#ports.clock.monotonicMs();
    const opening = [...this.partitions.values()].filter((p) => p.phase === 'opening' && p.retryAtMs <= nowMs);
    if (opening.length === 0 || !this.#isTiered) return;
    try {
      // First the table, then the log's end: so an end below a boundary is none that has merely grown since.
      const snapshot = await this.refresh();
      const states = await describePartitions(this.#ports, this, this.signal);
      for (const partition of opening) {
        const state = states.find((candidate) => candidate.partition === partition.partition);
        if (state !== undefined && partition.phase === 'opening') this.#openPartition(partition, state, snapshot);
      }
      if (opening.some((p) => p.isFollowed)) this.#onFetchable();
    } catch (error) {
      if (this.signal.aborted) return;
      for (const p of opening) this.#noteFailure(p, toLakeError(error), 'a partition could not be opened');
    }
    this.#openLater(opening.filter((p) => p.phase === 'opening'));
  }

  /** All at once, as one look at table and broker is enough for them. Those that begin to wait later have a pause of their own. */
  #openLater(waiting: readonly TieredPartition[]): void {
    const { clock, settings, random } = this.#ports;
    const failures = Math.max(1, ...waiting.map((p) => p.failures));
    const retryAtMs = clock.monotonicMs() + backoffMs(settings.retry, failures, random);
    for (const p of waiting) p.retryAtMs = retryAtMs;
  }

  #openPartition(partition: TieredPartition, state: PartitionState, snapshot: TableSnapshot): void {
    const where = `${this.name}-${partition.partition}`;
    const opening = openingOf(where, boundaryOf(snapshot.partitions, partition.partition), state);
    if (opening.kind === 'alarm') {
      partition.alarm(opening.error);
      this.#logger.error('a boundary above the log end: the partition is not tiered', { error: opening.error });
    } else if (opening.kind === 'wait') {
      this.#noteFailure(partition, opening.error, 'a partition cannot be opened yet');
    } else {
      partition.told(state);
      partition.highWatermark = state.highWatermark;
      partition.opened(opening);
      this.#tellAgain(partition, state, snapshot);
    }
  }

  /**
   * A commit that the broker does not know of: whoever made it died before it could tell, or the broker could not note it.
   * Errors of the table and of the log's end are found where the partition is opened.
   */
  #tellAgain(partition: TieredPartition, state: PartitionState, snapshot: TableSnapshot): void {
    const { partitions } = snapshot;
    const isBehind =
      state.boundary < boundaryOf(partitions, partition.partition) || state.logStartOffset < logStartOf(partitions, partition.partition);
    if (isBehind && partition.isFollowed && state.offline === undefined)
      this.#reports.add(partition.partition, snapshot, loadedId(snapshot));
  }

  /** Tells the broker a partition's boundary and log start once more: somebody has seen that it does not know them. */
  tellAgain(partition: PartitionId): void {
    const { snapshot } = this.table;
    if (!this.#isTiered || snapshot === undefined) return;
    this.#reports.add(partition, snapshot, loadedId(snapshot));
    this.#wakeup.wake();
  }

  /** Loads the table and acts on what others committed. Errors: those of the store, `timeout`, `cancelled`. */
  async refresh(): Promise<TableSnapshot> {
    return this.#refreshes.run('table', async () => {
      const { clock, settings } = this.#ports;
      const snapshot = await withDeadline(`loading the table of ${this.name}`, settings.bucketTimeoutMs, clock, this.signal, (signal) =>
        this.table.load(signal),
      );
      this.adopt(snapshot);
      return snapshot;
    });
  }

  adopt(snapshot: TableSnapshot): void {
    this.#columns.adopt(snapshot.columns);
    for (const partition of this.partitions.values()) {
      const boundary = boundaryOf(snapshot.partitions, partition.partition);
      // A range that is being committed is settled by its own commit: the new boundary may be ours.
      const isPending = this.#commits.isPending(partition);
      if (boundary > partition.boundary && !isPending && partition.isFollowed) this.#moved(partition, snapshot);
    }
  }

  /** Another daemon was first: its range is done, and told once more, as that daemon may have died before it could. */
  #moved(partition: TieredPartition, snapshot: TableSnapshot): void {
    const boundary = boundaryOf(snapshot.partitions, partition.partition);
    this.#lost.discard(partition, snapshot);
    partition.moved(boundary);
    this.#reports.add(partition.partition, snapshot, loadedId(snapshot));
  }

  /** Deleted and expired records leave the table before anything is cut, so that no cut begins below them. */
  async #expire(): Promise<void> {
    if (!this.#isTiered) return;
    const expired = await this.#expiry.round(this.partitions.values(), this.settings.retention);
    // Another writer was first: decided anew from what that one did.
    if (expired === 'stale') await this.refresh();
    if (expired === undefined || expired === 'stale') return;
    this.adopt(expired.snapshot);
    for (const partition of expired.partitions) {
      // One that is offline refuses; it is told when it is opened.
      if (this.partitions.get(partition)?.isFollowed === true) this.#reports.add(partition, expired.snapshot, expired.commitId);
    }
    this.#wakeup.wake();
  }

  #rewind(partition: TieredPartition): void {
    this.#logger.warn('the log is not what was fetched: fetching again from the boundary', {
      partition: partition.partition,
      boundary: partition.boundary,
      fetched: partition.spool.nextOffset,
      leaderEpoch: partition.leaderEpoch,
    });
    partition.rewound();
    this.#wakeup.wake();
  }

  /**
   * Cuts and commits everything acknowledged before the call, and resolves when the broker knows the boundaries.
   * Errors: a partition's own, when it has failed several times since; `cancelled`, `peer-gone`.
   */
  async flush(signal: AbortSignal): Promise<readonly BoundaryMove[]> {
    const { clock, settings, broker } = this.#ports;
    if (!this.#isTiered) return boundaryMoves(await this.refresh());
    const ids = [...this.partitions.keys()];
    const either = AbortSignal.any([this.signal, signal]);
    const { partitions } = await withDeadline('broker.flush', settings.brokerTimeoutMs, clock, either, (inner) =>
      broker.call(
        'broker.flush',
        { topicId: this.id, partitions: ids.map((partition) => ({ partition, upTo: 'end' as const })) },
        { signal: inner },
      ),
    );
    const targets = new Map(partitions.map((p) => [p.partition, Math.min(p.flushedOffset, p.lastStableOffset)]));
    for (const [id, target] of targets) {
      const partition = this.partitions.get(id);
      if (partition === undefined) continue;
      partition.cutTarget = Math.max(partition.cutTarget, target);
      partition.retryAtMs = 0;
      partition.fetchAtMs = 0;
    }
    this.#commits.notBefore(0);
    this.#reports.retryNow();
    const done = this.#waiters.wait(targets, this.partitions, either);
    this.#onFetchable();
    this.#wakeup.wake();
    await done;
    return boundaryMoves(this.table.snapshot ?? (await this.refresh()));
  }

  /**
   * Gives up the spools of partitions that fail again and again for a reason of their own (not the bucket's), so that they do not
   * keep the room that others need. Answers the bytes.
   */
  shedFailing(): number {
    const now = this.#ports.clock.monotonicMs();
    const failing = [...this.partitions.values()].filter(
      (p) => p.failures >= shedAfterFailures && p.error?.retriable === false && p.retryAtMs > now,
    );
    return failing.reduce((bytes, partition) => bytes + partition.shed(), 0);
  }

  /** Cuts what is spooled now, because its space is needed. */
  cutEarly(): void {
    for (const p of this.partitions.values()) p.cutTarget = Math.max(p.cutTarget, p.spool.nextOffset);
    this.#wakeup.wake();
  }

  /** Counts and logs a failure and answers how long to wait, in ms. */
  #noteFailure(partition: TieredPartition, error: LakeError, what: string): number {
    this.failures++;
    const pause = partition.noteFailure(error, this.#ports.settings.retry, this.#ports.random);
    const facts = { partition: partition.partition, error, retryMs: Math.round(pause) };
    if (error.retriable) this.#logger.warn(what, facts);
    else this.#logger.error(what, facts);
    return pause;
  }
}
