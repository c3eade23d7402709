/**
 * ConsumerGroupDescribe. Versions served: 0–1 (from v1 with the type of each member).
 * Behaviour: consumer groups of the new protocol with their epochs and members, what each has, also where it is to give it up, and what
 * it is to have. Topics that are deleted are left out.
 * Ignored: nothing.
 * Errors, by group: INVALID_GROUP_ID (24), GROUP_ID_NOT_FOUND (69, also for classic groups), COORDINATOR_NOT_AVAILABLE (15) where the
 * group's part of `__consumer_offsets` cannot be read.
 */
import {
  consumerGroupDescribeApi,
  type ConsumerGroupDescribeResponseGroup,
  type ConsumerGroupDescribeResponseMember,
  kafkaErrors,
  type MessageInput,
} from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { ConsumerGroup } from '../groups/consumer/consumer-group.js';
import type { ConsumerMember } from '../groups/consumer/consumer-member.js';
import { listPartitionSets, type PartitionSets, unitedPartitions } from '../groups/consumer/partitions.js';
import { authorizedOperations } from './authorized-operations.js';
import { type Handler, handlerOf } from './handler.js';

const memberTypes = { classic: 0, consumer: 1 } as const;

export function consumerGroupDescribeHandler(core: BrokerCore): Handler {
  return handlerOf(consumerGroupDescribeApi, ({ groupIds, includeAuthorizedOperations }) => ({
    groups: groupIds.map((groupId) => {
      const answer = describe(core, groupId);
      const isAsked = includeAuthorizedOperations && answer.errorCode === kafkaErrors.NONE;
      return { ...answer, authorizedOperations: authorizedOperations('group', isAsked) };
    }),
  }));
}

function describe(core: BrokerCore, groupId: string): MessageInput<ConsumerGroupDescribeResponseGroup> {
  const group = core.groups.consumers.group(groupId);
  if (group === undefined) return notThere(core, groupId);
  return {
    errorCode: kafkaErrors.NONE,
    groupId,
    groupState: group.state,
    groupEpoch: group.epoch,
    assignmentEpoch: group.assignmentEpoch,
    assignorName: group.assignor,
    members: [...group.members].map((member) => describeMember(core, group, member)),
  };
}

function notThere(core: BrokerCore, groupId: string): MessageInput<ConsumerGroupDescribeResponseGroup> {
  const bare = { groupId, groupState: '', groupEpoch: 0, assignmentEpoch: 0, assignorName: '', members: [] };
  if (groupId === '') return { ...bare, errorCode: kafkaErrors.INVALID_GROUP_ID };
  if (!core.groups.isServed(groupId)) return { ...bare, errorCode: kafkaErrors.COORDINATOR_NOT_AVAILABLE };
  const isClassic = core.groups.group(groupId) !== undefined;
  const errorMessage = isClassic ? `Group ${groupId} is not a consumer group.` : `Group ${groupId} not found.`;
  return { ...bare, errorCode: kafkaErrors.GROUP_ID_NOT_FOUND, errorMessage };
}

function describeMember(core: BrokerCore, group: ConsumerGroup, member: ConsumerMember): MessageInput<ConsumerGroupDescribeResponseMember> {
  return {
    memberId: member.id,
    instanceId: member.instanceId,
    rackId: member.rackId,
    memberEpoch: member.epoch,
    clientId: member.clientId,
    clientHost: member.clientHost,
    subscribedTopicNames: member.topicNames,
    subscribedTopicRegex: member.topicRegex ?? '',
    assignment: named(core, unitedPartitions(member.assigned, member.pendingRevocation)),
    targetAssignment: named(core, group.target(member.id)),
    memberType: member.classic === null ? memberTypes.consumer : memberTypes.classic,
  };
}

function named(core: BrokerCore, sets: PartitionSets): ConsumerGroupDescribeResponseMember['assignment'] {
  const topicPartitions = listPartitionSets(sets).flatMap(({ topicId, partitions }) => {
    const topicName = core.topics.byId(topicId)?.record.name;
    return topicName === undefined ? [] : [{ topicId, topicName, partitions }];
  });
  return { topicPartitions };
}
