/**
 * DescribeDelegationToken. Versions served: 1–3.
 * Behaviour: there are no delegation tokens, as connections are not authenticated: refused, as by a Kafka listener without authentication.
 * Ignored: the owners. Errors: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED (64), always.
 */
import { describeDelegationTokenApi } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';
import { noTokens } from './no-security.js';

export function describeDelegationTokenHandler(): Handler {
  return handlerOf(describeDelegationTokenApi, () => ({ ...noTokens, tokens: [] }));
}
