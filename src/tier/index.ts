/**
 * tier: the daemon that turns what has cooled into the table. Follow, cut, verify, commit, tell the broker; hydrate on demand;
 * and what of a bucket a lost service is restored from.
 *
 * Owns: the tables and `cluster/` in the bucket, its folder of spools. Reads the log like every other Kafka client.
 * Invariants: only flushed offsets below the last stable one are committed; nothing is committed that was not read back from the
 * bucket and compared; a range is committed once, whoever commits it; no partition holds up another; every wait ends.
 * Test: `npx vitest run --config test/vitest.config.ts test/unit/tier test/integration/tier test/property/tier`.
 */
export { readBucket, type RecoverPorts } from './recover/bucket-contents.js';
export { commitHoles } from './recover/commit-holes.js';
export { offsetGapDefault } from './recover/opening.js';
export { planRecovery, type RecoveredRow, recoveredRows, type RecoverPlan } from './recover/plan.js';
export type { TierSettings } from './settings.js';
export { startTier, type TierDaemon } from './tier-daemon.js';
