/**
 * kernel: what every room may use and none owns. Errors, invariants, ids, time, randomness, bounds, units.
 *
 * Owns: the error catalogue and the vocabulary of ids. Imports nothing.
 * Invariants: the ambient clock and randomness are read here only; a LakeError's code is stable.
 * Test: `npx vitest run --config test/vitest.config.ts --project unit test/unit/kernel`.
 */
export * from './abortable.js';
export * from './backoff.js';
export * from './bounded.js';
export * from './clock.js';
export * from './disk.js';
export * from './durable-file.js';
export * from './entry.js';
export * from './errno.js';
export * from './errors.js';
export * from './first-index.js';
export * from './give-way.js';
export * from './ids.js';
export * from './invariant.js';
export * from './near.js';
export * from './random.js';
export * from './recently-used.js';
export * from './sum.js';
export * from './text-table.js';
export * from './time-text.js';
export * from './under-way.js';
export * from './units.js';
