/**
 * LeaveGroup. Versions served: 0–5 (from v3 several members at once).
 * Behaviour: members are removed at once, those of consumer groups (KIP-848) too, and the others rebalance. An instance id without a
 * member id removes whoever has it: so administrators remove static members, whose clients do not leave by themselves.
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
    const identities =
      version < 3
        ? [{ memberId: request.memberId, instanceId: null }]
        : request.members.map(({ memberId, groupInstanceId }) => ({ memberId, instanceId: groupInstanceId }));
    const codes = await leave(core, request.groupId, identities);
    if (version < 3) return { errorCode: codes[0]! };
    const members = request.members.map(({ memberId, groupInstanceId }, i) => ({ memberId, groupInstanceId, errorCode: codes[i]! }));
    return { errorCode: kafkaErrors.NONE, members };
  });
}

async function leave(core: BrokerCore, groupId: string, identities: readonly MemberIdentity[]): Promise<readonly number[]> {
  const mixed = core.groups.consumers.mixed(groupId);
  if (mixed !== undefined) return core.groups.consumers.leave(mixed, identities);
  return core.groups.group(groupId)?.leave(identities) ?? identities.map(() => kafkaErrors.UNKNOWN_MEMBER_ID);
}
