/**
 * InitProducerId. Versions served: 0–5.
 * Behaviour: a fresh producer id with epoch 0, unique for ever in the cluster, also where the client names one it had (KIP-360
 * recovers by a new id as well).
 * Ignored: the transaction timeout, the producer's former id and epoch.
 * Errors: INVALID_REQUEST (42): an id without its epoch or the other way round; TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53): transactions are not supported; KAFKA_STORAGE_ERROR (56) where the block of
 * ids cannot be written.
 */
import { toLakeError } from '../../kernel/index.js';
import { initProducerIdApi, kafkaErrors } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

export function initProducerIdHandler(core: BrokerCore): Handler {
  return handlerOf(initProducerIdApi, async (request) => {
    if (request.transactionalId !== null) {
      core.logger.info('a transactional producer is refused: transactions are not supported', { transactionalId: request.transactionalId });
      return { errorCode: kafkaErrors.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, producerId: -1n, producerEpoch: -1 };
    }
    const hasId = request.producerId !== -1n;
    if (hasId !== (request.producerEpoch !== -1)) return { errorCode: kafkaErrors.INVALID_REQUEST, producerId: -1n, producerEpoch: -1 };
    try {
      return { errorCode: kafkaErrors.NONE, producerId: await core.producerIds.take(), producerEpoch: 0 };
    } catch (error) {
      core.logger.error('a block of producer ids cannot be taken', { error: toLakeError(error).message });
      return { errorCode: kafkaErrors.KAFKA_STORAGE_ERROR, producerId: -1n, producerEpoch: -1 };
    }
  });
}
