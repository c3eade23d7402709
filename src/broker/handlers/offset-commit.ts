/**
 * OffsetCommit. Versions served: 2–9.
 * Behaviour: positions are appended to `__consumer_offsets` and flushed (under `flush.policy=group-commit`) before the answer;
 * leader epoch and metadata come back unchanged.
 * Ignored: the retention time (v2–4): positions do not expire yet.
 * Errors, by partition: UNKNOWN_TOPIC_OR_PARTITION (3), OFFSET_METADATA_TOO_LARGE (12), UNKNOWN_MEMBER_ID
 * (25), ILLEGAL_GENERATION (22), REBALANCE_IN_PROGRESS (27), COORDINATOR_NOT_AVAILABLE (15, the log refused the write);
 * STALE_MEMBER_EPOCH (113, members of consumer groups of the new protocol), FENCED_INSTANCE_ID (82).
 */
import { toLakeError } from '../../kernel/index.js';
import { kafkaErrors, offsetCommitApi, type OffsetCommitRequest } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { OffsetToCommit } from '../groups/coordinator.js';
import { type Handler, handlerOf } from './handler.js';

export function offsetCommitHandler(core: BrokerCore): Handler {
  const metadataBytesMax = core.config.get('offset.metadata.max.bytes');
  return handlerOf(offsetCommitApi, async (request) => {
    const refusal = mayCommit(core, request);
    const accepted: OffsetToCommit[] = [];
    const codes = request.topics.map(({ name, partitions }) =>
      partitions.map((entry): number => {
        if (refusal !== kafkaErrors.NONE) return refusal;
        if (core.topics.byName(name)?.partitions.has(entry.partitionIndex) !== true) return kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
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
    return {
      topics: request.topics.map(({ name, partitions }, t) => ({
        name,
        partitions: partitions.map(({ partitionIndex }, p) => {
          const code = codes[t]![p]!;
          return { partitionIndex, errorCode: code === kafkaErrors.NONE ? outcome : code };
        }),
      })),
    };
  });
}

function mayCommit(core: BrokerCore, request: OffsetCommitRequest): number {
  const { groupId, memberId, generationIdOrMemberEpoch: generationId } = request;
  const asConsumer = core.groups.consumers.mayCommit(groupId, memberId, generationId);
  if (asConsumer !== undefined) return asConsumer;
  const group = core.groups.group(groupId);
  if (group !== undefined) return group.mayCommit({ memberId, instanceId: request.groupInstanceId }, generationId);
  return generationId < 0 ? kafkaErrors.NONE : kafkaErrors.ILLEGAL_GENERATION;
}
