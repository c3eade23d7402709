/**
 * SaslAuthenticate. Versions served: 0–2.
 * Behaviour: nobody authenticates here: refused, as by a Kafka listener without SASL.
 * Ignored: the token.
 * Errors: ILLEGAL_SASL_STATE (34), always.
 */
import { kafkaErrors, saslAuthenticateApi } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';

const noToken = Buffer.alloc(0);

export function saslAuthenticateHandler(): Handler {
  return handlerOf(saslAuthenticateApi, () => ({
    errorCode: kafkaErrors.ILLEGAL_SASL_STATE,
    errorMessage: 'connections are not authenticated here',
    authBytes: noToken,
  }));
}
