/** OffsetForLeaderEpoch: where the log ended in a leader epoch, by which clients find out that it was cut (KIP-320). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int64, request, response, string, struct } from '../notation.js';

const offsetForLeaderEpochRequest = request('OffsetForLeaderEpoch', {
  replicaId: int32({ versions: '3+', default: -2, ignorable: true }),
  topics: array(
    struct({
      topic: string(),
      partitions: array(
        struct({
          partition: int32(),
          currentLeaderEpoch: int32({ default: -1 }),
          leaderEpoch: int32(),
        }),
      ),
    }),
  ),
});

const offsetForLeaderEpochResponse = response('OffsetForLeaderEpoch', {
  throttleTimeMs: int32({ default: 0 }),
  topics: array(
    struct({
      topic: string(),
      partitions: array(
        struct({
          errorCode: int16(),
          partition: int32(),
          leaderEpoch: int32({ default: -1 }),
          endOffset: int64({ default: -1 }),
        }),
      ),
    }),
  ),
});

export const offsetForLeaderEpochApi = api({
  key: 23,
  name: 'OffsetForLeaderEpoch',
  minVersion: 2,
  maxVersion: 4,
  flexibleFrom: 4,
  request: offsetForLeaderEpochRequest,
  response: offsetForLeaderEpochResponse,
});

export type OffsetForLeaderEpochRequest = MessageType<typeof offsetForLeaderEpochRequest>;
export type OffsetForLeaderEpochResponse = MessageType<typeof offsetForLeaderEpochResponse>;
export type OffsetForLeaderEpochRequestPartition = OffsetForLeaderEpochRequest['topics'][number]['partitions'][number];
export type OffsetForLeaderEpochResponsePartition = OffsetForLeaderEpochResponse['topics'][number]['partitions'][number];
