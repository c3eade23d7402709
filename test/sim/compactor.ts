/** The hot log's compaction on the simulated disk: the product's own steps, one pass or swap at a time. */
import type { Disk } from '../../src/kernel/index.js';
import { type CompactedGroup, compactSegments } from '../../src/log/compact-segments.js';
import type { Compactor } from '../../src/log/compaction-pool.js';
import { swapSegmentsSync } from '../../src/log/compaction-swap.js';
import { storageError } from '../../src/log/job-threads.js';
import type { SimProcess } from './process.js';

/** Of a pass, and of a swap. */
const halfMs = 4;

export function simCompactor(process: SimProcess, disk: Disk): Compactor {
  return {
    compact: async (job, onGroup, signal) => {
      const groups: CompactedGroup[] = [];
      const result = await process.call(halfMs, halfMs, () =>
        compactSegments(
          disk,
          job,
          () => undefined,
          (group) => groups.push(group),
        ),
      );
      for (const group of groups) await onGroup(group);
      signal.throwIfAborted();
      return result;
    },
    swap: (swap) =>
      process.call(halfMs, halfMs, () => {
        try {
          swapSegmentsSync(disk, swap);
        } catch (error) {
          throw storageError((error as Error).message, (error as NodeJS.ErrnoException).code, error);
        }
      }),
    close: async () => undefined,
  };
}
