/**
 * client: a small Kafka client over wire. Reads the log as whole batches, produces records and batches, asks for topics.
 *
 * Owns: its connections, and what a producer has buffered. One broker at a time; groups are left to other clients.
 * Invariants: a long poll never holds up another question; what is buffered and under way is bounded; a partition's batches are
 * sent in order, and an idempotent producer's retry is appended once; a lost connection is made again by the next call.
 * Test: `npx vitest run --config test/vitest.config.ts --project unit test/unit/client`.
 */
export * from './admin.js';
export * from './bootstrap.js';
export * from './connection.js';
export * from './kafka-error.js';
export * from './kafka-log-reader.js';
export * from './log-reader.js';
export * from './partitioner.js';
export * from './producer.js';
export * from './read-partition.js';
