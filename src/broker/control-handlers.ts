/** What the broker answers on the control socket: its state, flushes, damage, boundary moves, eviction, dropped topics, what the bucket keeps of it, what its topics were at a time. */
import { formatHostPort } from '../config/index.js';
import type { BoundaryMove, ControlHandlers, PartitionState, TopicState } from '../control/index.js';
import { isLakeError, LakeError, type PartitionId, type TopicId } from '../kernel/index.js';
import type { PartitionLog } from '../log/index.js';
import { appendTimeHandlers } from './append-times.js';
import { clusterStateHandler } from './cluster-state.js';
import type { BrokerCore } from './core.js';
import { scrubHandlers } from './scrub-now.js';
import type { Topic } from './topics.js';
import { viewHandlers } from './views.js';

export function brokerControlHandlers(core: BrokerCore): ControlHandlers {
  return {
    ...clusterStateHandler(core),
    ...viewHandlers(core),
    ...appendTimeHandlers(core),
    ...scrubHandlers(core),

    'broker.describe': async ({ topic }) => ({
      clusterId: core.clusterId,
      nodeId: core.nodeId,
      kafka: formatHostPort(core.advertised()),
      topics: chosen(core, topic).map(topicState),
      dropped: core.store.dropped,
      views: core.store.views,
      diskFreeBytes: core.disk.freeBytes,
    }),

    'broker.flush': async ({ topicId, partitions }) => {
      const topic = known(core, topicId);
      const flushed = partitions.map(async ({ partition, upTo }) => {
        const log = partitionOf(topic, partition);
        const { flushedOffset, leaderEpoch } = await log.flush(upTo === 'end' ? log.logEndOffset : upTo);
        return { partition, flushedOffset, leaderEpoch, lastStableOffset: log.lastStableOffset };
      });
      return { partitions: await Promise.all(flushed) };
    },

    'broker.examine': async ({ topicId, partition, from, to }) => {
      const damage = await partitionOf(known(core, topicId), partition).verify(from, to);
      return damage === undefined ? {} : { damage: damage.message };
    },

    'broker.boundary-moved': async ({ topicId, commitId, partitions }) => {
      const topic = known(core, topicId);
      const accepted: PartitionId[] = [];
      const alarms: string[] = [];
      // At once: all that are noted together share one write of the checkpoint.
      const outcomes = await Promise.all(partitions.map((move) => moveBoundary(topic, move)));
      if (outcomes.some(({ hasRaisedLogStart }) => hasRaisedLogStart)) core.disk.maintainSoon();
      for (const { move, alarm } of outcomes) {
        if (alarm === undefined) {
          accepted.push(move.partition);
        } else {
          alarms.push(alarm);
          core.logger.error(`boundary not applied: ${alarm}`, { topic: topic.record.name, commitId, ...move });
        }
      }
      return { accepted, alarms };
    },

    'broker.evict': async ({ topic }) => {
      const topics = chosen(core, topic).filter(({ isTiered }) => isTiered);
      const { segments, bytes } = await core.log.evictAll(topics.flatMap(({ partitions }) => [...partitions.values()]));
      core.counters.evictedBytes += bytes;
      return { evictedSegments: segments, evictedBytes: bytes, topics: topics.map(topicState) };
    },

    'broker.topic-dropped': async ({ topicId }) => {
      if (core.store.dropped.some(({ id }) => id === topicId)) await core.store.forgetDropped(topicId);
      return {};
    },
  };
}

export function topicState(topic: Topic): TopicState {
  const { record, config, isTiered, partitions } = topic;
  return {
    name: record.name,
    id: record.id,
    isInternal: record.isInternal,
    isTiered,
    config: Object.fromEntries(config.entries().map(({ name, text }) => [name, text])),
    overrides: record.overrides,
    partitions: [...partitions.values()].map(partitionState),
  };
}

function partitionState(log: PartitionLog): PartitionState {
  return {
    partition: log.partition,
    logStartOffset: log.logStartOffset,
    localStartOffset: log.localStartOffset,
    boundary: log.boundary,
    flushedOffset: log.flushedOffset,
    highWatermark: log.highWatermark,
    lastStableOffset: log.lastStableOffset,
    leaderEpoch: log.leaderEpoch,
    hotBytes: log.hotBytes,
    tailBytes: log.tailBytes,
    segments: log.segmentCount,
    compactedOffset: log.compactedOffset,
    ...offlineOf(log),
  };
}

function offlineOf({ offline }: PartitionLog): Pick<PartitionState, 'offline' | 'offlineHint'> {
  if (offline === undefined) return {};
  const hint = isLakeError(offline) ? offline.hint : undefined;
  return { offline: offline.message, ...(hint === undefined ? {} : { offlineHint: hint }) };
}

/** One topic by name, or all. Errors: `topic-unknown`. */
function chosen(core: BrokerCore, name: string | undefined): Topic[] {
  if (name === undefined) return [...core.topics.all];
  const topic = core.topics.byName(name);
  if (topic === undefined) throw new LakeError('topic-unknown', `there is no topic ${name}`, { facts: { topic: name } });
  return [topic];
}

function known(core: BrokerCore, topicId: TopicId): Topic {
  const topic = core.topics.byId(topicId);
  if (topic !== undefined) return topic;
  const dropped = core.store.dropped.find(({ id }) => id === topicId);
  const what = dropped === undefined ? `there is no topic of id ${topicId}` : `topic ${dropped.name} (${topicId}) is deleted`;
  throw new LakeError('topic-unknown', what, { facts: { topicId } });
}

function partitionOf(topic: Topic, partition: PartitionId): PartitionLog {
  const log = topic.partitions.get(partition);
  if (log !== undefined) return log;
  throw new LakeError('partition-unknown', `topic ${topic.record.name} has no partition ${partition}`, {
    facts: { topic: topic.record.name, partition },
  });
}

interface Moved {
  readonly move: BoundaryMove;
  /** Why the boundary was not applied. */
  readonly alarm?: string;
  readonly hasRaisedLogStart: boolean;
}

async function moveBoundary(topic: Topic, move: BoundaryMove): Promise<Moved> {
  const log = topic.partitions.get(move.partition);
  const before = log?.logStartOffset ?? 0;
  const alarm = await alarmOf(topic, log, move);
  return { move, hasRaisedLogStart: (log?.logStartOffset ?? 0) > before, ...(alarm === undefined ? {} : { alarm }) };
}

/** Applies a move, or answers why it was not. A boundary above the log's end means another log's table, or a lost log. */
async function alarmOf(
  topic: Topic,
  log: PartitionLog | undefined,
  { partition, boundary, logStartOffset }: BoundaryMove,
): Promise<string | undefined> {
  const where = `${topic.record.name}-${partition}`;
  if (log === undefined) return `${where}: there is no such partition`;
  if (!topic.isTiered) return `${where}: the topic is not tiered`;
  if (boundary > log.logEndOffset) return `${where}: boundary ${boundary} is above the log end ${log.logEndOffset}`;
  if (logStartOffset > boundary) return `${where}: log start ${logStartOffset} is above the boundary ${boundary}`;
  if (boundary < log.boundary) return undefined;
  try {
    await log.moveBoundary(boundary, logStartOffset);
    return undefined;
  } catch (error) {
    return `${where}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
