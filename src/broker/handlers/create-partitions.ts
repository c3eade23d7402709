/**
 * CreatePartitions. Versions served: 0–3.
 * Behaviour: topics grow one after the other, partial success by topic; new partitions are durable and listed by Metadata when they
 * are answered, and tiered from then on. `validate_only` checks everything and creates nothing.
 * Ignored: the timeout.
 * Errors, by topic: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_PARTITIONS (37: not more than there are, or more than
 * topic.max.partitions), INVALID_REPLICA_ASSIGNMENT (39: not one replica on this broker for each new partition), INVALID_REQUEST (42:
 * listed twice, or an internal topic, whose partitions say where a group is), KAFKA_STORAGE_ERROR (56).
 */
import { messageWithHint, toLakeError } from '../../kernel/index.js';
import {
  createPartitionsApi,
  type CreatePartitionsRequestTopic,
  type CreatePartitionsResponseResult,
  kafkaErrors,
  type MessageInput,
} from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

type TopicAnswer = MessageInput<CreatePartitionsResponseResult>;

export function createPartitionsHandler(core: BrokerCore): Handler {
  return handlerOf(createPartitionsApi, async ({ topics, validateOnly }) => {
    const results: TopicAnswer[] = [];
    const seen = new Set<string>();
    for (const asked of topics) {
      if (seen.has(asked.name)) continue;
      seen.add(asked.name);
      const isTwice = topics.some((other) => other !== asked && other.name === asked.name);
      results.push(
        isTwice
          ? { name: asked.name, errorCode: kafkaErrors.INVALID_REQUEST, errorMessage: 'it is listed more than once' }
          : await grow(core, asked, validateOnly),
      );
    }
    return { results };
  });
}

async function grow(core: BrokerCore, asked: CreatePartitionsRequestTopic, isValidateOnly: boolean): Promise<TopicAnswer> {
  const { name, count } = asked;
  const refuse = (errorCode: number, errorMessage: string): TopicAnswer => ({ name, errorCode, errorMessage });
  const topic = core.topics.byName(name);
  if (topic === undefined) return refuse(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION, `there is no topic ${name}`);
  const { record } = topic;
  if (record.isInternal) return refuse(kafkaErrors.INVALID_REQUEST, `${name} is the broker's own and stays as it is`);
  try {
    // Whether the number itself is possible comes first, as in Kafka.
    await core.topics.addPartitions(record.id, count, { isValidateOnly: true });
    const misplaced = misplacement(core, asked, count - topic.partitions.size);
    if (misplaced !== undefined) return refuse(kafkaErrors.INVALID_REPLICA_ASSIGNMENT, misplaced);
    if (!isValidateOnly) await core.topics.addPartitions(record.id, count);
    return { name, errorCode: kafkaErrors.NONE, errorMessage: null };
  } catch (error) {
    const refusal = toLakeError(error);
    const { code, kafkaCode, message } = refusal;
    if (code === 'request-invalid') return refuse(kafkaErrors.INVALID_PARTITIONS, messageWithHint(refusal));
    core.logger.error('partitions cannot be added', { topic: name, count, error: message });
    return refuse(kafkaCode === -1 ? kafkaErrors.KAFKA_STORAGE_ERROR : kafkaCode, message);
  }
}

/** Why new partitions cannot lie where they were asked for: one broker holds one replica of each. */
function misplacement(core: BrokerCore, { assignments }: CreatePartitionsRequestTopic, added: number): string | undefined {
  if (assignments === null) return undefined;
  if (assignments.length !== added) return `${added} partitions would be added, but ${assignments.length} are assigned`;
  const isOurs = assignments.every(({ brokerIds }) => brokerIds.length === 1 && brokerIds[0] === core.nodeId);
  return isOurs ? undefined : `assign each new partition to broker ${core.nodeId} alone`;
}
