/** All APIs the wire room can speak, in one table by key. */
import type { Api } from './notation.js';
import { addRaftVoterApi } from './apis/add-raft-voter.js';
import { alterConfigsApi } from './apis/alter-configs.js';
import { alterPartitionReassignmentsApi } from './apis/alter-partition-reassignments.js';
import { alterReplicaLogDirsApi } from './apis/alter-replica-log-dirs.js';
import { alterUserScramCredentialsApi } from './apis/alter-user-scram-credentials.js';
import { apiVersionsApi } from './apis/api-versions.js';
import { consumerGroupDescribeApi } from './apis/consumer-group-describe.js';
import { consumerGroupHeartbeatApi } from './apis/consumer-group-heartbeat.js';
import { createAclsApi } from './apis/create-acls.js';
import { createDelegationTokenApi } from './apis/create-delegation-token.js';
import { createPartitionsApi } from './apis/create-partitions.js';
import { createTopicsApi } from './apis/create-topics.js';
import { deleteAclsApi } from './apis/delete-acls.js';
import { deleteGroupsApi } from './apis/delete-groups.js';
import { deleteRecordsApi } from './apis/delete-records.js';
import { deleteTopicsApi } from './apis/delete-topics.js';
import { describeAclsApi } from './apis/describe-acls.js';
import { describeClientQuotasApi } from './apis/describe-client-quotas.js';
import { describeClusterApi } from './apis/describe-cluster.js';
import { describeConfigsApi } from './apis/describe-configs.js';
import { describeDelegationTokenApi } from './apis/describe-delegation-token.js';
import { describeGroupsApi } from './apis/describe-groups.js';
import { describeLogDirsApi } from './apis/describe-log-dirs.js';
import { describeProducersApi } from './apis/describe-producers.js';
import { describeQuorumApi } from './apis/describe-quorum.js';
import { describeTopicPartitionsApi } from './apis/describe-topic-partitions.js';
import { describeUserScramCredentialsApi } from './apis/describe-user-scram-credentials.js';
import { electLeadersApi } from './apis/elect-leaders.js';
import { expireDelegationTokenApi } from './apis/expire-delegation-token.js';
import { fetchApi } from './apis/fetch.js';
import { findCoordinatorApi } from './apis/find-coordinator.js';
import { heartbeatApi } from './apis/heartbeat.js';
import { incrementalAlterConfigsApi } from './apis/incremental-alter-configs.js';
import { initProducerIdApi } from './apis/init-producer-id.js';
import { joinGroupApi } from './apis/join-group.js';
import { leaveGroupApi } from './apis/leave-group.js';
import { listConfigResourcesApi } from './apis/list-config-resources.js';
import { listGroupsApi } from './apis/list-groups.js';
import { listOffsetsApi } from './apis/list-offsets.js';
import { listPartitionReassignmentsApi } from './apis/list-partition-reassignments.js';
import { metadataApi } from './apis/metadata.js';
import { offsetCommitApi } from './apis/offset-commit.js';
import { offsetDeleteApi } from './apis/offset-delete.js';
import { offsetFetchApi } from './apis/offset-fetch.js';
import { offsetForLeaderEpochApi } from './apis/offset-for-leader-epoch.js';
import { produceApi } from './apis/produce.js';
import { removeRaftVoterApi } from './apis/remove-raft-voter.js';
import { renewDelegationTokenApi } from './apis/renew-delegation-token.js';
import { saslAuthenticateApi } from './apis/sasl-authenticate.js';
import { saslHandshakeApi } from './apis/sasl-handshake.js';
import { syncGroupApi } from './apis/sync-group.js';
import { unregisterBrokerApi } from './apis/unregister-broker.js';
import { unregisterControllerApi } from './apis/unregister-controller.js';
import { updateFeaturesApi } from './apis/update-features.js';

/** In the order of their keys. */
export const apis: readonly Api[] = [
  produceApi,
  fetchApi,
  listOffsetsApi,
  metadataApi,
  offsetCommitApi,
  offsetFetchApi,
  findCoordinatorApi,
  joinGroupApi,
  heartbeatApi,
  leaveGroupApi,
  syncGroupApi,
  describeGroupsApi,
  listGroupsApi,
  saslHandshakeApi,
  apiVersionsApi,
  createTopicsApi,
  deleteTopicsApi,
  deleteRecordsApi,
  initProducerIdApi,
  offsetForLeaderEpochApi,
  describeAclsApi,
  createAclsApi,
  deleteAclsApi,
  describeConfigsApi,
  alterConfigsApi,
  alterReplicaLogDirsApi,
  describeLogDirsApi,
  saslAuthenticateApi,
  createPartitionsApi,
  createDelegationTokenApi,
  renewDelegationTokenApi,
  expireDelegationTokenApi,
  describeDelegationTokenApi,
  deleteGroupsApi,
  electLeadersApi,
  incrementalAlterConfigsApi,
  alterPartitionReassignmentsApi,
  listPartitionReassignmentsApi,
  offsetDeleteApi,
  describeClientQuotasApi,
  describeUserScramCredentialsApi,
  alterUserScramCredentialsApi,
  describeQuorumApi,
  updateFeaturesApi,
  describeClusterApi,
  describeProducersApi,
  unregisterBrokerApi,
  consumerGroupHeartbeatApi,
  consumerGroupDescribeApi,
  listConfigResourcesApi,
  describeTopicPartitionsApi,
  addRaftVoterApi,
  removeRaftVoterApi,
  unregisterControllerApi,
];

const byKey = new Map(apis.map((api) => [api.key, api]));

/** The API of a key, or undefined where it is not spoken here. */
export function apiByKey(key: number): Api | undefined {
  return byKey.get(key);
}
