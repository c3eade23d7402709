/** What a column worker child and its parent say to each other, over the channel that `fork` opens. */
import type { PlainError } from '../kernel/index.js';
import type { ColumnJob, ColumnJobKind, ColumnJobs } from './jobs.js';

/** First message to a child. */
export interface WorkerSetup {
  readonly kind: 'setup';
  readonly tempDir: string;
  readonly memoryBytes: number;
}

export interface WorkerJob {
  readonly kind: 'job';
  readonly id: number;
  readonly job: ColumnJob;
}

export type WorkerRequest = WorkerSetup | WorkerJob;

export type WorkerAnswer =
  | { readonly id: number; readonly result: ColumnJobs[ColumnJobKind]['result']; readonly residentBytes: number }
  | { readonly id: number; readonly error: PlainError; readonly residentBytes: number };
