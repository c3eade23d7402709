/**
 * One round over the partitions of a fetch: reads what is there now, hot or cold, within the fetch's limits. The fetch
 * handler repeats it until there is enough.
 */
import { isLakeError, type LeaderEpoch, type Offset } from '../kernel/index.js';
import type { PartitionLog } from '../log/index.js';
import { type FetchRequest, type FetchRequestPartition, kafkaErrors } from '../wire/index.js';
import type { BrokerCore } from './core.js';
import type { Topic } from './topics.js';

export interface PartitionAnswer {
  readonly partitionIndex: number;
  readonly errorCode: number;
  readonly highWatermark: Offset;
  readonly lastStableOffset: Offset;
  readonly logStartOffset: Offset;
  readonly abortedTransactions: [] | null;
  readonly records: readonly Buffer[];
}

/** A partition that had too little, as it was when it was looked at. */
export interface Watched {
  readonly log: PartitionLog;
  readonly endOffset: Offset;
  readonly hotBytes: number;
  /** The offset that is being hydrated, where one is. */
  readonly coldOffset: Offset | undefined;
}

export interface FetchRound {
  /** In the shape of the request: by topic entry, by partition entry. */
  readonly answers: readonly (readonly PartitionAnswer[])[];
  readonly bytes: number;
  readonly coldBytes: number;
  readonly hasError: boolean;
  readonly watched: readonly Watched[];
}

interface Limits {
  readonly bytes: number;
  readonly isMinOneBatch: boolean;
  readonly isCommittedOnly: boolean;
}

type Read =
  | { readonly kind: 'records'; readonly chunks: readonly Buffer[]; readonly bytes: number; readonly isCold: boolean }
  | { readonly kind: 'pending' }
  | { readonly kind: 'error'; readonly errorCode: number };

const noRecords: Read = { kind: 'records', chunks: [], bytes: 0, isCold: false };
const readCommitted = 1;

/** `maxBytes` is global, in the request's order; the first partition with data gives at least one whole batch (KIP-74). */
export async function fetchRound(core: BrokerCore, request: FetchRequest, version: number, maxBytes: number): Promise<FetchRound> {
  const isCommittedOnly = request.isolationLevel === readCommitted;
  const watched: Watched[] = [];
  let bytes = 0;
  let coldBytes = 0;
  let hasError = false;
  const answers: PartitionAnswer[][] = [];
  for (const entry of request.topics) {
    const topic = version >= 13 ? core.topics.byId(entry.topicId) : core.topics.byName(entry.topic);
    const partitions: PartitionAnswer[] = [];
    for (const asked of entry.partitions) {
      const log = topic?.partitions.get(asked.partition);
      const refusal = log === undefined ? unknownCode(topic, version) : checkPartition(log, asked);
      if (log === undefined || refusal !== kafkaErrors.NONE) {
        hasError = true;
        partitions.push(refusalOf(asked.partition, refusal));
        continue;
      }
      const { logEndOffset: endOffset, hotBytes } = log;
      const left = Math.min(asked.partitionMaxBytes, maxBytes - bytes);
      const read = await readPartition(core, log, asked.fetchOffset, { bytes: left, isMinOneBatch: bytes === 0, isCommittedOnly });
      if (read.kind === 'error') {
        hasError = true;
        partitions.push(refusalOf(asked.partition, read.errorCode));
        continue;
      }
      watched.push({ log, endOffset, hotBytes, coldOffset: read.kind === 'pending' ? asked.fetchOffset : undefined });
      const isThere = read.kind === 'records';
      if (isThere) {
        bytes += read.bytes;
        if (read.isCold) coldBytes += read.bytes;
      }
      partitions.push(answerOf(log, asked.partition, isThere ? read.chunks : [], isCommittedOnly));
    }
    answers.push(partitions);
  }
  return { answers, bytes, coldBytes, hasError, watched };
}

function unknownCode(topic: Topic | undefined, version: number): number {
  return topic === undefined && version >= 13 ? kafkaErrors.UNKNOWN_TOPIC_ID : kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
}

/** 0, or why a partition cannot be read at all. */
function checkPartition(log: PartitionLog, asked: FetchRequestPartition): number {
  if (log.offline !== undefined) return kafkaErrors.KAFKA_STORAGE_ERROR;
  return checkLeaderEpoch(log, asked.currentLeaderEpoch);
}

/** 0, FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH; −1 is "the client does not know" (KIP-320). */
export function checkLeaderEpoch(log: PartitionLog, epoch: LeaderEpoch): number {
  if (epoch < 0 || epoch === log.leaderEpoch) return kafkaErrors.NONE;
  return epoch < log.leaderEpoch ? kafkaErrors.FENCED_LEADER_EPOCH : kafkaErrors.UNKNOWN_LEADER_EPOCH;
}

async function readPartition(core: BrokerCore, log: PartitionLog, offset: Offset, limits: Limits): Promise<Read> {
  const outOfRange: Read = { kind: 'error', errorCode: kafkaErrors.OFFSET_OUT_OF_RANGE };
  for (;;) {
    if (offset < log.logStartOffset || offset > log.logEndOffset) return outOfRange;
    const endOffset = limits.isCommittedOnly ? log.lastStableOffset : log.highWatermark;
    if (offset >= endOffset || (limits.bytes <= 0 && !limits.isMinOneBatch)) return noRecords;
    if (offset < log.localStartOffset) {
      const chunk = await core.cold.read(log, offset, limits.bytes, limits.isMinOneBatch);
      if (chunk === undefined) return { kind: 'pending' };
      return { kind: 'records', chunks: chunk.chunks, bytes: chunk.bytes, isCold: true };
    }
    const localStart = log.localStartOffset;
    try {
      const { chunks, bytes } = await log.read(offset, limits.bytes, { isMinOneBatch: limits.isMinOneBatch, endOffset });
      return { kind: 'records', chunks, bytes, isCold: false };
    } catch (error) {
      if (!isLakeError(error)) throw error;
      // Evicted between the look and the read: the same offset is now cold.
      const isEvicted = error.code === 'offset-out-of-range' && log.localStartOffset > localStart;
      if (!isEvicted) {
        if (error.code !== 'offset-out-of-range') {
          core.logger.warn('a partition cannot be read', { topic: log.topic, partition: log.partition, offset, error: error.message });
        }
        return { kind: 'error', errorCode: error.kafkaCode };
      }
    }
  }
}

function answerOf(log: PartitionLog, partitionIndex: number, records: readonly Buffer[], isCommittedOnly: boolean): PartitionAnswer {
  return {
    partitionIndex,
    errorCode: kafkaErrors.NONE,
    highWatermark: log.highWatermark,
    lastStableOffset: log.lastStableOffset,
    logStartOffset: log.logStartOffset,
    abortedTransactions: isCommittedOnly ? [] : null,
    records,
  };
}

/** An error says nothing of the log, as in Kafka; of a partition that is not there the aborted transactions are none rather than unknown. */
function refusalOf(partitionIndex: number, errorCode: number): PartitionAnswer {
  const isThere = errorCode !== kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION && errorCode !== kafkaErrors.UNKNOWN_TOPIC_ID;
  const unknown = { highWatermark: -1, lastStableOffset: -1, logStartOffset: -1 };
  return { partitionIndex, errorCode, ...unknown, abortedTransactions: isThere ? null : [], records: [] };
}
