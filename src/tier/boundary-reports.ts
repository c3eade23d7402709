/** Tells the broker which boundaries have moved, again and again until it has heard: only then may it evict. */
import type { BoundaryMove } from '../control/index.js';
import { backoffMs, type PartitionId, type TopicId } from '../kernel/index.js';
import type { TableSnapshot } from '../lake/index.js';
import type { Logger } from '../telemetry/index.js';
import { withDeadline } from './deadline.js';
import type { TierPorts } from './ports.js';

export class BoundaryReports {
  readonly #ports: TierPorts;
  readonly #topicId: TopicId;
  readonly #logger: Logger;
  readonly #signal: AbortSignal;
  /** At most one a partition: the latest. */
  readonly #waiting = new Map<PartitionId, BoundaryMove>();
  #commitId = '';
  #failures = 0;
  #retryAtMs = 0;

  constructor(ports: TierPorts, topicId: TopicId, logger: Logger, signal: AbortSignal) {
    this.#ports = ports;
    this.#topicId = topicId;
    this.#logger = logger;
    this.#signal = signal;
  }

  /** What the broker has not heard of yet. */
  get waiting(): ReadonlyMap<PartitionId, BoundaryMove> {
    return this.#waiting;
  }

  /** When the next try is due, monotonic; `undefined` where there is nothing to tell. */
  get dueAtMs(): number | undefined {
    return this.#waiting.size === 0 ? undefined : this.#retryAtMs;
  }

  /** Notes a partition's boundary as it is in a snapshot. */
  add(partition: PartitionId, snapshot: TableSnapshot, commitId: string): void {
    const move = boundaryMoves(snapshot).find((candidate) => candidate.partition === partition);
    if (move === undefined) return;
    this.#waiting.set(partition, move);
    this.#commitId = commitId;
  }

  retryNow(): void {
    this.#retryAtMs = 0;
  }

  /** Sends what waits, if it is due. Never fails: what was not heard waits on. */
  async send(): Promise<void> {
    const { clock, settings, broker, random } = this.#ports;
    if (this.#waiting.size === 0 || clock.monotonicMs() < this.#retryAtMs) return;
    const moves = [...this.#waiting.values()];
    try {
      const { alarms } = await withDeadline('broker.boundary-moved', settings.brokerTimeoutMs, clock, this.#signal, (signal) =>
        broker.call('broker.boundary-moved', { topicId: this.#topicId, commitId: this.#commitId, partitions: moves }, { signal }),
      );
      for (const move of moves) if (this.#waiting.get(move.partition) === move) this.#waiting.delete(move.partition);
      for (const alarm of alarms) this.#logger.error('the broker refused a boundary', { alarm });
      this.#failures = 0;
      this.#retryAtMs = 0;
    } catch (error) {
      if (this.#signal.aborted) return;
      this.#failures++;
      this.#retryAtMs = clock.monotonicMs() + backoffMs(settings.retry, this.#failures, random);
      this.#logger.warn('the broker could not be told of a boundary; it is told again', { error });
    }
  }
}

/** The vector of a snapshot, as the control messages have it. */
export function boundaryMoves(snapshot: TableSnapshot): readonly BoundaryMove[] {
  return snapshot.partitions.map(({ partition, boundary, logStartOffset, leaderEpoch }) => ({
    partition,
    boundary,
    logStartOffset,
    leaderEpoch,
  }));
}

/** Stands for a commit's id where the boundary was found in the table and the commit was not ours. */
export function loadedId(snapshot: TableSnapshot): string {
  return `load:v${snapshot.metadataVersion}`;
}
