import { describe, expect, it } from 'vitest';
import { systemClock, topicId, topicName } from '../../../src/kernel/index.js';
import {
  type ClusterState,
  clusterStateKey,
  encodeClusterState,
  findClusterState,
  parseClusterState,
  writeClusterState,
} from '../../../src/lake/index.js';
import { MemoryStore, type ObjectStore } from '../../../src/objects/index.js';
import { cluster } from './table-fixture.js';

const memory = (): MemoryStore => new MemoryStore({ clock: systemClock });

const state = (highWatermark: number, over: Partial<ClusterState> = {}): ClusterState => ({
  clusterId: cluster,
  writtenAtMs: 1_700_000_000_000,
  kafka: '127.0.0.1:9092',
  nextProducerId: 9_007_199_254_740_993n,
  topics: [
    {
      name: topicName('orders'),
      id: topicId('BBBBBBBBBBBBBBBBBBBBBQ'),
      isInternal: false,
      isTiered: true,
      overrides: { 'lake.file.bytes': '1000' },
      createdMs: 5,
      partitions: [
        { logStartOffset: 0, boundary: 7, highWatermark, leaderEpoch: 3 },
        { logStartOffset: 1, boundary: 0, highWatermark: 2, leaderEpoch: -1 },
      ],
    },
  ],
  dropped: [{ name: topicName('gone'), id: topicId('CCCCCCCCCCCCCCCCCCCCCQ') }],
  groups: [
    {
      group: 'a "group"',
      offsets: [
        { topic: 'orders', partition: 0, offset: 5, leaderEpoch: 3, metadata: 'até', committedMs: 9 },
        { topic: 'orders', partition: 1, offset: 0, leaderEpoch: -1, metadata: '', committedMs: 10 },
      ],
    },
  ],
  views: [
    { name: 'late', sql: 'SELECT * FROM orders -- "até"', description: 'what is late', savedMs: 11 },
    { name: 'later', sql: 'SELECT 1', savedMs: 12 },
  ],
  offsetsLeftOut: 0,
  ...over,
});

async function keys(store: ObjectStore): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.list('')) found.push(key);
  return found.sort();
}

describe('a state of the cluster', () => {
  it('comes back as it was written', () => {
    expect(parseClusterState(encodeClusterState(state(8)), 'k')).toEqual(state(8));
  });

  it.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['another document', '{"format":"thermocline-cluster/1"}'],
    ['a list', '[]'],
    ['a state without its topics', encodeClusterState(state(8)).toString().replace('"topics"', '"topic"')],
    ['a high watermark that is none', encodeClusterState(state(8)).toString().replace('[0,7,8,3]', '[0,7,"8",3]')],
    ['an offset that is none', encodeClusterState(state(8)).toString().replace('[0,5,3,', '[0,-5,3,')],
    ['half of it', encodeClusterState(state(8)).toString().slice(0, 300)],
  ])('is not read out of %s', (_what, text) => {
    expect(() => parseClusterState(Buffer.from(text), 'cluster/state/v3.json')).toThrow(
      expect.objectContaining({ code: 'table-corrupt', message: expect.stringContaining('cluster/state/v3.json') as string }) as Error,
    );
  });

  it('of a newer version is refused and not taken for garbage', () => {
    const newer = encodeClusterState(state(8)).toString().replace('cluster-state/1', 'cluster-state/2');
    expect(() => parseClusterState(Buffer.from(newer), 'k')).toThrow(expect.objectContaining({ code: 'unsupported' }) as Error);
  });
});

describe('the states in the bucket', () => {
  it('are numbered; the highest is found, and ten stay', async () => {
    const store = memory();
    expect(await findClusterState(store)).toEqual({ newest: 0, current: undefined, passedOver: [] });
    for (let number = 0; number < 25; number++) expect(await writeClusterState(store, number, state(100 + number))).toBe(number + 1);
    const found = await findClusterState(store);
    expect([found.newest, found.current?.number, found.current?.state]).toEqual([25, 25, state(124)]);
    expect(await keys(store)).toEqual(Array.from({ length: 10 }, (_, i) => clusterStateKey(16 + i)).sort());
  });

  it('are written by exactly one of two that are at the same number', async () => {
    const store = memory();
    const outcomes = await Promise.allSettled([writeClusterState(store, 0, state(1)), writeClusterState(store, 0, state(2))]);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'commit-lost' } });
  });

  it('are not written under a number that became free again behind a writer that slept', async () => {
    const store = memory();
    await writeClusterState(store, 0, state(1));
    for (let number = 1; number < 30; number++) await writeClusterState(store, number, state(number));
    await expect(writeClusterState(store, 1, state(999))).rejects.toMatchObject({ code: 'commit-lost' });
    expect(await keys(store)).not.toContain(clusterStateKey(2));
    expect((await findClusterState(store)).current?.state).toEqual(state(29));
  });

  it('are passed over where they cannot be read, and said to be', async () => {
    const store = memory();
    await writeClusterState(store, 0, state(1));
    await store.put(clusterStateKey(2), Buffer.from('garbage'));
    await store.put(clusterStateKey(3), encodeClusterState(state(3)).subarray(0, 50));
    await store.put('cluster/state/v4.json.tmp', Buffer.from('{}'));
    const found = await findClusterState(store);
    expect([found.newest, found.current?.number]).toEqual([3, 1]);
    expect(found.passedOver.map((error) => error.facts['key'])).toEqual([clusterStateKey(3), clusterStateKey(2)]);
    expect(await writeClusterState(store, found.newest, state(5))).toBe(4);
  });

  it('are not passed over where a newer version wrote them', async () => {
    const store = memory();
    await writeClusterState(store, 0, state(1));
    await store.put(clusterStateKey(2), Buffer.from('{"format":"thermocline-cluster-state/2"}'));
    await expect(findClusterState(store)).rejects.toMatchObject({ code: 'unsupported' });
  });
});
