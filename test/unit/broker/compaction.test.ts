// Compacted topics over the wire: what is refused, and that groups find what they committed in an offsets topic that was compacted.
import { describe, expect, it } from 'vitest';
import type { Broker } from '../../../src/broker/index.js';
import { deleteRecordsApi, describeConfigsApi, encodeBatch, offsetCommitApi, offsetFetchApi } from '../../../src/wire/index.js';
import { batchOf, temporaryFolder, testBroker, valuesOf, WireClient } from './broker-fixture.js';

const flags = {
  'log.cleaner.backoff.ms': '20',
  'log.retention.check.interval.ms': '20',
  'log.roll.ms': '50',
  'offsets.topic.num.partitions': '1',
};

async function dropped(broker: Broker): Promise<number> {
  return broker.metricsSnapshot().find(({ name }) => name === 'compacted_records_total')!.value;
}

describe('a compacted topic', () => {
  it('takes records with keys only, keeps the last of each, and is not trimmed', async () => {
    const broker = await testBroker({ flags });
    const client = await WireClient.open(broker);
    const id = await client.createTopic('a', 1, { 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0' });
    expect(await client.produce('a', batchOf(['x']))).toMatchObject({
      errorCode: 87,
      recordErrors: [{ batchIndex: 0 }],
    });
    const mixed = encodeBatch({
      records: [Buffer.from('k'), null].map((key) => ({ timestampMs: Date.now(), key, value: Buffer.from('v') })),
    });
    expect(await client.produce('a', mixed)).toMatchObject({ errorCode: 87, recordErrors: [{ batchIndex: 1 }] });
    for (const value of ['1', '2', '3']) {
      const batch = encodeBatch({ records: [{ timestampMs: Date.now(), key: Buffer.from('k'), value: Buffer.from(value) }] });
      expect(await client.produce('a', batch)).toMatchObject({ errorCode: 0 });
    }
    await expect.poll(() => dropped(broker), { timeout: 20_000 }).toBe(2);
    expect(valuesOf((await client.fetch(id, 0)).records)).toEqual([[2, '3']]);
    const { results } = await client.call(describeConfigsApi, 4, {
      resources: [{ resourceType: 2, resourceName: 'a', configurationKeys: ['min.cleanable.dirty.ratio'] }],
    });
    expect(results[0]!.configs).toMatchObject([{ value: '0.0', configType: 6 }]);
    const trimmed = await client.call(deleteRecordsApi, 2, {
      topics: [{ name: 'a', partitions: [{ partitionIndex: 0, offset: 1 }] }],
      timeoutMs: 1,
    });
    expect(trimmed.topics[0]!.partitions[0]!.errorCode).toBe(44);
  });

  it('is what groups keep their offsets in, so that a start reads the last of them', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir, flags: { ...flags, 'log.cleaner.min.cleanable.ratio': '0' } });
    const client = await WireClient.open(broker);
    await client.createTopic('a');
    const commit = async (groupId: string, committedOffset: number): Promise<void> => {
      const { topics } = await client.call(offsetCommitApi, 7, {
        groupId,
        generationIdOrMemberEpoch: -1,
        memberId: '',
        topics: [{ name: 'a', partitions: [{ partitionIndex: 0, committedOffset, committedLeaderEpoch: -1, committedMetadata: '' }] }],
      });
      expect(topics[0]!.partitions[0]!.errorCode).toBe(0);
    };
    for (let offset = 0; offset < 30; offset++) await commit('g', offset);
    await commit('h', 7);
    await expect.poll(() => dropped(broker), { timeout: 20_000 }).toBeGreaterThanOrEqual(29);
    await broker.close();
    const again = await WireClient.open(await testBroker({ dataDir, flags }));
    const { groups } = await again.call(offsetFetchApi, 9, { groups: ['g', 'h'].map((groupId) => ({ groupId, topics: null })) });
    expect(groups.map((group) => group.topics[0]!.partitions[0]!.committedOffset)).toEqual([29, 7]);
  });
});
