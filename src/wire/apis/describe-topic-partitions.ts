/** DescribeTopicPartitions: topics and partitions page by page, with a cursor (KIP-966). */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, request, response, string, struct, uuid } from '../notation.js';

const describeTopicPartitionsRequest = request('DescribeTopicPartitions', {
  topics: array(
    struct({
      name: string(),
    }),
  ),
  responsePartitionLimit: int32({ default: 2000 }),
  cursor: struct(
    {
      topicName: string(),
      partitionIndex: int32(),
    },
    { nullable: true, default: null },
  ),
});

const describeTopicPartitionsResponse = response('DescribeTopicPartitions', {
  throttleTimeMs: int32({ default: 0 }),
  topics: array(
    struct({
      errorCode: int16(),
      name: string({ nullable: true }),
      topicId: uuid(),
      isInternal: bool(),
      partitions: array(
        struct({
          errorCode: int16(),
          partitionIndex: int32(),
          leaderId: int32(),
          leaderEpoch: int32({ default: -1 }),
          replicaNodes: array(int32()),
          isrNodes: array(int32()),
          eligibleLeaderReplicas: array(int32(), { nullable: true, default: null }),
          lastKnownElr: array(int32(), { nullable: true, default: null }),
          offlineReplicas: array(int32()),
        }),
      ),
      topicAuthorizedOperations: int32({ default: -2147483648 }),
    }),
  ),
  nextCursor: struct(
    {
      topicName: string(),
      partitionIndex: int32(),
    },
    { nullable: true, default: null },
  ),
});

export const describeTopicPartitionsApi = api({
  key: 75,
  name: 'DescribeTopicPartitions',
  minVersion: 0,
  maxVersion: 0,
  flexibleFrom: 0,
  request: describeTopicPartitionsRequest,
  response: describeTopicPartitionsResponse,
});

export type DescribeTopicPartitionsRequest = MessageType<typeof describeTopicPartitionsRequest>;
export type DescribeTopicPartitionsResponse = MessageType<typeof describeTopicPartitionsResponse>;
export type DescribeTopicPartitionsResponseTopic = DescribeTopicPartitionsResponse['topics'][number];
