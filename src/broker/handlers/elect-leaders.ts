/**
 * ElectLeaders. Versions served: 0–2.
 * Behaviour: one broker leads every partition, so there is nothing to elect: partitions that are named are answered by
 * ELECTION_NOT_NEEDED; where all are asked for (topics null), topics without any of their partitions, as in Kafka.
 * Ignored: the timeout.
 * Errors: INVALID_REQUEST (42, an election type that is not there); by partition ELECTION_NOT_NEEDED (84),
 * UNKNOWN_TOPIC_OR_PARTITION (3).
 */
import { electLeadersApi, kafkaErrors } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

const electionTypes = { preferred: 0, unclean: 1 } as const;

export function electLeadersHandler(core: BrokerCore): Handler {
  return handlerOf(electLeadersApi, ({ electionType, topicPartitions }) => {
    if (electionType !== electionTypes.preferred && electionType !== electionTypes.unclean) {
      return { errorCode: kafkaErrors.INVALID_REQUEST, replicaElectionResults: [] };
    }
    return {
      errorCode: kafkaErrors.NONE,
      replicaElectionResults: (topicPartitions ?? allWithout(core)).map(({ topic, partitions }) => {
        const known = core.topics.byName(topic);
        const partitionResult = partitions.map((partitionId) =>
          known?.partitions.has(partitionId) === true
            ? { partitionId, errorCode: kafkaErrors.ELECTION_NOT_NEEDED, errorMessage: 'the leader is the one replica there is' }
            : {
                partitionId,
                errorCode: kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION,
                errorMessage: `there is no partition ${topic}-${partitionId}`,
              },
        );
        return { topic, partitionResult };
      }),
    };
  });
}

function allWithout(core: BrokerCore): readonly { readonly topic: string; readonly partitions: readonly number[] }[] {
  return [...core.topics.all].map(({ record }) => ({ topic: record.name, partitions: [] }));
}
