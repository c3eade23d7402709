// The bytes of a cluster's state, written once and never edited: what was written in the past must be read for ever.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { clusterId, topicId, topicName } from '../../src/kernel/index.js';
import { type ClusterState, encodeClusterState, parseClusterState } from '../../src/lake/index.js';

const stored = readFileSync(fileURLToPath(new URL('cluster-state/v1.state', import.meta.url)));
const state: ClusterState = {
  clusterId: clusterId('Qk1f0a7ZQ0m2s1h6c8d9eA'),
  writtenAtMs: 1_764_097_200_123,
  kafka: '10.0.0.7:9092',
  nextProducerId: 4000n,
  topics: [
    {
      name: topicName('flights'),
      id: topicId('7Qm0aZx1T4yq8u3v5w6x7g'),
      isInternal: false,
      isTiered: true,
      overrides: { 'lake.commit.interval.ms': '60000' },
      createdMs: 1_764_000_000_000,
      partitions: [
        { logStartOffset: 0, boundary: 1200, highWatermark: 1250, leaderEpoch: 2 },
        { logStartOffset: 40, boundary: 0, highWatermark: 41, leaderEpoch: 0 },
      ],
    },
    {
      name: topicName('__consumer_offsets'),
      id: topicId('Zx1T4yq8u3v5w6x7g7Qm0a'),
      isInternal: true,
      isTiered: false,
      overrides: { 'cleanup.policy': 'compact' },
      createdMs: 1_764_000_000_500,
      partitions: [{ logStartOffset: 0, boundary: 0, highWatermark: 17, leaderEpoch: 1 }],
    },
  ],
  dropped: [{ name: topicName('old'), id: topicId('u3v5w6x7gZx1T4yq87Qm0a') }],
  groups: [
    {
      group: 'dashboards',
      offsets: [
        { topic: 'flights', partition: 0, offset: 1249, leaderEpoch: 2, metadata: 'até 17:00', committedMs: 1_764_097_199_000 },
        { topic: 'flights', partition: 1, offset: 40, leaderEpoch: -1, metadata: '', committedMs: 1_764_097_100_000 },
      ],
    },
  ],
  views: [],
  offsetsLeftOut: 0,
};

it('reads the stored state of a cluster, and writes it the same', () => {
  expect(parseClusterState(stored, 'cluster/state/v1.json')).toEqual(state);
  expect(encodeClusterState(state).toString()).toBe(stored.toString());
});
