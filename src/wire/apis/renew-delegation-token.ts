/** RenewDelegationToken: prolongs a delegation token (KIP-48). */
import type { MessageType } from '../notation.js';
import { api, bytes, int16, int32, int64, request, response } from '../notation.js';

const renewDelegationTokenRequest = request('RenewDelegationToken', {
  hmac: bytes(),
  renewPeriodMs: int64(),
});

const renewDelegationTokenResponse = response('RenewDelegationToken', {
  errorCode: int16(),
  expiryTimestampMs: int64(),
  throttleTimeMs: int32({ default: 0 }),
});

export const renewDelegationTokenApi = api({
  key: 39,
  name: 'RenewDelegationToken',
  minVersion: 1,
  maxVersion: 2,
  flexibleFrom: 2,
  request: renewDelegationTokenRequest,
  response: renewDelegationTokenResponse,
});

export type RenewDelegationTokenRequest = MessageType<typeof renewDelegationTokenRequest>;
export type RenewDelegationTokenResponse = MessageType<typeof renewDelegationTokenResponse>;
