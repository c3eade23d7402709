/**
 * `broker.as-of` and `broker.append-cuts`: what topics were at a time, by when the broker appended: for queries as of a time, and for what
 * the tables keep of it.
 */
import type { ControlHandlers, TopicAsOf } from '../control/index.js';
import { LakeError, type Offset, type TimestampMs, type TopicId } from '../kernel/index.js';
import { cutAt, cutsBetween, type PartitionLog } from '../log/index.js';
import type { BrokerCore } from './core.js';

export function appendTimeHandlers(core: BrokerCore): Required<Pick<ControlHandlers, 'broker.as-of' | 'broker.append-cuts'>> {
  return {
    'broker.as-of': async ({ topicIds, atMs }) => {
      const nowMs = core.clock.nowMs();
      if (atMs > nowMs) throw notYet(atMs, nowMs);
      const topics = topicIds.map((topicId) => topicSince(topicId, logsOf(core, topicId)));
      const known = topics.filter(({ sinceMs }) => sinceMs <= atMs);
      const logs = known.flatMap((topic) => topic.logs);
      const askedMs = Math.min(atMs, settledMs(logs, nowMs));
      // One time for all of them, but where one knows nothing of it: then each has its own.
      const common = await cutAt(logs.map(spansOf), askedMs);
      let first = 0;
      for (const topic of known) {
        const cut = common ?? (await cutAt(topic.logs.map(spansOf), askedMs));
        const from = common === undefined ? 0 : first;
        first += topic.logs.length;
        if (cut === undefined) continue;
        const ends = topic.logs.map((log, index) => endOf(log, cut.endOffsets[from + index] ?? 0));
        topic.cut = { atMs: cut.atMs, partitions: await Promise.all(ends) };
      }
      return {
        topics: topics.map(({ topicId, sinceMs, cut }): TopicAsOf => ({ topicId, sinceMs, ...(cut === undefined ? {} : { cut }) })),
      };
    },

    'broker.append-cuts': async ({ topicId, afterMs, ends }) => {
      const logs = logsOf(core, topicId);
      const endOffsets = new Map(ends.map(({ partition, endOffset }) => [partition, endOffset]));
      const parts = logs.map((log) => ({ spans: spansOf(log), endOffset: endOffsets.get(log.partition) ?? 0 }));
      const nowMs = core.clock.nowMs();
      // A table keeps it: not as of a time that a clock which was set back has yet to come to, since a restart may forget it.
      const cuts = await cutsBetween(parts, afterMs, Math.min(nowMs - 1, settledMs(logs, nowMs)));
      const width = Math.max(-1, ...logs.map((log) => log.partition)) + 1;
      return {
        cuts: cuts.map((cut) => {
          const endOffsets = Array.from<Offset>({ length: width }).fill(0);
          logs.forEach((log, index) => (endOffsets[log.partition] = cut.endOffsets[index] ?? 0));
          return { atMs: cut.atMs, endOffsets };
        }),
      };
    },
  };
}

interface AskedTopic {
  readonly topicId: TopicId;
  readonly logs: readonly PartitionLog[];
  readonly sinceMs: TimestampMs;
  cut?: TopicAsOf['cut'];
}

function topicSince(topicId: TopicId, logs: readonly PartitionLog[]): AskedTopic {
  const sinceMs = Math.max(0, ...logs.map((log) => log.appendsKnownSinceMs ?? Number.MAX_SAFE_INTEGER));
  return { topicId, logs, sinceMs };
}

/** From here on nothing that is appended counts as of the time or earlier: the present moment where no log counts later already. */
function settledMs(logs: readonly PartitionLog[], nowMs: TimestampMs): TimestampMs {
  return logs.length === 0 ? nowMs - 1 : Math.min(...logs.map((log) => log.settledAppendMs(nowMs)));
}

const spansOf = (log: PartitionLog) => () => log.appendSpans();

/** On disk before it is told: what an answer was given from must not be lost. */
async function endOf(log: PartitionLog, endOffset: Offset) {
  if (endOffset > log.flushedOffset) await log.flush(endOffset);
  return { partition: log.partition, endOffset };
}

/** Errors: `topic-unknown`. */
function logsOf(core: BrokerCore, topicId: TopicId): readonly PartitionLog[] {
  const topic = core.topics.byId(topicId);
  if (topic === undefined) throw new LakeError('topic-unknown', `there is no topic of id ${topicId}`, { facts: { topicId } });
  return [...topic.partitions.values()];
}

function notYet(atMs: TimestampMs, nowMs: TimestampMs): LakeError {
  const [asked, now] = [atMs, nowMs].map((ms) => new Date(ms).toISOString());
  return new LakeError('as-of-future', `${asked} has not come yet: the broker's clock says ${now}`, {
    hint: 'Leave as_of out to ask as of now; the snapshot of the answer repeats it.',
    facts: { atMs, nowMs },
  });
}
