/**
 * ListGroups. Versions served: 0–5.
 * Behaviour: every group that has members or offsets, with its state (v4+) and its type (v5+). States and
 * types may be filtered by, in any case of letters; a type that is not known has no groups. Groups of a part of
 * `__consumer_offsets` that cannot be read are not listed.
 * Ignored: nothing. Errors: none.
 */
import { kafkaErrors, listGroupsApi } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

export function listGroupsHandler(core: BrokerCore): Handler {
  return handlerOf(listGroupsApi, ({ statesFilter, typesFilter }) => {
    const isStateAsked = filterOf(statesFilter);
    const isTypeAsked = filterOf(typesFilter);
    const groups = [];
    for (const { groupId, protocolType, type, state } of core.groups.all()) {
      if (isStateAsked(state) && isTypeAsked(type)) groups.push({ groupId, protocolType, groupState: state, groupType: type });
    }
    return { errorCode: kafkaErrors.NONE, groups };
  });
}

function filterOf(asked: readonly string[]): (text: string) => boolean {
  const wanted = new Set(asked.map((text) => text.trim().toLowerCase()));
  return (text) => wanted.size === 0 || wanted.has(text.toLowerCase());
}
