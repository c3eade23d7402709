/**
 * The bounded set of threads that wait for the disk. Each works through its jobs in order; a job goes to the one with the
 * fewest. The number of jobs is bounded by who sends them: one flush a partition, one writer a checkpoint.
 */
import { Worker } from 'node:worker_threads';
import { entryPath, LakeError } from '../kernel/index.js';
import type { FlushJob } from './flush-jobs.js';
import type { FlushAnswer, FlushOrder } from './flush-worker.js';

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

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: LakeError) => void;
}

class FlushThread {
  readonly waiting = new Map<number, Waiting>();
  readonly #worker = new Worker(entryPath('log/flush-worker'), { execArgv: [] });
  #nextId = 0;
  isGone = false;

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', (answer: FlushAnswer) => {
      const waiter = this.waiting.get(answer.id);
      this.waiting.delete(answer.id);
      if (this.waiting.size === 0) this.#worker.unref();
      if (answer.error === undefined) waiter?.resolve();
      else waiter?.reject(storageError(answer.error.message, answer.error.code, answer.error));
    });
    this.#worker.on('error', (error) => this.#end(error));
    this.#worker.on('exit', () => this.#end(undefined));
  }

  #end(cause: unknown): void {
    this.isGone = true;
    const error = new LakeError('log-offline', 'a flush worker ended before its job did', { cause, hint: 'Restart the broker.' });
    for (const waiter of this.waiting.values()) waiter.reject(error);
    this.waiting.clear();
  }

  run(job: FlushJob): Promise<void> {
    return new Promise((resolve, reject) => {
      const order: FlushOrder = { id: this.#nextId++, job };
      if (this.waiting.size === 0) this.#worker.ref();
      this.waiting.set(order.id, { resolve, reject });
      this.#worker.postMessage(order, []);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

export class FlushPool implements Flusher {
  readonly #size: number;
  readonly #threads: FlushThread[] = [];

  constructor(size: number) {
    this.#size = Math.max(1, size);
  }

  async flush(fds: readonly number[], directories: readonly string[]): Promise<void> {
    await this.#thread().run({ kind: 'flush', fds, directories });
  }

  async replaceFile(path: string, bytes: Uint8Array): Promise<void> {
    await this.#thread().run({ kind: 'replace', path, bytes });
  }

  async makeFolder(path: string, passing: string, files: readonly (readonly [name: string, bytes: Uint8Array])[]): Promise<void> {
    await this.#thread().run({ kind: 'make-folder', path, passing, files });
  }

  afterTurn(work: () => void): void {
    setImmediate(work);
  }

  #thread(): FlushThread {
    const living = this.#threads.filter((thread) => !thread.isGone);
    if (living.length !== this.#threads.length) this.#threads.splice(0, this.#threads.length, ...living);
    const idle = living.find((thread) => thread.waiting.size === 0);
    if (idle !== undefined) return idle;
    if (living.length < this.#size) {
      const thread = new FlushThread();
      this.#threads.push(thread);
      return thread;
    }
    return living.reduce((least, thread) => (thread.waiting.size < least.waiting.size ? thread : least));
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map((thread) => thread.close()));
  }
}

const fullCodes: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT'];

/** The error for a failed call to the file system: a full disk may get room again, anything else is for the operator. */
export function storageError(what: string, code: string | undefined, cause: unknown): LakeError {
  if (fullCodes.includes(code)) {
    return new LakeError('disk-full', what, { cause, hint: 'Make room on the disk that holds the data directory.' });
  }
  return new LakeError('log-offline', what, { cause, hint: 'Look at the disk and its messages, then restart the broker.' });
}
