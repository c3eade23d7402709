/** A worker thread that compresses batches anew, so that nobody else's request waits for it: a large one can take seconds. */
import { reencodeBatch } from '../wire/index.js';
import { answerJobs } from './job-threads.js';
import type { ReencodeJob } from './reencoder.js';

answerJobs(
  ({ batch, encoding, maxBytes }: ReencodeJob) =>
    reencodeBatch(Buffer.from(batch.buffer, batch.byteOffset, batch.length), encoding, maxBytes),
  // It has a buffer of its own.
  ({ buffer }) => [buffer as ArrayBuffer],
);
