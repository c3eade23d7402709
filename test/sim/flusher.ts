/** The hot log's flushes on the simulated disk: the product's own steps, in the disk's time. */
import type { Disk } from '../../src/kernel/index.js';
import { type FlushJob, runFlushJob } from '../../src/log/flush-jobs.js';
import type { Flusher } from '../../src/log/flush-pool.js';
import { storageError } from '../../src/log/job-threads.js';
import type { SimProcess } from './process.js';

/** Of an fsync, at most. */
const flushMsMax = 8;

export function simFlusher(process: SimProcess, disk: Disk): Flusher {
  const run = (job: FlushJob): Promise<void> => {
    const half = (process.random.float() * flushMsMax) / 2;
    return process.call(half, half, () => {
      try {
        runFlushJob(disk, job);
      } catch (error) {
        throw storageError((error as Error).message, (error as NodeJS.ErrnoException).code, error);
      }
    });
  };
  return {
    flush: (fds, directories) => run({ kind: 'flush', fds, directories }),
    replaceFile: (path, bytes) => run({ kind: 'replace', path, bytes: Uint8Array.from(bytes) }),
    makeFolder: (path, passing, files) => run({ kind: 'make-folder', path, passing, files }),
    afterTurn: (work) => void process.scheduler.after(0, () => process.deliver(work)),
    close: async () => undefined,
  };
}
