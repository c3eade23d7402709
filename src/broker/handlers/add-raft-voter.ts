/**
 * AddRaftVoter. Versions served: 0–1.
 * Behaviour: this broker is the one voter for good; refused, as by a Kafka whose quorum is static (`kraft.version` 0).
 * Ignored: the voter. Errors: INCONSISTENT_CLUSTER_ID (104, another cluster), UNSUPPORTED_VERSION (35).
 */
import { addRaftVoterApi } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';
import { voterRefusal } from './voters.js';

export function addRaftVoterHandler(core: BrokerCore): Handler {
  return handlerOf(addRaftVoterApi, ({ clusterId }) => voterRefusal(core, clusterId));
}
