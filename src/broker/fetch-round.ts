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

interface Records {
  readonly kind: 'records';
  readonly chunks: readonly Buffer[];
  readonly bytes: number;
  readonly isCold: boolean;
}

type Read = Records | { readonly kind: 'pending' } | { readonly kind: 'error'; readonly errorCode: number };

const noRecords: Records = { kind: 'records', chunks: [], bytes: 0, isCold: false };
const readCommitted = 1;

/** A partition of the request, with its log where it can be read. */
interface Wanted {
  readonly asked: FetchRequestPartition;
  readonly log: PartitionLog | undefined;
  readonly refusal: number;
  /** Where its answer belongs. */
  readonly answers: PartitionAnswer[];
}

/**
 * `maxBytes` is global, in the request's order; the first partition with data gives at least one whole batch (KIP-74). Partitions whose
 * own limits have room beside each other are read at the same time: none of them takes anything from another.
 */
export async function fetchRound(core: BrokerCore, request: FetchRequest, version: number, maxBytes: number): Promise<FetchRound> {
  const isCommittedOnly = request.isolationLevel === readCommitted;
  const watched: Watched[] = [];
  let bytes = 0;
  let coldBytes = 0;
  let hasError = false;
  const answers: PartitionAnswer[][] = [];
  const wanted: Wanted[] = [];
  for (const entry of request.topics) {
    const topic = version >= 13 ? core.topics.byId(entry.topicId) : core.topics.byName(entry.topic);
    const ofTopic: PartitionAnswer[] = [];
    answers.push(ofTopic);
    for (const asked of entry.partitions) {
      const log = topic?.partitions.get(asked.partition);
      const refusal = log === undefined ? unknownCode(topic, version) : checkPartition(log, asked);
      wanted.push({ asked, log, refusal, answers: ofTopic });
    }
  }
  const look = (log: PartitionLog, { fetchOffset, partitionMaxBytes }: FetchRequestPartition, isMinOneBatch: boolean): Promise<Read> =>
    readPartition(core, log, fetchOffset, { bytes: Math.min(partitionMaxBytes, maxBytes - bytes), isMinOneBatch, isCommittedOnly });
  for (let from = 0, to = 0; from < wanted.length; from = to) {
    to = endOfGroup(wanted, from, maxBytes - bytes);
    const reads = await Promise.all(
      wanted.slice(from, to).map(async ({ asked, log, refusal }, at) => {
        if (log === undefined || refusal !== kafkaErrors.NONE) return undefined;
        const { logEndOffset: endOffset, hotBytes } = log;
        return { endOffset, hotBytes, read: await look(log, asked, bytes === 0 && at === 0) };
      }),
    );
    for (const [at, { asked, log, refusal, answers: into }] of wanted.slice(from, to).entries()) {
      const looked = reads[at];
      if (log === undefined || looked === undefined) {
        hasError = true;
        into.push(refusalOf(asked.partition, refusal));
        continue;
      }
      let { read } = looked;
      // Only now it is known that all before it gave nothing.
      const isFirst = bytes === 0 && at > 0 && read.kind === 'records' && read.bytes === 0 && asked.fetchOffset < log.logEndOffset;
      if (isFirst) read = await look(log, asked, true);
      if (read.kind === 'error') {
        hasError = true;
        into.push(refusalOf(asked.partition, read.errorCode));
        continue;
      }
      const { endOffset, hotBytes } = looked;
      watched.push({ log, endOffset, hotBytes, coldOffset: read.kind === 'pending' ? asked.fetchOffset : undefined });
      // A first batch larger than its partition's limit has taken from those behind it.
      const records = read.kind === 'records' && (bytes === 0 || read.bytes <= maxBytes - bytes) ? read : noRecords;
      bytes += records.bytes;
      if (records.isCold) coldBytes += records.bytes;
      into.push(answerOf(log, asked.partition, records.chunks, isCommittedOnly));
    }
  }
  return { answers, bytes, coldBytes, hasError, watched };
}

/** Behind the last of the partitions from `from` on whose limits fit into `room` together; one at least. */
function endOfGroup(wanted: readonly Wanted[], from: number, room: number): number {
  let left = room;
  for (let to = from; to < wanted.length; to++) {
    left -= Math.max(0, wanted[to]!.asked.partitionMaxBytes);
    if (left < 0) return Math.max(to, from + 1);
  }
  return wanted.length;
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
