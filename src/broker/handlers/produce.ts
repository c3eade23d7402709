/**
 * Produce. Versions served: 3–11 (advertised from 0, see wire).
 * Behaviour: each partition takes one batch: validated where it lies in the request's frame, patched in place, appended. acks=1
 * is answered from the page cache; acks=all (−1) waits for the group flush under `flush.policy=group-commit`; acks=0 is not
 * answered, and an error closes the connection. A batch sent again by an idempotent producer succeeds with its first offsets.
 * Under message.timestamp.type=LogAppendTime the batch gets the broker's time and the answer tells it; a repeated batch is answered with
 * the timestamp of the first time under CreateTime too, as in Kafka.
 * Where the topic's compression.type is another than the batch's, the batch is compressed anew in a thread (its records and the rest of its
 * header stay) and has to keep to max.message.bytes then too; a batch that inflates to more than 8 MiB is validated in a thread. What comes
 * to the partition meanwhile waits behind them. All else is appended before the first wait. So each partition gets batches in the order of the requests, and requests of a connection may be pipelined.
 * Ignored: the timeout (the flush of one disk either comes or takes the partition offline).
 * Errors, by partition: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_TOPIC_EXCEPTION (17, internal topics), INVALID_REQUIRED_ACKS (21),
 * TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53, transactions are not supported), KAFKA_STORAGE_ERROR (56: disk reserve, offline),
 * those of validation (2, 10, 18, 32, 76, 87; 87 also for a record without a key in a compacted topic) and of the producer's sequence (45, 47).
 */
import type { TopicConfig } from '../../config/index.js';
import { isLakeError, LakeError, none, type Offset, type PartitionId, type TimestampMs, toLakeError } from '../../kernel/index.js';
import { type AppendResult, type CompressionRule, type PartitionLog, soleBatch, targetEncoding } from '../../log/index.js';
import {
  batchAt,
  batchBytes,
  batchCompression,
  batchHeaderBytes,
  batchMagic,
  batchRecordsCount,
  isTransactional,
  kafkaErrors,
  type MessageInput,
  produceApi,
  type ProduceRequest,
  type ProduceResponsePartition,
  timestampType,
} from '../../wire/index.js';
import type { BrokerCore } from '../core.js';
import type { Topic } from '../topics.js';
import { type Handler, handlerOf, noAnswer, type RequestContext } from './handler.js';

type PartitionAnswer = MessageInput<ProduceResponsePartition>;
type ProduceAnswer = { readonly responses: { readonly name: string; readonly partitionResponses: PartitionAnswer[] }[] } | typeof noAnswer;

/** The one client that may write to internal topics, as in Kafka. */
const adminClientId = '__admin_client';

/** The smallest message of any format, behind its offset and size. */
const messageBytesMin = 14;

/** The newest record format there is. */
const formatMagicMax = 2;

interface Appended {
  readonly index: PartitionId;
  readonly log: PartitionLog;
  readonly result: AppendResult;
  readonly logAppendTimeMs: TimestampMs;
}

export function produceHandler(core: BrokerCore): Handler {
  const isFlushAwaited = core.config.get('flush.policy') === 'group-commit';
  return handlerOf(
    produceApi,
    (request, context) => {
      const isAcksKnown = request.acks >= -1 && request.acks <= 1;
      const refusal = isAcksKnown ? transactionRefusal(request) : acksRefusal(request.acks);
      const forAll = wholeRefusal(request);
      const isAwaited = request.acks === -1 && isFlushAwaited;
      const waits: Promise<void>[] = [];
      const beganMs = core.clock.monotonicMs();
      const responses = request.topicData.map(({ name, partitionData }) => {
        const topic = core.topics.byName(name);
        const partitionResponses: PartitionAnswer[] = [];
        for (const [at, { index, records }] of partitionData.entries()) {
          const failed = (error: unknown): void => {
            partitionResponses[at] = failure(index, error, topic?.partitions.get(index));
          };
          const failedLater = (error: unknown): void => {
            if (!isLakeError(error)) throw error;
            failed(error);
          };
          /** Answers what waits for the disk, if anything does. */
          const succeeded = (appended: Appended): Promise<void> | undefined => {
            partitionResponses[at] = success(appended);
            return isAwaited && !isFlushed(appended) ? flushed(appended).catch(failedLater) : undefined;
          };
          try {
            if (forAll !== undefined) throw forAll;
            const appended = append(core, topic, name, index, records, context, refusal);
            const wait = appended instanceof Promise ? appended.then(succeeded).catch(failedLater) : succeeded(appended);
            if (wait !== undefined) waits.push(wait);
          } catch (error) {
            failed(error);
          }
        }
        return { name, partitionResponses };
      });
      const answer = (): ProduceAnswer => {
        if (request.acks !== 0) return { responses };
        const failed = responses.flatMap((topic) => topic.partitionResponses).find((partition) => partition.errorCode !== kafkaErrors.NONE);
        if (failed === undefined) return noAnswer;
        throw new LakeError('record-invalid', `acks=0 and error ${failed.errorCode}: ${failed.errorMessage ?? ''}`);
      };
      if (waits.length === 0) return answer();
      return Promise.all(waits).then(() => {
        core.pace?.noteProduced(core.clock.monotonicMs() - beganMs);
        return answer();
      });
    },
    { isPipelined: true },
  );
}

function transactionRefusal(request: ProduceRequest): KafkaRefusal | undefined {
  if (request.transactionalId === null) return undefined;
  return new KafkaRefusal(
    kafkaErrors.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    'transactions are not supported yet: produce without a transactional.id',
  );
}

/**
 * What in one partition's part refuses the whole request, whatever is there, as in Kafka: it looks for transactional records before
 * anything else, and cannot where a first batch has a size or a format that none has.
 */
function wholeRefusal({ topicData }: ProduceRequest): KafkaRefusal | undefined {
  for (const { partitionData } of topicData) {
    for (const { records } of partitionData) {
      if (records === null || records.length < batchAt.leaderEpoch) continue;
      const isTooSmall = records.readInt32BE(batchAt.length) < messageBytesMin;
      if (isTooSmall || (records.length > batchAt.magic && !isKnownFormat(batchMagic(records, 0)))) {
        return new KafkaRefusal(kafkaErrors.CORRUPT_MESSAGE, 'a record batch has a size or a format that none has');
      }
      const isWhole = records.length >= batchHeaderBytes && batchBytes(records, 0) <= records.length;
      if (isWhole && batchMagic(records, 0) === formatMagicMax && isTransactional(records, 0)) {
        return new KafkaRefusal(kafkaErrors.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 'transactions are not supported');
      }
    }
  }
  return undefined;
}

/** The byte is signed. */
function isKnownFormat(magic: number): boolean {
  return magic >= 0 && magic <= formatMagicMax;
}

function acksRefusal(acks: number): KafkaRefusal {
  return new KafkaRefusal(kafkaErrors.INVALID_REQUIRED_ACKS, `acks=${acks} is none of 0, 1 and all (−1)`);
}

/** An answer that has its Kafka code already. */
class KafkaRefusal extends Error {
  readonly kafkaCode: number;
  constructor(kafkaCode: number, message: string) {
    super(message);
    this.kafkaCode = kafkaCode;
  }
}

/** Appends at once, or behind what waits: where the batch is compressed anew, and where one before it is. */
function append(
  core: BrokerCore,
  topic: Topic | undefined,
  name: string,
  index: PartitionId,
  records: Buffer | null,
  context: RequestContext,
  refusal: KafkaRefusal | undefined,
): Appended | Promise<Appended> {
  const log = topic?.partitions.get(index);
  if (topic === undefined || log === undefined) {
    throw new LakeError(topic === undefined ? 'topic-unknown' : 'partition-unknown', `there is no partition ${name}-${index}`);
  }
  if (records === null) throw new KafkaRefusal(kafkaErrors.INVALID_RECORD, 'a partition without a record batch');
  const sent = framed(records, context.version);
  if (refusal !== undefined) throw refusal;
  if (topic.record.isInternal && context.clientId !== adminClientId) {
    throw new KafkaRefusal(kafkaErrors.INVALID_TOPIC_EXCEPTION, `${name} is the broker's own: clients do not write to it`);
  }
  if (core.disk.isBelowReserve) {
    throw new LakeError('disk-full', `the disk has ${core.disk.freeBytes} bytes free, fewer than disk.reserve.bytes`, {
      hint: 'Free disk, or lower local.retention.* so that committed segments are evicted.',
    });
  }
  const { config } = topic;
  const nowMs = core.clock.nowMs();
  const maxMessageBytes = config.get('max.message.bytes');
  const validated = core.batchThreads.validate(sent, {
    maxMessageBytes,
    isKeyRequired: config.get('cleanup.policy').includes('compact'),
    nowMs,
    timestampType: config.get('message.timestamp.type') === 'LogAppendTime' ? 'log-append' : 'create',
    timestampBeforeMaxMs: config.get('message.timestamp.before.max.ms'),
    timestampAfterMaxMs: config.get('message.timestamp.after.max.ms'),
    maxRecordBytes: config.get('max.decompressed.message.bytes'),
  });
  const encoding = targetEncoding(batchCompression(sent, 0), compressionRuleOf(config));
  const reencode = (batch: Buffer): Promise<Buffer> | Buffer =>
    encoding === undefined ? batch : core.batchThreads.reencode(batch, encoding, maxMessageBytes);
  const stored = validated instanceof Promise ? validated.then(reencode) : reencode(validated);
  const take = (batch: Buffer): Appended => {
    const result = log.append(batch, nowMs);
    if (!result.isDuplicate) {
      core.counters.producedBytes += sent.length;
      core.counters.producedRecords += batchRecordsCount(batch, 0);
    }
    const isTimeTold = result.isDuplicate || timestampType(batch, 0) === 'log-append';
    return { index, log, result, logAppendTimeMs: isTimeTold ? result.maxTimestampMs : none };
  };
  return stored instanceof Promise || core.appendLines.isWaiting(log)
    ? core.appendLines.join(log, Promise.resolve(stored), take)
    : take(stored);
}

function compressionRuleOf(config: TopicConfig): CompressionRule {
  return {
    type: config.get('compression.type'),
    gzipLevel: config.get('compression.gzip.level'),
    lz4Level: config.get('compression.lz4.level'),
    zstdLevel: config.get('compression.zstd.level'),
  };
}

/** The batch, as far as its frame alone says, before the log is looked at. Errors: `KafkaRefusal` with 2, 76 or 87. */
function framed(records: Buffer, version: number): Buffer {
  try {
    return soleBatch(records, version);
  } catch (error) {
    const { kafkaCode, message } = toLakeError(error);
    throw new KafkaRefusal(kafkaCode, message);
  }
}

function success({ index, result, logAppendTimeMs }: Appended): PartitionAnswer {
  const { baseOffset, logStartOffset } = result;
  return { index, errorCode: kafkaErrors.NONE, baseOffset, logAppendTimeMs, logStartOffset };
}

/** With the log's start where Kafka says it: after a refusal that came of the records themselves or of their producer. */
function failure(index: PartitionId, error: unknown, log?: PartitionLog): PartitionAnswer {
  if (error instanceof KafkaRefusal)
    return { index, errorCode: error.kafkaCode, baseOffset: -1, errorMessage: error.message, recordErrors: [] };
  const { kafkaCode, message, facts } = toLakeError(error);
  const batchIndex = facts['batchIndex'];
  const recordErrors = typeof batchIndex === 'number' ? [{ batchIndex, batchIndexErrorMessage: message }] : [];
  const logStartOffset = isOfRecords(kafkaCode) ? (log?.logStartOffset ?? -1) : -1;
  return { index, errorCode: kafkaCode, baseOffset: -1, logStartOffset, errorMessage: message, recordErrors };
}

const codesOfRecords: ReadonlySet<number> = new Set([
  kafkaErrors.INVALID_RECORD,
  kafkaErrors.INVALID_TIMESTAMP,
  kafkaErrors.OUT_OF_ORDER_SEQUENCE_NUMBER,
  kafkaErrors.INVALID_PRODUCER_EPOCH,
]);

function isOfRecords(kafkaCode: number): boolean {
  return codesOfRecords.has(kafkaCode);
}

function isFlushed({ log, result }: Appended): boolean {
  return log.flushedOffset > result.lastOffset;
}

async function flushed({ log, result }: Appended): Promise<void> {
  const upTo: Offset = result.lastOffset + 1;
  await log.flush(upTo);
}
