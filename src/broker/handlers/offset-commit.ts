/**
 * OffsetCommit. Versions served: 2–10 (from v10 topics go by id).
 * Behaviour: positions are appended to `__consumer_offsets` and flushed (under `flush.policy=group-commit`) before the answer;
 * leader epoch and metadata come back unchanged. A member of a group of the new protocol may commit at an epoch that has passed what
 * it has had since then, also while it is to give it up (KIP-1251); as from Kafka, one partition that it has not had refuses all. A retention time (v2–4) is when the position expires, whatever
 * `offsets.retention.minutes` says.
 * Errors, by partition: UNKNOWN_TOPIC_ID (100), UNKNOWN_TOPIC_OR_PARTITION (3), OFFSET_METADATA_TOO_LARGE (12), UNKNOWN_MEMBER_ID
 * (25), ILLEGAL_GENERATION (22), REBALANCE_IN_PROGRESS (27), COORDINATOR_NOT_AVAILABLE (15, the log refused the write);
 * GROUP_ID_NOT_FOUND (69, v9); STALE_MEMBER_EPOCH (113) and below v9 UNSUPPORTED_VERSION (35) for members of the new protocol;
 * FENCED_INSTANCE_ID (82).
 */
import { type PartitionId, type TopicId, toLakeError, zeroTopicId } from '../../kernel/index.js';
import { kafkaErrors, offsetCommitApi, type OffsetCommitRequest } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { OffsetToCommit } from '../groups/committed-offsets.js';
import { type Handler, handlerOf } from './handler.js';

/** From here on members of the new protocol commit with their epoch, and a group that is not there has an error of its own (KIP-848). */
const epochKnownSince = 9;
const topicIdsSince = 10;

export function offsetCommitHandler(core: BrokerCore): Handler {
  const metadataBytesMax = core.config.get('offset.metadata.max.bytes');
  return handlerOf(offsetCommitApi, async (request, { version }) => {
    const topics = request.topics.map((topic) => ({ ...topic, name: nameOf(core, topic, version) }));
    const expiry = request.retentionTimeMs < 0 ? {} : { expireMs: core.clock.nowMs() + request.retentionTimeMs };
    const accepted: OffsetToCommit[] = [];
    const committing: [TopicId, PartitionId][] = [];
    const codes = topics.map(({ name, partitions }) =>
      partitions.map((entry): number => {
        if (name === undefined) return kafkaErrors.UNKNOWN_TOPIC_ID;
        const topic = core.topics.byName(name);
        if (topic?.partitions.has(entry.partitionIndex) !== true) return kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
        const metadata = entry.committedMetadata ?? '';
        if (Buffer.byteLength(metadata) > metadataBytesMax) return kafkaErrors.OFFSET_METADATA_TOO_LARGE;
        committing.push([topic.record.id, entry.partitionIndex]);
        accepted.push({
          topic: name,
          partition: entry.partitionIndex,
          offset: entry.committedOffset,
          leaderEpoch: entry.committedLeaderEpoch,
          metadata,
          ...expiry,
        });
        return kafkaErrors.NONE;
      }),
    );
    const refusal = mayCommit(core, request, version, committing);
    const isToCommit = codes.some((ofTopic) =>
      ofTopic.some((code) => code === kafkaErrors.NONE || code === kafkaErrors.OFFSET_METADATA_TOO_LARGE),
    );
    const outcome = refusal === kafkaErrors.NONE && isToCommit ? await committed(core, request.groupId, accepted) : refusal;
    const told = (code: number): number => {
      if (code === kafkaErrors.NONE) return outcome;
      return code === kafkaErrors.OFFSET_METADATA_TOO_LARGE && refusal !== kafkaErrors.NONE ? refusal : code;
    };
    const answers = topics.map(({ name, topicId, partitions }, t) => ({
      name: name ?? '',
      topicId,
      partitions: partitions.map(({ partitionIndex }, p) => ({ partitionIndex, errorCode: told(codes[t]![p]!) })),
    }));
    // As from Kafka, a topic of which nothing is committed is answered only where it is not there.
    return { topics: answers.filter(({ name, partitions }) => partitions.length > 0 || core.topics.byName(name) === undefined) };
  });
}

async function committed(core: BrokerCore, groupId: string, offsets: readonly OffsetToCommit[]): Promise<number> {
  try {
    await core.groups.commit(groupId, offsets);
    return kafkaErrors.NONE;
  } catch (error) {
    core.logger.warn('offsets cannot be committed', { group: groupId, error: toLakeError(error).message });
    return kafkaErrors.COORDINATOR_NOT_AVAILABLE;
  }
}

/** `undefined` for an id that no topic has. */
function nameOf(core: BrokerCore, { name, topicId }: OffsetCommitRequest['topics'][number], version: number): string | undefined {
  if (version < topicIdsSince) return name;
  return topicId === zeroTopicId ? undefined : core.topics.byId(topicId)?.record.name;
}

/** Kafka's error code for the request as a whole, 0 where these partitions' positions are taken. */
function mayCommit(
  core: BrokerCore,
  request: OffsetCommitRequest,
  version: number,
  partitions: readonly (readonly [TopicId, PartitionId])[],
): number {
  const isEpochKnown = version >= epochKnownSince;
  const { groupId, memberId, groupInstanceId: instanceId, generationIdOrMemberEpoch: generationId } = request;
  const asConsumer = core.groups.consumers.mayCommit({ groupId, memberId, memberEpoch: generationId, isEpochKnown }, partitions);
  if (asConsumer !== undefined) return asConsumer;
  const group = core.groups.group(groupId);
  if (group !== undefined) return group.mayCommit({ memberId, instanceId }, generationId);
  if (generationId < 0) return kafkaErrors.NONE;
  // What a simple consumer commits makes a group too, which nobody is a member of.
  if (core.groups.listed(groupId) !== undefined) return kafkaErrors.UNKNOWN_MEMBER_ID;
  return isEpochKnown ? kafkaErrors.GROUP_ID_NOT_FOUND : kafkaErrors.ILLEGAL_GENERATION;
}
