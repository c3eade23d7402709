/**
 * OffsetFetch. Versions served: 1–9 (from v8 several groups).
 * Behaviour: committed positions with leader epoch and metadata; none committed is offset −1 with empty metadata and no error.
 * Topics null (v2+) asks for all.
 * Ignored: require_stable (there are no transactions, so every position is stable), member id and epoch.
 * Errors: none.
 */
import { kafkaErrors, type MessageInput, offsetFetchApi, type OffsetFetchResponseGroupTopic } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

type AskedTopics = readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[] | null;

export function offsetFetchHandler(core: BrokerCore): Handler {
  return handlerOf(offsetFetchApi, (request, { version }) => {
    if (version < 8) return { topics: positions(core, request.groupId, request.topics), errorCode: kafkaErrors.NONE };
    const groups = request.groups.map(({ groupId, topics }) => ({
      groupId,
      topics: positions(core, groupId, topics),
      errorCode: kafkaErrors.NONE,
    }));
    return { groups };
  });
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
        errorCode: kafkaErrors.NONE,
      };
    }),
  }));
}
