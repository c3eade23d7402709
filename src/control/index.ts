/**
 * control: what the roles tell each other besides Kafka's protocol, and the socket it goes over.
 *
 * Owns: the messages, their frames, the Unix socket's file. Knows nothing of what a method does.
 * Invariants: only messages cross a process border; peers are of the same version; every frame, every set of calls under way
 * and every answer's lead over its reader is bounded; an answer comes after all its parts.
 * Test: `npx vitest run --config test/vitest.config.ts --project unit test/unit/control`.
 */
export * from './address.js';
export { callsInFlightMax, partsInFlightMax } from './connection.js';
export { frameBytesMax } from './frames.js';
export * from './messages.js';
export * from './pair.js';
export * from './route.js';
export * from './socket.js';
export { viewUnknown } from './view-unknown.js';
