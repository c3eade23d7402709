/**
 * DescribeProducers. Versions served: 0.
 * Behaviour: the idempotent producers that a partition remembers, each with its last sequence and when it was heard of. There are
 * no transactions: coordinator epoch and the start of a transaction are −1.
 * Ignored: nothing.
 * Errors, by partition: UNKNOWN_TOPIC_OR_PARTITION (3), KAFKA_STORAGE_ERROR (56, offline).
 */
import { describeProducersApi, type DescribeProducersResponsePartition, kafkaErrors, type MessageInput } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { Topic } from '../topics.js';
import { type Handler, handlerOf } from './handler.js';

type PartitionAnswer = MessageInput<DescribeProducersResponsePartition>;

export function describeProducersHandler(core: BrokerCore): Handler {
  return handlerOf(describeProducersApi, ({ topics }) => ({
    topics: topics.map(({ name, partitionIndexes }) => {
      const topic = core.topics.byName(name);
      return { name, partitions: partitionIndexes.map((partitionIndex) => describe(topic, name, partitionIndex)) };
    }),
  }));
}

function describe(topic: Topic | undefined, name: string, partitionIndex: number): PartitionAnswer {
  const refuse = (errorCode: number, errorMessage: string): PartitionAnswer => ({
    partitionIndex,
    errorCode,
    errorMessage,
    activeProducers: [],
  });
  const log = topic?.partitions.get(partitionIndex);
  if (log === undefined) return refuse(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION, `there is no partition ${name}-${partitionIndex}`);
  if (log.offline !== undefined) return refuse(kafkaErrors.KAFKA_STORAGE_ERROR, log.offline.message);
  return {
    partitionIndex,
    errorCode: kafkaErrors.NONE,
    activeProducers: log.producers().map(({ producerId, producerEpoch, lastSequence, timestampMs }) => ({
      producerId,
      producerEpoch,
      lastSequence,
      lastTimestamp: timestampMs,
      coordinatorEpoch: -1,
      currentTxnStartOffset: -1,
    })),
  };
}
