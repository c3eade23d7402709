/** Those who wait until a topic's boundaries have reached what was acknowledged when they asked. */
import { LakeError, type Offset, type PartitionId } from '../kernel/index.js';
import type { TieredPartition } from './tiered-partition.js';

/** A partition that failed so often since somebody began to wait is not waited for any longer. */
const failuresMax = 3;

type Partitions = ReadonlyMap<PartitionId, TieredPartition>;

interface Waiter {
  readonly targets: ReadonlyMap<PartitionId, Offset>;
  /** `failuresTotal` of each partition when the wait began. */
  readonly failures: ReadonlyMap<PartitionId, number>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class FlushWaiters {
  readonly #waiters = new Set<Waiter>();

  /** Errors: a partition's own, and the signal's reason as `cancelled`. */
  async wait(targets: ReadonlyMap<PartitionId, Offset>, partitions: Partitions, signal: AbortSignal): Promise<void> {
    const failures = new Map([...partitions].map(([id, partition]) => [id, partition.failuresTotal]));
    let onAbort: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const waiter: Waiter = { targets, failures, resolve, reject };
        onAbort = () => {
          this.#waiters.delete(waiter);
          reject(new LakeError('cancelled', 'the flush was cancelled'));
        };
        this.#waiters.add(waiter);
        signal.addEventListener('abort', onAbort, { once: true });
        if (signal.aborted) onAbort();
      });
    } finally {
      if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
    }
  }

  /** Lets go all whose partitions are there, or will not be. `unreported`: boundaries the broker has not heard of. */
  check(partitions: Partitions, unreported: ReadonlyMap<PartitionId, unknown>): void {
    for (const waiter of this.#waiters) {
      let isDone = true;
      for (const [id, target] of waiter.targets) {
        const partition = partitions.get(id);
        if (partition === undefined) continue;
        const isThere = partition.boundary >= target && partition.phase !== 'opening' && partition.phase !== 'alarmed';
        if (isThere && !unreported.has(id)) continue;
        if (target === 0 && partition.phase !== 'alarmed') continue;
        isDone = false;
        const isHopeless = partition.phase === 'alarmed' || partition.failuresTotal - (waiter.failures.get(id) ?? 0) >= failuresMax;
        if (!isHopeless) continue;
        this.#waiters.delete(waiter);
        waiter.reject(partition.error ?? new LakeError('cold-unavailable', `partition ${id} could not be committed`));
        break;
      }
      if (!isDone || !this.#waiters.has(waiter)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  rejectAll(error: LakeError): void {
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }
}
