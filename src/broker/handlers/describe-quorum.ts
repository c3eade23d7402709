/**
 * DescribeQuorum. Versions served: 0–2.
 * Behaviour: this broker is the one voter and leads. Its metadata is a file that is replaced by each change, not a log: the high
 * watermark is the number of changes there were, the leader epoch 0.
 * Ignored: nothing.
 * Errors, by partition: UNKNOWN_TOPIC_OR_PARTITION (3) where anything but `__cluster_metadata-0` is asked for.
 */
import { describeQuorumApi, type DescribeQuorumResponsePartition, kafkaErrors, type MessageInput } from '../../wire/index.js';
import { zeroTopicId } from '../../kernel/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

type PartitionAnswer = MessageInput<DescribeQuorumResponsePartition>;

const metadataTopic = '__cluster_metadata';

export function describeQuorumHandler(core: BrokerCore): Handler {
  return handlerOf(describeQuorumApi, ({ topics }) => {
    const { host, port } = core.advertised();
    const [first, ...others] = topics.flatMap(({ topicName, partitions }) =>
      partitions.map(({ partitionIndex }) => ({ topicName, partitionIndex })),
    );
    const isQuorum = others.length === 0 && first?.topicName === metadataTopic && first.partitionIndex === 0;
    return {
      errorCode: kafkaErrors.NONE,
      topics: topics.map(({ topicName, partitions }) => ({
        topicName,
        partitions: partitions.map(({ partitionIndex }) => (isQuorum ? quorum(core) : unknown(topicName, partitionIndex))),
      })),
      nodes: isQuorum ? [{ nodeId: core.nodeId, listeners: [{ name: 'PLAINTEXT', host, port }] }] : [],
    };
  });
}

function quorum(core: BrokerCore): PartitionAnswer {
  const nowMs = core.clock.nowMs();
  const logEndOffset = core.store.revision;
  return {
    partitionIndex: 0,
    errorCode: kafkaErrors.NONE,
    leaderId: core.nodeId,
    leaderEpoch: 0,
    highWatermark: logEndOffset,
    currentVoters: [
      {
        replicaId: core.nodeId,
        replicaDirectoryId: zeroTopicId,
        logEndOffset,
        lastFetchTimestamp: nowMs,
        lastCaughtUpTimestamp: nowMs,
      },
    ],
    observers: [],
  };
}

function unknown(topicName: string, partitionIndex: number): PartitionAnswer {
  return {
    partitionIndex,
    errorCode: kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION,
    errorMessage: `there is no partition ${topicName}-${partitionIndex}`,
    leaderId: 0,
    leaderEpoch: 0,
    highWatermark: 0,
    currentVoters: [],
    observers: [],
  };
}
