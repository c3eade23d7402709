/**
 * Record batches out of cold files, for whoever reads them: in threads, which take no DuckDB. Bytes come in parts of whole batches,
 * handed over as they are made, in buffers that go back when they are done with: so that a reader waits for the first part only, and
 * no part is copied on its way out of the thread.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { entryPath, errorFromPlain, isLakeError, LakeError, MiB, type Offset, type PlainError, Semaphore } from '../kernel/index.js';

/** Rows of a cold file back into record batches (at most 1 MiB each unless one record is larger). */
export interface RebuildJob {
  readonly path: string;
  /** The batch that covers this offset comes first. */
  readonly fromOffset: Offset;
  /** Offsets the file stands for: the last batch's last offset delta spans up to here. */
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  /** Stops after about so many bytes, at the end of a batch, or earlier at the end of a row group: `enoughShare`. */
  readonly maxBytes: number;
  readonly maxBatchBytes: number;
}

export interface RebuildResult {
  readonly bytes: number;
  readonly baseOffset: Offset;
  /** Offset after the last batch. */
  readonly nextOffset: Offset;
  readonly batches: number;
}

/**
 * At the end of a row group a job ends once it has this share of its bytes, so that the next one need not inflate the same group
 * again: row groups are of about 16 MiB.
 */
export const enoughShare = 1 / 4;

/** A run of whole batches. */
export interface RebuiltPart {
  /** Not to be touched once the promise of `take` has resolved. */
  readonly bytes: Buffer;
  /** Offset after the last of them. */
  readonly nextOffset: Offset;
  /** Where the job will end, told with every part once it is known, and only where it brings enough: `enoughShare` of its bytes. */
  readonly endOffset: Offset | undefined;
}

export interface BatchRebuilder {
  /**
   * Hands over parts in order, of about `partBytes`, the next one while the last is being taken. Errors: `offset-out-of-range`,
   * `cold-corrupt`, `worker-died`, `overloaded`, whatever `take` throws.
   */
  rebuild(job: RebuildJob, partBytes: number, take: (part: RebuiltPart) => Promise<void>, signal?: AbortSignal): Promise<RebuildResult>;
  close(): Promise<void>;
}

/** Parts of a job that were handed over and not yet taken. */
export const partsAheadMax = 4;

/** To a thread: a job, which it does to its end. Buffers go back to it over a port of their own. */
export interface RebuildOrder {
  readonly id: number;
  readonly job: RebuildJob;
  readonly partBytes: number;
}

export type RebuildAnswer =
  | {
      readonly id: number;
      readonly kind: 'part';
      readonly buffer: ArrayBuffer;
      readonly bytes: number;
      readonly nextOffset: Offset;
      readonly endOffset: Offset | undefined;
    }
  | { readonly id: number; readonly kind: 'done'; readonly result: RebuildResult; readonly keptBytes: number }
  | { readonly id: number; readonly kind: 'failed'; readonly error: PlainError; readonly keptBytes: number };

/** What a thread starts with. */
export interface RebuildThreadSetup {
  readonly returns: MessagePort;
  /** Counts what was sent to `returns`: the thread sleeps on it. */
  readonly returned: Int32Array;
  readonly niceness: number;
}

export interface BatchRebuilderOptions {
  /** Threads at most. */
  readonly count: number;
  /** Added to the scheduling priority's number of a thread, where the system has one for each: 0 … 19, default 10. */
  readonly niceness?: number;
}

/** Jobs that wait for a thread; more are refused with `overloaded`. */
const queuedJobsMax = 1024;
/** A thread that holds on to more than this after a job is replaced: a row group is some 16 MiB. */
const keptBytesMax = 512 * MiB;
/** Of JavaScript objects: what a job is made of lies outside. */
const heapMiBMax = 256;

/** Opens the threads. None is started before the first job. */
export function openBatchRebuilder(options: BatchRebuilderOptions): BatchRebuilder {
  return new ThreadedRebuilder(options);
}

interface PendingJob {
  readonly id: number;
  readonly take: (part: RebuiltPart) => Promise<void>;
  readonly resolve: (result: RebuildResult) => void;
  readonly reject: (error: unknown) => void;
  /** Resolves when all parts that have come are taken. */
  taken: Promise<void>;
}

/** One thread and the job it is at. */
class RebuildThread {
  readonly #worker: Worker;
  readonly #returns: MessagePort;
  readonly #returned = new Int32Array(new SharedArrayBuffer(4));
  #pending: PendingJob | undefined;
  isGone = false;

  constructor(niceness: number) {
    const { port1, port2 } = new MessageChannel();
    this.#returns = port1;
    port1.unref();
    const setup: RebuildThreadSetup = { returns: port2, returned: this.#returned, niceness };
    this.#worker = new Worker(entryPath('columns/rebuild-main'), {
      execArgv: [],
      workerData: setup,
      transferList: [port2],
      resourceLimits: { maxOldGenerationSizeMb: heapMiBMax },
    });
    this.#worker.unref();
    this.#worker.on('message', (answer: RebuildAnswer) => this.#receive(answer));
    this.#worker.on('error', (error) => this.#end(error));
    this.#worker.on('exit', () => this.#end(undefined));
  }

  run(order: RebuildOrder, take: PendingJob['take']): Promise<RebuildResult> {
    return new Promise((resolve, reject) => {
      this.#pending = { id: order.id, take, resolve, reject, taken: Promise.resolve() };
      this.#worker.ref();
      this.#worker.postMessage(order, []);
    });
  }

  async close(): Promise<void> {
    this.isGone = true;
    this.#returns.close();
    await this.#worker.terminate();
  }

  #receive(answer: RebuildAnswer): void {
    const pending = this.#pending;
    if (pending === undefined || pending.id !== answer.id) return;
    if (answer.kind === 'part') {
      const { buffer, bytes, nextOffset, endOffset } = answer;
      pending.taken = pending.taken.then(async () => {
        await pending.take({ bytes: Buffer.from(buffer, 0, bytes), nextOffset, endOffset });
        this.#giveBack(buffer);
      });
      pending.taken.catch((error: unknown) => this.#settle(() => pending.reject(error)));
      return;
    }
    // A thread does not shrink.
    if (answer.keptBytes > keptBytesMax) this.isGone = true;
    const settled =
      answer.kind === 'done' ? (): void => pending.resolve(answer.result) : (): void => pending.reject(errorFromPlain(answer.error));
    void pending.taken.then(
      () => this.#settle(settled),
      () => undefined,
    );
  }

  /** Where a buffer is not given back the thread waits, and is ended with its job. */
  #giveBack(buffer: ArrayBuffer): void {
    if (this.isGone) return;
    this.#returns.postMessage(buffer, [buffer]);
    Atomics.add(this.#returned, 0, 1);
    Atomics.notify(this.#returned, 0);
  }

  #settle(settled: () => void): void {
    this.#pending = undefined;
    this.#worker.unref();
    settled();
  }

  #end(cause: unknown): void {
    this.isGone = true;
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#settle(() => pending.reject(new LakeError('worker-died', 'a thread that rebuilds batches ended during its job', { cause })));
  }
}

class ThreadedRebuilder implements BatchRebuilder {
  readonly #niceness: number;
  readonly #slots: Semaphore;
  readonly #idle: RebuildThread[] = [];
  readonly #all = new Set<RebuildThread>();
  #jobs = 0;
  #isClosed = false;

  constructor({ count, niceness = 10 }: BatchRebuilderOptions) {
    this.#niceness = niceness;
    this.#slots = new Semaphore(count, queuedJobsMax);
  }

  async rebuild(job: RebuildJob, partBytes: number, take: PendingJob['take'], signal?: AbortSignal): Promise<RebuildResult> {
    const release = await this.#slots.acquire(signal);
    try {
      // The signal may have come while the slot was on its way.
      signal?.throwIfAborted();
      if (this.#isClosed) throw new LakeError('cancelled', 'the rebuilding of batches is closed');
      const thread = this.#take();
      let isWhole = false;
      const onAbort = (): void => void thread.close();
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        const result = await thread.run({ id: this.#jobs++, job, partBytes }, take);
        isWhole = true;
        return result;
      } catch (error) {
        signal?.throwIfAborted();
        isWhole = isLakeError(error, 'cold-corrupt', 'offset-out-of-range');
        throw error;
      } finally {
        signal?.removeEventListener('abort', onAbort);
        await this.#giveBack(thread, isWhole);
      }
    } finally {
      release();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#all].map((thread) => thread.close()));
    this.#all.clear();
  }

  #take(): RebuildThread {
    for (let thread = this.#idle.pop(); thread !== undefined; thread = this.#idle.pop()) {
      if (!thread.isGone) return thread;
      this.#all.delete(thread);
    }
    const thread = new RebuildThread(this.#niceness);
    this.#all.add(thread);
    return thread;
  }

  /** Keeps a thread whose job has come to its end for the next one. */
  async #giveBack(thread: RebuildThread, isWhole: boolean): Promise<void> {
    if (isWhole && !thread.isGone && !this.#isClosed) {
      this.#idle.push(thread);
      return;
    }
    this.#all.delete(thread);
    await thread.close();
  }
}
