/**
 * Metadata. Versions served: 0–13.
 * Behaviour: one broker, which leads every partition. Topics null (v0: empty) lists all, internal ones too; a named topic that
 * is not there is created if `auto.create.topics.enable` and the request allow it, and answered in full at once.
 * Authorized operations are answered where they are asked for: all there are, since nobody is restricted.
 * Errors: of the whole answer (v13+) none: REBOOTSTRAP_REQUIRED (KIP-1102) is for proxies, a broker never says it here; by topic:
 * UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), UNKNOWN_TOPIC_ID (100), INVALID_REQUEST (42, by id
 * below v12), those of creating one;
 * by partition: KAFKA_STORAGE_ERROR (56) while it is offline.
 */
import { isTopicName, toLakeError, zeroTopicId } from '../../kernel/index.js';
import { kafkaErrors, metadataApi, type MessageInput, type MetadataRequestTopic, type MetadataResponseTopic } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { Topic } from '../topics.js';
import { authorizedOperations } from './authorized-operations.js';
import { type Handler, handlerOf } from './handler.js';

type TopicAnswer = MessageInput<MetadataResponseTopic>;

/** Topics may be asked for by id from here on: below, an answer cannot say that a topic has no name. */
const nullNameSince = 12;

export function metadataHandler(core: BrokerCore): Handler {
  return handlerOf(metadataApi, async (request, { version }) => {
    const isAll = request.topics === null || (version === 0 && request.topics.length === 0);
    const mayCreate = !isAll && request.allowAutoTopicCreation && core.config.get('auto.create.topics.enable');
    const topics: TopicAnswer[] = [];
    if (isAll) for (const topic of core.topics.all) topics.push(describe(core, topic));
    else for (const asked of request.topics ?? []) topics.push(await answerTopic(core, asked, mayCreate, version));
    const { host, port } = core.advertised();
    return {
      brokers: [{ nodeId: core.nodeId, host, port, rack: null }],
      clusterId: core.clusterId,
      controllerId: core.nodeId,
      topics: request.includeTopicAuthorizedOperations ? topics.map(withOperations) : topics,
      ...(request.includeClusterAuthorizedOperations ? { clusterAuthorizedOperations: authorizedOperations('cluster', true) } : {}),
    };
  });
}

function withOperations(topic: TopicAnswer): TopicAnswer {
  // Of an id that is not there nothing is said, as in Kafka.
  return topic.name === null ? topic : { ...topic, topicAuthorizedOperations: authorizedOperations('topic', true) };
}

async function answerTopic(core: BrokerCore, asked: MetadataRequestTopic, mayCreate: boolean, version: number): Promise<TopicAnswer> {
  if (asked.name === null) {
    if (version < nullNameSince) return { errorCode: kafkaErrors.INVALID_REQUEST, name: '', topicId: asked.topicId, partitions: [] };
    const topic = core.topics.byId(asked.topicId);
    if (topic !== undefined) return describe(core, topic);
    return { errorCode: kafkaErrors.UNKNOWN_TOPIC_ID, name: null, topicId: asked.topicId, partitions: [] };
  }
  const { name } = asked;
  const refuse = (errorCode: number): TopicAnswer => ({ errorCode, name, topicId: zeroTopicId, partitions: [] });
  const topic = core.topics.byName(name);
  if (topic !== undefined) return describe(core, topic);
  if (!isTopicName(name)) return refuse(kafkaErrors.INVALID_TOPIC_EXCEPTION);
  if (!mayCreate) return refuse(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION);
  try {
    return describe(core, await core.topics.createIfAbsent(name));
  } catch (error) {
    const refusal = toLakeError(error);
    core.logger.warn('a topic cannot be created on demand', { topic: name, error: refusal.message });
    return refuse(refusal.kafkaCode);
  }
}

function describe(core: BrokerCore, topic: Topic): TopicAnswer {
  const replicas = [core.nodeId];
  return {
    errorCode: kafkaErrors.NONE,
    name: topic.record.name,
    topicId: topic.record.id,
    isInternal: topic.record.isInternal,
    partitions: [...topic.partitions].map(([partition, log]) => ({
      errorCode: log.offline === undefined ? kafkaErrors.NONE : kafkaErrors.KAFKA_STORAGE_ERROR,
      partitionIndex: partition,
      leaderId: core.nodeId,
      leaderEpoch: log.leaderEpoch,
      replicaNodes: replicas,
      isrNodes: replicas,
      offlineReplicas: log.offline === undefined ? [] : replicas,
    })),
  };
}
