/**
 * wire: the Kafka protocol sans I/O. Messages of every version, frames, record batches, compression, error codes.
 *
 * Owns: what bytes mean. Opens no socket and no file.
 * Invariants: nothing is inflated, counted or allocated beyond a bound known from the bytes that are there; no object per
 * record; offsets and timestamps are safe integers or refused.
 * Test: `npx vitest run --config test/vitest.config.ts --project unit test/unit/wire`.
 */
export * from './compression.js';
export * from './record-batch.js';
export * from './record-batch-writer.js';
export * from './record-cursor.js';
export * from './varint.js';
