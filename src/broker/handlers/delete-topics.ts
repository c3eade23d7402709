/**
 * DeleteTopics. Versions served: 1–6 (by name, from v6 also by id).
 * Behaviour: the topic is gone, files and committed offsets too, when it is answered; its table and objects follow when the
 * tier daemon has dropped them.
 * Ignored: the timeout.
 * Errors, by topic: UNKNOWN_TOPIC_OR_PARTITION (3), UNKNOWN_TOPIC_ID (100), INVALID_REQUEST (42: internal, or name and id at once),
 * KAFKA_STORAGE_ERROR (56).
 */
import { toLakeError, type TopicId, zeroTopicId } from '../../kernel/index.js';
import { deleteTopicsApi, type DeleteTopicsResponseTopic, kafkaErrors, type MessageInput } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

type TopicAnswer = MessageInput<DeleteTopicsResponseTopic>;

export function deleteTopicsHandler(core: BrokerCore): Handler {
  return handlerOf(deleteTopicsApi, async (request, { version }) => {
    const asked = version >= 6 ? request.topics : request.topicNames.map((name) => ({ name, topicId: zeroTopicId }));
    const responses: TopicAnswer[] = [];
    for (const { name, topicId } of asked) responses.push(await remove(core, name, topicId));
    return { responses };
  });
}

async function remove(core: BrokerCore, name: string | null, topicId: TopicId): Promise<TopicAnswer> {
  const refuse = (errorCode: number, errorMessage: string): TopicAnswer => ({ name, topicId, errorCode, errorMessage });
  if (name !== null && topicId !== zeroTopicId) return refuse(kafkaErrors.INVALID_REQUEST, 'give a name or an id, not both');
  const topic = name === null ? core.topics.byId(topicId) : core.topics.byName(name);
  if (topic === undefined) {
    return name === null
      ? refuse(kafkaErrors.UNKNOWN_TOPIC_ID, 'there is no topic of that id')
      : refuse(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION, `there is no topic ${name}`);
  }
  const { record } = topic;
  if (record.isInternal) return refuse(kafkaErrors.INVALID_REQUEST, `${record.name} is the broker's own and cannot be deleted`);
  try {
    await core.topics.delete(topic);
  } catch (error) {
    const { kafkaCode, message } = toLakeError(error);
    core.logger.error('a topic cannot be deleted', { topic: record.name, error: message });
    return refuse(kafkaCode === -1 ? kafkaErrors.KAFKA_STORAGE_ERROR : kafkaCode, message);
  }
  try {
    await core.groups.offsets.topicDeleted(record.name);
  } catch (error) {
    // They are gone from memory, and a start passes over offsets that are older than their topic.
    core.logger.warn('the offsets of a deleted topic stay in __consumer_offsets', {
      topic: record.name,
      error: toLakeError(error).message,
    });
  }
  return { name: record.name, topicId: record.id, errorCode: kafkaErrors.NONE, errorMessage: null };
}
