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
  return handlerOf(leaveGroupApi, async (request, { version }) => {
    if (request.groupId === '') return { errorCode: kafkaErrors.INVALID_GROUP_ID };
    const leave = (memberId: string): Promise<number> | number => {
      const mixed = core.groups.consumers.mixed(request.groupId);
      if (mixed !== undefined) return core.groups.consumers.leaveClassic(mixed, memberId);
      return core.groups.group(request.groupId)?.leave(memberId) ?? kafkaErrors.UNKNOWN_MEMBER_ID;
    };
    if (version < 3) return { errorCode: await leave(request.memberId) };
    const members = [];
    for (const { memberId, groupInstanceId } of request.members) {
      const errorCode = groupInstanceId === null ? await leave(memberId) : kafkaErrors.UNSUPPORTED_VERSION;
      members.push({ memberId, groupInstanceId, errorCode });
    }
    return { errorCode: kafkaErrors.NONE, members };
  });
}
