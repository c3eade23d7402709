/** The threads that wait for the disk. Jobs are bounded by who sends them: one flush a partition, one writer a checkpoint. */
import type { FlushJob } from './flush-jobs.js';
import { JobThreads } from './job-threads.js';

/** Makes things durable beside the event loop. A port: threads in service, the simulated disk's own time in a simulation. */
export interface Flusher {
  /** Waits until the content of open files, then the names in folders, are on disk. Errors: `log-offline`, `disk-full`. */
  flush(fds: readonly number[], directories: readonly string[]): Promise<void>;
  /** `replaceFileSync`. Errors: `log-offline`, `disk-full`. */
  replaceFile(path: string, bytes: Uint8Array): Promise<void>;
  /** `makeFolderSync`. Errors: `log-offline`, `disk-full`. */
  makeFolder(path: string, passing: string, files: readonly (readonly [name: string, bytes: Uint8Array])[]): Promise<void>;
  /** Calls back after this turn of the event loop. */
  afterTurn(work: () => void): void;
  close(): Promise<void>;
}

export class FlushPool implements Flusher {
  readonly #threads: JobThreads<FlushJob, void>;

  constructor(size: number) {
    this.#threads = new JobThreads('log/flush-worker', size);
  }

  async flush(fds: readonly number[], directories: readonly string[]): Promise<void> {
    await this.#threads.run({ kind: 'flush', fds, directories });
  }

  async replaceFile(path: string, bytes: Uint8Array): Promise<void> {
    await this.#threads.run({ kind: 'replace', path, bytes });
  }

  async makeFolder(path: string, passing: string, files: readonly (readonly [name: string, bytes: Uint8Array])[]): Promise<void> {
    await this.#threads.run({ kind: 'make-folder', path, passing, files });
  }

  afterTurn(work: () => void): void {
    setImmediate(work);
  }

  async close(): Promise<void> {
    await this.#threads.close();
  }
}
