/**
 * A worker thread that compacts, slowly enough that others get at the disk. Descriptors are the process's own: the sender keeps them open
 * until the answer.
 */
import { parentPort } from 'node:worker_threads';
import { isLakeError, type ErrorCode, secondMs, systemClock, systemDisk } from '../kernel/index.js';
import { type CompactedGroup, compactSegments, type CompactionJob, type CompactionResult } from './compact-segments.js';
import { type SegmentSwap, swapSegmentsSync } from './compaction-swap.js';

export type CompactionOrder =
  | { readonly kind: 'compact'; readonly job: CompactionJob; readonly bytesPerSecond: number }
  | { readonly kind: 'swap'; readonly swap: SegmentSwap };

export type CompactionAnswer =
  | { readonly kind: 'group'; readonly group: CompactedGroup }
  | { readonly kind: 'done'; readonly result: CompactionResult | undefined }
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined; readonly lakeCode: ErrorCode | undefined };

/** A pause shorter than this is saved up: a sleep costs more than it gives. */
const pauseMsMin = 5;

/** Sleeps as long as the bytes so far may take at that rate. */
function paced(bytesPerSecond: number): (bytes: number) => void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  const beganMs = systemClock.monotonicMs();
  let total = 0;
  return (bytes) => {
    total += bytes;
    const aheadMs = (total / bytesPerSecond) * secondMs - (systemClock.monotonicMs() - beganMs);
    if (aheadMs >= pauseMsMin) Atomics.wait(sleeper, 0, 0, aheadMs);
  };
}

function answer(message: CompactionAnswer): void {
  parentPort?.postMessage(message, []);
}

function run(order: CompactionOrder): CompactionResult | undefined {
  if (order.kind === 'swap') {
    swapSegmentsSync(systemDisk, order.swap);
    return undefined;
  }
  return compactSegments(systemDisk, order.job, paced(order.bytesPerSecond), (group) => answer({ kind: 'group', group }));
}

parentPort?.on('message', (order: CompactionOrder) => {
  try {
    answer({ kind: 'done', result: run(order) });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    const lakeCode = isLakeError(error) ? error.code : undefined;
    answer({ kind: 'failed', message, code, lakeCode });
  }
});
