/** ExpireDelegationToken: ends a delegation token (KIP-48). */
import type { MessageType } from '../notation.js';
import { api, bytes, int16, int32, int64, request, response } from '../notation.js';

const expireDelegationTokenRequest = request('ExpireDelegationToken', {
  hmac: bytes(),
  expiryTimePeriodMs: int64(),
});

const expireDelegationTokenResponse = response('ExpireDelegationToken', {
  errorCode: int16(),
  expiryTimestampMs: int64(),
  throttleTimeMs: int32({ default: 0 }),
});

export const expireDelegationTokenApi = api({
  key: 40,
  name: 'ExpireDelegationToken',
  minVersion: 1,
  maxVersion: 2,
  flexibleFrom: 2,
  request: expireDelegationTokenRequest,
  response: expireDelegationTokenResponse,
});

export type ExpireDelegationTokenRequest = MessageType<typeof expireDelegationTokenRequest>;
export type ExpireDelegationTokenResponse = MessageType<typeof expireDelegationTokenResponse>;
