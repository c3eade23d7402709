/**
 * SaslHandshake. Versions served: 0–1.
 * Behaviour: nobody authenticates here, so there is nothing to begin: refused, as by a Kafka listener without SASL.
 * Ignored: the mechanism.
 * Errors: ILLEGAL_SASL_STATE (34), always.
 */
import { kafkaErrors, saslHandshakeApi } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';

export function saslHandshakeHandler(): Handler {
  return handlerOf(saslHandshakeApi, () => ({ errorCode: kafkaErrors.ILLEGAL_SASL_STATE, mechanisms: [] }));
}
