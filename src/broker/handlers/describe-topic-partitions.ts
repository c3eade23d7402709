/**
 * DescribeTopicPartitions. Versions served: 0.
 * Behaviour: topics in the order of their names, of no topics named all; at most `response_partition_limit` partitions (at most
 * 2,000), then a cursor from where another request goes on.
 * Ignored: nothing. Replicas that could lead beside the one there is do not exist, so these lists are empty.
 * Errors, by topic: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17), and where the cursor is not one of the topics
 * named, or lies before partition 0, INVALID_REQUEST (42) for all of them; by partition KAFKA_STORAGE_ERROR (56) while it is offline.
 */
import { isTopicName, zeroTopicId } from '../../kernel/index.js';
import {
  describeTopicPartitionsApi,
  type DescribeTopicPartitionsRequest,
  type DescribeTopicPartitionsResponse,
  type DescribeTopicPartitionsResponseTopic,
  kafkaErrors,
  type MessageInput,
} from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { Topic } from '../topics.js';
import { authorizedOperations } from './authorized-operations.js';
import { type Handler, handlerOf } from './handler.js';

/** Kafka's max.request.partition.size.limit. */
const partitionsMax = 2000;

type TopicAnswer = MessageInput<DescribeTopicPartitionsResponseTopic>;
type Answer = MessageInput<DescribeTopicPartitionsResponse>;

export function describeTopicPartitionsHandler(core: BrokerCore): Handler {
  return handlerOf(describeTopicPartitionsApi, (request) => {
    const { cursor, topics } = request;
    if (cursor !== null) {
      const isAmongTopics = topics.length === 0 || topics.some(({ name }) => name === cursor.topicName);
      if (!isAmongTopics || cursor.partitionIndex < 0) {
        const topicAuthorizedOperations = authorizedOperations('topic', false);
        return { topics: topics.map(({ name }) => ({ ...refused(name, kafkaErrors.INVALID_REQUEST), topicAuthorizedOperations })) };
      }
    }
    return page(core, request);
  });
}

function page(core: BrokerCore, { topics: asked, cursor, responsePartitionLimit }: DescribeTopicPartitionsRequest): Answer {
  const isAll = asked.length === 0;
  const names = new Set(isAll ? [...core.topics.all].map(({ record }): string => record.name) : asked.map(({ name }) => name));
  let left = Math.max(1, Math.min(partitionsMax, responsePartitionLimit));
  const topics: TopicAnswer[] = [];
  // By code units, as Java compares texts.
  for (const name of [...names].filter((each) => each >= (cursor?.topicName ?? '')).toSorted(byCodeUnits)) {
    if (left === 0) return { topics, nextCursor: { topicName: name, partitionIndex: 0 } };
    const topic = core.topics.byName(name);
    if (topic === undefined) {
      if (isAll) continue;
      const isLegal = isTopicName(name);
      topics.push(refused(name, isLegal ? kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION : kafkaErrors.INVALID_TOPIC_EXCEPTION));
      continue;
    }
    const from = name === cursor?.topicName ? cursor.partitionIndex : 0;
    const until = Math.min(topic.partitions.size, from + left);
    topics.push(described(core, topic, from, until));
    if (until < topic.partitions.size) return { topics, nextCursor: { topicName: name, partitionIndex: until } };
    left -= Math.max(0, until - from);
  }
  return { topics, nextCursor: null };
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const topicAuthorizedOperations = authorizedOperations('topic', true);

function refused(name: string, errorCode: number): TopicAnswer {
  return { errorCode, name, topicId: zeroTopicId, isInternal: false, partitions: [], topicAuthorizedOperations };
}

function described(core: BrokerCore, topic: Topic, from: number, until: number): TopicAnswer {
  const replicas = [core.nodeId];
  return {
    errorCode: kafkaErrors.NONE,
    name: topic.record.name,
    topicId: topic.record.id,
    isInternal: topic.record.isInternal,
    partitions: [...topic.partitions].slice(from, until).map(([partitionIndex, log]) => ({
      errorCode: log.offline === undefined ? kafkaErrors.NONE : kafkaErrors.KAFKA_STORAGE_ERROR,
      partitionIndex,
      leaderId: core.nodeId,
      leaderEpoch: log.leaderEpoch,
      replicaNodes: replicas,
      isrNodes: replicas,
      eligibleLeaderReplicas: [],
      lastKnownElr: [],
      offlineReplicas: log.offline === undefined ? [] : replicas,
    })),
    topicAuthorizedOperations,
  };
}
