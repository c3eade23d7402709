/**
 * Since which epoch a member has each partition that it owns or is to give up (KIP-1251): it may commit at that epoch or a later one,
 * though its own may have moved on meanwhile.
 */
import { invariant, type PartitionId, type TopicId } from '../../../kernel/index.js';
import { eachPartition, hasPartition, type PartitionSets } from './partitions.js';

export type AssignmentEpochs = ReadonlyMap<TopicId, ReadonlyMap<PartitionId, number>>;

export const noEpochs: AssignmentEpochs = new Map();

interface Holding {
  readonly assigned: PartitionSets;
  readonly pendingRevocation: PartitionSets;
}

type Gathered = Map<TopicId, Map<PartitionId, number>>;

function put(epochs: Gathered, topic: TopicId, partition: PartitionId, epoch: number): void {
  const known = epochs.get(topic);
  if (known === undefined) epochs.set(topic, new Map([[partition, epoch]]));
  else known.set(partition, epoch);
}

/** Since when the member has a partition that it has. */
export function assignmentEpoch(epochs: AssignmentEpochs, topic: TopicId, partition: PartitionId): number {
  const epoch = epochs.get(topic)?.get(partition);
  invariant(epoch !== undefined, 'a partition that a member has is had since some epoch', { topic, partition });
  return epoch;
}

/** Whether the member has the partition, and had it at that epoch. */
export function isHeldSince(epochs: AssignmentEpochs, topic: TopicId, partition: PartitionId, epoch: number): boolean {
  return (epochs.get(topic)?.get(partition) ?? Infinity) <= epoch;
}

/** All of them since one epoch. */
export function epochsAt(sets: PartitionSets, epoch: number): AssignmentEpochs {
  const epochs: Gathered = new Map();
  for (const [topic, partition] of eachPartition(sets)) put(epochs, topic, partition, epoch);
  return epochs;
}

/** After a step: what was assigned, or is given up, keeps its epoch; what came has that of the target. */
export function epochsAfter(
  before: Holding & { readonly assignedAt: AssignmentEpochs },
  after: Holding,
  targetEpoch: number,
): AssignmentEpochs {
  const epochs: Gathered = new Map();
  const since = (topic: TopicId, partition: PartitionId): number => assignmentEpoch(before.assignedAt, topic, partition);
  for (const [topic, partition] of eachPartition(after.assigned))
    put(epochs, topic, partition, hasPartition(before.assigned, topic, partition) ? since(topic, partition) : targetEpoch);
  for (const [topic, partition] of eachPartition(after.pendingRevocation)) put(epochs, topic, partition, since(topic, partition));
  return epochs;
}
