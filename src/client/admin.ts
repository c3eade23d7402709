/** Topics and configurations, asked of a broker over a connection that lives for the question. */
import { type Offset, type PartitionId, topicId, type TopicId } from '../kernel/index.js';
import {
  createPartitionsApi,
  createTopicsApi,
  deleteRecordsApi,
  deleteTopicsApi,
  describeConfigsApi,
  type DescribeConfigsResponseConfig,
  incrementalAlterConfigsApi,
} from '../wire/index.js';
import { type ClientOptions, connectBroker } from './bootstrap.js';
import type { KafkaConnection } from './connection.js';
import { brokerError } from './kafka-error.js';

/** How long the broker may take; the request waits a little longer. */
const adminTimeoutMs = 30_000;
const requestOptions = { timeoutMs: adminTimeoutMs + 5_000 };
const resourceTypes = { topic: 2, broker: 4 } as const;

export interface NewTopic {
  readonly name: string;
  /** Left out or −1: the broker's `num.partitions`. */
  readonly partitions?: number;
  readonly config?: Readonly<Record<string, string>>;
}

export interface CreatedTopic {
  readonly name: string;
  readonly topicId: TopicId;
  readonly partitions: number;
}

async function ask<T>(
  options: ClientOptions,
  signal: AbortSignal | undefined,
  question: (connection: KafkaConnection) => Promise<T>,
): Promise<T> {
  const connection = await connectBroker(options, signal);
  try {
    return await question(connection);
  } finally {
    connection.close();
  }
}

/** Creates topics. Throws the first topic's error; topics without one are there all the same. Errors: `topic-exists`, `topic-name-invalid`, … */
export function createTopics(options: ClientOptions, topics: readonly NewTopic[], signal?: AbortSignal): Promise<CreatedTopic[]> {
  return ask(options, signal, async (connection) => {
    const answer = await connection.request(
      createTopicsApi,
      {
        topics: topics.map(({ name, partitions = -1, config = {} }) => ({
          name,
          numPartitions: partitions,
          replicationFactor: -1,
          assignments: [],
          configs: Object.entries(config).map(([key, value]) => ({ name: key, value })),
        })),
        timeoutMs: adminTimeoutMs,
      },
      { ...requestOptions, signal, minVersion: 4 },
    );
    return answer.topics.map((topic) => {
      if (topic.errorCode !== 0) throw brokerError(topic.errorCode, `creating ${topic.name}`, topic.errorMessage, { topic: topic.name });
      return { name: topic.name, topicId: topicId(topic.topicId), partitions: topic.numPartitions };
    });
  });
}

/** Raises the number of a topic's partitions to `count`. Errors: `topic-unknown`, `request-invalid`, … */
export function addPartitions(options: ClientOptions, topic: string, count: number, signal?: AbortSignal): Promise<void> {
  return ask(options, signal, async (connection) => {
    const answer = await connection.request(
      createPartitionsApi,
      { topics: [{ name: topic, count, assignments: null }], timeoutMs: adminTimeoutMs, validateOnly: false },
      { ...requestOptions, signal },
    );
    for (const { errorCode, errorMessage } of answer.results) {
      if (errorCode !== 0) throw brokerError(errorCode, `adding partitions to ${topic}`, errorMessage, { topic });
    }
  });
}

/** Deletes topics by name. Throws the first topic's error. Errors: `topic-unknown`, … */
export function deleteTopics(options: ClientOptions, names: readonly string[], signal?: AbortSignal): Promise<void> {
  return ask(options, signal, async (connection) => {
    const isById = connection.versionOf(deleteTopicsApi) >= 6;
    const answer = await connection.request(
      deleteTopicsApi,
      { ...(isById ? { topics: names.map((name) => ({ name })) } : { topics: [], topicNames: [...names] }), timeoutMs: adminTimeoutMs },
      { ...requestOptions, signal },
    );
    for (const topic of answer.responses) {
      if (topic.errorCode !== 0)
        throw brokerError(topic.errorCode, `deleting ${topic.name ?? ''}`, topic.errorMessage, { topic: topic.name });
    }
  });
}

/**
 * Deletes records below an offset of each partition (−1: all there are) and answers the log starts. Throws the first partition's
 * error; the others are done all the same. Errors: `offset-out-of-range`, `topic-unknown`, …
 */
export function deleteRecords(
  options: ClientOptions,
  topic: string,
  partitions: readonly { readonly partition: PartitionId; readonly before: Offset }[],
  signal?: AbortSignal,
): Promise<readonly { readonly partition: PartitionId; readonly logStartOffset: Offset }[]> {
  return ask(options, signal, async (connection) => {
    const asked = partitions.map(({ partition, before }) => ({ partitionIndex: partition, offset: before }));
    const answer = await connection.request(
      deleteRecordsApi,
      { topics: [{ name: topic, partitions: asked }], timeoutMs: adminTimeoutMs },
      { ...requestOptions, signal },
    );
    return answer.topics.flatMap(({ name, partitions: results }) =>
      results.map(({ partitionIndex, lowWatermark, errorCode }) => {
        if (errorCode !== 0) throw brokerError(errorCode, `deleting records of ${name}-${partitionIndex}`, null, { topic: name });
        return { partition: partitionIndex, logStartOffset: lowWatermark };
      }),
    );
  });
}

/** Sets keys of a topic's configuration, or takes them back (`null`). Errors: `topic-unknown`, `config-invalid-value`, … */
export function alterTopic(
  options: ClientOptions,
  topic: string,
  config: Readonly<Record<string, string | null>>,
  signal?: AbortSignal,
): Promise<void> {
  return ask(options, signal, async (connection) => {
    const configs = Object.entries(config).map(([name, value]) => ({ name, value, configOperation: value === null ? 1 : 0 }));
    const answer = await connection.request(
      incrementalAlterConfigsApi,
      { resources: [{ resourceType: resourceTypes.topic, resourceName: topic, configs }], validateOnly: false },
      { ...requestOptions, signal },
    );
    for (const { errorCode, errorMessage } of answer.responses) {
      if (errorCode !== 0) throw brokerError(errorCode, `configuring ${topic}`, errorMessage, { topic });
    }
  });
}

/** The configuration of a topic, or of a broker by node id. Errors: `topic-unknown`, … */
export function describeConfigs(
  options: ClientOptions,
  of: { readonly topic: string } | { readonly broker: number },
  signal?: AbortSignal,
): Promise<readonly DescribeConfigsResponseConfig[]> {
  return ask(options, signal, async (connection) => {
    const resource =
      'topic' in of
        ? { resourceType: resourceTypes.topic, resourceName: of.topic }
        : { resourceType: resourceTypes.broker, resourceName: String(of.broker) };
    const answer = await connection.request(
      describeConfigsApi,
      { resources: [{ ...resource, configurationKeys: null }], includeSynonyms: false },
      { ...requestOptions, signal },
    );
    const [result] = answer.results;
    if (result === undefined) return [];
    if (result.errorCode !== 0) throw brokerError(result.errorCode, `describing ${resource.resourceName}`, result.errorMessage);
    return result.configs;
  });
}
