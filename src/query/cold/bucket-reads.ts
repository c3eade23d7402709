/** Ranges of cold files straight from the bucket: bounded in number over all queries, checked for length, counted. */
import { LakeError, isLakeError, Semaphore } from '../../kernel/index.js';
import type { ColdFile } from '../../lake/index.js';
import type { ObjectStore } from '../../objects/index.js';

/** Requests at once, of all queries: with ranges of 4 MiB at most 32 MiB are on their way. */
const requestsAtOnce = 8;
const requestsQueuedMax = 1_000_000;

/** What one query has fetched from the bucket. */
export interface ReadCount {
  requests: number;
  bytes: number;
}

export class BucketReads {
  readonly #store: ObjectStore;
  readonly #turns = new Semaphore(requestsAtOnce, requestsQueuedMax);

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** Errors: `cold-unavailable` (also where the object is gone), `cold-corrupt` where it is shorter than the table says. */
  read(file: ColdFile, start: number, end: number, count: ReadCount, signal: AbortSignal): Promise<Buffer> {
    return this.#turns.run(async () => {
      let bytes: Buffer;
      try {
        bytes = await this.#store.get(file.key, { range: { start, end }, signal });
      } catch (cause) {
        if (signal.aborted || !isLakeError(cause)) throw cause;
        throw new LakeError('cold-unavailable', `the cold file ${file.key} cannot be read: ${cause.message}`, {
          cause,
          hint: 'Check the bucket and ask again; if it stays, run thermocline doctor.',
          facts: { key: file.key, start, end },
        });
      }
      count.requests++;
      count.bytes += bytes.length;
      if (bytes.length === end - start) return bytes;
      throw new LakeError('cold-corrupt', `${file.key} is damaged: ${bytes.length} bytes of ${end - start} came from ${start} on`, {
        hint: 'Run thermocline tier scrub; the object is not what was committed.',
        facts: { key: file.key, start, end, bytes: bytes.length },
      });
    }, signal);
  }
}
