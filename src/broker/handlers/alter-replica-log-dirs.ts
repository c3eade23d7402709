/**
 * AlterReplicaLogDirs. Versions served: 1–2.
 * Behaviour: there is one log directory, in which every replica lies already: naming it changes nothing. Of a partition that is named for
 * several directories the last counts, as in Kafka.
 * Ignored: nothing.
 * Errors, by partition: LOG_DIR_NOT_FOUND (57, another directory), UNKNOWN_TOPIC_OR_PARTITION (3).
 */
import { alterReplicaLogDirsApi, kafkaErrors } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import { type Handler, handlerOf } from './handler.js';

export function alterReplicaLogDirsHandler(core: BrokerCore): Handler {
  return handlerOf(alterReplicaLogDirsApi, ({ dirs }) => {
    const asked = new Map<string, Map<number, string>>();
    for (const { path, topics } of dirs) {
      for (const { name, partitions } of topics) {
        const paths = asked.get(name) ?? new Map<number, string>();
        for (const partition of partitions) paths.set(partition, path);
        if (paths.size > 0) asked.set(name, paths);
      }
    }
    const results = [...asked].map(([topicName, paths]) => ({
      topicName,
      partitions: [...paths].map(([partitionIndex, path]) => ({
        partitionIndex,
        errorCode: codeOf(core, topicName, partitionIndex, path),
      })),
    }));
    return { results };
  });
}

function codeOf(core: BrokerCore, topic: string, partition: number, path: string): number {
  if (path !== core.logDir) return kafkaErrors.LOG_DIR_NOT_FOUND;
  const isThere = core.topics.byName(topic)?.partitions.has(partition) === true;
  return isThere ? kafkaErrors.NONE : kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
}
