/**
 * The cuts of one topic: decides which partitions are cut and when, and carries each cut to a range that is verified and ready to be
 * committed. Only the decisions are taken in the topic's loop: cuts run beside it, so that no partition holds up another.
 */
import { isLakeError, type LakeError, toLakeError, UnderWay } from '../kernel/index.js';
import type { TableSnapshot } from '../lake/index.js';
import type { Logger } from '../telemetry/index.js';
import { damageOfLog, isFlushed } from './broker-questions.js';
import type { ColumnPlan } from './column-plan.js';
import { prepareCut, stagePiece } from './cut.js';
import { damagedFetch } from './fetch-errors.js';
import type { LostFiles } from './lost-files.js';
import type { TierPorts } from './ports.js';
import { fileBytesFor } from './settings.js';
import type { TieredPartition } from './tiered-partition.js';
import type { TieredTopic } from './tiered-topic.js';

/** A partition that has this part of a file joins the cut of one that has a whole. */
const joinsCutAt = 0.75;

/** What the topic does for its cuts. */
interface CutParts {
  readonly columns: ColumnPlan;
  readonly lost: LostFiles;
  readonly logger: Logger;
  readonly refresh: () => Promise<TableSnapshot>;
  /** The log is not what was fetched. */
  readonly rewind: (partition: TieredPartition) => void;
  /** Counts and logs a failure and answers how long to wait, in ms. */
  readonly noteFailure: (partition: TieredPartition, error: LakeError, what: string) => number;
  /** A cut has come to an end, whichever. */
  readonly onEnd: () => void;
}

export class TopicCuts {
  readonly #ports: TierPorts;
  readonly #topic: TieredTopic;
  readonly #parts: CutParts;
  readonly #underWay = new UnderWay();

  constructor(ports: TierPorts, topic: TieredTopic, parts: CutParts) {
    this.#ports = ports;
    this.#topic = topic;
    this.#parts = parts;
  }

  /** Begins the cuts that are due: of what is old, what fills a file, and what somebody waits for. */
  begin(): void {
    const now = this.#ports.clock.monotonicMs();
    const candidates = [...this.#topic.partitions.values()].filter(
      (p) => p.phase === 'following' && p.retryAtMs <= now && p.spool.nextOffset > p.boundary,
    );
    const isOld = (p: TieredPartition): boolean => {
      const since = p.spool.pieces[0]?.sinceMs;
      return since !== undefined && now - since >= this.#topic.settings.commitIntervalMs;
    };
    const isWaitedFor = (p: TieredPartition): boolean =>
      p.cutTarget > p.boundary && (p.spool.nextOffset >= p.cutTarget || p.spool.rawBytes >= this.#fileBytes(p));
    const isAnyOld = candidates.some(isOld);
    const isAnyFull = candidates.some((p) => p.spool.rawBytes >= this.#fileBytes(p));
    for (const partition of candidates) {
      const joins = isAnyFull && partition.spool.rawBytes >= this.#fileBytes(partition) * joinsCutAt;
      if (isAnyOld || joins || isWaitedFor(partition)) this.#underWay.add(this.#cut(partition));
    }
  }

  /** Stages the pieces that take no more, ahead of their cut. */
  stageClosed(partition: TieredPartition): void {
    for (const piece of partition.spool.pieces) {
      if (!piece.isClosed || piece.staged !== undefined || piece.staging !== undefined) continue;
      const order = {
        topic: this.#topic.settings,
        partition: partition.partition,
        spool: partition.spool,
        signal: this.#topic.signal,
      };
      // Its failure is met again by the cut, which handles it.
      this.#underWay.add(stagePiece(this.#ports, order, piece));
    }
  }

  /** Resolves once nothing of this is under way. */
  async settled(): Promise<void> {
    await this.#underWay.settled();
  }

  #fileBytes({ spool }: TieredPartition): number {
    return fileBytesFor(this.#topic.settings, spool.meanRecordBytes);
  }

  async #cut(partition: TieredPartition): Promise<void> {
    const abort = new AbortController();
    const signal = AbortSignal.any([this.#topic.signal, abort.signal]);
    partition.cutBegan(abort);
    try {
      const prepared = await this.#ports.cutSlots.run(async () => {
        await this.#parts.refresh();
        if (partition.cutAbort !== abort) return null;
        const pieces = partition.spool.take(this.#fileBytes(partition));
        const to = pieces.at(-1)?.endOffset ?? partition.spool.nextOffset;
        if (!(await isFlushed(this.#ports, this.#topic, partition, to, signal))) return null;
        return prepareCut(this.#ports, {
          tablePrefix: this.#topic.table.prefix,
          topic: this.#topic.settings,
          partition: partition.partition,
          from: partition.boundary,
          to,
          logStartOffset: partition.logStartOffset,
          leaderEpoch: partition.leaderEpoch,
          spool: partition.spool,
          pieces,
          assign: (pairs) => this.#parts.columns.assign(pairs),
          signal,
        });
      }, signal);
      if (partition.cutAbort !== abort) {
        // Somebody else has the range; no commit has named this object.
        this.#parts.lost.remove(prepared?.move.files);
        return;
      }
      if (prepared === null) this.#parts.rewind(partition);
      else partition.verified(prepared, this.#ports.clock.monotonicMs());
    } catch (error) {
      if (partition.cutAbort !== abort || this.#topic.signal.aborted) return;
      this.#failed(partition, error);
    } finally {
      this.#parts.onEnd();
    }
  }

  #failed(partition: TieredPartition, error: unknown): void {
    partition.cutFailed();
    const isDamaged = isLakeError(error, 'batch-corrupt');
    const failure = isDamaged ? damagedFetch(`${this.#topic.name}-${partition.partition}`, error) : toLakeError(error);
    const pause = this.#parts.noteFailure(partition, failure, 'a cut failed and is tried again');
    partition.retryAtMs = this.#ports.clock.monotonicMs() + pause;
    if (isDamaged) this.#underWay.add(this.#fetchAnew(partition));
  }

  /** What was fetched is not what was appended. Where the log is whole, the next fetch is; else the broker refuses it from now on. */
  async #fetchAnew(partition: TieredPartition): Promise<void> {
    const { logger } = this.#parts;
    const { signal } = this.#topic;
    const range = { partition: partition.partition, from: partition.boundary, to: partition.spool.nextOffset };
    partition.shed();
    try {
      const damage = await damageOfLog(this.#ports, this.#topic, range, signal);
      if (damage === undefined) logger.warn('what was fetched was damaged here, not in the log: it is fetched again', range);
      else logger.error('the log is damaged: nothing of it is tiered, and its partition is offline', { ...range, damage });
    } catch (error) {
      if (!signal.aborted) logger.warn('the broker could not be asked whether its log is damaged', { ...range, error });
    }
  }
}
