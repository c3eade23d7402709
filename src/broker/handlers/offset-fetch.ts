/**
 * OffsetFetch. Versions served: 1–9 (from v8 several groups).
 * Behaviour: committed positions with leader epoch and metadata; none committed is offset −1 with empty metadata and no error.
 * Topics null (v2+) asks for all.
 * Ignored: require_stable (there are no transactions, so every position is stable).
 * Errors: UNKNOWN_MEMBER_ID (25) and STALE_MEMBER_EPOCH (113), by group, for members of consumer groups of the new protocol (v9+);
 * COORDINATOR_NOT_AVAILABLE (15, by partition and by group) where the group's part of `__consumer_offsets` cannot be read.
 */
import { kafkaErrors, type MessageInput, offsetFetchApi, type OffsetFetchResponseGroupTopic } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

type AskedTopics = readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[] | null;

export function offsetFetchHandler(core: BrokerCore): Handler {
  return handlerOf(offsetFetchApi, (request, { version }) => {
    if (version < 8) return { topics: positions(core, request.groupId, request.topics), errorCode: codeOf(core, request.groupId) };
    const groups = request.groups.map(({ groupId, memberId, memberEpoch, topics }) => {
      const refused = core.groups.consumers.mayFetch(groupId, memberId, memberEpoch);
      if (refused !== kafkaErrors.NONE) return { groupId, topics: [], errorCode: refused };
      return { groupId, topics: positions(core, groupId, topics), errorCode: codeOf(core, groupId) };
    });
    return { groups };
  });
}

function codeOf(core: BrokerCore, groupId: string): number {
  return core.groups.isServed(groupId) ? kafkaErrors.NONE : kafkaErrors.COORDINATOR_NOT_AVAILABLE;
}

function positions(core: BrokerCore, groupId: string, asked: AskedTopics): MessageInput<OffsetFetchResponseGroupTopic>[] {
  const topics =
    asked ?? [...core.groups.allCommitted(groupId)].map(([name, partitions]) => ({ name, partitionIndexes: [...partitions.keys()] }));
  return topics.map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partitionIndex) => {
      const committed = core.groups.committed(groupId, name, partitionIndex);
      return {
        partitionIndex,
        committedOffset: committed?.offset ?? -1,
        committedLeaderEpoch: committed?.leaderEpoch ?? -1,
        metadata: committed?.metadata ?? '',
        errorCode: codeOf(core, groupId),
      };
    }),
  }));
}
