/** Sets of partitions by topic id: what a member of a consumer group owns, is to give up, or is to get. Never changed in place. */
import type { PartitionId, TopicId } from '../../../kernel/index.js';

export type PartitionSets = ReadonlyMap<TopicId, ReadonlySet<PartitionId>>;

export const noPartitions: PartitionSets = new Map();

/** Gathers partitions; topics without any are never in what it gathers. */
export class PartitionSetsBuilder {
  readonly sets = new Map<TopicId, Set<PartitionId>>();

  add(topic: TopicId, partition: PartitionId): void {
    const set = this.sets.get(topic);
    if (set === undefined) this.sets.set(topic, new Set([partition]));
    else set.add(partition);
  }
}

/** What a request or a record lists. */
export function partitionSetsOf(
  topics: Iterable<{ readonly topicId: TopicId; readonly partitions: Iterable<PartitionId> }>,
): PartitionSets {
  const built = new PartitionSetsBuilder();
  for (const { topicId, partitions } of topics) for (const partition of partitions) built.add(topicId, partition);
  return built.sets;
}

/** The other way round, in a stable order. */
export function listPartitionSets(sets: PartitionSets): { topicId: TopicId; partitions: PartitionId[] }[] {
  return [...sets]
    .map(([topicId, partitions]) => ({ topicId, partitions: [...partitions].toSorted((a, b) => a - b) }))
    .toSorted((a, b) => (a.topicId < b.topicId ? -1 : 1));
}

export function* eachPartition(sets: PartitionSets): Generator<readonly [TopicId, PartitionId], void, undefined> {
  for (const [topic, partitions] of sets) for (const partition of partitions) yield [topic, partition];
}

export function hasPartition(sets: PartitionSets, topic: TopicId, partition: PartitionId): boolean {
  return sets.get(topic)?.has(partition) === true;
}

/** All of both. */
export function unitedPartitions(a: PartitionSets, b: PartitionSets): PartitionSets {
  if (a.size === 0 || b.size === 0) return a.size === 0 ? b : a;
  const built = new PartitionSetsBuilder();
  for (const sets of [a, b]) for (const [topic, partition] of eachPartition(sets)) built.add(topic, partition);
  return built.sets;
}

/** Whether every partition of `part` is in `whole`. */
export function isWithin(part: PartitionSets, whole: PartitionSets): boolean {
  for (const [topic, partition] of eachPartition(part)) if (!hasPartition(whole, topic, partition)) return false;
  return true;
}

export function hasCommonPartition(a: PartitionSets, b: PartitionSets): boolean {
  for (const [topic, partition] of eachPartition(a)) if (hasPartition(b, topic, partition)) return true;
  return false;
}

export function areSamePartitions(a: PartitionSets, b: PartitionSets): boolean {
  return a === b || (isWithin(a, b) && isWithin(b, a));
}
