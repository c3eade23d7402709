/**
 * A worker thread that waits for the disk, so that neither the event loop nor libuv's small thread pool does. Descriptors are
 * the process's own: the sender keeps them open until the answer.
 */
import { parentPort } from 'node:worker_threads';
import { systemDisk } from '../kernel/index.js';
import { type FlushJob, runFlushJob } from './flush-jobs.js';

export interface FlushOrder {
  readonly id: number;
  readonly job: FlushJob;
}

export interface FlushAnswer {
  readonly id: number;
  /** Absent where all is on disk. */
  readonly error?: { readonly message: string; readonly code: string | undefined };
}

parentPort?.on('message', ({ id, job }: FlushOrder) => {
  let answer: FlushAnswer = { id };
  try {
    runFlushJob(systemDisk, job);
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    answer = { id, error: { message, code } };
  }
  parentPort?.postMessage(answer, []);
});
