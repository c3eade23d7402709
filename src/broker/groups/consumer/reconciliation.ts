/**
 * One step of a member towards its target (KIP-848, "Reconciliation"): first it gives up what is no longer its, and only when it
 * has said so does its epoch move on; then it gets what nobody else has any more. Pure.
 */
import type { PartitionId, TopicId } from '../../../kernel/index.js';
import { epochsAfter } from './assignment-epochs.js';
import type { ConsumerMember } from './consumer-member.js';
import { eachPartition, hasCommonPartition, hasPartition, type PartitionSets, PartitionSetsBuilder, noPartitions } from './partitions.js';

export interface Target {
  readonly epoch: number;
  readonly partitions: PartitionSets;
}

export interface ReconcileInput {
  readonly member: ConsumerMember;
  readonly target: Target;
  /** What the member says it has; null where it says nothing. */
  readonly owned: PartitionSets | null;
  /** Whether another member has the partition, or has not yet said that it gave it up. */
  readonly isHeldByOther: (topic: TopicId, partition: PartitionId) => boolean;
}

/** The member after the step; the very same object where nothing changes. */
export function reconcile(input: ReconcileInput): ConsumerMember {
  const { member, target, owned } = input;
  switch (member.state) {
    case 'stable':
      return member.epoch === target.epoch ? member : next(input);
    case 'unrevoked':
      return owns(owned, member.pendingRevocation) ? member : next(input);
    case 'unreleased':
      return next(input);
  }
}

function owns(owned: PartitionSets | null, revoked: PartitionSets): boolean {
  return owned === null || hasCommonPartition(owned, revoked);
}

function next({ member, target, owned, isHeldByOther }: ReconcileInput): ConsumerMember {
  const kept = new PartitionSetsBuilder();
  const revoked = new PartitionSetsBuilder();
  for (const [topic, partition] of eachPartition(member.assigned)) {
    (hasPartition(target.partitions, topic, partition) ? kept : revoked).add(topic, partition);
  }
  if (revoked.sets.size > 0 && owns(owned, revoked.sets)) {
    return moved(member, member.epoch, target.epoch, { state: 'unrevoked', assigned: kept.sets, pendingRevocation: revoked.sets });
  }
  let isWaiting = false;
  for (const [topic, partition] of eachPartition(target.partitions)) {
    if (hasPartition(member.assigned, topic, partition)) continue;
    if (isHeldByOther(topic, partition)) isWaiting = true;
    else kept.add(topic, partition);
  }
  return moved(member, target.epoch, target.epoch, {
    state: isWaiting ? 'unreleased' : 'stable',
    assigned: kept.sets,
    pendingRevocation: noPartitions,
  });
}

type Step = Pick<ConsumerMember, 'state' | 'assigned' | 'pendingRevocation'>;

/** A member that waits on, with what it has, is left as it is: its previous epoch must stay good for a retry. */
function moved(member: ConsumerMember, epoch: number, targetEpoch: number, step: Step): ConsumerMember {
  const isSame =
    member.epoch === epoch &&
    member.state === step.state &&
    count(member.assigned) === count(step.assigned) &&
    count(member.pendingRevocation) === count(step.pendingRevocation);
  if (isSame) return member;
  return { ...member, ...step, assignedAt: epochsAfter(member, step, targetEpoch), epoch, previousEpoch: member.epoch };
}

/** Within one epoch and state what a member has only grows, or is given up in part once more: sizes tell them apart. */
function count(sets: PartitionSets): number {
  let sum = 0;
  for (const partitions of sets.values()) sum += partitions.size;
  return sum;
}
