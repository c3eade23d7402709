/** Why the quorum of controllers, which is this broker, stays as it is. */
import { kafkaErrors } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';

/** `clusterId` null: whichever it is. */
export function voterRefusal(core: BrokerCore, clusterId: string | null): { readonly errorCode: number; readonly errorMessage: string } {
  return clusterId !== null && clusterId !== core.clusterId
    ? { errorCode: kafkaErrors.INCONSISTENT_CLUSTER_ID, errorMessage: `this is cluster ${core.clusterId}, not ${clusterId}` }
    : { errorCode: kafkaErrors.UNSUPPORTED_VERSION, errorMessage: 'this broker is the one voter: the quorum does not change' };
}
