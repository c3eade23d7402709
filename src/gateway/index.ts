/**
 * gateway: HTTP over the service. SQL, records, topics, storage, tier commands, the Iceberg catalog, health and metrics.
 *
 * Owns: the routes, the mapping of errors to problem+json, what keeps foreign web pages out, and the
 * OpenAPI document of all that.
 * Invariants: a body is streamed at its reader's pace; a late error is visible; closing a connection cancels its query.
 * Test: `npx vitest run --config test/vitest.config.ts --project unit test/unit/gateway`.
 */
export { type Gateway, gatewayApp, type GatewayOptions, startGateway } from './app.js';
export { isLoopback, ownHeader } from './guard.js';
export { openapiDocument } from './openapi.js';
export { type Problem, problemOf } from './problem.js';
export { parseRecords, type RecordInput, type RecordSink } from './records-route.js';
export { timeOf } from './request-values.js';
