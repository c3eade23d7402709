/**
 * `uniform`: as many partitions for each member as for any other, give or take one, moving as few as that takes. Where members
 * subscribe to different topics, no partition could move to a subscriber with at least two fewer.
 */
import type { PartitionId, TopicId } from '../../../kernel/index.js';
import type { AssignorInput, MemberToAssign } from './assignor.js';
import { eachPartition, type PartitionSets } from './partitions.js';

/** A member while partitions are dealt out. */
interface Hand {
  readonly member: MemberToAssign;
  readonly byTopic: Map<TopicId, Set<PartitionId>>;
  count: number;
}

export function assignUniformly({ members, partitionCount }: AssignorInput): ReadonlyMap<string, PartitionSets> {
  const hands = members.map((member): Hand => ({ member, byTopic: new Map(), count: 0 })).toSorted(byId);
  const subscribers = subscribersOf(hands);
  keepTargets(hands, partitionCount);
  if (hands.every(({ member }) => isSameSet(member.topics, hands[0]!.member.topics))) dealEqually(hands, subscribers, partitionCount);
  else dealToFewest(subscribers, partitionCount);
  return new Map(hands.map(({ member, byTopic }) => [member.id, byTopic]));
}

function byId(a: Hand, b: Hand): number {
  return a.member.id < b.member.id ? -1 : 1;
}

function isSameSet(a: ReadonlySet<TopicId>, b: ReadonlySet<TopicId>): boolean {
  return a === b || (a.size === b.size && [...a].every((topic) => b.has(topic)));
}

function subscribersOf(hands: readonly Hand[]): Map<TopicId, Hand[]> {
  const subscribers = new Map<TopicId, Hand[]>();
  for (const hand of hands) {
    for (const topic of hand.member.topics) {
      const list = subscribers.get(topic);
      if (list === undefined) subscribers.set(topic, [hand]);
      else list.push(hand);
    }
  }
  return subscribers;
}

function give(hand: Hand, topic: TopicId, partition: PartitionId): void {
  const held = hand.byTopic.get(topic);
  if (held === undefined) hand.byTopic.set(topic, new Set([partition]));
  else held.add(partition);
  hand.count++;
}

function take(hand: Hand, topic: TopicId, partition: PartitionId): void {
  const held = hand.byTopic.get(topic);
  if (held?.delete(partition) !== true) return;
  if (held.size === 0) hand.byTopic.delete(topic);
  hand.count--;
}

/** What a member has and still subscribes to, where the partition is still there. Of two that claim one, the first has it. */
function keepTargets(hands: readonly Hand[], partitionCount: (topic: TopicId) => number): void {
  const claimed = new Map<TopicId, Set<PartitionId>>();
  for (const hand of hands) {
    for (const [topic, partition] of eachPartition(hand.member.target)) {
      if (!hand.member.topics.has(topic) || partition >= partitionCount(topic)) continue;
      let taken = claimed.get(topic);
      if (taken === undefined) claimed.set(topic, (taken = new Set()));
      if (taken.has(partition)) continue;
      taken.add(partition);
      give(hand, topic, partition);
    }
  }
}

/** Partitions of subscribed topics that nobody has, topic by topic. */
function unassigned(subscribers: ReadonlyMap<TopicId, readonly Hand[]>, partitionCount: (topic: TopicId) => number) {
  const free: { topic: TopicId; partition: PartitionId }[] = [];
  for (const [topic, list] of subscribers) {
    const taken = new Set<PartitionId>();
    for (const hand of list) for (const partition of hand.byTopic.get(topic) ?? []) taken.add(partition);
    for (let partition = 0; partition < partitionCount(topic); partition++) {
      if (!taken.has(partition)) free.push({ topic, partition });
    }
  }
  return free;
}

/** All subscribe to the same: everybody has the quota, and those who have most already have the one more. */
function dealEqually(
  hands: readonly Hand[],
  subscribers: ReadonlyMap<TopicId, readonly Hand[]>,
  partitionCount: (topic: TopicId) => number,
): void {
  let total = 0;
  for (const topic of subscribers.keys()) total += partitionCount(topic);
  const quota = Math.floor(total / hands.length);
  const extra = total % hands.length;
  const richFirst = hands.toSorted((a, b) => b.count - a.count || byId(a, b));
  const quotas = new Map(richFirst.map((hand, i) => [hand, quota + (i < extra ? 1 : 0)]));
  for (const hand of hands) {
    const tooMany = hand.count - quotas.get(hand)!;
    if (tooMany > 0) for (const [topic, partition] of [...eachPartition(hand.byTopic)].slice(-tooMany)) take(hand, topic, partition);
  }
  const free = unassigned(subscribers, partitionCount);
  let next = 0;
  for (const hand of hands) {
    for (let room = quotas.get(hand)! - hand.count; room > 0; room--) {
      const { topic, partition } = free[next++]!;
      give(hand, topic, partition);
    }
  }
}

/** Subscriptions differ: each free partition to the subscriber with fewest, then from the rich to the poor while that helps. */
function dealToFewest(subscribers: ReadonlyMap<TopicId, readonly Hand[]>, partitionCount: (topic: TopicId) => number): void {
  const fewestFirst = new Map([...subscribers].toSorted(([, a], [, b]) => a.length - b.length));
  for (const { topic, partition } of unassigned(fewestFirst, partitionCount)) give(poorest(fewestFirst.get(topic)!), topic, partition);
  for (let isMoving = true; isMoving; ) {
    isMoving = false;
    for (const [topic, list] of fewestFirst) while (moveOne(topic, list)) isMoving = true;
  }
}

function poorest(hands: readonly Hand[]): Hand {
  return hands.reduce((least, hand) => (hand.count < least.count ? hand : least));
}

/** Each move makes the sum of squares smaller, so there is a last one. */
function moveOne(topic: TopicId, list: readonly Hand[]): boolean {
  const owners = list.filter((hand) => hand.byTopic.has(topic));
  if (owners.length === 0) return false;
  const rich = owners.reduce((most, hand) => (hand.count > most.count ? hand : most));
  const poor = poorest(list);
  if (rich.count <= poor.count + 1) return false;
  const partition = [...rich.byTopic.get(topic)!].at(-1)!;
  take(rich, topic, partition);
  give(poor, topic, partition);
  return true;
}
