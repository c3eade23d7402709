/**
 * RenewDelegationToken. Versions served: 1–2.
 * Behaviour: there are no delegation tokens, as connections are not authenticated: refused, as by a Kafka listener without authentication.
 * Ignored: the token and the period. Errors: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED (64), always.
 */
import { renewDelegationTokenApi } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';
import { noTime, noTokens } from './no-security.js';

export function renewDelegationTokenHandler(): Handler {
  return handlerOf(renewDelegationTokenApi, () => ({ ...noTokens, expiryTimestampMs: noTime }));
}
