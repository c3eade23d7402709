/**
 * LeaveGroup. Versions served: 0–5 (from v3 several members at once).
 * Behaviour: members are removed at once, and the others rebalance.
 * Ignored: the reason.
 * Errors: INVALID_GROUP_ID (24), UNKNOWN_MEMBER_ID (25, by member from v3); UNSUPPORTED_VERSION (35) by member for static ones.
 */
import { kafkaErrors, leaveGroupApi } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

export function leaveGroupHandler(core: BrokerCore): Handler {
  return handlerOf(leaveGroupApi, (request, { version }) => {
    if (request.groupId === '') return { errorCode: kafkaErrors.INVALID_GROUP_ID };
    const leave = (memberId: string): number => core.groups.group(request.groupId)?.leave(memberId) ?? kafkaErrors.UNKNOWN_MEMBER_ID;
    if (version < 3) return { errorCode: leave(request.memberId) };
    const members = request.members.map(({ memberId, groupInstanceId }) => ({
      memberId,
      groupInstanceId,
      errorCode: groupInstanceId === null ? leave(memberId) : kafkaErrors.UNSUPPORTED_VERSION,
    }));
    return { errorCode: kafkaErrors.NONE, members };
  });
}
