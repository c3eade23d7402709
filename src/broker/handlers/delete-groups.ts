/**
 * DeleteGroups. Versions served: 0–3.
 * Behaviour: groups without members are forgotten with all that they committed, durably before the answer.
 * Ignored: nothing.
 * Errors, by group: GROUP_ID_NOT_FOUND (69), NON_EMPTY_GROUP (68), COORDINATOR_NOT_AVAILABLE (15, its part of
 * `__consumer_offsets` cannot be read or written).
 */
import { toLakeError } from '../../kernel/index.js';
import { deleteGroupsApi, type DeleteGroupsResponseResult, kafkaErrors, type MessageInput } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { groupStateNames } from '../groups/group-state.js';
import { type Handler, handlerOf } from './handler.js';

export function deleteGroupsHandler(core: BrokerCore): Handler {
  return handlerOf(deleteGroupsApi, async ({ groupsNames }) => {
    const results: MessageInput<DeleteGroupsResponseResult>[] = [];
    for (const groupId of new Set(groupsNames)) results.push({ groupId, errorCode: await remove(core, groupId) });
    return { results };
  });
}

async function remove(core: BrokerCore, groupId: string): Promise<number> {
  if (!core.groups.isServed(groupId)) return kafkaErrors.COORDINATOR_NOT_AVAILABLE;
  const known = core.groups.listed(groupId);
  if (known === undefined) return kafkaErrors.GROUP_ID_NOT_FOUND;
  if (known.state !== groupStateNames.empty) return kafkaErrors.NON_EMPTY_GROUP;
  try {
    await core.groups.delete(groupId);
    return kafkaErrors.NONE;
  } catch (error) {
    core.logger.warn('a group cannot be deleted', { group: groupId, error: toLakeError(error).message });
    return kafkaErrors.COORDINATOR_NOT_AVAILABLE;
  }
}
