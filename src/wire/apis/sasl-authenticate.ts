/** SaslAuthenticate: carries the tokens of a SASL exchange (KIP-152). */
import type { MessageType } from '../notation.js';
import { api, bytes, int16, int64, request, response, string } from '../notation.js';

const saslAuthenticateRequest = request('SaslAuthenticate', {
  authBytes: bytes(),
});

const saslAuthenticateResponse = response('SaslAuthenticate', {
  errorCode: int16(),
  errorMessage: string({ nullable: true }),
  authBytes: bytes(),
  sessionLifetimeMs: int64({ versions: '1+', default: 0, ignorable: true }),
});

export const saslAuthenticateApi = api({
  key: 36,
  name: 'SaslAuthenticate',
  minVersion: 0,
  maxVersion: 2,
  flexibleFrom: 2,
  request: saslAuthenticateRequest,
  response: saslAuthenticateResponse,
});

export type SaslAuthenticateRequest = MessageType<typeof saslAuthenticateRequest>;
export type SaslAuthenticateResponse = MessageType<typeof saslAuthenticateResponse>;
