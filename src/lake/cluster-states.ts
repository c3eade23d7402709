/**
 * The numbered states of the cluster in the bucket, `cluster/state/v<N>.json`: the highest that can be read is the state. Each is
 * written once, by a conditional PUT; whoever loses, or finds a higher number behind its own, reads and decides again.
 */
import { isLakeError, LakeError } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import { clusterStateKey, clusterStateNumber, clusterStatesPrefix } from './bucket-layout.js';
import { type ClusterState, encodeClusterState, parseClusterState } from './cluster-state.js';

/** Of the older states so many stay, for a reader under way, and in case the newest cannot be read. */
const statesKept = 10;

export interface FoundState {
  /** The highest number there is; 0 where there is none. */
  readonly newest: number;
  /** Number and content of the newest that can be read. */
  readonly current: { readonly number: number; readonly state: ClusterState } | undefined;
  /** What newer objects could not be read for. */
  readonly passedOver: readonly LakeError[];
}

/**
 * One list request and the newest state. Errors: `unsupported` where a newer version of the service wrote it, those of the store.
 */
export async function findClusterState(store: ObjectStore, signal?: AbortSignal): Promise<FoundState> {
  const numbers = await stateNumbers(store, signal);
  const passedOver: LakeError[] = [];
  for (const number of numbers.toReversed()) {
    const key = clusterStateKey(number);
    try {
      const state = parseClusterState(await store.get(key, { signal }), key);
      return { newest: numbers.at(-1) ?? 0, current: { number, state }, passedOver };
    } catch (error) {
      // Gone since it was listed: whoever removed it wrote newer ones.
      if (!isLakeError(error, 'table-corrupt', 'object-missing')) throw error;
      passedOver.push(error);
    }
  }
  return { newest: numbers.at(-1) ?? 0, current: undefined, passedOver };
}

/**
 * Writes the state that follows number `after`, removes old ones, and resolves to its number. Two requests, and one for each
 * that is removed. Errors: `commit-lost` (another writer was first: find the state and decide again), those of the store; after
 * `store-unavailable` it may be there.
 */
export async function writeClusterState(store: ObjectStore, after: number, state: ClusterState, signal?: AbortSignal): Promise<number> {
  const number = after + 1;
  const key = clusterStateKey(number);
  try {
    await store.put(key, encodeClusterState(state), { ifAbsent: true, signal });
  } catch (error) {
    if (isLakeError(error, 'object-exists')) throw lost(key, 'another writer wrote it');
    throw error;
  }
  const numbers = await stateNumbers(store, signal);
  const highest = numbers.at(-1) ?? 0;
  if (highest > number) {
    // The number was free because old states are removed: nobody would ever see this one.
    await store.delete(key, signal);
    throw lost(key, `the state is at number ${highest} already`);
  }
  for (const old of numbers) if (old <= number - statesKept) await store.delete(clusterStateKey(old), signal);
  return number;
}

async function stateNumbers(store: ObjectStore, signal?: AbortSignal): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { key } of store.list(clusterStatesPrefix, signal)) {
    const number = clusterStateNumber(key);
    if (number !== null) numbers.push(number);
  }
  return numbers.sort((a, b) => a - b);
}

function lost(key: string, reason: string): LakeError {
  return new LakeError('commit-lost', `${key} is not ours: ${reason}`, { hint: 'Read the state and decide again.', facts: { key } });
}
