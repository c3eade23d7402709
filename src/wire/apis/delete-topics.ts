/** DeleteTopics: by name up to v5, by name or id in v6 (KIP-516). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, request, response, string, struct, uuid } from '../notation.js';

const deleteTopicsRequest = request('DeleteTopics', {
  topics: array(struct({ name: string({ nullable: true, default: null }), topicId: uuid({ versions: '6+' }) }), { versions: '6+' }),
  topicNames: array(string(), { versions: '0-5', ignorable: true }),
  timeoutMs: int32(),
});

const deleteTopicsResponse = response('DeleteTopics', {
  throttleTimeMs: int32({ ignorable: true }),
  responses: array(
    struct({
      name: string({ nullable: '6+' }),
      topicId: uuid({ versions: '6+', ignorable: true }),
      errorCode: int16(),
      errorMessage: string({ versions: '5+', nullable: true, default: null, ignorable: true }),
    }),
  ),
});

export const deleteTopicsApi = api({
  key: 20,
  name: 'DeleteTopics',
  minVersion: 1,
  maxVersion: 6,
  flexibleFrom: 4,
  request: deleteTopicsRequest,
  response: deleteTopicsResponse,
});

export type DeleteTopicsRequest = MessageType<typeof deleteTopicsRequest>;
export type DeleteTopicsResponse = MessageType<typeof deleteTopicsResponse>;
export type DeleteTopicsRequestTopic = DeleteTopicsRequest['topics'][number];
export type DeleteTopicsResponseTopic = DeleteTopicsResponse['responses'][number];
