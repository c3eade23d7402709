/**
 * ConsumerGroupHeartbeat. Versions served: 0–1 (from v1 members choose their id, and may subscribe by an expression).
 * Behaviour: consumer groups of the new protocol (KIP-848): epoch 0 joins, −1 leaves, −2 is a static member that will be back. The
 * answer has an assignment where it changed, or where the request says everything. What changed is in `__consumer_offsets` before
 * the answer. Partitions are assigned anew once `consumer.assignment.interval.ms` has passed since they last were (KIP-1263).
 * Expressions are RE2's, of 16,384 characters at most.
 * Ignored: the rack (assignors do not look at it).
 * Errors, with a message: INVALID_REQUEST (42), UNSUPPORTED_ASSIGNOR (112), INVALID_REGULAR_EXPRESSION (128), GROUP_ID_NOT_FOUND (69),
 * UNKNOWN_MEMBER_ID (25), FENCED_MEMBER_EPOCH (110), UNRELEASED_INSTANCE_ID (111), FENCED_INSTANCE_ID (82),
 * GROUP_MAX_SIZE_REACHED (81), COORDINATOR_NOT_AVAILABLE (15, what changed cannot be written, or what the group was is not known).
 */
import {
  consumerGroupHeartbeatApi,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  kafkaErrors,
  type MessageInput,
} from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { assignorNamesOf } from '../groups/consumer/assignor.js';
import type { MemberHeartbeat } from '../groups/consumer/consumer-group.js';
import { joinEpoch, leaveEpoch, staticLeaveEpoch } from '../groups/consumer/consumer-member.js';
import { listPartitionSets, partitionSetsOf } from '../groups/consumer/partitions.js';
import { isRefusal, type Refusal, refusal } from '../groups/consumer/refusal.js';
import { type Handler, handlerOf, type RequestContext } from './handler.js';

/** From here on clients make their member ids themselves (KIP-1082). */
const ownIdSince = 1;

export function consumerGroupHeartbeatHandler(core: BrokerCore): Handler {
  const assignors: readonly string[] = assignorNamesOf(core.config.get('group.consumer.assignors'));
  return handlerOf(consumerGroupHeartbeatApi, async (request, context) => {
    const refused = check(request, context.version, assignors);
    if (refused !== undefined) return refusing(refused);
    const memberId = request.memberId === '' ? core.random.uuid() : request.memberId;
    const answer = await core.groups.consumers.heartbeat(request.groupId, heartbeatOf(request, memberId, context));
    if (isRefusal(answer)) return refusing(answer);
    const { assignment, memberEpoch } = answer;
    return {
      errorCode: kafkaErrors.NONE,
      memberId: answer.memberId,
      memberEpoch,
      heartbeatIntervalMs: memberEpoch < 0 ? 0 : core.groupConfigs.of(request.groupId).get('consumer.heartbeat.interval.ms'),
      assignment: assignment === null ? null : { topicPartitions: listPartitionSets(assignment) },
    };
  });
}

function refusing(refused: Refusal): MessageInput<ConsumerGroupHeartbeatResponse> {
  return { ...refused, memberEpoch: 0, heartbeatIntervalMs: 0 };
}

function heartbeatOf(request: ConsumerGroupHeartbeatRequest, memberId: string, { clientId, clientHost }: RequestContext): MemberHeartbeat {
  const { memberEpoch, instanceId, rackId, rebalanceTimeoutMs, serverAssignor, topicPartitions } = request;
  return {
    memberId,
    memberEpoch,
    instanceId,
    rackId,
    rebalanceTimeoutMs,
    serverAssignor,
    clientId: clientId ?? '',
    clientHost,
    classic: null,
    topicNames: request.subscribedTopicNames,
    topicRegex: request.subscribedTopicRegex,
    owned: topicPartitions === null ? null : partitionSetsOf(topicPartitions),
  };
}

function check(request: ConsumerGroupHeartbeatRequest, version: number, assignors: readonly string[]): Refusal | undefined {
  const { memberEpoch, serverAssignor } = request;
  const problem = emptyField(request, version) ?? (memberEpoch === joinEpoch ? joinProblem(request) : epochProblem(request));
  if (problem !== undefined) return refusal('INVALID_REQUEST', problem);
  if (serverAssignor === null || assignors.includes(serverAssignor)) return undefined;
  return refusal(
    'UNSUPPORTED_ASSIGNOR',
    `ServerAssignor ${serverAssignor} is not supported. Supported assignors: ${assignors.join(', ')}.`,
  );
}

function emptyField(request: ConsumerGroupHeartbeatRequest, version: number): string | undefined {
  const isIdNeeded = version >= ownIdSince || request.memberEpoch > joinEpoch || request.memberEpoch === leaveEpoch;
  if (isIdNeeded && request.memberId.trim() === '') return "MemberId can't be empty.";
  if (request.groupId.trim() === '') return "GroupId can't be empty.";
  if (request.instanceId?.trim() === '') return "InstanceId can't be empty.";
  return request.rackId?.trim() === '' ? "RackId can't be empty." : undefined;
}

function joinProblem(request: ConsumerGroupHeartbeatRequest): string | undefined {
  if (request.rebalanceTimeoutMs === -1) return 'RebalanceTimeoutMs must be provided in first request.';
  if (request.topicPartitions === null || request.topicPartitions.length > 0) return 'TopicPartitions must be empty when (re-)joining.';
  // No names, or an empty expression: a member without topics, as clients are that have found none yet.
  const isSubscribed = request.subscribedTopicNames !== null || request.subscribedTopicRegex !== null;
  return isSubscribed ? undefined : 'Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.';
}

function epochProblem({ memberEpoch, instanceId }: ConsumerGroupHeartbeatRequest): string | undefined {
  if (memberEpoch === staticLeaveEpoch) return instanceId === null ? "InstanceId can't be null." : undefined;
  return memberEpoch < leaveEpoch ? 'MemberEpoch is invalid.' : undefined;
}
