/** OffsetDelete: forgets a group's positions in topics that it does not consume (KIP-496). Never flexible. */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, request, response, string, struct } from '../notation.js';

const offsetDeleteRequest = request('OffsetDelete', {
  groupId: string(),
  topics: array(
    struct({
      name: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
        }),
      ),
    }),
  ),
});

const offsetDeleteResponse = response('OffsetDelete', {
  errorCode: int16(),
  throttleTimeMs: int32({ default: 0 }),
  topics: array(
    struct({
      name: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
          errorCode: int16(),
        }),
      ),
    }),
  ),
});

export const offsetDeleteApi = api({
  key: 47,
  name: 'OffsetDelete',
  minVersion: 0,
  maxVersion: 0,
  flexibleFrom: Number.POSITIVE_INFINITY,
  request: offsetDeleteRequest,
  response: offsetDeleteResponse,
});

export type OffsetDeleteRequest = MessageType<typeof offsetDeleteRequest>;
export type OffsetDeleteResponse = MessageType<typeof offsetDeleteResponse>;
