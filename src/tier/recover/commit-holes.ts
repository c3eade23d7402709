/** Moves the tables' boundaries over the holes of a recovery, so that consumers pass them and no offset in them is ever committed. */
import { ManifestReader } from '../../iceberg/index.js';
import { type Clock, LakeError, type Random } from '../../kernel/index.js';
import { boundaryOf, openTopicTable, type RangeMove } from '../../lake/index.js';
import type { ObjectStore } from '../../objects/index.js';
import type { PlannedTopic, RecoverPlan } from './plan.js';

/** Each is some five small requests, one after the other. */
const commitsAtOnce = 8;

export interface CommitPorts {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/**
 * Commits what of the plan is not committed yet; may be repeated. Errors: `bucket-in-use` where a boundary has moved since the plan,
 * those of the store.
 */
export async function commitHoles(ports: CommitPorts, plan: RecoverPlan, onCommitted: (tables: number) => void): Promise<void> {
  const topics = plan.topics.filter(({ isCold }) => isCold);
  const reader = new ManifestReader(ports.store);
  const failures: unknown[] = [];
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (next < topics.length && failures.length === 0) {
      const topic = topics[next++] as PlannedTopic;
      try {
        await commitHole(ports, plan, topic, reader);
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
  { store, clock, random, signal }: CommitPorts,
  { clusterId }: RecoverPlan,
  topic: PlannedTopic,
  reader: ManifestReader,
): Promise<void> {
  const table = openTopicTable(store, { topic: topic.name, topicId: topic.id, clusterId }, { clock, random, reader });
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
