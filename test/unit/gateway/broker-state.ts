// What a broker tells the gateway, as far as tests of the gateway care.
import type { BrokerState, PartitionState } from '../../../src/control/index.js';
import { clusterId } from '../../../src/kernel/index.js';

export const partitionState: PartitionState = {
  partition: 0,
  logStartOffset: 0,
  localStartOffset: 10,
  boundary: 20,
  flushedOffset: 30,
  highWatermark: 30,
  lastStableOffset: 30,
  leaderEpoch: 0,
  hotBytes: 500,
  tailBytes: 300,
  segments: 1,
};

export const emptyBroker: BrokerState = {
  clusterId: clusterId('AAAAAAAAAAAAAAAAAAAAAg'),
  nodeId: 1,
  kafka: '127.0.0.1:1',
  diskFreeBytes: 1,
  dropped: [],
  views: [],
  topics: [],
};
