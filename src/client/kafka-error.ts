/** What a broker's error codes mean to our callers, and which of them a later try may cure. */
import { type ErrorCode, type ErrorFacts, LakeError } from '../kernel/index.js';
import { kafkaErrorName, kafkaErrors } from '../wire/index.js';

const codes: Readonly<Partial<Record<number, ErrorCode>>> = {
  [kafkaErrors.OFFSET_OUT_OF_RANGE]: 'offset-out-of-range',
  [kafkaErrors.CORRUPT_MESSAGE]: 'batch-corrupt',
  [kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION]: 'topic-unknown',
  [kafkaErrors.UNKNOWN_TOPIC_ID]: 'topic-unknown',
  [kafkaErrors.REQUEST_TIMED_OUT]: 'timeout',
  [kafkaErrors.MESSAGE_TOO_LARGE]: 'record-invalid',
  [kafkaErrors.RECORD_LIST_TOO_LARGE]: 'record-invalid',
  [kafkaErrors.INVALID_TIMESTAMP]: 'record-invalid',
  [kafkaErrors.INVALID_RECORD]: 'record-invalid',
  [kafkaErrors.INVALID_TOPIC_EXCEPTION]: 'topic-name-invalid',
  [kafkaErrors.UNSUPPORTED_VERSION]: 'unsupported-version',
  [kafkaErrors.TOPIC_ALREADY_EXISTS]: 'topic-exists',
  [kafkaErrors.INVALID_PARTITIONS]: 'request-invalid',
  [kafkaErrors.INVALID_REPLICATION_FACTOR]: 'request-invalid',
  [kafkaErrors.INVALID_REQUEST]: 'request-invalid',
  [kafkaErrors.INVALID_CONFIG]: 'config-invalid-value',
  [kafkaErrors.KAFKA_STORAGE_ERROR]: 'log-offline',
  [kafkaErrors.UNSUPPORTED_COMPRESSION_TYPE]: 'compression-unsupported',
};

const retriableCodes: ReadonlySet<number> = new Set([
  kafkaErrors.LEADER_NOT_AVAILABLE,
  kafkaErrors.NOT_LEADER_OR_FOLLOWER,
  kafkaErrors.REQUEST_TIMED_OUT,
  kafkaErrors.BROKER_NOT_AVAILABLE,
  kafkaErrors.NETWORK_EXCEPTION,
  kafkaErrors.COORDINATOR_LOAD_IN_PROGRESS,
  kafkaErrors.COORDINATOR_NOT_AVAILABLE,
  kafkaErrors.NOT_ENOUGH_REPLICAS,
  kafkaErrors.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  kafkaErrors.KAFKA_STORAGE_ERROR,
  kafkaErrors.FENCED_LEADER_EPOCH,
  kafkaErrors.UNKNOWN_LEADER_EPOCH,
  kafkaErrors.OFFSET_NOT_AVAILABLE,
  kafkaErrors.THROTTLING_QUOTA_EXCEEDED,
]);

/** The error for a code a broker answered; `what` says for which request and thing. */
export function brokerError(code: number, what: string, message?: string | null, facts: ErrorFacts = {}): LakeError {
  const name = kafkaErrorName(code);
  const detail = message === undefined || message === null || message === '' ? '' : `: ${message}`;
  return new LakeError(codes[code] ?? 'peer-refused', `${what}: the broker answered ${name}${detail}`, {
    retriable: retriableCodes.has(code),
    facts: { ...facts, kafkaError: code },
  });
}
