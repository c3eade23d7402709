/**
 * The one thread that compacts, so that neither the event loop nor the threads that flush wait for it. It is there while there is
 * something to compact, and its table of keys with it.
 */
import { Worker } from 'node:worker_threads';
import { entryPath, LakeError } from '../kernel/index.js';
import type { CompactedGroup, CompactionJob, CompactionResult } from './compact-segments.js';
import type { SegmentSwap } from './compaction-swap.js';
import type { CompactionAnswer, CompactionOrder } from './compaction-worker.js';
import { storageError } from './job-threads.js';

/** Compacts beside the event loop. A port: a thread in service, the simulated disk's own time in a simulation. One call at a time. */
export interface Compactor {
  /**
   * `compactSegments`; `onGroup` hears of each group in order, and the pass ends with the first one that it fails for.
   * Errors: as `compactSegments`, `log-offline` where the thread ends, the signal's reason, and what `onGroup` throws.
   */
  compact(job: CompactionJob, onGroup: (group: CompactedGroup) => Promise<void>, signal: AbortSignal): Promise<CompactionResult>;
  /** `swapSegmentsSync`. Errors: `log-offline`, `disk-full`. */
  swap(swap: SegmentSwap): Promise<void>;
  close(): Promise<void>;
}

export class CompactionPool implements Compactor {
  readonly #bytesPerSecond: number;
  #worker: Worker | undefined;

  /** `bytesPerSecond`: read and written together. */
  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  async compact(job: CompactionJob, onGroup: (group: CompactedGroup) => Promise<void>, signal: AbortSignal): Promise<CompactionResult> {
    let swaps: Promise<void> = Promise.resolve();
    const end = (): void => void this.close();
    signal.addEventListener('abort', end, { once: true });
    try {
      signal.throwIfAborted();
      const result = await this.#order<CompactionResult>({ kind: 'compact', job, bytesPerSecond: this.#bytesPerSecond }, (group) => {
        swaps = swaps.then(() => onGroup(group));
        // Its failure is thrown where the pass ends, and ends it.
        swaps.catch(end);
      });
      await swaps;
      return result;
    } catch (error) {
      await swaps;
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', end);
    }
  }

  async swap(swap: SegmentSwap): Promise<void> {
    // In a thread of its own: the one that compacts is at the next group.
    const worker = new Worker(entryPath('log/compaction-worker'), { execArgv: [] });
    try {
      await ask(worker, { kind: 'swap', swap });
    } finally {
      await worker.terminate();
    }
  }

  async #order<T>(order: CompactionOrder, onGroup: (group: CompactedGroup) => void): Promise<T> {
    const worker = new Worker(entryPath('log/compaction-worker'), { execArgv: [] });
    this.#worker = worker;
    try {
      return (await ask(worker, order, onGroup)) as T;
    } finally {
      this.#worker = undefined;
      await worker.terminate();
    }
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }
}

function ask(worker: Worker, order: CompactionOrder, onGroup: (group: CompactedGroup) => void = () => undefined): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.on('message', (answer: CompactionAnswer) => {
      if (answer.kind === 'group') onGroup(answer.group);
      else if (answer.kind === 'done') resolve(answer.result);
      else
        reject(
          answer.lakeCode === undefined
            ? storageError(answer.message, answer.code, answer)
            : new LakeError(answer.lakeCode, answer.message),
        );
    });
    const gone = (cause: unknown): void =>
      reject(new LakeError('log-offline', 'the thread that compacts ended before its job did', { cause, hint: 'It is tried again.' }));
    worker.on('error', gone);
    worker.on('exit', gone);
    worker.postMessage(order, []);
  });
}
