/**
 * UnregisterController. Versions served: 0.
 * Behaviour: this broker is the only controller, and stays. Ignored: nothing.
 * Errors: CONTROLLER_ID_NOT_REGISTERED (136, another one), INVALID_REQUEST (42, this one).
 */
import { kafkaErrors, unregisterControllerApi } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

export function unregisterControllerHandler(core: BrokerCore): Handler {
  return handlerOf(unregisterControllerApi, ({ controllerId }) =>
    controllerId === core.nodeId
      ? { errorCode: kafkaErrors.INVALID_REQUEST, errorMessage: `controller ${controllerId} is the only one, and answers you` }
      : { errorCode: kafkaErrors.CONTROLLER_ID_NOT_REGISTERED, errorMessage: `there is no controller ${controllerId}` },
  );
}
