/**
 * `range`: each topic's partitions in one run a member, in the order of the members (static ones first, by instance id, then the
 * others by id), so that members with equal subscriptions get the same partitions of every topic and can join them.
 */
import type { PartitionId, TopicId } from '../../../kernel/index.js';
import type { AssignorInput, MemberToAssign } from './assignor.js';
import { type PartitionSets, PartitionSetsBuilder } from './partitions.js';

export function assignRanges({ members, partitionCount }: AssignorInput): ReadonlyMap<string, PartitionSets> {
  const ordered = members.toSorted(inOrder);
  const subscribers = new Map<TopicId, MemberToAssign[]>();
  for (const member of ordered) {
    for (const topic of member.topics) {
      const list = subscribers.get(topic);
      if (list === undefined) subscribers.set(topic, [member]);
      else list.push(member);
    }
  }
  const built = new Map(ordered.map(({ id }) => [id, new PartitionSetsBuilder()]));
  for (const [topic, list] of subscribers) {
    const partitions = partitionCount(topic);
    const quota = Math.floor(partitions / list.length);
    const extra = partitions % list.length;
    let next: PartitionId = 0;
    for (const [i, { id }] of list.entries()) {
      const end = next + quota + (i < extra ? 1 : 0);
      while (next < end) built.get(id)!.add(topic, next++);
    }
  }
  return new Map([...built].map(([id, { sets }]) => [id, sets]));
}

function inOrder(a: MemberToAssign, b: MemberToAssign): number {
  if ((a.instanceId === null) !== (b.instanceId === null)) return a.instanceId === null ? 1 : -1;
  const [left, right] = a.instanceId === null || b.instanceId === null ? [a.id, b.id] : [a.instanceId, b.instanceId];
  return left < right ? -1 : left > right ? 1 : 0;
}
