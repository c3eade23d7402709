/** Every API that is served, by key. ApiVersions announces exactly these. */
import type { BrokerCore } from '../core.js';
import { addRaftVoterHandler } from './add-raft-voter.js';
import { alterConfigsHandler } from './alter-configs.js';
import { alterPartitionReassignmentsHandler } from './alter-partition-reassignments.js';
import { alterReplicaLogDirsHandler } from './alter-replica-log-dirs.js';
import { alterUserScramCredentialsHandler } from './alter-user-scram-credentials.js';
import { apiVersionsHandler } from './api-versions.js';
import { consumerGroupDescribeHandler } from './consumer-group-describe.js';
import { consumerGroupHeartbeatHandler } from './consumer-group-heartbeat.js';
import { createAclsHandler } from './create-acls.js';
import { createDelegationTokenHandler } from './create-delegation-token.js';
import { createPartitionsHandler } from './create-partitions.js';
import { createTopicsHandler } from './create-topics.js';
import { deleteAclsHandler } from './delete-acls.js';
import { deleteGroupsHandler } from './delete-groups.js';
import { deleteRecordsHandler } from './delete-records.js';
import { deleteTopicsHandler } from './delete-topics.js';
import { describeAclsHandler } from './describe-acls.js';
import { describeClientQuotasHandler } from './describe-client-quotas.js';
import { describeClusterHandler } from './describe-cluster.js';
import { describeConfigsHandler } from './describe-configs.js';
import { describeDelegationTokenHandler } from './describe-delegation-token.js';
import { describeGroupsHandler } from './describe-groups.js';
import { describeLogDirsHandler } from './describe-log-dirs.js';
import { describeProducersHandler } from './describe-producers.js';
import { describeQuorumHandler } from './describe-quorum.js';
import { describeTopicPartitionsHandler } from './describe-topic-partitions.js';
import { describeUserScramCredentialsHandler } from './describe-user-scram-credentials.js';
import { electLeadersHandler } from './elect-leaders.js';
import { expireDelegationTokenHandler } from './expire-delegation-token.js';
import { fetchHandler } from './fetch.js';
import { findCoordinatorHandler } from './find-coordinator.js';
import type { Handler } from './handler.js';
import { heartbeatHandler } from './heartbeat.js';
import { incrementalAlterConfigsHandler } from './incremental-alter-configs.js';
import { initProducerIdHandler } from './init-producer-id.js';
import { joinGroupHandler } from './join-group.js';
import { leaveGroupHandler } from './leave-group.js';
import { listConfigResourcesHandler } from './list-config-resources.js';
import { listGroupsHandler } from './list-groups.js';
import { listOffsetsHandler } from './list-offsets.js';
import { listPartitionReassignmentsHandler } from './list-partition-reassignments.js';
import { metadataHandler } from './metadata.js';
import { offsetCommitHandler } from './offset-commit.js';
import { offsetDeleteHandler } from './offset-delete.js';
import { offsetFetchHandler } from './offset-fetch.js';
import { offsetForLeaderEpochHandler } from './offset-for-leader-epoch.js';
import { produceHandler } from './produce.js';
import { removeRaftVoterHandler } from './remove-raft-voter.js';
import { renewDelegationTokenHandler } from './renew-delegation-token.js';
import { saslAuthenticateHandler } from './sasl-authenticate.js';
import { saslHandshakeHandler } from './sasl-handshake.js';
import { syncGroupHandler } from './sync-group.js';
import { unregisterBrokerHandler } from './unregister-broker.js';
import { unregisterControllerHandler } from './unregister-controller.js';
import { updateFeaturesHandler } from './update-features.js';

export function handlerTable(core: BrokerCore): ReadonlyMap<number, Handler> {
  const handlers: Handler[] = [
    produceHandler(core),
    fetchHandler(core),
    listOffsetsHandler(core),
    metadataHandler(core),
    offsetCommitHandler(core),
    offsetFetchHandler(core),
    findCoordinatorHandler(core),
    joinGroupHandler(core),
    heartbeatHandler(core),
    leaveGroupHandler(core),
    syncGroupHandler(core),
    createTopicsHandler(core),
    deleteTopicsHandler(core),
    deleteRecordsHandler(core),
    initProducerIdHandler(core),
    describeConfigsHandler(core),
    incrementalAlterConfigsHandler(core),
    consumerGroupHeartbeatHandler(core),
    consumerGroupDescribeHandler(core),
    alterConfigsHandler(core),
    createPartitionsHandler(core),
    deleteGroupsHandler(core),
    describeClusterHandler(core),
    describeGroupsHandler(core),
    describeLogDirsHandler(core),
    describeProducersHandler(core),
    describeQuorumHandler(core),
    describeTopicPartitionsHandler(core),
    electLeadersHandler(core),
    listConfigResourcesHandler(core),
    listGroupsHandler(core),
    listPartitionReassignmentsHandler(),
    offsetDeleteHandler(core),
    offsetForLeaderEpochHandler(core),
    addRaftVoterHandler(core),
    alterPartitionReassignmentsHandler(core),
    alterReplicaLogDirsHandler(core),
    alterUserScramCredentialsHandler(),
    createAclsHandler(),
    createDelegationTokenHandler(),
    deleteAclsHandler(),
    describeAclsHandler(),
    describeClientQuotasHandler(),
    describeDelegationTokenHandler(),
    describeUserScramCredentialsHandler(),
    expireDelegationTokenHandler(),
    removeRaftVoterHandler(core),
    renewDelegationTokenHandler(),
    saslAuthenticateHandler(),
    saslHandshakeHandler(),
    unregisterBrokerHandler(core),
    unregisterControllerHandler(core),
    updateFeaturesHandler(),
  ];
  handlers.push(apiVersionsHandler(core, () => handlers.map(({ api }) => api)));
  return new Map(handlers.map((handler) => [handler.api.key, handler]));
}
