import { describe, expect, it } from 'vitest';
import type { Broker } from '../../../src/broker/index.js';
import { type Disk, systemDisk, type TopicId } from '../../../src/kernel/index.js';
import { deleteTopicsApi, describeConfigsApi, incrementalAlterConfigsApi } from '../../../src/wire/index.js';
import { batchOf, noColdTier, temporaryFolder, testBroker, valuesOf, WireClient } from './broker-fixture.js';

type Change = readonly [name: string, operation: number, value: string | null];
const [set, remove, append, subtract] = [0, 1, 2, 3];

async function alter(
  client: WireClient,
  resourceName: string,
  changes: readonly Change[],
  over: { version?: number; validateOnly?: boolean; resourceType?: number } = {},
) {
  const { version = 1, validateOnly = false, resourceType = 2 } = over;
  const configs = changes.map(([name, configOperation, value]) => ({ name, configOperation, value }));
  const { responses } = await client.call(incrementalAlterConfigsApi, version, {
    resources: [{ resourceType, resourceName, configs }],
    validateOnly,
  });
  return responses[0]!;
}

async function valueOf(client: WireClient, topic: string, key: string) {
  const { results } = await client.call(describeConfigsApi, 4, {
    resources: [{ resourceType: 2, resourceName: topic, configurationKeys: [key] }],
  });
  const [config] = results[0]!.configs;
  return [config?.value, config?.configSource];
}

async function hotBytes(broker: Broker): Promise<number> {
  const { topics } = await broker.controlHandlers['broker.describe']!({ topic: 'a' }, undefined as never);
  return topics[0]!.partitions[0]!.hotBytes;
}

describe('IncrementalAlterConfigs', () => {
  it.each([0, 1])('v%s sets and takes back a key, for good', async (version) => {
    const dataDir = await temporaryFolder();
    let changes = 0;
    const broker = await testBroker({ dataDir, coldTier: { ...noColdTier, topicsChanged: () => void changes++ } });
    const client = await WireClient.open(broker);
    await client.createTopic('a', 1, { 'segment.ms': '5000' });
    changes = 0;
    expect(await alter(client, 'a', [['retention.ms', set, '60000']], { version })).toMatchObject({ errorCode: 0, errorMessage: null });
    expect(changes).toBe(1);
    expect(await valueOf(client, 'a', 'retention.ms')).toEqual(['60000', 1]);
    expect(await valueOf(client, 'a', 'segment.ms')).toEqual(['5000', 1]);
    await broker.close();
    const again = await WireClient.open(await testBroker({ dataDir }));
    expect(await valueOf(again, 'a', 'retention.ms')).toEqual(['60000', 1]);
    expect(await alter(again, 'a', [['retention.ms', remove, null]], { version })).toMatchObject({ errorCode: 0 });
    expect(await valueOf(again, 'a', 'retention.ms')).toEqual(['-1', 5]);
    expect((await again.call(deleteTopicsApi, 1, { topicNames: ['a'], timeoutMs: 1 })).responses[0]).toMatchObject({ errorCode: 0 });
  });

  it('is applied to a log that is open', async () => {
    const broker = await testBroker({ flags: { 'log.retention.check.interval.ms': '20' } });
    const client = await WireClient.open(broker);
    await client.createTopic('a', 1, { 'remote.storage.enable': 'false', 'retention.ms': '-1' });
    await client.produce('a', batchOf(['x']));
    expect(await hotBytes(broker)).toBeGreaterThan(0);
    await alter(client, 'a', [['retention.ms', set, '1000']]);
    await expect.poll(() => hotBytes(broker)).toBe(0);
  });

  it('changes all of a topic’s keys or none, and none where it is only to validate', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a');
    const wrong = await alter(client, 'a', [
      ['segment.ms', set, '777'],
      ['retention.ms', set, 'soon'],
    ]);
    expect(wrong).toMatchObject({ errorCode: 40 });
    expect(wrong.errorMessage).toContain('retention.ms');
    expect(await alter(client, 'a', [['segment.ms', set, '777']], { validateOnly: true })).toMatchObject({ errorCode: 0 });
    expect(await valueOf(client, 'a', 'segment.ms')).toEqual(['604800000', 5]);
  });

  it('refuses by Kafka’s codes', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a', 1, { 'retention.ms': '1000' });
    const code = async (...args: [string, readonly Change[], object?]): Promise<number> => (await alter(client, ...args)).errorCode;
    expect(await code('b', [['segment.ms', set, '1']])).toBe(3);
    expect(await code('a/b', [['segment.ms', set, '1']])).toBe(17);
    expect(await code('1', [['log.segment.bytes', set, '1']], { resourceType: 4 })).toBe(42);
    expect(await code('a', [['segment.mx', set, '1']])).toBe(40);
    expect(await code('a', [['segment.ms', set, null]])).toBe(42);
    expect(await code('a', [['segment.ms', 9, '1']])).toBe(42);
    expect(await code('a', [['segment.ms', append, '1']])).toBe(40);
    expect(await code('a', [['local.retention.ms', set, '1001']])).toBe(40);
    expect(
      await code('a', [
        ['segment.ms', set, '1'],
        ['segment.ms', set, '2'],
      ]),
    ).toBe(42);
    const twice = { resourceType: 2, resourceName: 'a', configs: [] };
    const { responses } = await client.call(incrementalAlterConfigsApi, 1, { resources: [twice, twice], validateOnly: false });
    expect(responses.map(({ errorCode }) => errorCode)).toEqual([42, 42]);
  });

  it('appends to a list and subtracts from it', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a');
    expect(await alter(client, 'a', [['cleanup.policy', append, 'delete']])).toMatchObject({ errorCode: 0 });
    expect(await valueOf(client, 'a', 'cleanup.policy')).toEqual(['delete', 1]);
    expect(await alter(client, 'a', [['cleanup.policy', append, 'compact']])).toMatchObject({ errorCode: 0 });
    expect(await valueOf(client, 'a', 'cleanup.policy')).toEqual(['delete,compact', 1]);
    expect(await alter(client, 'a', [['cleanup.policy', subtract, 'compact']])).toMatchObject({ errorCode: 0 });
    expect(await alter(client, 'a', [['cleanup.policy', subtract, 'delete']])).toMatchObject({ errorCode: 40 });
    expect(await valueOf(client, 'a', 'cleanup.policy')).toEqual(['delete', 1]);
  });
});

describe('tiering that is taken back', () => {
  const move = async (broker: Broker, topicId: TopicId, boundary: number) =>
    broker.controlHandlers['broker.boundary-moved']!(
      { topicId, commitId: 'c', partitions: [{ partition: 0, boundary, logStartOffset: 0 }] } as never,
      undefined as never,
    );
  const isTiered = async (broker: Broker): Promise<boolean> =>
    (await broker.controlHandlers['broker.describe']!({ topic: 'a' }, undefined as never)).topics[0]!.isTiered;

  it('makes a topic a compacted one while nothing is cold, for good, and takes no boundary from then on', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    const id = await client.createTopic('a');
    await client.produce('a', batchOf(['x', 'y']));
    expect(await alter(client, 'a', [['cleanup.policy', set, 'compact']])).toMatchObject({ errorCode: 0, errorMessage: null });
    expect(await valueOf(client, 'a', 'remote.storage.enable')).toEqual(['false', 5]);
    expect(await isTiered(broker)).toBe(false);
    expect(await move(broker, id, 1)).toMatchObject({ accepted: [], alarms: ['a-0: the topic is not tiered'] });
    await broker.close();
    const again = await testBroker({ dataDir });
    expect(await isTiered(again)).toBe(false);
    expect(valuesOf((await (await WireClient.open(again)).fetch(id, 0)).records)).toEqual([
      [0, 'x'],
      [1, 'y'],
    ]);
  });

  it('is refused where a part is cold or becomes it meanwhile, and where tiering was asked for beside it', async () => {
    const broker = await testBroker();
    const client = await WireClient.open(broker);
    const id = await client.createTopic('a');
    await client.produce('a', batchOf(['x', 'y']));
    const beside = await alter(client, 'a', [
      ['cleanup.policy', set, 'compact'],
      ['remote.storage.enable', set, 'true'],
    ]);
    expect(beside).toMatchObject({ errorCode: 40 });
    const moving = move(broker, id, 1);
    const meanwhile = await alter(client, 'a', [['remote.storage.enable', set, 'false']]);
    expect(await moving).toMatchObject({ accepted: [0] });
    expect(meanwhile).toMatchObject({ errorCode: 40 });
    expect(meanwhile.errorMessage).toContain('a has a cold part');
    expect(await alter(client, 'a', [['cleanup.policy', set, 'compact']])).toMatchObject({ errorCode: 40 });
    expect(await isTiered(broker)).toBe(true);
  });

  it('leaves the topic tiered where the change cannot be saved', async () => {
    const full: NodeJS.ErrnoException = Object.assign(new Error('full'), { code: 'ENOSPC' });
    let isFull = false;
    const disk: Disk = {
      ...systemDisk,
      rename: (from, to) => (isFull && to.endsWith('metadata.json') ? Promise.reject(full) : systemDisk.rename(from, to)),
    };
    const broker = await testBroker({ disk });
    const client = await WireClient.open(broker);
    const id = await client.createTopic('a');
    await client.produce('a', batchOf(['x']));
    isFull = true;
    expect(await alter(client, 'a', [['cleanup.policy', set, 'compact']])).toMatchObject({ errorCode: 56 });
    expect(await isTiered(broker)).toBe(true);
    expect(await move(broker, id, 1)).toMatchObject({ accepted: [0] });
  });
});
