/** Files that were uploaded for a range and did not come into the table with it: removed where that is certain, else left to the sweep. */
import { hourMs, UnderWay } from '../kernel/index.js';
import { boundaryOf, filesOfPartition, type TableSnapshot } from '../lake/index.js';
import type { Logger } from '../telemetry/index.js';
import type { TierPorts } from './ports.js';
import { removeObject } from './store-file.js';
import type { TieredPartition } from './tiered-partition.js';

/** For so long it is certain whether a file was committed: the metadata files of that time are there. */
const discardAgeMsMax = hourMs;

export class LostFiles {
  readonly #ports: TierPorts;
  readonly #logger: Logger;
  readonly #signal: AbortSignal;
  /** One request a file; a topic has as many as its cuts and one commit have made. */
  readonly #removals = new UnderWay();

  constructor(ports: TierPorts, logger: Logger, signal: AbortSignal) {
    this.#ports = ports;
    this.#logger = logger;
    this.#signal = signal;
  }

  /** Removes the files of a range that somebody else has committed, only where the table shows that they are not in it and can no longer come. */
  discard(partition: TieredPartition, snapshot: TableSnapshot): void {
    const { move, beganMs = 0 } = partition.prepared ?? {};
    if (move === undefined || boundaryOf(snapshot.partitions, partition.partition) <= move.from) return;
    // An old one may be in the table's past: it is left to the sweep.
    if (this.#ports.clock.nowMs() - beganMs > discardAgeMsMax) return;
    const committed = new Set(filesOfPartition(snapshot, partition.partition).map((file) => file.key));
    this.remove(move.files.filter(({ key }) => !committed.has(key)));
  }

  /** Begins to remove files that no table can name any more. Never fails: what stays is swept. */
  remove(files: readonly { readonly key: string }[] = []): void {
    for (const { key } of files) {
      const removal = removeObject(this.#ports, key, this.#signal).catch((error: unknown) =>
        this.#logger.warn('an object nobody refers to stays until it is swept', { key, error }),
      );
      this.#removals.add(removal);
    }
  }

  /** Resolves when what was begun has ended. */
  settled(): Promise<void> {
    return this.#removals.settled();
  }
}
