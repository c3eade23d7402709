/** OffsetCommit: a group's positions, with leader epoch and metadata that must come back unchanged. Topics go by id from v10. */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int64, request, response, string, struct, uuid } from '../notation.js';

const offsetCommitRequest = request('OffsetCommit', {
  groupId: string(),
  generationIdOrMemberEpoch: int32({ default: -1, ignorable: true }),
  memberId: string({ ignorable: true }),
  groupInstanceId: string({ versions: '7+', nullable: true, default: null }),
  retentionTimeMs: int64({ versions: '2-4', default: -1, ignorable: true }),
  topics: array(
    struct({
      name: string({ versions: '0-9', ignorable: true }),
      topicId: uuid({ versions: '10+', ignorable: true }),
      partitions: array(
        struct({
          partitionIndex: int32(),
          committedOffset: int64(),
          committedLeaderEpoch: int32({ versions: '6+', default: -1, ignorable: true }),
          committedMetadata: string({ nullable: true }),
        }),
      ),
    }),
  ),
});

const offsetCommitResponse = response('OffsetCommit', {
  throttleTimeMs: int32({ versions: '3+', ignorable: true }),
  topics: array(
    struct({
      name: string({ versions: '0-9', ignorable: true }),
      topicId: uuid({ versions: '10+', ignorable: true }),
      partitions: array(struct({ partitionIndex: int32(), errorCode: int16() })),
    }),
  ),
});

export const offsetCommitApi = api({
  key: 8,
  name: 'OffsetCommit',
  minVersion: 2,
  maxVersion: 10,
  flexibleFrom: 8,
  request: offsetCommitRequest,
  response: offsetCommitResponse,
});

export type OffsetCommitRequest = MessageType<typeof offsetCommitRequest>;
export type OffsetCommitResponse = MessageType<typeof offsetCommitResponse>;
export type OffsetCommitRequestTopic = OffsetCommitRequest['topics'][number];
export type OffsetCommitRequestPartition = OffsetCommitRequestTopic['partitions'][number];
export type OffsetCommitResponseTopic = OffsetCommitResponse['topics'][number];
export type OffsetCommitResponsePartition = OffsetCommitResponseTopic['partitions'][number];
