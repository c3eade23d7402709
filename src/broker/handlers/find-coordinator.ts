/**
 * FindCoordinator. Versions served: 0–6.
 * Behaviour: this broker coordinates every group; asking creates `__consumer_offsets`, as in Kafka.
 * Ignored: nothing.
 * Errors, by key: TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53) for transactional ids, INVALID_REQUEST (42) for other key types,
 * COORDINATOR_NOT_AVAILABLE (15) while `__consumer_offsets` cannot be created.
 */
import { toLakeError } from '../../kernel/index.js';
import { findCoordinatorApi, type FindCoordinatorResponseCoordinator, kafkaErrors } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

const keyTypes = { group: 0, transaction: 1 } as const;

export function findCoordinatorHandler(core: BrokerCore): Handler {
  return handlerOf(findCoordinatorApi, async (request, { version }) => {
    const outcome = await decide(core, request.keyType);
    const isFound = outcome.errorCode === kafkaErrors.NONE;
    const { host, port } = isFound ? core.advertised() : { host: '', port: -1 };
    const place = { nodeId: isFound ? core.nodeId : -1, host, port, ...outcome };
    // As Kafka says that nothing is wrong.
    if (version < 4) return isFound ? { ...place, errorMessage: 'NONE' } : place;
    const coordinators: FindCoordinatorResponseCoordinator[] = request.coordinatorKeys.map((key) => ({ key, ...place }));
    return { coordinators };
  });
}

async function decide(core: BrokerCore, keyType: number): Promise<{ readonly errorCode: number; readonly errorMessage: string }> {
  if (keyType === keyTypes.transaction) {
    return { errorCode: kafkaErrors.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, errorMessage: 'transactions are not supported yet' };
  }
  if (keyType !== keyTypes.group) return { errorCode: kafkaErrors.INVALID_REQUEST, errorMessage: `key type ${keyType} is not known` };
  try {
    await core.topics.ensureOffsetsTopic();
    return { errorCode: kafkaErrors.NONE, errorMessage: '' };
  } catch (error) {
    const { message } = toLakeError(error);
    core.logger.error('__consumer_offsets cannot be created', { error: message });
    return { errorCode: kafkaErrors.COORDINATOR_NOT_AVAILABLE, errorMessage: message };
  }
}
