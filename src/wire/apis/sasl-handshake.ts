/** SaslHandshake: names the mechanism by which a client is going to authenticate (KIP-43, KIP-152). */
import type { MessageType } from '../notation.js';
import { api, array, int16, request, response, string } from '../notation.js';

const saslHandshakeRequest = request('SaslHandshake', {
  mechanism: string(),
});

const saslHandshakeResponse = response('SaslHandshake', {
  errorCode: int16(),
  mechanisms: array(string()),
});

export const saslHandshakeApi = api({
  key: 17,
  name: 'SaslHandshake',
  minVersion: 0,
  maxVersion: 1,
  flexibleFrom: Number.POSITIVE_INFINITY,
  request: saslHandshakeRequest,
  response: saslHandshakeResponse,
});

export type SaslHandshakeRequest = MessageType<typeof saslHandshakeRequest>;
export type SaslHandshakeResponse = MessageType<typeof saslHandshakeResponse>;
