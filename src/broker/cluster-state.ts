/** What the bucket is told of the broker, so that it alone restores the service: topics, how far logs and producer ids are, offsets. */
import { formatHostPort } from '../config/index.js';
import type { ControlHandlers, NotedTopic } from '../control/index.js';
import type { BrokerCore } from './core.js';
import type { Topic } from './topics.js';

const noPayload = new Uint8Array();

export function clusterStateHandler(core: BrokerCore): Required<Pick<ControlHandlers, 'broker.cluster-state'>> {
  return {
    'broker.cluster-state': async ({ withOffsets }, { sendPart }) => {
      // Before the high watermarks are looked at: what is committed lies at or below them then.
      const { revision: offsetsRevision } = core.groups.offsets;
      if (withOffsets) for (const groups of core.groups.offsets.inParts()) await sendPart({ groups }, noPayload);
      return {
        clusterId: core.clusterId,
        kafka: formatHostPort(core.advertised()),
        nextProducerId: core.store.nextProducerId.toString(),
        topics: [...core.topics.all].map(notedTopic),
        dropped: core.store.dropped,
        views: core.store.views,
        offsetsRevision,
        areOffsetsWhole: core.groups.isWhole,
      };
    },
  };
}

function notedTopic({ record, isTiered, partitions }: Topic): NotedTopic {
  return {
    name: record.name,
    id: record.id,
    isInternal: record.isInternal,
    isTiered,
    overrides: record.overrides,
    createdMs: record.createdMs,
    partitions: [...partitions.values()].map((log) => ({
      logStartOffset: log.logStartOffset,
      // A log start that was raised stands for the boundary until it is in the table.
      boundary: log.boundary > log.logStartOffset ? log.boundary : 0,
      highWatermark: log.highWatermark,
      leaderEpoch: log.leaderEpoch,
      ...(log.offline === undefined ? {} : { isOffline: true }),
    })),
  };
}
