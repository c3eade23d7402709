/**
 * OffsetFetch. Versions served: 1–10 (from v8 several groups, from v10 topics by id).
 * Behaviour: committed positions with leader epoch and metadata; none committed is offset −1 with empty metadata and no error.
 * Topics null (v2+) asks for all. Topics that are asked for by an id that is not known come last.
 * Ignored: require_stable (there are no transactions, so every position is stable).
 * Errors: UNKNOWN_MEMBER_ID (25) and STALE_MEMBER_EPOCH (113), by group, for members of consumer groups of the new protocol (v9+);
 * UNKNOWN_TOPIC_ID (100, by partition); COORDINATOR_NOT_AVAILABLE (15, by partition and by group) where the group's part of `__consumer_offsets` cannot be read.
 */
import { type TopicId, zeroTopicId } from '../../kernel/index.js';
import { kafkaErrors, type MessageInput, offsetFetchApi, type OffsetFetchResponseGroupTopic } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

interface AskedTopic {
  readonly name: string;
  readonly topicId?: TopicId;
  readonly partitionIndexes: readonly number[];
}
type AskedTopics = readonly AskedTopic[] | null;
type TopicAnswer = MessageInput<OffsetFetchResponseGroupTopic>;

const topicIdsSince = 10;

export function offsetFetchHandler(core: BrokerCore): Handler {
  return handlerOf(offsetFetchApi, (request, { version }) => {
    if (version < 8) return { topics: positions(core, request.groupId, request.topics), errorCode: codeOf(core, request.groupId) };
    const groups = request.groups.map(({ groupId, memberId, memberEpoch, topics }) => {
      const refused = core.groups.consumers.mayFetch(groupId, memberId, memberEpoch);
      if (refused !== kafkaErrors.NONE) return { groupId, topics: [], errorCode: refused };
      const answers = version < topicIdsSince ? positions(core, groupId, topics) : positionsById(core, groupId, topics);
      return { groupId, topics: answers, errorCode: codeOf(core, groupId) };
    });
    return { groups };
  });
}

function codeOf(core: BrokerCore, groupId: string): number {
  return core.groups.isServed(groupId) ? kafkaErrors.NONE : kafkaErrors.COORDINATOR_NOT_AVAILABLE;
}

/** A topic that is not there any more has no id, and is left out where all are asked for. */
function positionsById(core: BrokerCore, groupId: string, asked: AskedTopics): TopicAnswer[] {
  if (asked === null) {
    return positions(core, groupId, null).flatMap((answer) => {
      const topicId = core.topics.byName(answer.name ?? '')?.record.id;
      return topicId === undefined ? [] : [{ ...answer, topicId }];
    });
  }
  const known: AskedTopic[] = [];
  const unknown: TopicAnswer[] = [];
  for (const { topicId = zeroTopicId, partitionIndexes } of asked) {
    const name = topicId === zeroTopicId ? undefined : core.topics.byId(topicId)?.record.name;
    if (name !== undefined) known.push({ name, topicId, partitionIndexes });
    else unknown.push({ topicId, partitions: partitionIndexes.map(unknownTopic) });
  }
  return [...positions(core, groupId, known).map((answer, i) => ({ ...answer, topicId: known[i]!.topicId! })), ...unknown];
}

function unknownTopic(partitionIndex: number): TopicAnswer['partitions'][number] {
  return { partitionIndex, committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: kafkaErrors.UNKNOWN_TOPIC_ID };
}

function positions(core: BrokerCore, groupId: string, asked: AskedTopics): (TopicAnswer & { readonly name: string })[] {
  const topics =
    asked ?? [...core.groups.offsets.ofGroup(groupId)].map(([name, partitions]) => ({ name, partitionIndexes: [...partitions.keys()] }));
  return topics.map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partitionIndex) => {
      const committed = core.groups.offsets.get(groupId, name, partitionIndex);
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
