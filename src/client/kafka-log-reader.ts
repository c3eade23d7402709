/** The `LogReader` port over Kafka's own protocol, for every broker that serves Fetch by topic id (v13, KIP-516). */
import { LakeError, type PartitionId, Semaphore, secondMs, type TimestampMs, topicName, type TopicName } from '../kernel/index.js';
import { fetchApi, type FetchResponse, listOffsetsApi, metadataApi } from '../wire/index.js';
import { type ClientOptions, connectBroker, ConnectionSlot } from './bootstrap.js';
import type { KafkaConnection } from './connection.js';
import { brokerError } from './kafka-error.js';
import type { FetchedPartition, FetchOptions, FetchPartition, ListedOffset, LogReader, TopicPartitions } from './log-reader.js';

/** A broker answers a connection's requests in order, so each fetch under way has one of its own: no fetch waits for another's long poll. */
const fetchConnectionsMax = 16;
const fetchesWaitingMax = 1_024;
/** What a fetch may take beyond the wait it asked for: room for cold data and a busy disk. */
const fetchGraceMs = 30 * secondMs;
/** By topic id. */
const fetchVersionMin = 13;
/** With topic ids in the answer. */
const metadataVersionMin = 10;
const noRecords = Buffer.alloc(0);

/** Connects at the first call, and again at the next call after a loss. Errors: `config-invalid-value`. */
export function openLogReader(options: ClientOptions): LogReader {
  return new KafkaLogReader(options);
}

class KafkaLogReader implements LogReader {
  readonly #options: ClientOptions;
  /** For what must be answered at once. */
  readonly #questions: ConnectionSlot;
  readonly #fetches = new Semaphore(fetchConnectionsMax, fetchesWaitingMax);
  readonly #idle: KafkaConnection[] = [];
  readonly #busy = new Set<KafkaConnection>();
  readonly #closing = new AbortController();

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#questions = new ConnectionSlot(options);
  }

  async topics(signal?: AbortSignal): Promise<readonly TopicPartitions[]> {
    const connection = await this.#questions.get();
    const answer = await connection.request(
      metadataApi,
      { topics: null, allowAutoTopicCreation: false },
      { signal, minVersion: metadataVersionMin },
    );
    if (answer.brokers.length > 1) {
      throw new LakeError('unsupported', `the cluster at ${this.#options.bootstrap} has ${answer.brokers.length} brokers`, {
        hint: 'Read from a cluster of one broker.',
      });
    }
    return answer.topics
      .filter((topic) => topic.errorCode === 0 && topic.name !== null)
      .map((topic) => ({
        name: topicName(topic.name ?? ''),
        id: topic.topicId,
        partitions: topic.partitions.map((partition) => partition.partitionIndex).toSorted((a, b) => a - b),
        isInternal: topic.isInternal,
      }));
  }

  async listOffsets(
    topic: TopicName,
    partitions: readonly { readonly partition: PartitionId; readonly timestampMs: TimestampMs }[],
    signal?: AbortSignal,
  ): Promise<readonly ListedOffset[]> {
    const connection = await this.#questions.get();
    const answer = await connection.request(
      listOffsetsApi,
      {
        replicaId: -1,
        isolationLevel: 0,
        topics: [
          {
            name: topic,
            partitions: partitions.map(({ partition, timestampMs }) => ({ partitionIndex: partition, timestamp: timestampMs })),
          },
        ],
      },
      { signal },
    );
    return answer.topics.flatMap((answered) =>
      answered.partitions.map((partition) => ({
        partition: partition.partitionIndex,
        errorCode: partition.errorCode,
        offset: partition.offset,
        timestampMs: partition.timestamp,
        leaderEpoch: partition.leaderEpoch,
      })),
    );
  }

  fetch(partitions: readonly FetchPartition[], options: FetchOptions): Promise<readonly FetchedPartition[]> {
    return this.#fetches.run(() => this.#fetchAlone(partitions, options), options.signal);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#questions.close();
    for (const connection of [...this.#idle.splice(0), ...this.#busy]) connection.close();
  }

  async #fetchAlone(partitions: readonly FetchPartition[], options: FetchOptions): Promise<readonly FetchedPartition[]> {
    const connection = await this.#fetchConnection();
    this.#busy.add(connection);
    try {
      const answer = await connection.request(fetchApi, fetchRequest(partitions, options), {
        signal: options.signal,
        timeoutMs: options.maxWaitMs + fetchGraceMs,
        minVersion: fetchVersionMin,
      });
      if (answer.errorCode !== 0) throw brokerError(answer.errorCode, `fetching from ${this.#options.bootstrap}`);
      return fetchedPartitions(answer);
    } finally {
      this.#busy.delete(connection);
      // One that still waits for the answer to a cancelled fetch would hold up the next.
      if (connection.requestsInFlight > 0 || this.#closing.signal.aborted) connection.close();
      if (connection.isOpen) this.#idle.push(connection);
    }
  }

  async #fetchConnection(): Promise<KafkaConnection> {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle === undefined) return connectBroker(this.#options, this.#closing.signal);
      if (idle.isOpen) return idle;
    }
  }
}

/** Neighbours of one topic share its entry; the order asked for is kept, as the broker fills its answer in that order. */
function fetchRequest(partitions: readonly FetchPartition[], options: FetchOptions) {
  const topics: {
    topicId: FetchPartition['topicId'];
    partitions: { partition: number; fetchOffset: number; partitionMaxBytes: number }[];
  }[] = [];
  for (const { topicId, partition, offset, maxBytes } of partitions) {
    const entry = { partition, fetchOffset: offset, partitionMaxBytes: maxBytes };
    const last = topics.at(-1);
    if (last?.topicId === topicId) last.partitions.push(entry);
    else topics.push({ topicId, partitions: [entry] });
  }
  return {
    maxWaitMs: options.maxWaitMs,
    minBytes: options.minBytes,
    maxBytes: options.maxBytes,
    isolationLevel: options.isolation === 'committed' ? 1 : 0,
    topics,
    forgottenTopicsData: [],
  };
}

/** The partitions of an answer, in its order. */
export function fetchedPartitions(answer: FetchResponse): FetchedPartition[] {
  return answer.responses.flatMap((topic) =>
    topic.partitions.map((partition) => ({
      topicId: topic.topicId,
      partition: partition.partitionIndex,
      errorCode: partition.errorCode,
      records: partition.records ?? noRecords,
      highWatermark: partition.highWatermark,
      lastStableOffset: partition.lastStableOffset,
      logStartOffset: partition.logStartOffset,
      abortedTransactions: partition.abortedTransactions ?? [],
    })),
  );
}
