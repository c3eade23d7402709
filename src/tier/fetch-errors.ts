/** What is wrong with a fetch of a partition, for its status, the log and those who wait for a flush. */
import type { FetchedPartition } from '../client/index.js';
import { LakeError, type Offset, type PartitionId } from '../kernel/index.js';
import { kafkaErrorName, kafkaErrors } from '../wire/index.js';

/** The broker did not read. `log`: topic and partition. */
export function fetchRefusal(
  log: string,
  asked: { readonly partition: PartitionId; readonly offset: Offset },
  answer: FetchedPartition,
): LakeError {
  const facts = { ...asked, kafkaCode: answer.errorCode };
  switch (answer.errorCode) {
    case kafkaErrors.OFFSET_OUT_OF_RANGE:
      return new LakeError('offset-out-of-range', `the log of ${log} has no offset ${asked.offset}`, { facts, retriable: true });
    case kafkaErrors.KAFKA_STORAGE_ERROR:
      return new LakeError('log-offline', `${log} is offline: the broker does not read its log`, {
        facts,
        hint: 'See /readyz for the reason. Restart the broker; where a file is damaged, restore it from a copy first.',
      });
    default:
      return new LakeError('peer-refused', `the broker refused to read ${log}: ${kafkaErrorName(answer.errorCode)}`, { facts });
  }
}

/** Batches were fetched that are not what was appended; whether the log is damaged too is for the broker to say. */
export function damagedFetch(log: string, error: LakeError): LakeError {
  return new LakeError('batch-corrupt', `what was fetched of ${log} is damaged: ${error.message}`, {
    cause: error,
    facts: { ...error.facts, log },
    hint: 'Nothing of it is tiered. The broker reads its log: where that is damaged too the partition goes offline, and /readyz says which file to restore; else it is fetched again.',
  });
}
