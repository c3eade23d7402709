/**
 * lake: COLD. What of a topic is in the bucket: the layout of the bucket, whose it is, a topic's table with its boundaries, and
 * which files a question needs.
 *
 * Owns: object names, the table properties `thermocline.*`, the format of the cluster's state. Knows nothing of the log or of SQL.
 * Invariants: the table's metadata is the only truth about what is cold; files and boundaries change in one conditional
 * write; boundary and log start only grow; every offset below the boundary is in at most one file, and no file lies wholly below the
 * log start; a prefix belongs to one cluster.
 * Test: `npx vitest run --config test/vitest.config.ts test/unit/lake test/property/lake`.
 */
export { type BucketTopic, bucketTopics, clusterOfTable } from './bucket-topics.js';
export { clusterStateKey, dataFileKey, identityKey, parseDataFilePath, parseTopicKey, tablePrefix, topicsPrefix } from './bucket-layout.js';
export { type ClusterState, encodeClusterState, parseClusterState } from './cluster-state.js';
export { findClusterState, type FoundState, writeClusterState } from './cluster-states.js';
export { type DroppedTable, droppedTables, forgetDroppedTable } from './dropped-tables.js';
export { blocksOf } from './file-index.js';
export type { GarbageKind, GarbageObject, GarbageRules } from './garbage.js';
export type { Hole } from './holes.js';
export { claimBucket, readIdentity } from './identity.js';
export { newTopicMetadata, type TableIdentity } from './new-table.js';
export { boundaryOf, logStartOf, parseSamples, partitionsProperty, samplesProperty } from './partition-vector.js';
export { filesOfPartition, findFile, planFiles } from './plan-files.js';
export { isSameColumn } from './table-schema.js';
export type {
  BoundarySample,
  ColdFile,
  FileRewrite,
  LogStartMove,
  NewColdFile,
  PartitionCold,
  RangeMove,
  TableChange,
  TableSnapshot,
} from './table-snapshot.js';
export { openTopicTable, type TopicTable } from './topic-table.js';
