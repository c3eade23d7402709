/**
 * OffsetDelete. Versions served: 0.
 * Behaviour: a group's positions in partitions that nobody of it consumes are forgotten, durably before the answer; there need be
 * none. A consumer group may have members meanwhile, which must not be subscribed to the topic.
 * Ignored: nothing.
 * Errors: INVALID_GROUP_ID (24), GROUP_ID_NOT_FOUND (69), NON_EMPTY_GROUP (68, members that are no consumers),
 * COORDINATOR_NOT_AVAILABLE (15, the group's part of `__consumer_offsets` cannot be read or written); by partition
 * UNKNOWN_TOPIC_OR_PARTITION (3), GROUP_SUBSCRIBED_TO_TOPIC (86).
 */
import { toLakeError } from '../../kernel/index.js';
import { kafkaErrors, offsetDeleteApi, type OffsetDeleteRequest } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { groupStateNames } from '../groups/group-state.js';
import { type Handler, handlerOf } from './handler.js';

export function offsetDeleteHandler(core: BrokerCore): Handler {
  return handlerOf(offsetDeleteApi, async ({ groupId, topics: asked }) => {
    const refusal = refusalOf(core, groupId);
    if (refusal !== kafkaErrors.NONE) return { errorCode: refusal, topics: [] };
    const isConsumed = core.groups.consumedBy(groupId);
    const answers = asked.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: !isPartition(core, name, partitionIndex)
          ? kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION
          : isConsumed(name)
            ? kafkaErrors.GROUP_SUBSCRIBED_TO_TOPIC
            : kafkaErrors.NONE,
      })),
    }));
    const forgotten = answers.flatMap(({ name, partitions }) =>
      partitions
        .filter(({ errorCode }) => errorCode === kafkaErrors.NONE)
        .map(({ partitionIndex }) => ({ topic: name, partition: partitionIndex })),
    );
    try {
      await core.groups.offsets.forget(groupId, forgotten);
      // As from Kafka, a topic of which nothing is asked is answered only where it is not there.
      const topics = answers.filter(({ name, partitions }) => partitions.length > 0 || core.topics.byName(name) === undefined);
      return { errorCode: kafkaErrors.NONE, topics };
    } catch (error) {
      core.logger.warn('offsets cannot be deleted', { group: groupId, error: toLakeError(error).message });
      return { errorCode: kafkaErrors.COORDINATOR_NOT_AVAILABLE, topics: [] };
    }
  });
}

/** Why none of the group's positions may be deleted, or 0. */
function refusalOf(core: BrokerCore, groupId: OffsetDeleteRequest['groupId']): number {
  if (groupId === '') return kafkaErrors.INVALID_GROUP_ID;
  if (!core.groups.isServed(groupId)) return kafkaErrors.COORDINATOR_NOT_AVAILABLE;
  const known = core.groups.listed(groupId);
  if (known === undefined) return kafkaErrors.GROUP_ID_NOT_FOUND;
  return known.state !== groupStateNames.empty && known.protocolType !== 'consumer' ? kafkaErrors.NON_EMPTY_GROUP : kafkaErrors.NONE;
}

function isPartition(core: BrokerCore, topic: string, partition: number): boolean {
  return core.topics.byName(topic)?.partitions.has(partition) === true;
}
