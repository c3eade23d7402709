/**
 * AlterPartitionReassignments. Versions served: 0–1.
 * Behaviour: there is one broker, which has every partition: to be moved to it changes nothing, and there is no move that could be cancelled.
 * Ignored: the timeout, and whether the number of replicas may change: it cannot.
 * Errors, by partition: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_REPLICA_ASSIGNMENT (39, other replicas than this broker, once),
 * NO_REASSIGNMENT_IN_PROGRESS (85, replicas null).
 */
import { alterPartitionReassignmentsApi, kafkaErrors } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

interface Outcome {
  readonly errorCode: number;
  readonly errorMessage: string | null;
}

export function alterPartitionReassignmentsHandler(core: BrokerCore): Handler {
  return handlerOf(alterPartitionReassignmentsApi, ({ allowReplicationFactorChange, topics }) => ({
    // As from Kafka, where nothing is asked for both are as they are by default.
    allowReplicationFactorChange: topics.length === 0 || allowReplicationFactorChange,
    errorCode: kafkaErrors.NONE,
    errorMessage: topics.length === 0 ? '' : null,
    responses: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, replicas }) => ({
        partitionIndex,
        ...outcomeOf(core, name, partitionIndex, replicas),
      })),
    })),
  }));
}

function outcomeOf(core: BrokerCore, name: string, partition: number, replicas: readonly number[] | null): Outcome {
  const refuse = (errorCode: number, errorMessage: string | null): Outcome => ({ errorCode, errorMessage });
  if (core.topics.byName(name)?.partitions.has(partition) !== true)
    return refuse(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION, `there is no partition ${name}-${partition}`);
  if (replicas === null) return refuse(kafkaErrors.NO_REASSIGNMENT_IN_PROGRESS, null);
  if (replicas.length === 1 && replicas[0] === core.nodeId) return refuse(kafkaErrors.NONE, null);
  return refuse(kafkaErrors.INVALID_REPLICA_ASSIGNMENT, `assign the partition to broker ${core.nodeId} alone: there is no other`);
}
