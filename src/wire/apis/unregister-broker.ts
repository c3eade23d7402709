/** UnregisterBroker: forgets a broker of the cluster (KIP-631). */
import type { MessageType } from '../notation.js';
import { api, int16, int32, request, response, string } from '../notation.js';

const unregisterBrokerRequest = request('UnregisterBroker', {
  brokerId: int32(),
});

const unregisterBrokerResponse = response('UnregisterBroker', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16(),
  errorMessage: string({ nullable: true }),
});

export const unregisterBrokerApi = api({
  key: 64,
  name: 'UnregisterBroker',
  minVersion: 0,
  maxVersion: 0,
  flexibleFrom: 0,
  request: unregisterBrokerRequest,
  response: unregisterBrokerResponse,
});

export type UnregisterBrokerRequest = MessageType<typeof unregisterBrokerRequest>;
export type UnregisterBrokerResponse = MessageType<typeof unregisterBrokerResponse>;
