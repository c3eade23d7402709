/**
 * CreateTopics. Versions served: 2–7.
 * Behaviour: topics are created one after the other, partial success by topic; each is durable and listed by Metadata when it
 * is answered. −1 partitions or replicas mean the default. `validate_only` checks everything and creates nothing.
 * Ignored: the timeout.
 * Errors, by topic: TOPIC_ALREADY_EXISTS (36), INVALID_TOPIC_EXCEPTION (17: illegal, reserved, or told apart from another only
 * by case or `.` and `_`), INVALID_PARTITIONS (37), INVALID_REPLICATION_FACTOR (38: more than one broker's), INVALID_REPLICA_ASSIGNMENT
 * (39), INVALID_CONFIG (40, with the hint), INVALID_REQUEST (42: listed twice, or an assignment beside numbers).
 */
import type { TopicConfig } from '../../config/index.js';
import { type LakeError, messageWithHint, toLakeError } from '../../kernel/index.js';
import {
  createTopicsApi,
  type CreateTopicsRequestTopic,
  type CreateTopicsResponseTopic,
  kafkaErrors,
  type MessageInput,
} from '../../wire/index.js';
import { topicSource } from '../configs/resource.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

type TopicAnswer = MessageInput<CreateTopicsResponseTopic>;

interface Refusal {
  readonly errorCode: number;
  readonly errorMessage: string;
}

export function createTopicsHandler(core: BrokerCore): Handler {
  return handlerOf(createTopicsApi, async (request) => {
    const topics: TopicAnswer[] = [];
    const seen = new Set<string>();
    const twice = new Set<string>();
    for (const { name } of request.topics) (seen.has(name) ? twice : seen).add(name);
    for (const name of twice) {
      topics.push(refused(name, { errorCode: kafkaErrors.INVALID_REQUEST, errorMessage: `topic ${name} is listed more than once` }));
    }
    for (const asked of request.topics) if (!twice.has(asked.name)) topics.push(await create(core, asked, request.validateOnly));
    return { topics };
  });
}

function refused(name: string, refusal: Refusal): TopicAnswer {
  return { name, ...refusal, configs: [] };
}

/** What only a cluster could do otherwise: one broker holds one replica of everything. */
function checkPlacement(core: BrokerCore, asked: CreateTopicsRequestTopic): Refusal | undefined {
  const { assignments, numPartitions, replicationFactor } = asked;
  if (assignments.length > 0) {
    if (numPartitions !== -1 || replicationFactor !== -1) {
      return {
        errorCode: kafkaErrors.INVALID_REQUEST,
        errorMessage: 'an assignment and a number of partitions or replicas exclude each other',
      };
    }
    const indexes = assignments.map(({ partitionIndex }) => partitionIndex).toSorted((a, b) => a - b);
    const isComplete = indexes.every((index, i) => index === i);
    const isOurs = assignments.every(({ brokerIds }) => brokerIds.length === 1 && brokerIds[0] === core.nodeId);
    if (!isComplete || !isOurs) {
      return {
        errorCode: kafkaErrors.INVALID_REPLICA_ASSIGNMENT,
        errorMessage: `assign partitions 0, 1, … each to broker ${core.nodeId} alone`,
      };
    }
    return undefined;
  }
  const replication = {
    errorCode: kafkaErrors.INVALID_REPLICATION_FACTOR,
    errorMessage: `one broker holds one replica, not ${replicationFactor}`,
  };
  if (replicationFactor < -1 || replicationFactor === 0) return replication;
  if (numPartitions !== -1 && numPartitions < 1) {
    return { errorCode: kafkaErrors.INVALID_PARTITIONS, errorMessage: `a topic has at least one partition, not ${numPartitions}` };
  }
  if (replicationFactor > 1) return replication;
  return undefined;
}

/** Name and configuration are checked before the placement, as Kafka's controller does: which error comes first is the same. */
async function create(core: BrokerCore, asked: CreateTopicsRequestTopic, isValidateOnly: boolean): Promise<TopicAnswer> {
  const { name, assignments, numPartitions, configs } = asked;
  const partitions = assignments.length > 0 ? assignments.length : numPartitions === -1 ? core.config.get('num.partitions') : numPartitions;
  const unset = configs.find(({ value }) => value === null);
  const overrides = Object.fromEntries(configs.map(({ name: key, value }) => [key, value ?? '']));
  try {
    const placement = checkPlacement(core, asked);
    const config = core.topics.check({ name, partitions: placement === undefined ? partitions : 1, overrides });
    if (unset !== undefined) {
      return refused(name, { errorCode: kafkaErrors.INVALID_CONFIG, errorMessage: `${unset.name} has no value` });
    }
    if (placement !== undefined) return refused(name, placement);
    if (isValidateOnly) return { name, errorCode: kafkaErrors.NONE, errorMessage: null, ...shapeOf(core, partitions, config, overrides) };
    const topic = await core.topics.create({ name, partitions, overrides });
    return {
      name,
      topicId: topic.record.id,
      errorCode: kafkaErrors.NONE,
      errorMessage: null,
      ...shapeOf(core, partitions, topic.config, overrides),
    };
  } catch (error) {
    const refusal = toLakeError(error);
    return refused(name, { errorCode: codeOf(refusal), errorMessage: messageWithHint(refusal) });
  }
}

/** What was asked for is answered as it was written, as from Kafka; DescribeConfigs shows how it is read. */
function shapeOf(
  core: BrokerCore,
  numPartitions: number,
  config: TopicConfig,
  overrides: Readonly<Record<string, string>>,
): Pick<TopicAnswer, 'numPartitions' | 'replicationFactor' | 'configs'> {
  const configs = config.entries().map(({ name, text, source, serverName }) => ({
    name,
    value: overrides[name] ?? text,
    readOnly: false,
    configSource: topicSource(core, source, serverName),
    isSensitive: false,
  }));
  return { numPartitions, replicationFactor: 1, configs };
}

function codeOf(refusal: LakeError): number {
  return refusal.code === 'request-invalid' ? kafkaErrors.INVALID_PARTITIONS : refusal.kafkaCode;
}
