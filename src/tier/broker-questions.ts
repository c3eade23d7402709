/** What tiering asks the broker about one topic, each within a deadline. */
import type { PartitionState } from '../control/index.js';
import { LakeError, type Offset, type PartitionId, type TopicId, type TopicName } from '../kernel/index.js';
import { withDeadline } from './deadline.js';
import type { TierPorts } from './ports.js';
import type { TieredPartition } from './tiered-partition.js';

interface NamedTopic {
  readonly name: TopicName;
  readonly id: TopicId;
}

/** Errors: `topic-unknown` where the name is another topic's by now, `timeout`, `peer-gone`. */
export async function describePartitions(
  { broker, clock, settings }: TierPorts,
  topic: NamedTopic,
  signal: AbortSignal,
): Promise<readonly PartitionState[]> {
  const state = await withDeadline('broker.describe', settings.brokerTimeoutMs, clock, signal, (inner) =>
    broker.call('broker.describe', { topic: topic.name }, { signal: inner }),
  );
  const found = state.topics.find((candidate) => candidate.id === topic.id);
  if (found !== undefined) return found.partitions;
  throw new LakeError('topic-unknown', `the broker has no topic ${topic.name} of id ${topic.id}`, { retriable: true });
}

/**
 * Asks the broker to flush what is to be cut. False where the log is no longer the one that was fetched: it is shorter, or
 * has begun a new leader epoch since (KIP-101), so the same offsets may hold other records.
 */
export async function isFlushed(
  { broker, clock, settings }: TierPorts,
  topic: NamedTopic,
  partition: TieredPartition,
  to: Offset,
  signal: AbortSignal,
): Promise<boolean> {
  const { partitions } = await withDeadline('broker.flush', settings.brokerTimeoutMs, clock, signal, (inner) =>
    broker.call('broker.flush', { topicId: topic.id, partitions: [{ partition: partition.partition, upTo: to }] }, { signal: inner }),
  );
  const flushed = partitions.find((candidate) => candidate.partition === partition.partition);
  if (flushed === undefined) {
    throw new LakeError('partition-unknown', `the broker did not flush ${topic.name}-${partition.partition}`, { retriable: true });
  }
  return (
    flushed.leaderEpoch === partition.leaderEpoch &&
    partition.spool.lastLeaderEpoch <= flushed.leaderEpoch &&
    flushed.flushedOffset >= to &&
    flushed.lastStableOffset >= to
  );
}

/** Segments of a gigabyte are read whole, by a disk that has other things to do. */
const examineMsMax = 120_000;

/**
 * Batches that were fetched of [from, to) are damaged: asks the broker to read its log there. `undefined` where that is whole; else what is
 * damaged, and the partition is offline by now. Errors: `timeout`, `peer-gone`.
 */
export async function damageOfLog(
  { broker, clock }: TierPorts,
  topic: NamedTopic,
  range: { readonly partition: PartitionId; readonly from: Offset; readonly to: Offset },
  signal: AbortSignal,
): Promise<string | undefined> {
  const { damage } = await withDeadline('broker.examine', examineMsMax, clock, signal, (inner) =>
    broker.call('broker.examine', { topicId: topic.id, ...range }, { signal: inner }),
  );
  return damage;
}
