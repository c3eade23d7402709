/** What is to be made durable off the threads that answer, and how: in a flush worker, or wherever a simulation does it. */
import type { Disk } from '../kernel/index.js';
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

/** Errors: the operating system's. */
export function runFlushJob(disk: Disk, job: FlushJob): void {
  switch (job.kind) {
    case 'flush':
      for (const fd of job.fds) disk.fdatasyncSync(fd);
      for (const directory of job.directories) fsyncDirectorySync(disk, directory);
      return;
    case 'replace':
      replaceFileSync(disk, job.path, job.bytes);
      return;
    case 'make-folder':
      makeFolderSync(disk, job.path, job.passing, job.files);
  }
}
