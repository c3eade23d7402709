/**
 * DescribeGroups. Versions served: 0–6.
 * Behaviour: state, members and what each was assigned last, and in a stable group what it subscribed to, byte by byte. A group that is only
 * known by committed offsets is Empty. A group that is not there, or is no classic one, is Dead, and from v6 an error too (KIP-1043).
 * Ignored: nothing.
 * Errors, by group: GROUP_ID_NOT_FOUND (69, v6), COORDINATOR_NOT_AVAILABLE (15) where the group's part of `__consumer_offsets`
 * cannot be read.
 */
import { describeGroupsApi, type DescribeGroupsResponseGroup, kafkaErrors, type MessageInput } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { groupStateNames } from '../groups/group-state.js';
import { emptyBytes } from '../groups/member.js';
import { authorizedOperations } from './authorized-operations.js';
import { type Handler, handlerOf } from './handler.js';

type GroupAnswer = MessageInput<DescribeGroupsResponseGroup>;

const notFoundSince = 6;

export function describeGroupsHandler(core: BrokerCore): Handler {
  return handlerOf(describeGroupsApi, ({ groups, includeAuthorizedOperations }, { version }) => ({
    groups: groups.map((groupId) => {
      const answer = describe(core, groupId, version);
      const isAsked = includeAuthorizedOperations && answer.errorCode === kafkaErrors.NONE;
      return { ...answer, authorizedOperations: authorizedOperations('group', isAsked) };
    }),
  }));
}

function describe(core: BrokerCore, groupId: string, version: number): GroupAnswer {
  const bare = (errorCode: number, groupState: string, errorMessage: string | null = null): GroupAnswer => ({
    errorCode,
    errorMessage,
    groupId,
    groupState,
    protocolType: '',
    protocolData: '',
    members: [],
  });
  if (!core.groups.isServed(groupId)) return bare(kafkaErrors.COORDINATOR_NOT_AVAILABLE, '');
  const known = core.groups.listed(groupId);
  if (known?.type !== 'classic') {
    const what = known === undefined ? `Group ${groupId} not found.` : `Group ${groupId} is not a classic group.`;
    return version < notFoundSince
      ? bare(kafkaErrors.NONE, groupStateNames.dead)
      : bare(kafkaErrors.GROUP_ID_NOT_FOUND, groupStateNames.dead, what);
  }
  const isStable = known.state === groupStateNames.stable;
  const { protocol, members } = core.groups.group(groupId)?.snapshot() ?? { protocol: null, members: [] };
  return {
    ...bare(kafkaErrors.NONE, known.state),
    protocolType: known.protocolType,
    protocolData: isStable ? (protocol ?? '') : '',
    members: members.map(({ id, instanceId, clientId, clientHost, subscription, assignment }) => ({
      memberId: id,
      groupInstanceId: instanceId,
      clientId,
      clientHost,
      memberMetadata: isStable ? subscription : emptyBytes,
      memberAssignment: assignment,
    })),
  };
}
