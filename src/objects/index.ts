/**
 * objects: where bytes are kept. One port (`ObjectStore`), its adapters (a directory, S3, memory, and one that fails as
 * told), a bounded local cache, and the probe that tells whether a bucket keeps its word.
 *
 * Owns: nothing in the bucket but `cluster/probe/…` while probing; a directory store owns its hidden folder.
 * Invariants: a put is durable and whole or not there; with `ifAbsent` one writer wins; a lost answer is never taken for
 * a failure (`isOutcomeUnknown`); every call on S3 ends within `callLimitMs`, and retries of all callers share one budget; every
 * request is counted (`RequestCounters`); one contract suite holds for all adapters.
 * Test: `npx vitest run --config test/vitest.config.ts test/unit/objects test/contract/object-store`, and with a
 * real server `THERMOCLINE_TEST_VERSITYGW=<binary> … --project conformance test/conformance/object-store-s3`.
 */
export { type BucketSetup, leastRightsPolicy, type SetupState, type SetupStep, setUpBucket } from './bucket-setup.js';
export { isOutcomeUnknown } from './errors.js';
export { answerLost, faultyStore, unavailable, type FaultPlan, type StoreCall, type StoreOperation } from './faulty-store.js';
export { LocalCache, type CacheLease, type CacheStats } from './local-cache.js';
export { MemoryStore } from './memory-store.js';
export type { ByteRange, ObjectBody, ObjectInfo, ObjectStore, PutOptions } from './object-store.js';
export { type BucketPlace, openObjectStore, type OpenStoreOptions, parseBucketUrl } from './open.js';
export { probeConditionalWrites, type ProbeOptions } from './probe.js';
export { type ListProbe, probeLists } from './probe-lists.js';
export { type S3Address, s3Address } from './s3-client.js';
export { RequestCounters, type RequestOperation, type RequestOutcome } from './request-counters.js';
