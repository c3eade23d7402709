/** InitProducerId: a producer id for an idempotent or transactional producer (KIP-98, KIP-360). v6 (2PC) is unstable in Kafka and not served. */
import type { MessageType } from '../notation.js';
import { api, int16, int32, producerId, request, response, string } from '../notation.js';

const initProducerIdRequest = request('InitProducerId', {
  transactionalId: string({ nullable: true }),
  transactionTimeoutMs: int32(),
  producerId: producerId({ versions: '3+', default: -1n }),
  producerEpoch: int16({ versions: '3+', default: -1 }),
});

const initProducerIdResponse = response('InitProducerId', {
  throttleTimeMs: int32({ ignorable: true }),
  errorCode: int16(),
  producerId: producerId({ default: -1n }),
  producerEpoch: int16(),
});

export const initProducerIdApi = api({
  key: 22,
  name: 'InitProducerId',
  minVersion: 0,
  maxVersion: 5,
  flexibleFrom: 2,
  request: initProducerIdRequest,
  response: initProducerIdResponse,
});

export type InitProducerIdRequest = MessageType<typeof initProducerIdRequest>;
export type InitProducerIdResponse = MessageType<typeof initProducerIdResponse>;
