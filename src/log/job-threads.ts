/**
 * A bounded set of threads that work through jobs beside the event loop. Each does its jobs in order; a job goes to the thread with the
 * fewest. The number of jobs is bounded by who sends them. Threads are started when there is work for them.
 */
import { parentPort, type TransferListItem, Worker } from 'node:worker_threads';
import { entryPath, errorFromPlain, errorToPlain, isLakeError, LakeError, type PlainError } from '../kernel/index.js';

interface JobOrder<Job> {
  readonly id: number;
  readonly job: Job;
}

/** How a job failed: an error of ours, or one of the system. */
export interface JobFault {
  readonly message: string;
  /** The system's, like `ENOSPC`. */
  readonly code: string | undefined;
  readonly plain: PlainError | undefined;
}

type JobAnswer<Result> = { readonly id: number } & ({ readonly result: Result } | { readonly fault: JobFault });

interface Waiting<Result> {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: LakeError) => void;
}

export function faultOf(error: unknown): JobFault {
  const { message, code } = error as NodeJS.ErrnoException;
  return { message, code, plain: isLakeError(error) ? errorToPlain(error) : undefined };
}

const fullCodes: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT'];

/** The error for a failed call to the file system: a full disk may get room again, anything else is for the operator. */
export function storageError(what: string, code: string | undefined, cause: unknown): LakeError {
  if (fullCodes.includes(code)) {
    return new LakeError('disk-full', what, { cause, hint: 'Make room on the disk that holds the data directory.' });
  }
  return new LakeError('log-offline', what, { cause, hint: 'Look at the disk and its messages, then restart the broker.' });
}

export function errorOfFault(fault: JobFault): LakeError {
  return fault.plain === undefined ? storageError(fault.message, fault.code, fault) : errorFromPlain(fault.plain);
}

class JobThread<Job, Result> {
  readonly waiting = new Map<number, Waiting<Result>>();
  readonly #worker: Worker;
  #nextId = 0;
  isGone = false;

  constructor(module: string) {
    this.#worker = new Worker(entryPath(module), { execArgv: [] });
    this.#worker.unref();
    this.#worker.on('message', (answer: JobAnswer<Result>) => {
      const waiter = this.waiting.get(answer.id);
      this.waiting.delete(answer.id);
      if (this.waiting.size === 0) this.#worker.unref();
      if ('fault' in answer) waiter?.reject(errorOfFault(answer.fault));
      else waiter?.resolve(answer.result);
    });
    this.#worker.on('error', (error) => this.#end(module, error));
    this.#worker.on('exit', () => this.#end(module, undefined));
  }

  #end(module: string, cause: unknown): void {
    this.isGone = true;
    const error = new LakeError('log-offline', `a thread of ${module} ended before its job did`, { cause, hint: 'Restart the broker.' });
    for (const waiter of this.waiting.values()) waiter.reject(error);
    this.waiting.clear();
  }

  run(job: Job, transfer: TransferListItem[]): Promise<Result> {
    return new Promise((resolve, reject) => {
      const order: JobOrder<Job> = { id: this.#nextId++, job };
      if (this.waiting.size === 0) this.#worker.ref();
      this.waiting.set(order.id, { resolve, reject });
      this.#worker.postMessage(order, transfer);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

export class JobThreads<Job, Result> {
  readonly #module: string;
  readonly #size: number;
  readonly #threads: JobThread<Job, Result>[] = [];

  /** `module` calls `answerJobs`; there are at most `size` threads of it. */
  constructor(module: string, size: number) {
    this.#module = module;
    this.#size = Math.max(1, size);
  }

  /** `transfer`: what is handed over of the job, not copied. Errors: those of the job, and `log-offline` where its thread ends. */
  run(job: Job, transfer: TransferListItem[] = []): Promise<Result> {
    return this.#thread().run(job, transfer);
  }

  #thread(): JobThread<Job, Result> {
    const living = this.#threads.filter((thread) => !thread.isGone);
    if (living.length !== this.#threads.length) this.#threads.splice(0, this.#threads.length, ...living);
    const idle = living.find((thread) => thread.waiting.size === 0);
    if (idle !== undefined) return idle;
    if (living.length < this.#size) {
      const thread = new JobThread<Job, Result>(this.#module);
      this.#threads.push(thread);
      return thread;
    }
    return living.reduce((least, thread) => (thread.waiting.size < least.waiting.size ? thread : least));
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map((thread) => thread.close()));
  }
}

/** The thread's side: does each job, and hands over what `transfer` names of its result. */
export function answerJobs<Result>(run: (job: never) => Result, transfer: (result: Result) => TransferListItem[] = () => []): void {
  parentPort?.on('message', ({ id, job }: JobOrder<never>) => {
    try {
      const result = run(job);
      parentPort?.postMessage({ id, result } satisfies JobAnswer<Result>, transfer(result));
    } catch (error) {
      parentPort?.postMessage({ id, fault: faultOf(error) } satisfies JobAnswer<Result>, []);
    }
  });
}
