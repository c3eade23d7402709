/** A topic's table before its first commit: its schema is there from the start, its rows and typed columns come with the records. */
import { newTableMetadata, type TableMetadata } from '../iceberg/index.js';
import { type ClusterId, type TimestampMs, type TopicId, type TopicName, uuidOfId } from '../kernel/index.js';
import type { ObjectStore } from '../objects/index.js';
import { tablePrefix } from './bucket-layout.js';
import { baseSchema } from './table-schema.js';

export const clusterIdProperty = 'thermocline.cluster-id';
export const topicIdProperty = 'thermocline.topic-id';
const topicProperty = 'thermocline.topic';

/** Whose table it is. */
export interface TableIdentity {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly clusterId: ClusterId;
}

/**
 * The metadata that a first commit starts from. Its UUID is the topic's id, so that a reader who opened the table before that
 * commit sees the same table after it.
 */
export function newTopicMetadata(store: Pick<ObjectStore, 'location'>, table: TableIdentity, nowMs: TimestampMs): TableMetadata {
  return newTableMetadata({
    uuid: uuidOfId(table.topicId),
    location: store.location(tablePrefix(table.topic, table.topicId)),
    schema: baseSchema,
    properties: {
      [clusterIdProperty]: table.clusterId,
      [topicIdProperty]: table.topicId,
      [topicProperty]: table.topic,
      'write.format.default': 'parquet',
    },
    nowMs,
  });
}
