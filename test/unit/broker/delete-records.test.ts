import { describe, expect, it } from 'vitest';
import type { Broker } from '../../../src/broker/index.js';
import { deleteRecordsApi, findCoordinatorApi, type DeleteRecordsResponsePartition } from '../../../src/wire/index.js';
import { batchOf, noColdTier, temporaryFolder, testBroker, valuesOf, WireClient } from './broker-fixture.js';

async function remove(
  client: WireClient,
  name: string,
  offset: number,
  version = 2,
  partitionIndex = 0,
): Promise<DeleteRecordsResponsePartition> {
  const { topics } = await client.call(deleteRecordsApi, version, {
    topics: [{ name, partitions: [{ partitionIndex, offset }] }],
    timeoutMs: 1000,
  });
  return topics[0]!.partitions[0]!;
}

async function stateOf(broker: Broker, topic: string) {
  const { topics } = await broker.controlHandlers['broker.describe']!({ topic }, undefined as never);
  return topics[0]!.partitions[0]!;
}

describe('DeleteRecords', () => {
  it('moves the log start for good: answered, listed, fetched, and after a restart', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    const id = await client.createTopic('a');
    for (let i = 0; i < 5; i++) await client.produce('a', batchOf([`${2 * i}`, `${2 * i + 1}`]));
    expect(await remove(client, 'a', 3)).toEqual({ partitionIndex: 0, lowWatermark: 3, errorCode: 0 });
    // Inside a batch, a consumer gets the batch and passes over what lies below.
    expect(valuesOf((await client.fetch(id, 3)).records, 3).at(0)).toEqual([3, '3']);
    expect(await client.fetch(id, 2)).toMatchObject({ errorCode: 1, logStartOffset: -1 });
    expect(await client.listOffset('a', -2)).toMatchObject({ errorCode: 0, offset: 3 });
    expect(await client.listOffset('a', 0)).toMatchObject({ offset: 3 });
    expect(await remove(client, 'a', 1)).toMatchObject({ lowWatermark: 3, errorCode: 0 });
    await broker.close();
    const again = await WireClient.open(await testBroker({ dataDir }));
    expect(await again.listOffset('a', -2)).toMatchObject({ offset: 3 });
  });

  it.each([0, 1, 2])('v%s takes −1 for the high watermark', async (version) => {
    const broker = await testBroker();
    const client = await WireClient.open(broker);
    const id = await client.createTopic('a');
    await client.produce('a', batchOf(['x', 'y', 'z']));
    expect(await remove(client, 'a', -1, version)).toEqual({ partitionIndex: 0, lowWatermark: 3, errorCode: 0 });
    expect(await client.fetch(id, 3)).toMatchObject({ errorCode: 0, logStartOffset: 3 });
    expect(await client.produce('a', batchOf(['next']))).toMatchObject({ errorCode: 0, baseOffset: 3, logStartOffset: 3 });
    expect(valuesOf((await client.fetch(id, 3)).records)).toEqual([[3, 'next']]);
  });

  it('refuses by Kafka’s codes, and changes nothing then', async () => {
    const broker = await testBroker();
    const client = await WireClient.open(broker);
    await client.createTopic('a');
    await client.produce('a', batchOf(['x']));
    expect(await remove(client, 'a', 2)).toEqual({ partitionIndex: 0, lowWatermark: -1, errorCode: 1 });
    expect(await remove(client, 'a', -2)).toMatchObject({ errorCode: 1 });
    expect(await remove(client, 'a', 1, 2, 7)).toEqual({ partitionIndex: 7, lowWatermark: -1, errorCode: 3 });
    expect(await remove(client, 'none', 1)).toMatchObject({ errorCode: 3 });
    expect(await client.listOffset('a', -2)).toMatchObject({ offset: 0 });
    await client.call(findCoordinatorApi, 2, { key: 'g', keyType: 0 });
    expect(await remove(client, '__consumer_offsets', 0)).toEqual({ partitionIndex: 0, lowWatermark: -1, errorCode: 17 });
  });

  it('wakes the tier daemon and gives back whole segments behind the answer', async () => {
    let woken = 0;
    const broker = await testBroker({ coldTier: { ...noColdTier, topicsChanged: () => void woken++ } });
    const client = await WireClient.open(broker);
    await client.createTopic('a', 1, { 'segment.bytes': String(1 << 20) });
    for (let i = 0; i < 6; i++) await client.produce('a', batchOf([`${i}`.repeat(400_000)]));
    const before = await stateOf(broker, 'a');
    woken = 0;
    await remove(client, 'a', 5);
    expect(woken).toBe(1);
    await expect.poll(async () => (await stateOf(broker, 'a')).hotBytes).toBeLessThan(before.hotBytes / 2);
    expect(await stateOf(broker, 'a')).toMatchObject({ logStartOffset: 5, boundary: 5 });
    await remove(client, 'a', 9);
    expect(woken).toBe(1);
  });
});
