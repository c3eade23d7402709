/** What a topic's tiering says of itself, from what is in memory. */
import type { TierTopicStatus } from '../control/index.js';
import { boundaryOf, filesOfPartition } from '../lake/index.js';
import type { TopicTier } from './topic-tier.js';

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
        files: own.length,
        bytes: own.reduce((sum, file) => sum + file.bytes, 0),
        pendingBytes: p.spool.rawBytes,
        ...(p.error === undefined ? {} : { error: p.error.message }),
      };
    }),
  };
}
