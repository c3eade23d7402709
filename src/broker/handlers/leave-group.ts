/**
 * LeaveGroup. Versions served: 0–5 (from v3 several members at once).
 * Behaviour: members are removed at once, and the others rebalance. An instance id without a member id removes whoever has it: so
 * administrators remove static members, whose clients do not leave by themselves.
 * Ignored: the reason.
 * Errors: INVALID_GROUP_ID (24), UNKNOWN_MEMBER_ID (25) and FENCED_INSTANCE_ID (82), by member from v3.
 */
import { kafkaErrors, leaveGroupApi } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { MemberIdentity } from '../groups/member.js';
import { type Handler, handlerOf } from './handler.js';

export function leaveGroupHandler(core: BrokerCore): Handler {
  return handlerOf(leaveGroupApi, async (request, { version }) => {
    if (request.groupId === '') return { errorCode: kafkaErrors.INVALID_GROUP_ID };
    const leave = (identity: MemberIdentity): Promise<number> | number => {
      const mixed = core.groups.consumers.mixed(request.groupId);
      if (mixed !== undefined) return core.groups.consumers.leaveClassic(mixed, identity);
      return core.groups.group(request.groupId)?.leave(identity) ?? kafkaErrors.UNKNOWN_MEMBER_ID;
    };
    if (version < 3) return { errorCode: await leave({ memberId: request.memberId, instanceId: null }) };
    const members = [];
    for (const { memberId, groupInstanceId } of request.members) {
      const errorCode = await leave({ memberId, instanceId: groupInstanceId });
      members.push({ memberId, groupInstanceId, errorCode });
    }
    return { errorCode: kafkaErrors.NONE, members };
  });
}
