/**
 * OffsetCommit. Versions served: 2–9.
 * Behaviour: positions are appended to `__consumer_offsets` and flushed (under `flush.policy=group-commit`) before the answer;
 * leader epoch and metadata come back unchanged.
 * Ignored: the retention time (v2–4): positions do not expire yet.
 * Errors, by partition: UNKNOWN_TOPIC_OR_PARTITION (3), OFFSET_METADATA_TOO_LARGE (12), UNKNOWN_MEMBER_ID
 * (25), ILLEGAL_GENERATION (22), REBALANCE_IN_PROGRESS (27), COORDINATOR_NOT_AVAILABLE (15, the log refused the write);
 * GROUP_ID_NOT_FOUND (69, v9); STALE_MEMBER_EPOCH (113) and below v9 UNSUPPORTED_VERSION (35) for members of the new protocol;
 * FENCED_INSTANCE_ID (82).
 */
import { toLakeError } from '../../kernel/index.js';
import { kafkaErrors, offsetCommitApi, type OffsetCommitRequest } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { OffsetToCommit } from '../groups/coordinator.js';
import { type Handler, handlerOf } from './handler.js';

/** From here on members of the new protocol commit with their epoch (KIP-848). */
const epochKnownSince = 9;

export function offsetCommitHandler(core: BrokerCore): Handler {
  const metadataBytesMax = core.config.get('offset.metadata.max.bytes');
  return handlerOf(offsetCommitApi, async (request, { version }) => {
    const refusal = mayCommit(core, request, version);
    const accepted: OffsetToCommit[] = [];
    const codes = request.topics.map(({ name, partitions }) =>
      partitions.map((entry): number => {
        if (core.topics.byName(name)?.partitions.has(entry.partitionIndex) !== true) return kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
        if (refusal !== kafkaErrors.NONE) return refusal;
        const metadata = entry.committedMetadata ?? '';
        if (Buffer.byteLength(metadata) > metadataBytesMax) return kafkaErrors.OFFSET_METADATA_TOO_LARGE;
        accepted.push({
          topic: name,
          partition: entry.partitionIndex,
          offset: entry.committedOffset,
          leaderEpoch: entry.committedLeaderEpoch,
          metadata,
        });
        return kafkaErrors.NONE;
      }),
    );
    let outcome: number = kafkaErrors.NONE;
    try {
      await core.groups.commit(request.groupId, accepted);
    } catch (error) {
      core.logger.warn('offsets cannot be committed', { group: request.groupId, error: toLakeError(error).message });
      outcome = kafkaErrors.COORDINATOR_NOT_AVAILABLE;
    }
    const topics = request.topics.map(({ name, partitions }, t) => ({
      name,
      partitions: partitions.map(({ partitionIndex }, p) => {
        const code = codes[t]![p]!;
        return { partitionIndex, errorCode: code === kafkaErrors.NONE ? outcome : code };
      }),
    }));
    // As from Kafka, a topic of which nothing is committed is answered only where it is not there.
    return { topics: topics.filter(({ name, partitions }) => partitions.length > 0 || core.topics.byName(name) === undefined) };
  });
}

function mayCommit(core: BrokerCore, request: OffsetCommitRequest, version: number): number {
  const isEpochKnown = version >= epochKnownSince;
  const { groupId, memberId, generationIdOrMemberEpoch: generationId } = request;
  const asConsumer = core.groups.consumers.mayCommit(groupId, memberId, generationId, isEpochKnown);
  if (asConsumer !== undefined) return asConsumer;
  const group = core.groups.group(groupId);
  if (group !== undefined) return group.mayCommit({ memberId, instanceId: request.groupInstanceId }, generationId);
  if (generationId < 0) return kafkaErrors.NONE;
  return isEpochKnown ? kafkaErrors.GROUP_ID_NOT_FOUND : kafkaErrors.ILLEGAL_GENERATION;
}
