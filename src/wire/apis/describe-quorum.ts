/** DescribeQuorum: leader, epoch and voters of the metadata quorum (KIP-595, KIP-836, KIP-853). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int64, request, response, string, struct, uint16, uuid } from '../notation.js';

const describeQuorumRequest = request('DescribeQuorum', {
  topics: array(
    struct({
      topicName: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
        }),
      ),
    }),
  ),
});

const describeQuorumResponse = response('DescribeQuorum', {
  errorCode: int16(),
  errorMessage: string({ versions: '2+', nullable: true, ignorable: true }),
  topics: array(
    struct({
      topicName: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
          errorCode: int16(),
          errorMessage: string({ versions: '2+', nullable: true, ignorable: true }),
          leaderId: int32(),
          leaderEpoch: int32(),
          highWatermark: int64(),
          currentVoters: array(
            struct({
              replicaId: int32(),
              replicaDirectoryId: uuid({ versions: '2+' }),
              logEndOffset: int64(),
              lastFetchTimestamp: int64({ versions: '1+', default: -1, ignorable: true }),
              lastCaughtUpTimestamp: int64({ versions: '1+', default: -1, ignorable: true }),
            }),
          ),
          observers: array(
            struct({
              replicaId: int32(),
              replicaDirectoryId: uuid({ versions: '2+' }),
              logEndOffset: int64(),
              lastFetchTimestamp: int64({ versions: '1+', default: -1, ignorable: true }),
              lastCaughtUpTimestamp: int64({ versions: '1+', default: -1, ignorable: true }),
            }),
          ),
        }),
      ),
    }),
  ),
  nodes: array(
    struct({
      nodeId: int32(),
      listeners: array(
        struct({
          name: string(),
          host: string(),
          port: uint16(),
        }),
      ),
    }),
    { versions: '2+' },
  ),
});

export const describeQuorumApi = api({
  key: 55,
  name: 'DescribeQuorum',
  minVersion: 0,
  maxVersion: 2,
  flexibleFrom: 0,
  request: describeQuorumRequest,
  response: describeQuorumResponse,
});

export type DescribeQuorumRequest = MessageType<typeof describeQuorumRequest>;
export type DescribeQuorumResponse = MessageType<typeof describeQuorumResponse>;
export type DescribeQuorumResponsePartition = DescribeQuorumResponse['topics'][number]['partitions'][number];
