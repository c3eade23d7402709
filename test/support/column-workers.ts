// Column jobs in the test's own process: the same code as in a worker, without the time a child takes to start.
import { ColumnEngine } from '../../src/columns/engine.js';
import { type ColumnWorkers, runColumnJob } from '../../src/columns/index.js';
import { MiB } from '../../src/kernel/index.js';

export function inlineColumnWorkers(directory: string): ColumnWorkers {
  const engine = new ColumnEngine({ tempDir: directory, memoryBytes: 256 * MiB });
  return {
    pids: [],
    run: async (job, signal) => {
      signal?.throwIfAborted();
      // The generic of the port and that of the function are the same, which TypeScript cannot see through the mapped type.
      return (await runColumnJob(job as never, engine)) as never;
    },
    close: async () => engine.close(),
  };
}
