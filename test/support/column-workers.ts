// Column jobs in the test's own process: the same code as in a worker, without the time a child takes to start.
import { ColumnEngine } from '../../src/columns/engine.js';
import { encode } from '../../src/columns/encode.js';
import type { ColumnWorkers } from '../../src/columns/index.js';
import { stage } from '../../src/columns/stage.js';
import { LakeError, MiB } from '../../src/kernel/index.js';

export function inlineColumnWorkers(directory: string): ColumnWorkers {
  const engine = new ColumnEngine({ tempDir: directory, memoryBytes: 256 * MiB });
  return {
    pids: [],
    run: async (job, signal) => {
      signal?.throwIfAborted();
      if (job.kind === 'stage') return { ...stage(job), cpuMs: 0 } as never;
      if (job.kind === 'encode') return { ...(await encode(job, engine)), cpuMs: 0 } as never;
      throw new LakeError('unsupported', `no inline worker for ${job.kind}`);
    },
    close: async () => engine.close(),
  };
}
