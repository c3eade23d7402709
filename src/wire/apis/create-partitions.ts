/** CreatePartitions: raises the number of a topic's partitions (KIP-195). Assignments null leave their placement to the broker. */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, request, response, string, struct } from '../notation.js';

const createPartitionsRequest = request('CreatePartitions', {
  topics: array(
    struct({
      name: string(),
      count: int32(),
      assignments: array(
        struct({
          brokerIds: array(int32()),
        }),
        { nullable: true },
      ),
    }),
  ),
  timeoutMs: int32(),
  validateOnly: bool(),
});

const createPartitionsResponse = response('CreatePartitions', {
  throttleTimeMs: int32({ default: 0 }),
  results: array(
    struct({
      name: string(),
      errorCode: int16(),
      errorMessage: string({ nullable: true, default: null }),
    }),
  ),
});

export const createPartitionsApi = api({
  key: 37,
  name: 'CreatePartitions',
  minVersion: 0,
  maxVersion: 3,
  flexibleFrom: 2,
  request: createPartitionsRequest,
  response: createPartitionsResponse,
});

export type CreatePartitionsRequest = MessageType<typeof createPartitionsRequest>;
export type CreatePartitionsResponse = MessageType<typeof createPartitionsResponse>;
export type CreatePartitionsRequestTopic = CreatePartitionsRequest['topics'][number];
export type CreatePartitionsResponseResult = CreatePartitionsResponse['results'][number];
