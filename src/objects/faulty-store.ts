/** A store that fails as told: for tests and the simulation, which own the moments at which a bucket misbehaves. */
import { LakeError } from '../kernel/index.js';
import { outcomeUnknown } from './errors.js';
import type { ByteRange, ObjectBody, ObjectInfo, ObjectStore, PutOptions } from './object-store.js';

export type StoreOperation = 'put' | 'get' | 'download' | 'head' | 'list' | 'delete';

export interface StoreCall {
  readonly operation: StoreOperation;
  /** The key, or the prefix of a listing. */
  readonly key: string;
  readonly ifAbsent: boolean;
  /** How many calls this store has seen before. */
  readonly index: number;
}

/**
 * Hooks around each call; each may throw, or wait as long as it likes. What `before` throws is the answer, and nothing is
 * done; what `after` throws is the answer although it was done. `alter` changes bytes that were read.
 */
export interface FaultPlan {
  before?(call: StoreCall): Promise<void> | void;
  after?(call: StoreCall): Promise<void> | void;
  alter?(call: StoreCall, bytes: Buffer): Buffer;
}

export function faultyStore(inner: ObjectStore, plan: FaultPlan): ObjectStore {
  let calls = 0;
  const around = async <T>(
    operation: StoreOperation,
    key: string,
    ifAbsent: boolean,
    work: (call: StoreCall) => Promise<T>,
  ): Promise<T> => {
    const call: StoreCall = { operation, key, ifAbsent, index: calls++ };
    await plan.before?.(call);
    const answer = await work(call);
    await plan.after?.(call);
    return answer;
  };
  return {
    url: inner.url,
    put: (key: string, body: ObjectBody, options?: PutOptions) =>
      around('put', key, options?.ifAbsent === true, () => inner.put(key, body, options)),
    get: (key: string, options?: { readonly range?: ByteRange; readonly signal?: AbortSignal | undefined }) =>
      around('get', key, false, async (call) => {
        const bytes = await inner.get(key, options);
        return plan.alter?.(call, bytes) ?? bytes;
      }),
    download: (key: string, path: string, signal?: AbortSignal) => around('download', key, false, () => inner.download(key, path, signal)),
    head: (key: string, signal?: AbortSignal) => around('head', key, false, () => inner.head(key, signal)),
    async *list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
      const call: StoreCall = { operation: 'list', key: prefix, ifAbsent: false, index: calls++ };
      await plan.before?.(call);
      yield* inner.list(prefix, signal);
      await plan.after?.(call);
    },
    delete: (key: string, signal?: AbortSignal) => around('delete', key, false, () => inner.delete(key, signal)),
    removeUnfinished: (olderThanMs: number, signal?: AbortSignal) => inner.removeUnfinished(olderThanMs, signal),
    localPath: (key: string) => inner.localPath(key),
    location: (key: string) => inner.location(key),
    close: () => inner.close(),
  };
}

/** What a store answers that did not do what it was asked. */
export function unavailable(call: StoreCall): LakeError {
  return new LakeError('store-unavailable', `${call.operation} ${call.key}: the bucket did not answer`, { facts: { key: call.key } });
}

/** What a store answers whose answer was lost on the way. */
export function answerLost(call: StoreCall): LakeError {
  return outcomeUnknown('the bucket', `${call.operation} ${call.key}`, new Error('connection reset'));
}
