/** Topics and where their records lie: what the broker says of the hot side beside what the tier daemon says of the cold one. */
import type { BrokerState, ControlPeer, PartitionState, TierTopicStatus, TopicState } from '../control/index.js';
import { isLakeError, LakeError, nearestName } from '../kernel/index.js';
import type { Context } from 'hono';

type Control = Pick<ControlPeer, 'call'>;
/** Both answers come from memory; a role that takes longer is stuck. */
const statusTimeoutMs = 10_000;

export async function describeBroker(control: Control, topic?: string): Promise<BrokerState> {
  return control.call('broker.describe', topic === undefined ? {} : { topic }, { timeoutMs: statusTimeoutMs });
}

/** One topic's state. Errors: `topic-unknown` with the nearest known name. */
export async function describeTopic(control: Control, name: string): Promise<TopicState> {
  try {
    const topic = (await describeBroker(control, name)).topics.find((candidate) => candidate.name === name);
    if (topic !== undefined) return topic;
  } catch (error) {
    if (!isLakeError(error, 'topic-unknown')) throw error;
  }
  const near = nearestName(
    name,
    (await describeBroker(control)).topics.map((candidate) => candidate.name),
  );
  throw new LakeError('topic-unknown', `there is no topic "${name}"`, {
    hint: near === undefined ? '`thermocline topic list` lists the topics.' : `Did you mean ${near}?`,
    facts: { topic: name },
  });
}

function summary(topic: TopicState): Record<string, unknown> {
  return {
    name: topic.name,
    id: topic.id,
    internal: topic.isInternal,
    tiered: topic.isTiered,
    partitions: topic.partitions.length,
    records: topic.partitions.reduce((sum, p) => sum + p.highWatermark - p.logStartOffset, 0),
    hot_bytes: topic.partitions.reduce((sum, p) => sum + p.hotBytes, 0),
  };
}

export function topicsRoute(control: Control): (c: Context) => Promise<Response> {
  return async (c) => c.json({ topics: (await describeBroker(control)).topics.map(summary) });
}

export function topicRoute(control: Control): (c: Context) => Promise<Response> {
  return async (c) => {
    const topic = await describeTopic(control, c.req.param('topic')!);
    const { cold } = await coldStatus(control, topic);
    return c.json({
      ...summary(topic),
      config: topic.config,
      overrides: topic.overrides,
      partitions: topic.partitions.map((p) => ({
        partition: p.partition,
        log_start_offset: logStartOf(p, cold),
        high_watermark: p.highWatermark,
        leader_epoch: p.leaderEpoch,
        ...(p.offline === undefined ? {} : { offline: p.offline }),
      })),
    });
  };
}

/** A tier daemon that is away makes the cold columns null; the hot side is answered all the same, and says so. */
async function coldStatus(control: Control, topic: TopicState): Promise<{ cold: TierTopicStatus | null; note?: string }> {
  if (!topic.isTiered) return { cold: null, note: 'the topic is not tiered' };
  try {
    const { topics } = await control.call('tier.status', { topic: topic.name }, { timeoutMs: statusTimeoutMs });
    return { cold: topics.find((status) => status.topicId === topic.id) ?? null };
  } catch (error) {
    if (isLakeError(error, 'cold-unavailable', 'timeout', 'peer-gone')) return { cold: null, note: error.message };
    throw error;
  }
}

/** Whichever of broker and table has heard first of what was deleted. */
function logStartOf({ partition, logStartOffset }: PartitionState, cold: TierTopicStatus | null): number {
  return Math.max(logStartOffset, cold?.partitions.find((p) => p.partition === partition)?.logStartOffset ?? 0);
}

export function storageRoute(control: Control): (c: Context) => Promise<Response> {
  return async (c) => {
    const topic = await describeTopic(control, c.req.param('topic')!);
    const { cold, note } = await coldStatus(control, topic);
    const coldOf = new Map(cold?.partitions.map((p) => [p.partition, p]));
    const partitions = topic.partitions.map((p) => ({
      partition: p.partition,
      log_start_offset: logStartOf(p, cold),
      local_start_offset: p.localStartOffset,
      boundary: p.boundary,
      flushed_offset: p.flushedOffset,
      high_watermark: p.highWatermark,
      hot_bytes: p.hotBytes,
      segments: p.segments,
      cold_bytes: coldOf.get(p.partition)?.bytes ?? null,
      cold_files: coldOf.get(p.partition)?.files ?? null,
      pending_bytes: coldOf.get(p.partition)?.pendingBytes ?? null,
      lag_records: topic.isTiered ? p.highWatermark - p.boundary : null,
      ...(coldOf.get(p.partition)?.holes === undefined ? {} : { holes: coldOf.get(p.partition)?.holes }),
      ...(coldOf.get(p.partition)?.error === undefined ? {} : { error: coldOf.get(p.partition)?.error }),
    }));
    return c.json({
      topic: topic.name,
      id: topic.id,
      tiered: topic.isTiered,
      metadata_version: cold?.metadataVersion ?? null,
      cold_rows: cold?.coldRows ?? null,
      cold_bytes: cold?.coldBytes ?? null,
      hot_bytes: topic.partitions.reduce((sum, p) => sum + p.hotBytes, 0),
      ...(note === undefined ? {} : { note }),
      partitions,
    });
  };
}
