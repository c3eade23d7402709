/**
 * wire: the Kafka protocol without I/O. Messages of every version served, frames, headers, record batches, compression, error codes.
 *
 * Owns: the message notation and the definitions in `apis/` (one file an API key, all versions); the codec compiled from them;
 * frames and their bound; Kafka's error codes; record batches v2 and their compression.
 * Invariants: input of any kind is answered with a value or a LakeError, never with another exception, and never allocates much
 * more than its own length; record bytes are views on decode and separate chunks on encode, not copied; int64 is a number within
 * ±(2^53−1) except producer ids; definitions agree with Apache Kafka 4.4's schemas.
 * Test: `npx vitest run --config test/vitest.config.ts test/unit/wire test/property/wire test/golden/wire`.
 */
export * from './api-table.js';
export * from './apis/add-raft-voter.js';
export * from './apis/alter-configs.js';
export * from './apis/alter-partition-reassignments.js';
export * from './apis/alter-replica-log-dirs.js';
export * from './apis/alter-user-scram-credentials.js';
export * from './apis/api-versions.js';
export * from './apis/consumer-group-describe.js';
export * from './apis/consumer-group-heartbeat.js';
export * from './apis/create-acls.js';
export * from './apis/create-delegation-token.js';
export * from './apis/create-partitions.js';
export * from './apis/create-topics.js';
export * from './apis/delete-acls.js';
export * from './apis/delete-groups.js';
export * from './apis/delete-records.js';
export * from './apis/delete-topics.js';
export * from './apis/describe-acls.js';
export * from './apis/describe-client-quotas.js';
export * from './apis/describe-cluster.js';
export * from './apis/describe-configs.js';
export * from './apis/describe-delegation-token.js';
export * from './apis/describe-groups.js';
export * from './apis/describe-log-dirs.js';
export * from './apis/describe-producers.js';
export * from './apis/describe-quorum.js';
export * from './apis/describe-topic-partitions.js';
export * from './apis/describe-user-scram-credentials.js';
export * from './apis/elect-leaders.js';
export * from './apis/expire-delegation-token.js';
export * from './apis/fetch.js';
export * from './apis/find-coordinator.js';
export * from './apis/heartbeat.js';
export * from './apis/incremental-alter-configs.js';
export * from './apis/init-producer-id.js';
export * from './apis/join-group.js';
export * from './apis/leave-group.js';
export * from './apis/list-config-resources.js';
export * from './apis/list-groups.js';
export * from './apis/list-offsets.js';
export * from './apis/list-partition-reassignments.js';
export * from './apis/metadata.js';
export * from './apis/offset-commit.js';
export * from './apis/offset-delete.js';
export * from './apis/offset-fetch.js';
export * from './apis/offset-for-leader-epoch.js';
export * from './apis/produce.js';
export * from './apis/remove-raft-voter.js';
export * from './apis/renew-delegation-token.js';
export * from './apis/sasl-authenticate.js';
export * from './apis/sasl-handshake.js';
export * from './apis/sync-group.js';
export * from './apis/unregister-broker.js';
export * from './apis/unregister-controller.js';
export * from './apis/update-features.js';
export * from './exchange.js';
export * from './frame-reader.js';
export * from './kafka-errors.js';
export type { Api, Message, MessageInput, MessageType } from './notation.js';
export * from './compression.js';
export * from './record-batch.js';
export * from './record-batch-writer.js';
export * from './record-cursor.js';
export * from './reencode-batch.js';
export * from './varint.js';
