/**
 * One round over the partitions of a fetch: reads what is there now, hot or cold, within the fetch's limits. The fetch
 * handler repeats it until there is enough.
 */
import { isLakeError, type LeaderEpoch, type Offset, type TopicId } from '../../kernel/index.js';
import { type PartitionLog, withoutSlack } from '../../log/index.js';
import { type FetchRequestPartition, kafkaErrors } from '../../wire/index.js';
import type { BrokerCore } from '../core.js';

/** A partition that a client fetches from, its topic by id (from Fetch v13 on) or by name. */
export interface FetchPartition {
  readonly topic: string;
  readonly topicId: TopicId;
  /** What a topic by id was called when it was there last: that tells whether it is gone or another one has its name. */
  knownAs: string | undefined;
  readonly asked: FetchRequestPartition;
}

export interface PartitionAnswer {
  readonly partitionIndex: number;
  readonly errorCode: number;
  readonly highWatermark: Offset;
  readonly lastStableOffset: Offset;
  readonly logStartOffset: Offset;
  readonly abortedTransactions: [] | null;
  /** Where the log parts from what the client read last (KIP-595). */
  readonly divergingEpoch?: EpochEnd;
  readonly records: readonly Buffer[];
}

interface EpochEnd {
  readonly epoch: LeaderEpoch;
  readonly endOffset: Offset;
}

/** A partition that had too little, as it was when it was looked at. */
export interface Watched {
  readonly log: PartitionLog;
  readonly endOffset: Offset;
  readonly hotBytes: number;
  /** What it may give beyond what it gave; one at least, as a first batch is given whatever the limits. */
  readonly leftBytes: number;
  /** The offset that is being hydrated, where one is. */
  readonly coldOffset: Offset | undefined;
}

export interface FetchRound {
  /** In the order of the partitions asked for. */
  readonly answers: readonly PartitionAnswer[];
  readonly bytes: number;
  /** The same, with the whole limit of each partition that had no room for its next batch: as much as it can give. */
  readonly fullBytes: number;
  readonly coldBytes: number;
  /** Whether something is to be told at once: an error of a log, or that a client's has parted from it. */
  readonly isUrgent: boolean;
  /** Partitions that are not there. The others are waited for all the same, as in Kafka. */
  readonly unknownCount: number;
  readonly watched: readonly Watched[];
}

/** Of the round as a whole. */
export interface RoundLimits {
  readonly version: number;
  readonly isolationLevel: number;
  readonly maxBytes: number;
  /** Memory is short: what is read may take a copy. */
  readonly isTight: boolean;
}

interface Limits {
  readonly bytes: number;
  readonly isMinOneBatch: boolean;
  /** Memory is short: what is read may take a copy. */
  readonly isTight: boolean;
  readonly isCommittedOnly: boolean;
}

interface Records {
  readonly kind: 'records';
  readonly chunks: readonly Buffer[];
  readonly bytes: number;
  /** The same, or the limit where that left no room for what is behind it. */
  readonly fullBytes: number;
  readonly isCold: boolean;
}

type Read =
  | Records
  | { readonly kind: 'pending' }
  | { readonly kind: 'diverging'; readonly end: EpochEnd }
  | { readonly kind: 'error'; readonly errorCode: number };

const noRecords: Records = { kind: 'records', chunks: [], bytes: 0, fullBytes: 0, isCold: false };
const readCommitted = 1;
/** Topics by id (KIP-516). */
export const topicIdsVersion = 13;
/** The first whose clients know KAFKA_STORAGE_ERROR. */
const storageErrorVersion = 6;

/** What a look at a partition gave, and how its log was then. */
interface Looked {
  readonly log: PartitionLog;
  readonly endOffset: Offset;
  readonly hotBytes: number;
  readonly read: Read;
}

/**
 * `maxBytes` is global, in the order of the partitions; the first one with data gives at least one whole batch (KIP-74). Partitions whose
 * own limits have room beside each other are read at the same time: none of them takes anything from another.
 */
export async function fetchRound(
  core: BrokerCore,
  partitions: readonly FetchPartition[],
  { version, isolationLevel, maxBytes, isTight }: RoundLimits,
): Promise<FetchRound> {
  const isCommittedOnly = isolationLevel === readCommitted;
  const watched: Watched[] = [];
  let bytes = 0;
  let fullBytes = 0;
  let coldBytes = 0;
  let isUrgent = false;
  let unknownCount = 0;
  const answers: PartitionAnswer[] = [];
  const look = (log: PartitionLog, asked: FetchRequestPartition, isMinOneBatch: boolean): Read | Promise<Read> => {
    const limits = { bytes: Math.min(asked.partitionMaxBytes, maxBytes - bytes), isMinOneBatch, isTight, isCommittedOnly };
    return divergence(log, asked) ?? readWithout(log, asked.fetchOffset, limits) ?? readPartition(core, log, asked.fetchOffset, limits);
  };
  for (let from = 0, to = 0; from < partitions.length; from = to) {
    to = endOfGroup(partitions, from, maxBytes - bytes);
    const seen: (Looked | number)[] = [];
    const pending: Promise<void>[] = [];
    for (let at = from; at < to; at++) {
      const partition = partitions[at]!;
      const log = logOf(core, partition, version);
      if (typeof log === 'number') {
        seen.push(log);
        continue;
      }
      const { logEndOffset: endOffset, hotBytes } = log;
      const read = look(log, partition.asked, bytes === 0 && at === from);
      // Most partitions of a wide fetch have nothing: no promise for each of them.
      if (read instanceof Promise) {
        seen.push(kafkaErrors.NONE);
        pending.push(
          read.then((done) => {
            seen[at - from] = { log, endOffset, hotBytes, read: done };
          }),
        );
      } else seen.push({ log, endOffset, hotBytes, read });
    }
    await Promise.all(pending);
    for (let at = from; at < to; at++) {
      const { asked } = partitions[at]!;
      const looked = seen[at - from]!;
      if (typeof looked === 'number') {
        if (isOfUnknown(looked)) unknownCount++;
        else isUrgent = true;
        answers.push(refusalOf(asked.partition, looked, version));
        continue;
      }
      const { log, endOffset, hotBytes } = looked;
      let { read } = looked;
      // Only now it is known that all before it gave nothing.
      const isFirst = bytes === 0 && at > from && read.kind === 'records' && read.bytes === 0 && asked.fetchOffset < log.logEndOffset;
      if (isFirst) read = await look(log, asked, true);
      if (read.kind === 'error') {
        isUrgent = true;
        answers.push(refusalOf(asked.partition, read.errorCode, version));
        continue;
      }
      if (read.kind === 'diverging') {
        isUrgent = true;
        answers.push({ ...answerOf(log, asked.partition, [], false), divergingEpoch: read.end });
        continue;
      }
      const found = read.kind === 'records' ? read : noRecords;
      const leftBytes = Math.max(1, asked.partitionMaxBytes - found.fullBytes);
      watched.push({ log, endOffset, hotBytes, leftBytes, coldOffset: read.kind === 'pending' ? asked.fetchOffset : undefined });
      // A first batch larger than its partition's limit has taken from those behind it.
      const room = bytes === 0 ? Number.POSITIVE_INFINITY : maxBytes - bytes;
      const records = found.bytes <= room ? found : noRecords;
      fullBytes += Math.min(found.fullBytes, room);
      bytes += records.bytes;
      if (records.isCold) coldBytes += records.bytes;
      answers.push(answerOf(log, asked.partition, records.chunks, isCommittedOnly));
    }
  }
  return { answers, bytes, fullBytes, coldBytes, isUrgent, unknownCount, watched };
}

/** Behind the last of the partitions from `from` on whose limits fit into `room` together; one at least. */
function endOfGroup(partitions: readonly FetchPartition[], from: number, room: number): number {
  let left = room;
  for (let to = from; to < partitions.length; to++) {
    left -= Math.max(0, partitions[to]!.asked.partitionMaxBytes);
    if (left < 0) return Math.max(to, from + 1);
  }
  return partitions.length;
}

/** A partition's log, or the error why it cannot be read at all. */
function logOf(core: BrokerCore, partition: FetchPartition, version: number): PartitionLog | number {
  const { topic: name, topicId, asked } = partition;
  const isById = version >= topicIdsVersion;
  const topic = isById ? core.topics.byId(topicId) : core.topics.byName(name);
  if (topic === undefined) return isById ? unknownIdOf(core, partition) : kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
  if (isById) partition.knownAs = topic.record.name;
  const log = topic.partitions.get(asked.partition);
  if (log === undefined) return kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
  if (log.offline !== undefined) return kafkaErrors.KAFKA_STORAGE_ERROR;
  const fenced = checkLeaderEpoch(log, asked.currentLeaderEpoch);
  return fenced === kafkaErrors.NONE ? log : fenced;
}

/** As in Kafka a session tells of a topic that it knew by its name what it would of one that goes by name. */
function unknownIdOf(core: BrokerCore, { knownAs, asked }: FetchPartition): number {
  if (knownAs === undefined) return kafkaErrors.UNKNOWN_TOPIC_ID;
  const isOther = core.topics.byName(knownAs)?.partitions.has(asked.partition) ?? false;
  return isOther ? kafkaErrors.INCONSISTENT_TOPIC_ID : kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
}

/** 0, FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH; −1 is "the client does not know" (KIP-320). */
export function checkLeaderEpoch(log: PartitionLog, epoch: LeaderEpoch): number {
  if (epoch < 0 || epoch === log.leaderEpoch) return kafkaErrors.NONE;
  return epoch < log.leaderEpoch ? kafkaErrors.FENCED_LEADER_EPOCH : kafkaErrors.UNKNOWN_LEADER_EPOCH;
}

const outOfRange: Read = { kind: 'error', errorCode: kafkaErrors.OFFSET_OUT_OF_RANGE };

/** What there is to say to a client that read an epoch last which ends before its position here, or is not known at all. */
function divergence(log: PartitionLog, { lastFetchedEpoch, fetchOffset }: FetchRequestPartition): Read | undefined {
  if (lastFetchedEpoch < 0) return undefined;
  const end = log.endOfEpoch(lastFetchedEpoch);
  if (end === undefined || fetchOffset < log.logStartOffset) return outOfRange;
  return end.epoch < lastFetchedEpoch || end.endOffset < fetchOffset ? { kind: 'diverging', end } : undefined;
}

/** What there is to say without reading anything; `undefined` where there may be records. */
function readWithout(log: PartitionLog, offset: Offset, limits: Limits): Read | undefined {
  if (offset < log.logStartOffset || offset > log.logEndOffset) return outOfRange;
  const isBehind = offset >= endFor(log, limits);
  return isBehind || (limits.bytes <= 0 && !limits.isMinOneBatch) ? noRecords : undefined;
}

/** Behind what a client may read. */
function endFor(log: PartitionLog, { isCommittedOnly }: Limits): Offset {
  return isCommittedOnly ? log.lastStableOffset : log.highWatermark;
}

async function readPartition(core: BrokerCore, log: PartitionLog, offset: Offset, limits: Limits): Promise<Read> {
  for (;;) {
    const nothing = readWithout(log, offset, limits);
    if (nothing !== undefined) return nothing;
    if (offset < log.localStartOffset) {
      const chunk = await core.cold.read(log, offset, limits.bytes, limits.isMinOneBatch);
      if (chunk === undefined) return { kind: 'pending' };
      return { kind: 'records', chunks: chunk.chunks, bytes: chunk.bytes, fullBytes: chunk.bytes, isCold: true };
    }
    const localStart = log.localStartOffset;
    try {
      const { chunks, bytes, isCut } = await log.read(offset, limits.bytes, {
        isMinOneBatch: limits.isMinOneBatch,
        endOffset: endFor(log, limits),
      });
      const fullBytes = isCut ? Math.max(bytes, limits.bytes) : bytes;
      return { kind: 'records', chunks: limits.isTight ? withoutSlack(chunks) : chunks, bytes, fullBytes, isCold: false };
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
function refusalOf(partitionIndex: number, reason: number, version: number): PartitionAnswer {
  // Clients that do not know a storage error would not try again after it.
  const isToldOtherwise = reason === kafkaErrors.KAFKA_STORAGE_ERROR && version < storageErrorVersion;
  const errorCode = isToldOtherwise ? kafkaErrors.NOT_LEADER_OR_FOLLOWER : reason;
  const unknown = { highWatermark: -1, lastStableOffset: -1, logStartOffset: -1 };
  return { partitionIndex, errorCode, ...unknown, abortedTransactions: isOfUnknown(errorCode) ? [] : null, records: [] };
}

function isOfUnknown(errorCode: number): boolean {
  return errorCode === kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION || errorCode === kafkaErrors.UNKNOWN_TOPIC_ID;
}
