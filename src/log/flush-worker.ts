/**
 * A worker thread that waits for the disk, so that neither the event loop nor libuv's small thread pool does. Descriptors are
 * the process's own: the sender keeps them open until the answer.
 */
import * as fs from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { fsyncDirectorySync, makeFolderSync, replaceFileSync } from './durable-file.js';

export type FlushJob =
  | { readonly kind: 'flush'; readonly fds: readonly number[]; readonly directories: readonly string[] }
  | { readonly kind: 'replace'; readonly path: string; readonly bytes: Uint8Array }
  | {
      readonly kind: 'make-folder';
      readonly path: string;
      readonly passing: string;
      readonly files: readonly (readonly [name: string, bytes: Uint8Array])[];
    };

export interface FlushOrder {
  readonly id: number;
  readonly job: FlushJob;
}

export interface FlushAnswer {
  readonly id: number;
  /** Absent where all is on disk. */
  readonly error?: { readonly message: string; readonly code: string | undefined };
}

function run(job: FlushJob): void {
  switch (job.kind) {
    case 'flush':
      for (const fd of job.fds) fs.fdatasyncSync(fd);
      for (const directory of job.directories) fsyncDirectorySync(directory);
      return;
    case 'replace':
      replaceFileSync(job.path, job.bytes);
      return;
    case 'make-folder':
      makeFolderSync(job.path, job.passing, job.files);
  }
}

parentPort?.on('message', ({ id, job }: FlushOrder) => {
  let answer: FlushAnswer = { id };
  try {
    run(job);
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    answer = { id, error: { message, code } };
  }
  parentPort?.postMessage(answer, []);
});
