/** OffsetFetch: a group's committed positions; one group up to v7, several from v8 (KIP-709). Topics null asks for all (v2+), and go by id from v10. */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, int64, request, response, string, struct, uuid } from '../notation.js';

const offsetFetchRequest = request('OffsetFetch', {
  groupId: string({ versions: '0-7' }),
  topics: array(struct({ name: string(), partitionIndexes: array(int32()) }), { versions: '0-7', nullable: '2-7' }),
  groups: array(
    struct({
      groupId: string(),
      memberId: string({ versions: '9+', nullable: true, default: null, ignorable: true }),
      memberEpoch: int32({ versions: '9+', default: -1, ignorable: true }),
      topics: array(
        struct({
          name: string({ versions: '8-9', ignorable: true }),
          topicId: uuid({ versions: '10+', ignorable: true }),
          partitionIndexes: array(int32()),
        }),
        { nullable: true },
      ),
    }),
    { versions: '8+' },
  ),
  requireStable: bool({ versions: '7+', default: false }),
});

const offsetFetchResponse = response('OffsetFetch', {
  throttleTimeMs: int32({ versions: '3+', ignorable: true }),
  topics: array(
    struct({
      name: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
          committedOffset: int64(),
          committedLeaderEpoch: int32({ versions: '5-7', default: -1, ignorable: true }),
          metadata: string({ nullable: true }),
          errorCode: int16(),
        }),
      ),
    }),
    { versions: '0-7' },
  ),
  errorCode: int16({ versions: '2-7', default: 0, ignorable: true }),
  groups: array(
    struct({
      groupId: string(),
      topics: array(
        struct({
          name: string({ versions: '8-9', ignorable: true }),
          topicId: uuid({ versions: '10+', ignorable: true }),
          partitions: array(
            struct({
              partitionIndex: int32(),
              committedOffset: int64(),
              committedLeaderEpoch: int32({ default: -1, ignorable: true }),
              metadata: string({ nullable: true }),
              errorCode: int16(),
            }),
          ),
        }),
      ),
      errorCode: int16({ default: 0 }),
    }),
    { versions: '8+' },
  ),
});

export const offsetFetchApi = api({
  key: 9,
  name: 'OffsetFetch',
  minVersion: 1,
  maxVersion: 10,
  flexibleFrom: 6,
  request: offsetFetchRequest,
  response: offsetFetchResponse,
});

export type OffsetFetchRequest = MessageType<typeof offsetFetchRequest>;
export type OffsetFetchResponse = MessageType<typeof offsetFetchResponse>;
export type OffsetFetchRequestTopic = NonNullable<OffsetFetchRequest['topics']>[number];
export type OffsetFetchRequestGroup = OffsetFetchRequest['groups'][number];
export type OffsetFetchResponseTopic = OffsetFetchResponse['topics'][number];
export type OffsetFetchResponsePartition = OffsetFetchResponseTopic['partitions'][number];
export type OffsetFetchResponseGroup = OffsetFetchResponse['groups'][number];
export type OffsetFetchResponseGroupTopic = OffsetFetchResponseGroup['topics'][number];
export type OffsetFetchResponseGroupPartition = OffsetFetchResponseGroupTopic['partitions'][number];
