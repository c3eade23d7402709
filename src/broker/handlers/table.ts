/** Every API that is served, by key. ApiVersions announces exactly these. */
import type { BrokerCore } from '../core.js';
import { alterConfigsHandler } from './alter-configs.js';
import { apiVersionsHandler } from './api-versions.js';
import { consumerGroupDescribeHandler } from './consumer-group-describe.js';
import { consumerGroupHeartbeatHandler } from './consumer-group-heartbeat.js';
import { createPartitionsHandler } from './create-partitions.js';
import { createTopicsHandler } from './create-topics.js';
import { deleteGroupsHandler } from './delete-groups.js';
import { deleteRecordsHandler } from './delete-records.js';
import { deleteTopicsHandler } from './delete-topics.js';
import { describeClusterHandler } from './describe-cluster.js';
import { describeConfigsHandler } from './describe-configs.js';
import { describeGroupsHandler } from './describe-groups.js';
import { describeLogDirsHandler } from './describe-log-dirs.js';
import { describeProducersHandler } from './describe-producers.js';
import { describeQuorumHandler } from './describe-quorum.js';
import { describeTopicPartitionsHandler } from './describe-topic-partitions.js';
import { electLeadersHandler } from './elect-leaders.js';
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
import { syncGroupHandler } from './sync-group.js';

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
  ];
  handlers.push(apiVersionsHandler(core, () => handlers.map(({ api }) => api)));
  return new Map(handlers.map((handler) => [handler.api.key, handler]));
}
