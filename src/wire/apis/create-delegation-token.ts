/** CreateDelegationToken: a token that stands for a principal (KIP-48, KIP-373). */
import type { MessageType } from '../notation.js';
import { api, array, bytes, int16, int32, int64, request, response, string, struct } from '../notation.js';

const createDelegationTokenRequest = request('CreateDelegationToken', {
  ownerPrincipalType: string({ versions: '3+', nullable: true }),
  ownerPrincipalName: string({ versions: '3+', nullable: true }),
  renewers: array(
    struct({
      principalType: string(),
      principalName: string(),
    }),
  ),
  maxLifetimeMs: int64(),
});

const createDelegationTokenResponse = response('CreateDelegationToken', {
  errorCode: int16(),
  principalType: string(),
  principalName: string(),
  tokenRequesterPrincipalType: string({ versions: '3+' }),
  tokenRequesterPrincipalName: string({ versions: '3+' }),
  issueTimestampMs: int64(),
  expiryTimestampMs: int64(),
  maxTimestampMs: int64(),
  tokenId: string(),
  hmac: bytes(),
  throttleTimeMs: int32({ default: 0 }),
});

export const createDelegationTokenApi = api({
  key: 38,
  name: 'CreateDelegationToken',
  minVersion: 1,
  maxVersion: 3,
  flexibleFrom: 2,
  request: createDelegationTokenRequest,
  response: createDelegationTokenResponse,
});

export type CreateDelegationTokenRequest = MessageType<typeof createDelegationTokenRequest>;
export type CreateDelegationTokenResponse = MessageType<typeof createDelegationTokenResponse>;
