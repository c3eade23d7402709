/**
 * One step of a member towards its target (KIP-848, "Reconciliation"): first it gives up what is no longer its, and only when it
 * has said so does its epoch move on; then it gets what nobody else has any more. What it does not subscribe to is not its, whatever its
 * target says: that may be from before it changed its subscription. Pure.
 */
import type { PartitionId, TopicId } from '../../../kernel/index.js';
import { epochsAfter } from './assignment-epochs.js';
import type { ConsumerMember } from './consumer-member.js';
import {
  areSamePartitions,
  eachPartition,
  hasCommonPartition,
  hasPartition,
  noPartitions,
  type PartitionSets,
  PartitionSetsBuilder,
  unitedPartitions,
} from './partitions.js';

export interface Target {
  readonly epoch: number;
  readonly partitions: PartitionSets;
}

export interface ReconcileInput {
  readonly member: ConsumerMember;
  readonly target: Target;
  /** What the member says it has; null where it says nothing. */
  readonly owned: PartitionSets | null;
  /** Whether it says now that it subscribes to something else than before. */
  readonly isSubscriptionChanged: boolean;
  /** The topics there are that it subscribes to. */
  readonly subscribed: () => ReadonlySet<TopicId>;
  /** Whether another member has the partition, or has not yet said that it gave it up. */
  readonly isHeldByOther: (topic: TopicId, partition: PartitionId) => boolean;
}

/** The member after the step; the very same object where nothing changes. */
export function reconcile(input: ReconcileInput): ConsumerMember {
  const { member, target, owned, isSubscriptionChanged } = input;
  const isThere = member.state === 'stable' && member.epoch === target.epoch;
  const isGivingUp = member.state === 'unrevoked' && owns(owned, member.pendingRevocation);
  if (!isThere && !isGivingUp) return next(input);
  return isSubscriptionChanged ? narrowed(input) : member;
}

function owns(owned: PartitionSets | null, revoked: PartitionSets): boolean {
  return owned === null || hasCommonPartition(owned, revoked);
}

/** Takes from a member that cannot go on yet what it no longer subscribes to. */
function narrowed({ member, target, owned, subscribed }: ReconcileInput): ConsumerMember {
  const topics = subscribed();
  const kept = new PartitionSetsBuilder();
  const lost = new PartitionSetsBuilder();
  for (const [topic, partition] of eachPartition(member.assigned)) (topics.has(topic) ? kept : lost).add(topic, partition);
  if (lost.sets.size === 0) return member;
  const revoked = unitedPartitions(member.pendingRevocation, lost.sets);
  return moved(member, member.epoch, target.epoch, {
    assigned: kept.sets,
    ...(owns(owned, revoked)
      ? { state: 'unrevoked', pendingRevocation: revoked }
      : { state: member.state, pendingRevocation: member.pendingRevocation }),
  });
}

function next({ member, target, owned, subscribed, isHeldByOther }: ReconcileInput): ConsumerMember {
  const topics = subscribed();
  const kept = new PartitionSetsBuilder();
  const revoked = new PartitionSetsBuilder();
  for (const [topic, partition] of eachPartition(member.assigned)) {
    (topics.has(topic) && hasPartition(target.partitions, topic, partition) ? kept : revoked).add(topic, partition);
  }
  if (revoked.sets.size > 0 && owns(owned, revoked.sets)) {
    return moved(member, member.epoch, target.epoch, { state: 'unrevoked', assigned: kept.sets, pendingRevocation: revoked.sets });
  }
  let isWaiting = false;
  for (const [topic, partition] of eachPartition(target.partitions)) {
    if (!topics.has(topic) || hasPartition(member.assigned, topic, partition)) continue;
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
function moved(member: ConsumerMember, epoch: number, targetEpoch: number, { state, assigned, pendingRevocation }: Step): ConsumerMember {
  const isSame =
    member.epoch === epoch &&
    member.state === state &&
    areSamePartitions(member.assigned, assigned) &&
    areSamePartitions(member.pendingRevocation, pendingRevocation);
  if (isSame) return member;
  const assignedAt = epochsAfter(member, { assigned, pendingRevocation }, targetEpoch);
  return { ...member, state, assigned, pendingRevocation, assignedAt, epoch, previousEpoch: member.epoch };
}
