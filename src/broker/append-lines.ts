/**
 * Appends that wait for their batch, each partition's in the order in which they came: batches are compressed anew one beside the other,
 * and idempotent producers count on the order in which they sent them.
 */
import type { PartitionLog } from '../log/index.js';

/** What waits is bounded by the requests that may be under way: `RequestBudget`. */
export class AppendLines {
  readonly #ends = new Map<PartitionLog, Promise<unknown>>();

  /** Whether something waits, so that whatever comes now has to wait behind it. */
  isWaiting(log: PartitionLog): boolean {
    return this.#ends.has(log);
  }

  /** Calls `append` with the batch once it is there and all that came before are through, whether they succeeded or not. */
  join<T>(log: PartitionLog, batch: Promise<Buffer>, append: (batch: Buffer) => T): Promise<T> {
    // It may fail while it waits for its turn.
    batch.catch(() => undefined);
    const before = this.#ends.get(log) ?? Promise.resolve();
    const appended = before.then(() => batch).then(append);
    const end = appended.then(
      () => undefined,
      () => undefined,
    );
    this.#ends.set(log, end);
    void end.then(() => {
      if (this.#ends.get(log) === end) this.#ends.delete(log);
    });
    return appended;
  }
}
