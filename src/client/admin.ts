/** Topics and configurations, asked of a broker over a connection that lives for the question. */
import { topicId, type TopicId } from '../kernel/index.js';
import { createTopicsApi, deleteTopicsApi, describeConfigsApi, type DescribeConfigsResponseConfig } from '../wire/index.js';
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
