/**
 * What topics were at a time, by when the broker appended: the broker says it as far back as it remembers, the table of a topic for times
 * before that, as far as they are in it.
 */
import type { BrokerState, TopicState } from '../control/index.js';
import { LakeError, type Offset, type PartitionId, type TimestampMs, type TopicId } from '../kernel/index.js';
import type { TableSnapshot } from '../lake/index.js';
import type { ControlPort } from './pin.js';
import type { Tables } from './tables.js';

export interface TopicMoment {
  /** At most the time asked for: the records below the ends are exactly those that had been appended then. */
  readonly atMs: TimestampMs;
  /** A partition that is missing had no record. */
  readonly ends: ReadonlyMap<PartitionId, Offset>;
}

export type Moment = ReadonlyMap<TopicId, TopicMoment>;

/** Errors: `as-of-future`, `as-of-unknown` for a time before all that is remembered, those of broker and table. */
export async function momentOf(
  ports: { readonly control: ControlPort; readonly tables: Tables },
  broker: BrokerState,
  topics: readonly TopicState[],
  atMs: TimestampMs,
  signal: AbortSignal,
): Promise<Moment> {
  const moments = new Map<TopicId, TopicMoment>();
  const answer = await ports.control.call('broker.as-of', { topicIds: topics.map(({ id }) => id), atMs }, { signal });
  for (const topic of topics) {
    const known = answer.topics.find(({ topicId }) => topicId === topic.id);
    if (known?.cut !== undefined) {
      const ends = new Map(known.cut.partitions.map(({ partition, endOffset }) => [partition, endOffset]));
      moments.set(topic.id, { atMs: known.cut.atMs, ends });
      continue;
    }
    const snapshot = await ports.tables.snapshot(broker.clusterId, topic, signal);
    moments.set(topic.id, inTable(topic, snapshot, atMs, known?.sinceMs));
  }
  return moments;
}

function inTable(topic: TopicState, { appended }: TableSnapshot, atMs: TimestampMs, brokerSinceMs: TimestampMs | undefined): TopicMoment {
  const cut = appended.findLast((candidate) => candidate.atMs <= atMs);
  if (cut !== undefined) return { atMs: cut.atMs, ends: new Map(cut.endOffsets.map((end, partition) => [partition, end])) };
  const since = Math.min(appended[0]?.atMs ?? Number.MAX_SAFE_INTEGER, brokerSinceMs ?? Number.MAX_SAFE_INTEGER);
  const isKnown = since < Number.MAX_SAFE_INTEGER;
  throw new LakeError('as-of-unknown', `it is not known what ${topic.name} was at ${textOf(atMs)}`, {
    hint: isKnown
      ? `Ask as of ${textOf(since)} or later: when the topic was created, or since when it is noted what was appended when.`
      : 'Nothing is noted of what was appended when: pass the snapshot of an earlier answer, or leave as_of out.',
    facts: { topic: topic.name, atMs, ...(isKnown ? { sinceMs: since } : {}) },
  });
}

function textOf(ms: TimestampMs): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}

/** Of several topics the earliest: each is exactly as it was at its own. */
export function earliestMs(moment: Moment): TimestampMs | undefined {
  return moment.size === 0 ? undefined : Math.min(...[...moment.values()].map(({ atMs }) => atMs));
}
