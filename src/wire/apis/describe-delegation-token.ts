/** DescribeDelegationToken: delegation tokens by their owners (KIP-48, KIP-373). */
import type { MessageType } from '../notation.js';
import { api, array, bytes, int16, int32, int64, request, response, string, struct } from '../notation.js';

const describeDelegationTokenRequest = request('DescribeDelegationToken', {
  owners: array(
    struct({
      principalType: string(),
      principalName: string(),
    }),
    { nullable: true },
  ),
});

const describeDelegationTokenResponse = response('DescribeDelegationToken', {
  errorCode: int16(),
  tokens: array(
    struct({
      principalType: string(),
      principalName: string(),
      tokenRequesterPrincipalType: string({ versions: '3+' }),
      tokenRequesterPrincipalName: string({ versions: '3+' }),
      issueTimestamp: int64(),
      expiryTimestamp: int64(),
      maxTimestamp: int64(),
      tokenId: string(),
      hmac: bytes(),
      renewers: array(
        struct({
          principalType: string(),
          principalName: string(),
        }),
      ),
    }),
  ),
  throttleTimeMs: int32({ default: 0 }),
});

export const describeDelegationTokenApi = api({
  key: 41,
  name: 'DescribeDelegationToken',
  minVersion: 1,
  maxVersion: 3,
  flexibleFrom: 2,
  request: describeDelegationTokenRequest,
  response: describeDelegationTokenResponse,
});

export type DescribeDelegationTokenRequest = MessageType<typeof describeDelegationTokenRequest>;
export type DescribeDelegationTokenResponse = MessageType<typeof describeDelegationTokenResponse>;
