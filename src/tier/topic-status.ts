/** What a topic's tiering says of itself, from what is in memory. */
import type { TierTopicStatus } from '../control/index.js';
import type { PartitionId } from '../kernel/index.js';
import { boundaryOf, filesOfPartition, logStartOf, type TableSnapshot } from '../lake/index.js';
import type { TopicTier } from './topic-tier.js';

function holesOf(snapshot: TableSnapshot | undefined, partition: PartitionId): Pick<TierTopicStatus['partitions'][number], 'holes'> {
  const own = snapshot?.holes.filter((hole) => hole.partition === partition) ?? [];
  return own.length === 0 ? {} : { holes: own.map(({ from, to }) => ({ from, to })) };
}

export function statusOf(topic: TopicTier): TierTopicStatus {
  const { snapshot } = topic.table;
  const files = snapshot?.files ?? [];
  return {
    topic: topic.name,
    topicId: topic.id,
    metadataVersion: snapshot?.metadataVersion ?? 0,
    files: files.length,
    coldBytes: files.reduce((sum, file) => sum + file.bytes, 0),
    coldRows: files.reduce((sum, file) => sum + file.rows, 0),
    partitions: [...topic.partitions.values()].map((p) => {
      const own = snapshot === undefined ? [] : filesOfPartition(snapshot, p.partition);
      return {
        partition: p.partition,
        boundary: snapshot === undefined ? 0 : boundaryOf(snapshot.partitions, p.partition),
        logStartOffset: snapshot === undefined ? 0 : logStartOf(snapshot.partitions, p.partition),
        files: own.length,
        bytes: own.reduce((sum, file) => sum + file.bytes, 0),
        pendingBytes: p.spool.rawBytes,
        ...holesOf(snapshot, p.partition),
        ...(p.error === undefined ? {} : { error: p.error.message }),
      };
    }),
  };
}
