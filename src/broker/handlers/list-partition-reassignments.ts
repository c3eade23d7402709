/**
 * ListPartitionReassignments. Versions served: 0.
 * Behaviour: none are under way, ever: there is one broker.
 * Ignored: which partitions are asked for, and the timeout. Errors: none.
 */
import { kafkaErrors, listPartitionReassignmentsApi } from '../../wire/index.js';
import { type Handler, handlerOf } from './handler.js';

export function listPartitionReassignmentsHandler(): Handler {
  return handlerOf(listPartitionReassignmentsApi, () => ({ errorCode: kafkaErrors.NONE, errorMessage: null, topics: [] }));
}
