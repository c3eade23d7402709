/** A worker thread that does with batches what takes long, so that nobody else's request waits for it. */
import { reencodeBatch } from '../wire/index.js';
import type { BatchJob } from './batch-threads.js';
import { answerJobs } from './job-threads.js';
import { validateProduceBatch } from './validate-produce.js';

answerJobs(
  (job: BatchJob): Uint8Array => {
    const batch = Buffer.from(job.batch.buffer, job.batch.byteOffset, job.batch.length);
    if (job.kind === 'reencode') return reencodeBatch(batch, job.encoding, job.maxBytes);
    validateProduceBatch(batch, job.rules);
    return batch;
  },
  // It has a buffer of its own.
  ({ buffer }) => [buffer as ArrayBuffer],
);
