/**
 * query: SQL and record reads over both tiers as one log, exact at the boundary. Pin, analyze, stage the tail, lease, run.
 *
 * The first query of a tail reads raw chunks and computes typed columns from JSON; behind it larger chunks are encoded by the job that
 * makes cold files. Engines and a column worker start shortly after the service, or with the first query.
 *
 * Owns: query engines (child processes that DuckDB runs in), leases, the tail's chunk files, the cold cache, key filters of cold files: all under one
 * folder that may be deleted at any time; with it go the handles of long tokens, which lie there too.
 * Invariants: an answer holds every record acknowledged before the query began, once; pruning never changes an answer; a query
 * reaches the files of its lease and nothing else, and cannot write; what is running, waiting, staged, cached or sent
 * ahead of its reader is bounded; an engine's death ends its own query only; a chunk gives the same rows in either form.
 * Test: `npx vitest run --config test/vitest.config.ts test/unit/query test/integration/query test/property/query`.
 */
export type { QueryAnswer, RecordsAnswer, WrittenAnswer, WrittenRequest } from './answers.js';
export type { AnswerColumn } from './engine-protocol.js';
export { type AnswerFormat, answerFormats } from './formats/format.js';
export { keyOrders, type KeyRequest } from './key-lookup.js';
export type { ControlPort } from './pin.js';
export type { QueryRequest, RecordPlace, RecordsRequest, RequestLimits, ServiceLimits } from './query-limits.js';
export type { QueryStats } from './query-stats.js';
export type { QueryRecord, RecordHeader } from './records.js';
export { openQueryService, type QueryMetrics, QueryService } from './service.js';
export type { QueryServiceOptions } from './service-parts.js';
export type { QueryPhase, QueryProgress, WatchedQuery } from './progress.js';
export type { GivenParameter } from './parameters.js';
export type { QuerySummary } from './system-tables.js';
