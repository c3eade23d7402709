/**
 * CreateDelegationToken. Versions served: 1–3.
 * Behaviour: connections are not authenticated, and who is not known gets no token: refused, as by a Kafka listener without authentication.
 * The principals of the request come back.
 * Ignored: renewers and lifetime. Errors: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED (64), always.
 */
import { createDelegationTokenApi } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';
import { anonymous, noTime, noTokens } from './no-security.js';

const noHmac = Buffer.alloc(0);

export function createDelegationTokenHandler(): Handler {
  return handlerOf(createDelegationTokenApi, ({ ownerPrincipalType, ownerPrincipalName }) => {
    // As in Kafka, an owner without a name is whoever asks.
    const owner = (ownerPrincipalName ?? '') === '' ? anonymous : { type: ownerPrincipalType ?? anonymous.type, name: ownerPrincipalName! };
    return {
      ...noTokens,
      principalType: owner.type,
      principalName: owner.name,
      tokenRequesterPrincipalType: anonymous.type,
      tokenRequesterPrincipalName: anonymous.name,
      issueTimestampMs: noTime,
      expiryTimestampMs: noTime,
      maxTimestampMs: noTime,
      tokenId: '',
      hmac: noHmac,
    };
  });
}
