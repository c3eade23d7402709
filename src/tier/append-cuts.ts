/** What a commit adds to what the table knows of times past: what had been appended since, as far as the commit brings it into the table. */
import type { AppendCut } from '../control/index.js';
import type { TopicId, TopicName } from '../kernel/index.js';
import type { RangeMove, TableSnapshot } from '../lake/index.js';
import type { Logger } from '../telemetry/index.js';
import { withDeadline } from './deadline.js';
import type { TierPorts } from './ports.js';

/** Never fails: a commit does not wait for it, and the next one asks for what this one did not get. */
export async function appendedSince(
  { broker, clock, settings }: TierPorts,
  topic: { readonly name: TopicName; readonly id: TopicId },
  snapshot: TableSnapshot | undefined,
  moves: readonly RangeMove[],
  logger: Logger,
  signal: AbortSignal,
): Promise<readonly AppendCut[]> {
  const endOffsets = new Map(snapshot?.partitions.map(({ partition, boundary }) => [partition, boundary]));
  for (const { partition, to } of moves) endOffsets.set(partition, to);
  const ends = [...endOffsets].map(([partition, endOffset]) => ({ partition, endOffset }));
  const last = snapshot?.appended.at(-1);
  const params = { topicId: topic.id, afterMs: last === undefined ? 0 : last.atMs + 1, ends };
  try {
    const answer = await withDeadline('broker.append-cuts', settings.brokerTimeoutMs, clock, signal, (inner) =>
      broker.call('broker.append-cuts', params, { signal: inner }),
    );
    return answer.cuts;
  } catch (error) {
    if (!signal.aborted) logger.warn('the table is not told what was appended when; the next commit tells it', { error });
    return [];
  }
}
