/** A group with members goes from one protocol to the other without losing what they have (KIP-848, online migration). */
import { invariant } from '../../../kernel/index.js';
import type { Group } from '../group.js';
import type { SavedGroup } from '../saved-group.js';
import { emptyBytes } from '../member.js';
import { epochsAt } from './assignment-epochs.js';
import type { ConsumerGroup } from './consumer-group.js';
import { type ConsumerMember, freshMember } from './consumer-member.js';
import { consumerProtocolType, decodeAssignment, decodeSubscription, encodeAssignment } from './consumer-protocol.js';
import type { TopicView } from './subscriptions.js';

/** What a consumer group takes over from a classic one. */
export interface Heritage {
  readonly generation: number;
  readonly members: readonly ConsumerMember[];
}

/** `undefined` where a member is no consumer, or says what cannot be read. */
export function heritageOf(group: Group, topics: TopicView): Heritage | undefined {
  if (group.protocolType !== consumerProtocolType) return undefined;
  const members: ConsumerMember[] = [];
  for (const member of group.members) {
    const protocol = member.protocols.find(({ name }) => name === group.protocol) ?? member.protocols[0];
    const subscription = decodeSubscription(protocol?.metadata ?? emptyBytes, topics);
    const assigned = decodeAssignment(member.assignment, topics);
    if (subscription === undefined || assigned === undefined) return undefined;
    members.push({
      ...freshMember(member.id),
      instanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      topicNames: [...new Set(subscription.topics)].toSorted(),
      rebalanceTimeoutMs: member.rebalanceTimeoutMs,
      classic: { sessionTimeoutMs: member.sessionTimeoutMs, protocols: member.protocols },
      epoch: group.generation,
      previousEpoch: group.generation,
      assigned,
      assignedAt: epochsAt(assigned, group.generation),
    });
  }
  return { generation: group.generation, members };
}

/** A group all of whose members speak the classic protocol, as one of that protocol, with what they are to have. */
export function asClassic(group: ConsumerGroup, topics: TopicView): SavedGroup {
  const members = [...group.members];
  const [first, ...rest] = members.map(({ classic }) => classic?.protocols.map(({ name }) => name) ?? []);
  const protocol = first?.find((name) => rest.every((names) => names.includes(name)));
  invariant(protocol !== undefined, 'classic members were let in only with a common protocol', { group: group.id });
  return {
    groupId: group.id,
    protocolType: consumerProtocolType,
    generation: group.writtenEpoch,
    protocol,
    leaderId: members[0]?.id ?? null,
    stateSinceMs: null,
    members: members.map(({ id, instanceId, clientId, clientHost, rebalanceTimeoutMs, classic }) => ({
      id,
      instanceId,
      clientId,
      clientHost,
      sessionTimeoutMs: classic!.sessionTimeoutMs,
      rebalanceTimeoutMs,
      subscription: classic!.protocols.find(({ name }) => name === protocol)!.metadata,
      assignment: encodeAssignment(group.target(id), (topic) => topics.nameOf(topic)),
      protocols: classic!.protocols,
    })),
  };
}
