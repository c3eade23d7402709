/** What the properties of a table with several writers share: a bucket that loses requests and answers, and writers that go on. */
import * as fc from 'fast-check';
import { isLakeError, systemClock, systemRandom } from '../../src/kernel/index.js';
import { openTopicTable, type TopicTable } from '../../src/lake/index.js';
import { answerLost, faultyStore, type ObjectStore, unavailable } from '../../src/objects/index.js';
import { cluster, id, topic } from '../unit/lake/table-fixture.js';

/** Whether the n-th request fails, and how. */
export const faults = fc.array(fc.constantFrom('fine', 'fine', 'fine', 'refused', 'lost'), { maxLength: 120 });

export function unreliable(inner: ObjectStore, plan: readonly string[]): ObjectStore {
  return faultyStore(inner, {
    before: (call) => {
      if (plan[call.index] === 'refused') throw unavailable(call);
    },
    after: (call) => {
      if (plan[call.index] === 'lost') throw answerLost(call);
    },
  });
}

/** A writer that does not wait between its tries. */
export function writerOf(store: ObjectStore): TopicTable {
  const clock = { ...systemClock, sleep: () => new Promise<void>((resolve) => setImmediate(resolve)) };
  return openTopicTable(store, { topic, topicId: id, clusterId: cluster }, { clock, random: systemRandom });
}

/** Tries again what failed for the bucket, or for another writer. */
export async function until<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isLakeError(error, 'store-unavailable', 'commit-lost')) throw error;
    }
  }
}
