/**
 * ListOffsets: offsets for times, and for the special times −1 latest, −2 earliest, −3 max timestamp, −4 local start, −5 last tiered,
 * −6 earliest pending upload (KIP-1023). From v10 on with a deadline for the cold side (KIP-1075). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int64, int8, request, response, string, struct } from '../notation.js';

const listOffsetsRequest = request('ListOffsets', {
  replicaId: int32(),
  isolationLevel: int8({ versions: '2+' }),
  topics: array(
    struct({
      name: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
          currentLeaderEpoch: int32({ versions: '4+', default: -1, ignorable: true }),
          timestamp: int64(),
        }),
      ),
    }),
  ),
  timeoutMs: int32({ versions: '10+', ignorable: true }),
});

const listOffsetsResponse = response('ListOffsets', {
  throttleTimeMs: int32({ versions: '2+', ignorable: true }),
  topics: array(
    struct({
      name: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
          errorCode: int16(),
          timestamp: int64({ default: -1 }),
          offset: int64({ default: -1 }),
          leaderEpoch: int32({ versions: '4+', default: -1 }),
        }),
      ),
    }),
  ),
});

export const listOffsetsApi = api({
  key: 2,
  name: 'ListOffsets',
  minVersion: 1,
  maxVersion: 11,
  flexibleFrom: 6,
  request: listOffsetsRequest,
  response: listOffsetsResponse,
});

export type ListOffsetsRequest = MessageType<typeof listOffsetsRequest>;
export type ListOffsetsResponse = MessageType<typeof listOffsetsResponse>;
export type ListOffsetsRequestTopic = ListOffsetsRequest['topics'][number];
export type ListOffsetsRequestPartition = ListOffsetsRequestTopic['partitions'][number];
export type ListOffsetsResponseTopic = ListOffsetsResponse['topics'][number];
export type ListOffsetsResponsePartition = ListOffsetsResponseTopic['partitions'][number];
