/**
 * UnregisterBroker. Versions served: 0.
 * Behaviour: this broker is the only one, and stays. Ignored: nothing.
 * Errors: BROKER_ID_NOT_REGISTERED (102, another broker), INVALID_REQUEST (42, this one).
 */
import { kafkaErrors, unregisterBrokerApi } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

export function unregisterBrokerHandler(core: BrokerCore): Handler {
  return handlerOf(unregisterBrokerApi, ({ brokerId }) =>
    brokerId === core.nodeId
      ? { errorCode: kafkaErrors.INVALID_REQUEST, errorMessage: `broker ${brokerId} is the only one, and answers you` }
      : { errorCode: kafkaErrors.BROKER_ID_NOT_REGISTERED, errorMessage: `there is no broker ${brokerId}` },
  );
}
