/**
 * log: the hot side. Partitions of segment files in Apache Kafka's on-disk format, on the local disk of one broker.
 *
 * Owns: everything under `<data-dir>/log`: segments, indexes, producer snapshots, leader epochs, checkpoints, the lock.
 * Invariants: log start ≤ … < boundary ≤ flushed offset ≤ log end; what was flushed survives any kill; a batch is appended
 * as it came but for base offset, leader epoch and what the topic's configuration asks for (codec, append time); a failed flush is never
 * tried again; only whole segments below the boundary are evicted, and only after the boundary is on disk; an offset is never used twice
 * in one leader epoch; compaction drops records, never the range of offsets that a segment stands for.
 * Test: `npx vitest run --config test/vitest.config.ts test/unit/log test/property/log test/golden/log`.
 */
export { cutAt, cutsBetween } from './append-spans.js';
export { type DirectoryLock, isLockFile, lockDirectory } from './directory-lock.js';
export type { CompactionRules } from './compaction-plan.js';
export type { Compactor } from './compaction-pool.js';
export type {
  AppendResult,
  CompactionTally,
  EvictResult,
  HotLog,
  HotLogOptions,
  LogConfig,
  LogRead,
  PartitionLog,
  PartitionStart,
  Scrubbed,
  ScrubFound,
  ScrubWatch,
  ScrubLimits,
} from './hot-log.js';
export type { Flusher } from './flush-pool.js';
export { type HotLogPorts, openHotLog } from './open-hot-log.js';
export { returnReadBuffers, withoutSlack } from './read-buffers.js';
export { BatchThreads, type CompressionRule, targetEncoding } from './batch-threads.js';
export { type ProduceRules, soleBatch, validateProduceBatch } from './validate-produce.js';
