/** Every API that is served, by key. ApiVersions announces exactly these. */
import type { BrokerCore } from '../core.js';
import { apiVersionsHandler } from './api-versions.js';
import { consumerGroupDescribeHandler } from './consumer-group-describe.js';
import { consumerGroupHeartbeatHandler } from './consumer-group-heartbeat.js';
import { createTopicsHandler } from './create-topics.js';
import { deleteRecordsHandler } from './delete-records.js';
import { deleteTopicsHandler } from './delete-topics.js';
import { describeConfigsHandler } from './describe-configs.js';
import { fetchHandler } from './fetch.js';
import { findCoordinatorHandler } from './find-coordinator.js';
import type { Handler } from './handler.js';
import { heartbeatHandler } from './heartbeat.js';
import { incrementalAlterConfigsHandler } from './incremental-alter-configs.js';
import { initProducerIdHandler } from './init-producer-id.js';
import { joinGroupHandler } from './join-group.js';
import { leaveGroupHandler } from './leave-group.js';
import { listOffsetsHandler } from './list-offsets.js';
import { metadataHandler } from './metadata.js';
import { offsetCommitHandler } from './offset-commit.js';
import { offsetFetchHandler } from './offset-fetch.js';
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
  ];
  handlers.push(apiVersionsHandler(() => handlers.map(({ api }) => api)));
  return new Map(handlers.map((handler) => [handler.api.key, handler]));
}
