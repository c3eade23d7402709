/** Moves the tables' boundaries over the holes of a recovery, so that consumers pass them and no offset in them is ever committed. */
import { LakeError } from '../../kernel/index.js';
import { boundaryOf, openTopicTable, type RangeMove } from '../../lake/index.js';
import type { RecoverPorts } from './bucket-contents.js';
import type { PlannedTopic, RecoverPlan } from './plan.js';

/** Each is some five small requests, one after the other. */
const commitsAtOnce = 16;

/**
 * Commits what of the plan is not committed yet; may be repeated. Errors: `bucket-in-use` where a boundary has moved since the plan,
 * those of the store.
 */
export async function commitHoles(ports: RecoverPorts, plan: RecoverPlan, onCommitted: (tables: number) => void): Promise<void> {
  // The tables that were read last have their manifests still in memory.
  const topics = plan.topics.filter(({ isCold }) => isCold).reverse();
  const failures: unknown[] = [];
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (next < topics.length && failures.length === 0) {
      const topic = topics[next++] as PlannedTopic;
      try {
        await commitHole(ports, plan, topic);
        onCommitted(++done);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: commitsAtOnce }, work));
  if (failures.length > 0) throw failures[0];
}

async function commitHole(
  { store, manifests, clock, random, signal }: RecoverPorts,
  { clusterId }: RecoverPlan,
  topic: PlannedTopic,
): Promise<void> {
  const table = openTopicTable(store, { topic: topic.name, topicId: topic.id, clusterId }, { clock, random, reader: manifests });
  const { partitions } = await table.load(signal);
  const moves = topic.partitions.flatMap(({ partition, boundary: from, openOffset: to, leaderEpoch, logStartOffset }): RangeMove[] => {
    const boundary = boundaryOf(partitions, partition);
    if (boundary === to) return [];
    if (boundary !== from) {
      throw new LakeError('bucket-in-use', `the boundary of ${topic.name}-${partition} was ${from} and is ${boundary}: somebody commits`, {
        hint: 'Stop the other service on this bucket, empty the data directory, and recover again.',
        facts: { topic: topic.name, partition, from, boundary },
      });
    }
    return [{ partition, from, to, leaderEpoch, logStartOffset, files: [], isHole: true }];
  });
  if (moves.length > 0) await table.commit({ commitId: topic.commitId, moves, columns: [], nowMs: clock.nowMs() }, signal);
}
