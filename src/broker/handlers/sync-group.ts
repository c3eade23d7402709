/**
 * SyncGroup. Versions served: 0–5.
 * Behaviour: the leader's assignment is saved, then every member that waits is answered with its own. In a consumer group
 * of the new protocol (KIP-848) the broker has assigned, and answers at once.
 * Ignored: nothing.
 * Errors: INVALID_GROUP_ID (24), UNKNOWN_MEMBER_ID (25), ILLEGAL_GENERATION (22), INCONSISTENT_GROUP_PROTOCOL (23),
 * REBALANCE_IN_PROGRESS (27), FENCED_INSTANCE_ID (82), COORDINATOR_NOT_AVAILABLE (15, the broker stops).
 */
import { kafkaErrors, syncGroupApi } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { syncFailure } from '../groups/member.js';
import { type Handler, handlerOf } from './handler.js';

/** From here on members say which protocol they take theirs to be (KIP-559). */
const protocolNamedSince = 5;

export function syncGroupHandler(core: BrokerCore): Handler {
  return handlerOf(syncGroupApi, (request, { version }) => {
    const isProtocolNamed = request.protocolType !== null && request.protocolName !== null;
    if (version >= protocolNamedSince && !isProtocolNamed) return syncFailure(kafkaErrors.INCONSISTENT_GROUP_PROTOCOL);
    if (request.groupId === '') return syncFailure(kafkaErrors.INVALID_GROUP_ID);
    const asked = { ...request, instanceId: request.groupInstanceId };
    const mixed = core.groups.consumers.mixed(request.groupId);
    if (mixed !== undefined) return core.groups.consumers.syncClassic(mixed, asked);
    const group = core.groups.group(request.groupId);
    return group === undefined ? syncFailure(kafkaErrors.UNKNOWN_MEMBER_ID) : group.sync(asked);
  });
}
