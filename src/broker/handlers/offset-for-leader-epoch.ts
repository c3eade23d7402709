/**
 * OffsetForLeaderEpoch. Versions served: 2–4.
 * Behaviour: where the records of a leader epoch end, over both tiers: the start of the next one, for the newest the log end. Of an
 * epoch that has no records the one before it is answered, or the epoch itself where there is none. An epoch that has not begun has
 * no end: −1 and −1.
 * Ignored: replica id.
 * Errors, by partition: UNKNOWN_TOPIC_OR_PARTITION (3), FENCED_LEADER_EPOCH (74), UNKNOWN_LEADER_EPOCH (75), KAFKA_STORAGE_ERROR (56).
 */
import {
  kafkaErrors,
  type MessageInput,
  offsetForLeaderEpochApi,
  type OffsetForLeaderEpochRequestPartition,
  type OffsetForLeaderEpochResponsePartition,
} from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { checkLeaderEpoch } from '../fetch/fetch-round.js';
import type { Topic } from '../topics.js';
import { type Handler, handlerOf } from './handler.js';

type PartitionAnswer = MessageInput<OffsetForLeaderEpochResponsePartition>;

export function offsetForLeaderEpochHandler(core: BrokerCore): Handler {
  return handlerOf(offsetForLeaderEpochApi, ({ topics }) => ({
    topics: topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map((asked) => endOf(core.topics.byName(topic), asked)),
    })),
  }));
}

function endOf(topic: Topic | undefined, asked: OffsetForLeaderEpochRequestPartition): PartitionAnswer {
  const { partition, currentLeaderEpoch, leaderEpoch } = asked;
  const log = topic?.partitions.get(partition);
  if (log === undefined) return { partition, errorCode: kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION };
  if (log.offline !== undefined) return { partition, errorCode: kafkaErrors.KAFKA_STORAGE_ERROR };
  const errorCode = checkLeaderEpoch(log, currentLeaderEpoch);
  if (errorCode !== kafkaErrors.NONE) return { partition, errorCode };
  const found = log.endOfEpoch(leaderEpoch);
  return { partition, errorCode, ...(found === undefined ? {} : { leaderEpoch: found.epoch, endOffset: found.endOffset }) };
}
