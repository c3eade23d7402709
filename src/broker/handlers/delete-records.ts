/**
 * DeleteRecords. Versions served: 0–2.
 * Behaviour: log starts move up to the offsets asked for (−1: the high watermark), over both tiers, and are on disk when they are
 * answered; the answer is each partition's log start. A lower offset than that changes nothing and is no error. Files go behind
 * the answer: segments with the next round of upkeep, cold files with a commit that the tier daemon is woken for.
 * Ignored: the timeout.
 * Errors, by partition: UNKNOWN_TOPIC_OR_PARTITION (3), OFFSET_OUT_OF_RANGE (1, above the high watermark or below −1),
 * INVALID_TOPIC_EXCEPTION (17, an internal topic), POLICY_VIOLATION (44, cleanup.policy without `delete`), KAFKA_STORAGE_ERROR (56).
 */
import { InvariantError, toLakeError } from '../../kernel/index.js';
import {
  deleteRecordsApi,
  type DeleteRecordsRequestPartition,
  type DeleteRecordsResponsePartition,
  kafkaErrors,
} from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { Topic } from '../topics.js';
import { type Handler, handlerOf } from './handler.js';

const highWatermark = -1;
/** Low watermark of a partition that could not be answered. */
const noWatermark = -1;

export function deleteRecordsHandler(core: BrokerCore): Handler {
  return handlerOf(deleteRecordsApi, async (request) => {
    // At once: all that are noted together share one write of the checkpoint.
    const topics = await Promise.all(
      request.topics.map(async ({ name, partitions }) => {
        const topic = core.topics.byName(name);
        return { name, partitions: await Promise.all(partitions.map((asked) => deleteBelow(core, topic, asked))) };
      }),
    );
    if (topics.some(({ partitions }) => partitions.some(({ errorCode }) => errorCode === kafkaErrors.NONE))) {
      core.disk.maintainSoon();
      core.coldTier.topicsChanged();
    }
    return { topics };
  });
}

async function deleteBelow(
  core: BrokerCore,
  topic: Topic | undefined,
  { partitionIndex, offset }: DeleteRecordsRequestPartition,
): Promise<DeleteRecordsResponsePartition> {
  const refuse = (errorCode: number): DeleteRecordsResponsePartition => ({ partitionIndex, lowWatermark: noWatermark, errorCode });
  const log = topic?.partitions.get(partitionIndex);
  if (topic === undefined || log === undefined) return refuse(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION);
  if (topic.record.isInternal) return refuse(kafkaErrors.INVALID_TOPIC_EXCEPTION);
  if (!topic.config.get('cleanup.policy').includes('delete')) return refuse(kafkaErrors.POLICY_VIOLATION);
  if (offset < highWatermark) return refuse(kafkaErrors.OFFSET_OUT_OF_RANGE);
  try {
    const lowWatermark = await log.raiseLogStart(offset === highWatermark ? log.highWatermark : offset);
    return { partitionIndex, lowWatermark, errorCode: kafkaErrors.NONE };
  } catch (error) {
    if (error instanceof InvariantError) throw error;
    const { code, kafkaCode, message } = toLakeError(error, 'log-offline');
    if (code !== 'offset-out-of-range') {
      core.logger.error('records could not be deleted', { topic: log.topic, partition: partitionIndex, offset, error: message });
    }
    return refuse(kafkaCode);
  }
}
