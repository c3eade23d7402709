/**
 * broker: the Kafka server. Listener, one handler an API, classic groups, topics, delayed fetch, cold reads through a cache.
 *
 * Owns: `meta.properties`, `metadata.json`, `recover.json` and `cache/chunks/` in the data directory; the topics; the groups in
 * `__consumer_offsets`. Knows neither table nor bucket: the cold side is a port (`ColdTier`).
 * Invariants: a connection's answers go out in the order of its requests; malformed input costs its connection one log line and
 * nothing else; what is held for a client is bounded; whole batches only; OFFSET_OUT_OF_RANGE only below the true log start
 * or above the end; offsets are committed durably before the answer.
 * Test: `npx vitest run --config test/vitest.config.ts --project unit test/unit/broker`; real clients in `test/conformance`.
 */
export { readRecoverJournal, recoverJournalFile, writeRecoverJournal } from './recover-journal.js';
export { type BrokerRestore, restoreBroker } from './restore.js';
export { type Broker, startBroker } from './broker.js';
export type { BrokerOptions } from './open-core.js';
export type { ColdPartition, ColdTier, FoundOffset } from './cold-tier.js';
