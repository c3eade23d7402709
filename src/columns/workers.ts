/**
 * The pool of column workers: child processes that are started when first needed, replaced when they die or have grown, and
 * killed when a job is cancelled.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { entryPath, errorFromPlain, isErrno, GiB, LakeError, MiB, Semaphore } from '../kernel/index.js';
import type { ColumnJob, ColumnJobKind, ColumnJobs, ColumnWorkers } from './jobs.js';
import type { WorkerAnswer, WorkerRequest } from './worker-protocol.js';

/** Jobs that wait for a free worker; more are refused with `overloaded`. */
const queuedJobsMax = 1024;
/** A worker above DuckDB's bound plus this is replaced between two jobs. */
const growthBytes = 512 * MiB;
/** How long a worker may take to go on its own when the pool is closed. */
const closeMs = 2000;

export interface ColumnWorkersOptions {
  /** Children at most. */
  readonly count: number;
  /**
   * For spill files; made where it is missing. Each worker has a folder of its own in it, which is removed when
   * the worker ends, or by the next pool there.
   */
  readonly tempDir: string;
  /** DuckDB's memory bound per child; default 1 GiB. */
  readonly memoryBytes?: number;
  /** Added to the scheduling priority's number, so that what answers clients goes first; 0 … 19, default 0. */
  readonly niceness?: number;
}

/** Opens a pool. Nothing is started before the first job. */
export function openColumnWorkers(options: ColumnWorkersOptions): ColumnWorkers {
  return new ForkedColumnWorkers(options);
}

interface PendingJob {
  readonly id: number;
  readonly resolve: (result: ColumnJobs[ColumnJobKind]['result']) => void;
  readonly reject: (error: unknown) => void;
}

const folderPattern = /^worker-(\d+)$/;

function workerFolder(tempDir: string, pid: number): string {
  return join(tempDir, `worker-${pid}`);
}

/** Another pool, of another process, may be at work in the same folder. */
function removeFoldersOfDead(tempDir: string): void {
  let names: readonly string[];
  try {
    names = readdirSync(tempDir);
  } catch {
    return;
  }
  for (const name of names) {
    const pid = folderPattern.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(tempDir, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isErrno(error, 'EPERM');
  }
}

/** One child and the job it is at. */
class Worker {
  readonly #child: ChildProcess;
  readonly exited: Promise<void>;
  #pending: PendingJob | undefined;
  #hasExited = false;
  residentBytes = 0;

  constructor(options: Required<ColumnWorkersOptions>) {
    this.#child = fork(entryPath('columns/worker-main'), [String(options.niceness)], {
      // A session of its own, which can give way as a whole.
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      execArgv: [],
    });
    const tempDir = workerFolder(options.tempDir, this.#child.pid ?? 0);
    this.exited = new Promise((resolve) => {
      const onEnd = (why: string): void => {
        this.#hasExited = true;
        this.#pending?.reject(
          new LakeError('worker-died', `the column worker ${this.#child.pid ?? ''} ended during its job (${why})`, {
            hint: 'It is started again by itself. If it was out of memory, lower `lake.file.bytes` or give the machine more.',
          }),
        );
        this.#pending = undefined;
        // A killed worker leaves what DuckDB has spilled.
        rm(tempDir, { recursive: true, force: true }).then(resolve, () => resolve());
      };
      this.#child.once('exit', (code, signal) => onEnd(signal ?? `exit code ${String(code)}`));
      this.#child.once('error', (error) => onEnd(error.message));
    });
    this.#child.on('message', (answer: WorkerAnswer) => this.#take(answer));
    this.#send({ kind: 'setup', tempDir, memoryBytes: options.memoryBytes });
  }

  get pid(): number | undefined {
    return this.#hasExited ? undefined : this.#child.pid;
  }

  get isAlive(): boolean {
    return !this.#hasExited && this.#child.connected;
  }

  run(id: number, job: ColumnJob): Promise<ColumnJobs[ColumnJobKind]['result']> {
    return new Promise((resolve, reject) => {
      this.#pending = { id, resolve, reject };
      this.#send({ kind: 'job', id, job });
    });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Lets it end by itself. */
  release(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  #send(request: WorkerRequest): void {
    // Where the channel is closed, `exit` follows and says so.
    this.#child.send(request, () => undefined);
  }

  #take(answer: WorkerAnswer): void {
    this.residentBytes = answer.residentBytes;
    const pending = this.#pending;
    if (pending === undefined || pending.id !== answer.id) return;
    this.#pending = undefined;
    if ('error' in answer) pending.reject(errorFromPlain(answer.error));
    else pending.resolve(answer.result);
  }
}

class ForkedColumnWorkers implements ColumnWorkers {
  readonly #options: Required<ColumnWorkersOptions>;
  readonly #slots: Semaphore;
  readonly #idle: Worker[] = [];
  readonly #all = new Set<Worker>();
  #jobs = 0;
  #isClosed = false;

  constructor(options: ColumnWorkersOptions) {
    this.#options = { memoryBytes: GiB, niceness: 0, ...options };
    removeFoldersOfDead(options.tempDir);
    this.#slots = new Semaphore(this.#options.count, queuedJobsMax);
  }

  get pids(): readonly number[] {
    return [...this.#all].map((worker) => worker.pid).filter((pid) => pid !== undefined);
  }

  async run<K extends ColumnJobKind>(
    job: ColumnJobs[K]['job'] & { readonly kind: K },
    signal?: AbortSignal,
  ): Promise<ColumnJobs[K]['result']> {
    const release = await this.#slots.acquire(signal);
    try {
      // The signal may have come while the slot was on its way.
      signal?.throwIfAborted();
      if (this.#isClosed) throw new LakeError('cancelled', 'the column workers are closed');
      const worker = this.#take();
      const onAbort = (): void => worker.kill();
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        return (await worker.run(this.#jobs++, job)) as ColumnJobs[K]['result'];
      } catch (error) {
        signal?.throwIfAborted();
        throw error;
      } finally {
        signal?.removeEventListener('abort', onAbort);
        await this.#giveBack(worker, signal?.aborted === true);
      }
    } finally {
      release();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const workers = [...this.#all];
    for (const worker of workers) worker.release();
    const timer = setTimeout(() => {
      for (const worker of workers) worker.kill();
    }, closeMs);
    await Promise.all(workers.map((worker) => worker.exited));
    clearTimeout(timer);
  }

  #take(): Worker {
    for (let worker = this.#idle.pop(); worker !== undefined; worker = this.#idle.pop()) {
      if (worker.isAlive) return worker;
    }
    const worker = new Worker(this.#options);
    this.#all.add(worker);
    void worker.exited.then(() => this.#all.delete(worker));
    return worker;
  }

  /** Keeps a worker for the next job, unless it is dead, dying or has grown. */
  async #giveBack(worker: Worker, isKilled: boolean): Promise<void> {
    if (isKilled) await worker.exited;
    if (!worker.isAlive || isKilled) return;
    if (this.#isClosed || worker.residentBytes > this.#options.memoryBytes + growthBytes) worker.release();
    else this.#idle.push(worker);
  }
}
