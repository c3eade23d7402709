/**
 * A column worker: one job at a time, in a process of its own, which may die of memory without taking anything along. It ends
 * when its parent is gone.
 */
import { errorToPlain, giveWay, invariant } from '../kernel/index.js';
import { ColumnEngine } from './engine.js';
import { runColumnJob } from './run-column-job.js';
import type { WorkerAnswer, WorkerRequest } from './worker-protocol.js';

// Before there are threads, which take it from the one that starts them.
giveWay(Number(process.argv[2] ?? 0));

let engine: ColumnEngine | undefined;

async function answer(request: WorkerRequest): Promise<void> {
  if (request.kind === 'setup') {
    engine = new ColumnEngine(request);
    return;
  }
  invariant(engine !== undefined, 'a worker is set up before its first job');
  const { id, job } = request;
  try {
    const result = await runColumnJob(job, engine);
    send({ id, result, residentBytes: process.memoryUsage.rss() });
  } catch (error) {
    send({ id, error: errorToPlain(error), residentBytes: process.memoryUsage.rss() });
  }
}

function send(message: WorkerAnswer): void {
  // A parent that is gone also disconnects, which ends this process.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

process.on('message', (request: WorkerRequest) => void answer(request));
process.on('disconnect', () => process.exit(0));
// A signal is the parent's to act on; it ends its workers by disconnecting.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
