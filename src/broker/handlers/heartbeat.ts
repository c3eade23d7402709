/**
 * Heartbeat. Versions served: 0–4.
 * Behaviour: keeps a member's session; tells it by REBALANCE_IN_PROGRESS to join again; also in a consumer group of the
 * new protocol (KIP-848) that has classic members.
 * Ignored: nothing.
 * Errors: INVALID_GROUP_ID (24), UNKNOWN_MEMBER_ID (25), ILLEGAL_GENERATION (22), REBALANCE_IN_PROGRESS (27),
 * FENCED_INSTANCE_ID (82).
 */
import { heartbeatApi, kafkaErrors } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

export function heartbeatHandler(core: BrokerCore): Handler {
  return handlerOf(heartbeatApi, (request) => {
    if (request.groupId === '') return { errorCode: kafkaErrors.INVALID_GROUP_ID };
    const mixed = core.groups.consumers.mixed(request.groupId);
    const identity = { memberId: request.memberId, instanceId: request.groupInstanceId };
    if (mixed !== undefined) return { errorCode: core.groups.consumers.heartbeatClassic(mixed, identity, request.generationId) };
    const group = core.groups.group(request.groupId);
    return { errorCode: group?.heartbeat(identity, request.generationId) ?? kafkaErrors.UNKNOWN_MEMBER_ID };
  });
}
