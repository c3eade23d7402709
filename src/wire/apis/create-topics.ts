/** CreateTopics: partial success by topic; −1 partitions or replicas mean the default (v4+); v5+ answers with configs, v7 with the id. */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, int8, request, response, string, struct, uuid } from '../notation.js';

const createTopicsRequest = request('CreateTopics', {
  topics: array(
    struct({
      name: string(),
      numPartitions: int32(),
      replicationFactor: int16(),
      assignments: array(struct({ partitionIndex: int32(), brokerIds: array(int32()) })),
      configs: array(struct({ name: string(), value: string({ nullable: true }) })),
    }),
  ),
  timeoutMs: int32({ default: 60000 }),
  validateOnly: bool({ default: false }),
});

const createTopicsResponse = response('CreateTopics', {
  throttleTimeMs: int32({ ignorable: true }),
  topics: array(
    struct({
      name: string(),
      topicId: uuid({ versions: '7+', ignorable: true }),
      errorCode: int16(),
      errorMessage: string({ nullable: true, ignorable: true }),
      topicConfigErrorCode: int16({ versions: '5+', tag: 0, ignorable: true }),
      numPartitions: int32({ versions: '5+', default: -1, ignorable: true }),
      replicationFactor: int16({ versions: '5+', default: -1, ignorable: true }),
      configs: array(
        struct({
          name: string(),
          value: string({ nullable: true }),
          readOnly: bool(),
          configSource: int8({ default: -1, ignorable: true }),
          isSensitive: bool(),
        }),
        { versions: '5+', nullable: true, ignorable: true },
      ),
    }),
  ),
});

export const createTopicsApi = api({
  key: 19,
  name: 'CreateTopics',
  minVersion: 2,
  maxVersion: 7,
  flexibleFrom: 5,
  request: createTopicsRequest,
  response: createTopicsResponse,
});

export type CreateTopicsRequest = MessageType<typeof createTopicsRequest>;
export type CreateTopicsResponse = MessageType<typeof createTopicsResponse>;
export type CreateTopicsRequestTopic = CreateTopicsRequest['topics'][number];
export type CreateTopicsRequestConfig = CreateTopicsRequestTopic['configs'][number];
export type CreateTopicsResponseTopic = CreateTopicsResponse['topics'][number];
export type CreateTopicsResponseConfig = NonNullable<CreateTopicsResponseTopic['configs']>[number];
