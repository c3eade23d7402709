/**
 * server: the three roles, put together and kept alive. The only room that knows everyone.
 *
 * Owns: wiring, supervision, start order, shutdown. Invariants: nothing but messages crosses a process border; a role that
 * dies is started again; a refusal at start ends the service with its reason; a clean stop takes at most ten seconds.
 * Test: `npx vitest run --config test/vitest.config.ts --project acceptance`.
 */
export { type BucketQuery, openBucketQuery } from './bucket-query.js';
export { httpTokenOf } from './http-token.js';
export { emit, type LifecycleEvent, outliveReaders, stopDeadlineMs, stopSignal } from './lifecycle.js';
export { recover, type RecoverProgress, type RecoverReport } from './recover.js';
export { type RoleName, type RunningRole, storeOptions } from './role.js';
export { runRole } from './roles.js';
export { serve, type Service } from './supervisor.js';
