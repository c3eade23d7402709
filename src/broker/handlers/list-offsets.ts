/**
 * ListOffsets. Versions served: 1–11.
 * Behaviour: −1 the high watermark (read_committed: last stable offset), −2 the log start, −3 the record with the largest
 * timestamp (v7+), −4 the local start (v8+), −5 the last tiered offset (v9+), −6 the first offset that is not
 * in the table yet (v11+, none where the topic is not tiered); any other time: the first offset at or above it, exact, over both tiers:
 * the cold side is asked first where the log begins below the local start. It has the request's timeout (v10+), or else
 * `remote.fetch.max.wait.ms`.
 * Ignored: replica id.
 * Errors, by partition: UNKNOWN_TOPIC_OR_PARTITION (3), INVALID_REQUEST (42, listed twice), UNSUPPORTED_VERSION (35, a special time
 * that the version does not have), FENCED_LEADER_EPOCH (74), UNKNOWN_LEADER_EPOCH (75), REQUEST_TIMED_OUT (7, the cold side is
 * not ready in time: try again), KAFKA_STORAGE_ERROR (56).
 */
import { isLakeError, none, toLakeError } from '../../kernel/index.js';
import type { PartitionLog } from '../../log/index.js';
import { kafkaErrors, listOffsetsApi, type ListOffsetsRequestPartition, type ListOffsetsResponsePartition } from '../../wire/index.js';
import type { FoundOffset } from '../cold-tier.js';
import type { BrokerCore } from '../core.js';
import { runAfter } from '../deadline.js';
import { checkLeaderEpoch } from '../fetch/fetch-round.js';
import { type Handler, handlerOf } from './handler.js';

const readCommitted = 1;
const latest = -1;
const earliest = -2;
const maxTimestamp = -3;
const earliestLocal = -4;
const latestTiered = -5;
const earliestPendingUpload = -6;
/** The first version that has each special time. */
const specialSince = new Map([
  [latest, 1],
  [earliest, 1],
  [maxTimestamp, 7],
  [earliestLocal, 8],
  [latestTiered, 9],
  [earliestPendingUpload, 11],
]);

export function listOffsetsHandler(core: BrokerCore): Handler {
  return handlerOf(listOffsetsApi, async (request, { version, signal }) => {
    const isCommittedOnly = request.isolationLevel === readCommitted;
    const coldWaitMs = request.timeoutMs > 0 ? request.timeoutMs : core.config.get('remote.fetch.max.wait.ms');
    const seen = new Set<string>();
    const twice = new Set<string>();
    for (const { name, partitions } of request.topics) {
      for (const { partitionIndex } of partitions) {
        const key = `${name}-${partitionIndex}`;
        if (seen.has(key)) twice.add(key);
        seen.add(key);
      }
    }
    const topics = await Promise.all(
      request.topics.map(async ({ name, partitions }) => ({
        name,
        partitions: await Promise.all(
          partitions.map((asked): Promise<ListOffsetsResponsePartition> => {
            if (!isTimeServed(asked.timestamp, version)) return refuse(asked, kafkaErrors.UNSUPPORTED_VERSION);
            const log = core.topics.byName(name)?.partitions.get(asked.partitionIndex);
            if (log === undefined) return refuse(asked, kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION);
            if (twice.has(`${name}-${asked.partitionIndex}`)) return refuse(asked, kafkaErrors.INVALID_REQUEST);
            return listPartition(core, log, asked, { isCommittedOnly, coldWaitMs, signal });
          }),
        ),
      })),
    );
    return { topics };
  });
}

/** Whether a version has a time, be it of a clock or a special one. Asked of nothing that must be there, as in Kafka. */
function isTimeServed(timestampMs: number, version: number): boolean {
  return timestampMs >= 0 || version >= (specialSince.get(timestampMs) ?? Number.POSITIVE_INFINITY);
}

function answerOf(asked: ListOffsetsRequestPartition, errorCode: number, found: FoundOffset | null): ListOffsetsResponsePartition {
  return {
    partitionIndex: asked.partitionIndex,
    errorCode,
    timestamp: found?.timestampMs ?? none,
    offset: found?.offset ?? none,
    leaderEpoch: found?.leaderEpoch ?? none,
  };
}

function refuse(asked: ListOffsetsRequestPartition, errorCode: number): Promise<ListOffsetsResponsePartition> {
  return Promise.resolve(answerOf(asked, errorCode, null));
}

interface Asking {
  readonly isCommittedOnly: boolean;
  /** How long the cold side has. */
  readonly coldWaitMs: number;
  readonly signal: AbortSignal;
}

async function listPartition(
  core: BrokerCore,
  log: PartitionLog,
  asked: ListOffsetsRequestPartition,
  asking: Asking,
): Promise<ListOffsetsResponsePartition> {
  if (log.offline !== undefined) return refuse(asked, kafkaErrors.KAFKA_STORAGE_ERROR);
  const fenced = checkLeaderEpoch(log, asked.currentLeaderEpoch);
  if (fenced !== kafkaErrors.NONE) return refuse(asked, fenced);
  try {
    return answerOf(asked, kafkaErrors.NONE, await find(core, log, asked.timestamp, asking));
  } catch (error) {
    if (!isLakeError(error)) throw error;
    const refusal = toLakeError(error);
    core.logger.warn('offsets cannot be listed', { topic: log.topic, partition: log.partition, error: refusal.message });
    return answerOf(asked, refusal.code === 'log-offline' ? kafkaErrors.KAFKA_STORAGE_ERROR : kafkaErrors.REQUEST_TIMED_OUT, null);
  }
}

function find(core: BrokerCore, log: PartitionLog, timestampMs: number, asking: Asking): Promise<FoundOffset | null> | FoundOffset | null {
  const at = (offset: number): FoundOffset => ({ offset, timestampMs: none, leaderEpoch: log.epochForOffset(offset) });
  switch (timestampMs) {
    case latest:
      return { ...at(asking.isCommittedOnly ? log.lastStableOffset : log.highWatermark), leaderEpoch: log.leaderEpoch };
    case earliest:
      return at(log.logStartOffset);
    case earliestLocal:
      return at(Math.max(log.logStartOffset, log.localStartOffset));
    case latestTiered:
      return log.boundary > log.logStartOffset ? at(log.boundary - 1) : null;
    case earliestPendingUpload:
      return core.topics.byId(log.topicId)?.config.get('remote.storage.enable') === true ? at(log.boundary) : null;
    case maxTimestamp:
      return findLargest(core, log, asking);
    default:
      return findFirst(core, log, timestampMs, asking);
  }
}

/** Everything at or above the local start is on local disk; only what lies below it must be asked of the cold side. */
function isAllLocal(log: PartitionLog): boolean {
  return log.localStartOffset <= log.logStartOffset;
}

async function findFirst(core: BrokerCore, log: PartitionLog, timestampMs: number, asking: Asking): Promise<FoundOffset | null> {
  const { topicId, partition } = log;
  for (;;) {
    let hotFrom = log.logStartOffset;
    if (!isAllLocal(log)) {
      // The cold side speaks for what lies below the boundary as it is now: local copies of that need not be looked at.
      hotFrom = Math.max(log.boundary, log.localStartOffset);
      const place = { topicId, partition, timestampMs, fromOffset: log.logStartOffset, belowOffset: hotFrom };
      const cold = await withDeadline(core, asking, (limited) => core.coldTier.offsetForTimestamp(place, limited));
      if (cold !== null) return cold;
    }
    const hot = await log.offsetForTimestamp(timestampMs, hotFrom);
    if (!hasLost(log, hotFrom)) return hot;
  }
}

async function findLargest(core: BrokerCore, log: PartitionLog, asking: Asking): Promise<FoundOffset | null> {
  const { topicId, partition } = log;
  for (;;) {
    const hotFrom = log.localStartOffset;
    const fromOffset = log.logStartOffset;
    const cold = isAllLocal(log)
      ? null
      : await withDeadline(core, asking, (limited) =>
          core.coldTier.maxTimestamp({ topicId, partition, fromOffset, belowOffset: hotFrom }, limited),
        );
    const hot = await log.maxTimestamp();
    if (hasLost(log, hotFrom) || log.logStartOffset > fromOffset) continue;
    if (cold === null || hot === null) return cold ?? hot;
    if (hot.timestampMs !== cold.timestampMs) return hot.timestampMs > cold.timestampMs ? hot : cold;
    return hot.offset < cold.offset ? hot : cold;
  }
}

/** Whether records at or above `from` were evicted, or deleted, while they were looked for: neither side may have seen them. */
function hasLost(log: PartitionLog, from: number): boolean {
  return log.localStartOffset > from;
}

async function withDeadline<T>(core: BrokerCore, { coldWaitMs, signal }: Asking, ask: (limited: AbortSignal) => Promise<T>): Promise<T> {
  const deadline = new AbortController();
  const stop = runAfter(core.clock, coldWaitMs, () => deadline.abort());
  try {
    return await ask(AbortSignal.any([signal, deadline.signal]));
  } finally {
    stop();
  }
}
