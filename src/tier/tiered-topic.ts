/** A topic as those see it who cut it and commit it. */
import type { PartitionId, TopicId, TopicName } from '../kernel/index.js';
import type { TopicTable } from '../lake/index.js';
import type { TopicSettings } from './settings.js';
import type { TieredPartition } from './tiered-partition.js';

export interface TieredTopic {
  readonly name: TopicName;
  readonly id: TopicId;
  readonly table: TopicTable;
  readonly partitions: ReadonlyMap<PartitionId, TieredPartition>;
  readonly settings: TopicSettings;
  /** Aborted when the topic is closed or the daemon stops. */
  readonly signal: AbortSignal;
}
