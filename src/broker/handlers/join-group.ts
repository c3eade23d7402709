/**
 * JoinGroup. Versions served: 0–9.
 * Behaviour: classic groups. The answer is held until the rebalance is complete; from v4 a member without an id is given one
 * and must come back with it (KIP-394). The first rebalance of an empty group waits `group.initial.rebalance.delay.ms`.
 * A consumer group of the new protocol takes classic members in while it has others (KIP-848): they are answered at once, and have
 * no leader. A static member (group.instance.id, KIP-345) that joins without an id takes the place of the one it was: in a stable group,
 * where its protocols do not change the choice, at once and without a rebalance; from v9 a static leader is told not to assign (KIP-814).
 * Ignored: the reason.
 * Errors: INVALID_GROUP_ID (24), INVALID_SESSION_TIMEOUT (26), INCONSISTENT_GROUP_PROTOCOL (23), UNKNOWN_MEMBER_ID (25),
 * MEMBER_ID_REQUIRED (79), GROUP_MAX_SIZE_REACHED (81), FENCED_INSTANCE_ID (82), COORDINATOR_NOT_AVAILABLE (15), REBALANCE_IN_PROGRESS (27, to
 * the older of two joins of a member); UNKNOWN_SERVER_ERROR (−1), as Kafka, for an id given to a dynamic member that comes with an instance.
 */
import { joinGroupApi, type JoinGroupRequest, kafkaErrors, type MessageInput, type JoinGroupResponse } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type JoinAnswer, joinFailure, type JoinRequest } from '../groups/member.js';
import { type Handler, handlerOf, type RequestContext } from './handler.js';

export function joinGroupHandler(core: BrokerCore): Handler {
  const sessionMinMs = core.config.get('group.min.session.timeout.ms');
  const sessionMaxMs = core.config.get('group.max.session.timeout.ms');
  return handlerOf(joinGroupApi, async (request, context) => {
    const refuse = (errorCode: number): MessageInput<JoinGroupResponse> =>
      answerOf(joinFailure(errorCode, request.memberId), context.version);
    if (request.groupId === '') return refuse(kafkaErrors.INVALID_GROUP_ID);
    if (request.sessionTimeoutMs < sessionMinMs || request.sessionTimeoutMs > sessionMaxMs) {
      return refuse(kafkaErrors.INVALID_SESSION_TIMEOUT);
    }
    const mixed = core.groups.consumers.mixed(request.groupId);
    if (mixed !== undefined) return answerOf(await core.groups.consumers.joinClassic(mixed, joinOf(request, context)), context.version);
    const isNew = request.memberId === '';
    const group = isNew ? core.groups.groupOrNew(request.groupId) : core.groups.group(request.groupId);
    if (group === undefined) return refuse(isNew ? kafkaErrors.COORDINATOR_NOT_AVAILABLE : kafkaErrors.UNKNOWN_MEMBER_ID);
    return answerOf(await group.join(joinOf(request, context)), context.version);
  });
}

function joinOf(request: JoinGroupRequest, { version, clientId, clientHost }: RequestContext): JoinRequest {
  return {
    groupId: request.groupId,
    memberId: request.memberId,
    instanceId: request.groupInstanceId,
    clientId: clientId ?? '',
    clientHost,
    protocolType: request.protocolType,
    protocols: request.protocols,
    sessionTimeoutMs: request.sessionTimeoutMs,
    rebalanceTimeoutMs: request.rebalanceTimeoutMs < 0 ? request.sessionTimeoutMs : request.rebalanceTimeoutMs,
    isIdRequired: version >= 4,
    canSkipAssignment: version >= 9,
  };
}

/** Below v7 "no protocol" is an empty text. */
function answerOf(answer: JoinAnswer, version: number): MessageInput<JoinGroupResponse> {
  return { ...answer, protocolName: answer.protocolName ?? (version >= 7 ? null : '') };
}
