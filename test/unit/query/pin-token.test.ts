// A token of before a recovery must not be answered without the rows that were lost; one of after it has the hole in its middle. Where a log is
// not read, its rows are not gone.
import { describe, expect, it } from 'vitest';
import type { BrokerState, PartitionState, TopicState } from '../../../src/control/index.js';
import { clusterId, LakeError, topicId, topicName } from '../../../src/kernel/index.js';
import type { TableSnapshot } from '../../../src/lake/index.js';
import { pinTopic } from '../../../src/query/pin.js';

const id = topicId('BBBBBBBBBBBBBBBBBBBBBQ');
const state: PartitionState = {
  partition: 0,
  logStartOffset: 0,
  localStartOffset: 1000,
  boundary: 1000,
  flushedOffset: 1010,
  highWatermark: 1010,
  lastStableOffset: 1010,
  leaderEpoch: 5,
  hotBytes: 100,
  tailBytes: 100,
  segments: 1,
};
const topic: TopicState = { name: topicName('t'), id, isInternal: false, isTiered: true, config: {}, overrides: {}, partitions: [state] };
const broker: BrokerState = {
  clusterId: clusterId('AAAAAAAAAAAAAAAAAAAAAQ'),
  nodeId: 0,
  kafka: '',
  topics: [topic],
  dropped: [],
  views: [],
  diskFreeBytes: 1,
};
const snapshot: TableSnapshot = {
  topic: topic.name,
  topicId: id,
  metadataVersion: 3,
  snapshotId: '1',
  schemaId: 0,
  columns: [],
  partitions: [{ partition: 0, boundary: 1000, logStartOffset: 0, leaderEpoch: 5 }],
  files: [],
  samples: [],
  appended: [],
  holes: [{ partition: 0, from: 30, to: 1000, leaderEpoch: 5, atMs: 1 }],
};

async function ask(logStartOffset: number, endOffset: number, leaderEpoch: number, more: Partial<PartitionState> = {}): Promise<string> {
  const token = {
    clusterId: broker.clusterId,
    topics: [{ topicId: id, maxFieldId: 0, extraPairs: [], partitions: [{ partition: 0, logStartOffset, endOffset, leaderEpoch }] }],
  };
  const ports = { control: { call: () => Promise.reject(new Error('nothing is asked')) }, tables: { snapshot: async () => snapshot } };
  try {
    const asked = { ...topic, partitions: [{ ...state, ...more }] };
    const { partitions } = await pinTopic(ports as never, broker, asked, { kind: 'token', token }, AbortSignal.timeout(1000));
    return partitions.map(({ startOffset, endOffset: end }) => `${startOffset}…${end}`).join();
  } catch (error) {
    if (!(error instanceof LakeError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

describe('a token over a hole', () => {
  it('is gone where it is of before the recovery and reaches into it, with the range that is lost', async () => {
    expect(await ask(0, 45, 4)).toMatch(/^token-gone: .*t-0 \[30, 45\)/);
    expect(await ask(40, 45, 4)).toMatch(/^token-gone: .*t-0 \[40, 45\)/);
  });

  it('is answered where it ends before the hole, or was given after the recovery', async () => {
    expect(await ask(0, 30, 4)).toBe('0…30');
    expect(await ask(0, 1005, 5)).toBe('0…1005');
    expect(await ask(0, 1005, 6)).toBe('0…1005');
  });
});

describe('a token over a partition that is offline', () => {
  it('is refused for that reason, not as if its rows were gone, and answered where the table has all of it', async () => {
    // As a start leaves a log that it found damaged: where it ends is not known.
    const offline = { offline: 'x.log is damaged at 7', flushedOffset: 0, highWatermark: 0, lastStableOffset: 0 };
    expect(await ask(0, 1005, 5, offline)).toBe('log-offline: t-0 is offline: x.log is damaged at 7');
    expect(await ask(0, 1000, 5, offline)).toBe('0…1000');
  });
});
