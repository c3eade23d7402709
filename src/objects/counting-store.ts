/** Counts what a store is asked that sends no requests of its own: a directory, memory. */
import { stat } from 'node:fs/promises';
import { isLakeError, type Clock } from '../kernel/index.js';
import type { ByteRange, ObjectBody, ObjectInfo, ObjectStore, PutOptions } from './object-store.js';
import type { RequestCounters, RequestOperation, RequestOutcome } from './request-counters.js';

export function countingStore(inner: ObjectStore, counters: RequestCounters, clock: Pick<Clock, 'monotonicMs'>): ObjectStore {
  const counted = async <T>(operation: RequestOperation, work: () => Promise<T>, count: (answer: T) => void): Promise<T> => {
    const startMs = clock.monotonicMs();
    let outcome: RequestOutcome = 'failed';
    counters.running++;
    try {
      const answer = await work();
      outcome = operation === 'head' && answer === null ? 'missing' : 'ok';
      count(answer);
      return answer;
    } catch (error) {
      outcome = outcomeOf(error);
      throw error;
    } finally {
      counters.running--;
      counters.count(operation, outcome, clock.monotonicMs() - startMs);
    }
  };
  const received = (bytes: number): void => {
    counters.receivedBytes += bytes;
  };
  return {
    url: inner.url,
    put: async (key: string, body: ObjectBody, options?: PutOptions): Promise<void> => {
      await counted(
        'put',
        async () => {
          await inner.put(key, body, options);
          return body instanceof Uint8Array ? body.length : (await stat(body.path)).size;
        },
        (bytes) => {
          counters.sentBytes += bytes;
        },
      );
    },
    get: (key: string, options?: { readonly range?: ByteRange; readonly signal?: AbortSignal | undefined }) =>
      counted(
        'get',
        () => inner.get(key, options),
        (bytes) => received(bytes.length),
      ),
    download: (key: string, path: string, signal?: AbortSignal) => counted('get', () => inner.download(key, path, signal), received),
    head: (key: string, signal?: AbortSignal) =>
      counted(
        'head',
        () => inner.head(key, signal),
        () => undefined,
      ),
    async *list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
      let outcome: RequestOutcome = 'ok';
      const startMs = clock.monotonicMs();
      try {
        yield* inner.list(prefix, signal);
      } catch (error) {
        outcome = outcomeOf(error);
        throw error;
      } finally {
        counters.count('list', outcome, clock.monotonicMs() - startMs);
      }
    },
    delete: (key: string, signal?: AbortSignal) =>
      counted(
        'delete',
        () => inner.delete(key, signal),
        () => undefined,
      ),
    removeUnfinished: (olderThanMs: number, signal?: AbortSignal) => inner.removeUnfinished(olderThanMs, signal),
    localPath: (key: string) => inner.localPath(key),
    location: (key: string) => inner.location(key),
    close: () => inner.close(),
  };
}

function outcomeOf(error: unknown): RequestOutcome {
  if (isLakeError(error, 'object-missing')) return 'missing';
  if (isLakeError(error, 'object-exists')) return 'exists';
  return isLakeError(error, 'store-refused', 'request-invalid', 'disk-full') ? 'refused' : 'failed';
}
