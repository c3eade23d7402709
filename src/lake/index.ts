/**
 * lake: COLD. What of a topic is in the bucket: the layout of the bucket, whose it is, a topic's table with its boundaries, and
 * which files a question needs.
 *
 * Owns: object names, the table properties `thermocline.*`. Knows nothing of the log or of SQL.
 * Invariants: the table's metadata is the only truth about what is cold; files and boundaries change in one conditional
 * write; a boundary only grows; every offset below it is in at most one file; a prefix belongs to one cluster.
 * Test: `npx vitest run --config test/vitest.config.ts --project unit test/unit/lake test/property/lake`.
 */
export {
  dataFileKey,
  type DataFileName,
  dataPrefix,
  identityKey,
  parseDataFilePath,
  parseTopicKey,
  tablePrefix,
  topicsPrefix,
} from './bucket-layout.js';
export { type BucketIdentity, claimBucket, readIdentity } from './identity.js';
export { type BoundarySample, boundaryOf, parseSamples, partitionsProperty, samplesProperty } from './partition-vector.js';
export { type FileFilter, type FilePlan, filesOfPartition, findFile, planFiles } from './plan-files.js';
export { baseSchema, columnsProperty, isSameColumn } from './table-schema.js';
export type { ColdFile, NewColdFile, PartitionCold, RangeMove, TableChange, TableSnapshot } from './table-snapshot.js';
export { clusterIdProperty, openTopicTable, topicIdProperty, topicProperty, type TopicTable, type TopicTablePorts } from './topic-table.js';
