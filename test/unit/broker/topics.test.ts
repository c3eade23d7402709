import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { zeroTopicId } from '../../../src/kernel/index.js';
import { apiVersionsApi, createTopicsApi, deleteTopicsApi, describeConfigsApi, metadataApi } from '../../../src/wire/index.js';
import { batchOf, temporaryFolder, testBroker, valuesOf, WireClient } from './broker-fixture.js';

const shape = { numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] };

async function createCode(client: WireClient, topic: object, isValidateOnly = false): Promise<number> {
  const { topics } = await client.call(createTopicsApi, 5, { topics: [{ ...shape, ...topic } as never], validateOnly: isValidateOnly });
  return topics[0]!.errorCode;
}

describe('ApiVersions', () => {
  it('announces what is served, Produce from 0, and the feature that is on', async () => {
    const client = await WireClient.open(await testBroker());
    const { errorCode, apiKeys, finalizedFeatures } = await client.call(apiVersionsApi, 4, {
      clientSoftwareName: 'test',
      clientSoftwareVersion: '1.0',
    });
    expect(errorCode).toBe(0);
    expect(apiKeys).toHaveLength(54);
    expect(apiKeys.find(({ apiKey }) => apiKey === 0)).toMatchObject({ minVersion: 0, maxVersion: 11 });
    expect(finalizedFeatures).toEqual([{ name: 'group.version', minVersionLevel: 1, maxVersionLevel: 1 }]);
  });

  it('refuses a malformed software name', async () => {
    const client = await WireClient.open(await testBroker());
    expect((await client.call(apiVersionsApi, 3, { clientSoftwareName: 'a b', clientSoftwareVersion: '1' })).errorCode).toBe(42);
  });

  it('tells a client that means another cluster or broker to look for it again, and wants both named or neither', async () => {
    const client = await WireClient.open(await testBroker());
    const { clusterId } = await client.call(metadataApi, 13, { topics: [] });
    const software = { clientSoftwareName: 'test', clientSoftwareVersion: '1.0' };
    const code = async (meant: { clusterId: string | null; nodeId: number }): Promise<number> =>
      (await client.call(apiVersionsApi, 5, { ...software, ...meant })).errorCode;
    expect(await code({ clusterId, nodeId: 1 })).toBe(0);
    expect(await code({ clusterId: null, nodeId: -1 })).toBe(0);
    expect(await code({ clusterId: 'another', nodeId: 1 })).toBe(129);
    expect(await code({ clusterId: '', nodeId: 1 })).toBe(129);
    expect(await code({ clusterId, nodeId: 2 })).toBe(129);
    expect(await code({ clusterId, nodeId: -1 })).toBe(42);
    expect(await code({ clusterId: null, nodeId: 1 })).toBe(42);
    expect((await client.call(apiVersionsApi, 5, { ...software, clientSoftwareName: '', clusterId: 'another', nodeId: 1 })).errorCode).toBe(
      42,
    );
  });
});

describe('CreateTopics', () => {
  it('creates with defaults, and says what came of it', async () => {
    const client = await WireClient.open(await testBroker({ flags: { 'num.partitions': '4' } }));
    const { topics } = await client.call(createTopicsApi, 7, {
      topics: [{ ...shape, name: 'a', configs: [{ name: 'segment.ms', value: '12345' }] }],
    });
    expect(topics[0]).toMatchObject({ errorCode: 0, numPartitions: 4, replicationFactor: 1 });
    expect(topics[0]!.topicId).not.toBe(zeroTopicId);
    expect(topics[0]!.configs?.find(({ name }) => name === 'segment.ms')).toMatchObject({ value: '12345', configSource: 1 });
    expect(topics[0]!.configs?.find(({ name }) => name === 'segment.bytes')).toMatchObject({ configSource: 5 });
  });

  it('refuses the name of a saved view, and a view the name of a topic', async () => {
    const broker = await testBroker();
    const client = await WireClient.open(broker);
    const { 'broker.put-view': put, 'broker.drop-view': drop, 'broker.describe': describeBroker } = broker.controlHandlers;
    await client.createTopic('flights');
    const context = undefined as never;
    expect(await put!({ name: 'late', sql: 'SELECT 1' }, context)).toMatchObject({ isNew: true, view: { name: 'late', sql: 'SELECT 1' } });
    expect(await put!({ name: 'late', sql: 'SELECT 2', description: 'two' }, context)).toMatchObject({ isNew: false });
    await expect(put!({ name: 'Flights', sql: 'SELECT 1' }, context)).rejects.toMatchObject({ code: 'view-exists' });
    for (const isValidateOnly of [true, false]) expect(await createCode(client, { name: 'LATE' }, isValidateOnly)).toBe(17);
    expect((await describeBroker!({}, context)).views).toMatchObject([{ name: 'late', sql: 'SELECT 2', description: 'two' }]);
    await expect(drop!({ name: 'lat' }, context)).rejects.toMatchObject({ code: 'view-unknown', hint: 'Did you mean late?' });
    await drop!({ name: 'late' }, context);
    expect(await createCode(client, { name: 'LATE' })).toBe(0);
  });

  it('refuses what one broker cannot give, by Kafka’s codes', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('there.is');
    expect(await createCode(client, { name: 'there.is' })).toBe(36);
    for (const name of ['', '.', 'a/b', 'x'.repeat(250), 'there_is', 'There.Is', 'system', 'System', '__transaction_state']) {
      expect([name, await createCode(client, { name })]).toEqual([name, 17]);
    }
    expect(await createCode(client, { name: 'p', numPartitions: 0 })).toBe(37);
    expect(await createCode(client, { name: 'p', numPartitions: 10_001 })).toBe(37);
    expect(await createCode(client, { name: 'p', replicationFactor: 3 })).toBe(38);
    expect(await createCode(client, { name: 'p', assignments: [{ partitionIndex: 0, brokerIds: [7] }] })).toBe(39);
    expect(await createCode(client, { name: 'p', assignments: [{ partitionIndex: 1, brokerIds: [1] }] })).toBe(39);
    expect(await createCode(client, { name: 'p', numPartitions: 1, assignments: [{ partitionIndex: 0, brokerIds: [1] }] })).toBe(42);
    expect(await createCode(client, { name: 'p', configs: [{ name: 'no.such.key', value: '1' }] })).toBe(40);
    expect(await createCode(client, { name: 'p', configs: [{ name: 'segment.ms', value: 'x' }] })).toBe(40);
    expect(await createCode(client, { name: 'p', configs: [{ name: 'segment.ms', value: null }] })).toBe(40);
    const twice = await client.call(createTopicsApi, 5, {
      topics: [
        { ...shape, name: 'q' },
        { ...shape, name: 'q' },
        { ...shape, name: 'r' },
      ],
    });
    expect(twice.topics.map(({ errorCode }) => errorCode)).toEqual([42, 0]);
  });

  it('answers a request of very many topics in time', async () => {
    const client = await WireClient.open(await testBroker());
    const names = Array.from({ length: 60_000 }, (_none, i) => `not legal ${i}`);
    const { topics } = await client.call(createTopicsApi, 5, { topics: names.map((name) => ({ ...shape, name })), validateOnly: true });
    expect(topics).toHaveLength(names.length);
  });

  it('refuses more local retention than there is in all, with a hint', async () => {
    const client = await WireClient.open(await testBroker());
    const configs = [
      { name: 'retention.ms', value: '1000' },
      { name: 'local.retention.ms', value: '2000' },
    ];
    const { topics } = await client.call(createTopicsApi, 5, { topics: [{ ...shape, name: 'p', configs }] });
    expect(topics[0]).toMatchObject({ errorCode: 40 });
    expect(topics[0]!.errorMessage).toMatch(/at most 1000/);
  });

  it('creates nothing when it is only to validate', async () => {
    const client = await WireClient.open(await testBroker());
    expect(await createCode(client, { name: 'a' }, true)).toBe(0);
    expect(await createCode(client, { name: 'a' }, true)).toBe(0);
  });
});

describe('Metadata', () => {
  it('creates a topic on demand and answers it in full', async () => {
    const broker = await testBroker({ flags: { 'num.partitions': '2' } });
    const client = await WireClient.open(broker);
    const [first, second] = await Promise.all([
      client.call(metadataApi, 12, { topics: [{ name: 'new' }] }),
      (await WireClient.open(broker)).call(metadataApi, 1, { topics: [{ name: 'new' }] }),
    ]);
    expect(first.clusterId).toBe(broker.clusterId);
    expect(first.brokers).toEqual([{ nodeId: 1, host: '127.0.0.1', port: broker.kafkaAddress.port, rack: null }]);
    expect(first.topics[0]).toMatchObject({ errorCode: 0, name: 'new', isInternal: false });
    expect(first.topics[0]!.partitions).toMatchObject([
      { errorCode: 0, partitionIndex: 0, leaderId: 1, replicaNodes: [1], isrNodes: [1] },
      { partitionIndex: 1 },
    ]);
    expect(second.topics[0]).toMatchObject({ errorCode: 0, name: 'new' });
  });

  it('creates none where the request or the server forbids it', async () => {
    const client = await WireClient.open(await testBroker());
    const forbidden = await client.call(metadataApi, 4, { topics: [{ name: 'a' }], allowAutoTopicCreation: false });
    expect(forbidden.topics[0]!.errorCode).toBe(3);
    expect((await client.call(metadataApi, 4, { topics: [{ name: 'a b' }] })).topics[0]!.errorCode).toBe(17);
    const other = await WireClient.open(await testBroker({ flags: { 'auto.create.topics.enable': 'false' } }));
    expect((await other.call(metadataApi, 4, { topics: [{ name: 'a' }] })).topics[0]!.errorCode).toBe(3);
  });

  it('lists all for null, none for an empty list, all for an empty list of v0', async () => {
    const client = await WireClient.open(await testBroker());
    const id = await client.createTopic('a');
    expect((await client.call(metadataApi, 9, { topics: null })).topics).toHaveLength(1);
    expect((await client.call(metadataApi, 9, { topics: [] })).topics).toHaveLength(0);
    expect((await client.call(metadataApi, 0, { topics: [] })).topics).toHaveLength(1);
    expect((await client.call(metadataApi, 12, { topics: [{ name: null, topicId: id }] })).topics[0]).toMatchObject({ name: 'a' });
    const unknown = await client.call(metadataApi, 12, { topics: [{ name: null, topicId: zeroTopicId }] });
    expect(unknown.topics[0]).toMatchObject({ errorCode: 100, name: null });
    // Below v12 an answer has no way to say that there is no name.
    const early = await client.call(metadataApi, 10, { topics: [{ name: null, topicId: zeroTopicId }] });
    expect(early.topics[0]).toMatchObject({ errorCode: 42, name: '' });
  });
});

describe('DeleteTopics', () => {
  it('deletes by name and by id, and a new topic of the name is empty and has another id', async () => {
    const client = await WireClient.open(await testBroker());
    const first = await client.createTopic('a');
    await client.produce('a', batchOf(['old']));
    expect((await client.call(deleteTopicsApi, 1, { topicNames: ['a'], timeoutMs: 1 })).responses[0]).toMatchObject({ errorCode: 0 });
    expect((await client.fetch(first, 0)).errorCode).toBe(100);
    const second = await client.createTopic('a');
    expect(second).not.toBe(first);
    expect(valuesOf((await client.fetch(second, 0)).records)).toEqual([]);
    const byId = await client.call(deleteTopicsApi, 6, { topics: [{ name: null, topicId: second }], timeoutMs: 1 });
    expect(byId.responses[0]).toMatchObject({ errorCode: 0, name: 'a' });
    const again = await client.call(deleteTopicsApi, 6, { topics: [{ name: null, topicId: second }, { name: 'a' }], timeoutMs: 1 });
    expect(again.responses.map(({ errorCode }) => errorCode)).toEqual([100, 3]);
  });

  it('remembers what was dropped until the table is gone, over a restart', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    const id = await client.createTopic('a');
    await client.call(deleteTopicsApi, 1, { topicNames: ['a'], timeoutMs: 1 });
    await broker.close();
    const later = await testBroker({ dataDir });
    const describe_ = later.controlHandlers['broker.describe']!;
    expect((await describe_({}, undefined as never)).dropped).toEqual([{ name: 'a', id }]);
    await later.controlHandlers['broker.topic-dropped']!({ topicId: id }, undefined as never);
    expect((await describe_({}, undefined as never)).dropped).toEqual([]);
  });

  it('are served after a start where one has a damaged folder', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    await client.createTopic('a');
    await client.createTopic('b');
    await broker.close();
    await rm(join(dataDir, 'log', 'a-0', 'partition.metadata'));
    const again = await WireClient.open(await testBroker({ dataDir }));
    expect(await again.produce('a', batchOf(['x']))).toMatchObject({ errorCode: 56 });
    expect(await again.produce('b', batchOf(['x']))).toMatchObject({ errorCode: 0 });
    expect((await again.call(deleteTopicsApi, 1, { topicNames: ['a'], timeoutMs: 1 })).responses[0]).toMatchObject({ errorCode: 0 });
    await again.createTopic('a');
    expect(await again.produce('a', batchOf(['x']))).toMatchObject({ errorCode: 0, baseOffset: 0 });
  });

  it('has topics, ids, configuration and records after a restart', async () => {
    const dataDir = await temporaryFolder();
    const broker = await testBroker({ dataDir });
    const client = await WireClient.open(broker);
    const id = await client.createTopic('a', 2, { 'segment.ms': '77777' });
    await client.produce('a', batchOf(['x']), { partition: 1 });
    await broker.close();
    const again = await WireClient.open(await testBroker({ dataDir }));
    expect(valuesOf((await again.fetch(id, 0, { partition: 1 })).records)).toEqual([[0, 'x']]);
    const { results } = await again.call(describeConfigsApi, 4, {
      resources: [{ resourceType: 2, resourceName: 'a', configurationKeys: ['segment.ms'] }],
    });
    expect(results[0]!.configs).toMatchObject([{ value: '77777', configSource: 1 }]);
  });
});

describe('DescribeConfigs', () => {
  it('describes every key of a topic with type, source, synonyms and documentation', async () => {
    const client = await WireClient.open(await testBroker({ flags: { 'log.segment.bytes': '2097152' } }));
    await client.createTopic('a', 1, { 'segment.ms': '5000' });
    const { results } = await client.call(describeConfigsApi, 4, {
      resources: [{ resourceType: 2, resourceName: 'a', configurationKeys: null }],
      includeSynonyms: true,
      includeDocumentation: true,
    });
    const configs = new Map(results[0]!.configs.map((config) => [config.name, config]));
    expect(configs.get('segment.ms')).toMatchObject({ value: '5000', configSource: 1, configType: 5 });
    expect(configs.get('segment.bytes')).toMatchObject({ value: '2097152', configSource: 4, configType: 3 });
    expect(configs.get('cleanup.policy')).toMatchObject({ value: 'delete', configSource: 5, configType: 7 });
    expect(configs.get('segment.bytes')!.synonyms.map(({ source }) => source)).toEqual([4, 5]);
    // There is nothing that a broker could set for it.
    expect(configs.get('leader.replication.throttled.replicas')!.synonyms).toEqual([]);
    expect(configs.get('retention.ms')!.documentation).toMatch(/records are kept/);
  });

  it('describes this broker, and no other', async () => {
    const client = await WireClient.open(await testBroker());
    const ask = async (resourceType: number, resourceName: string): Promise<number[]> => {
      const { results } = await client.call(describeConfigsApi, 1, {
        resources: [{ resourceType, resourceName, configurationKeys: null }],
      });
      return [results[0]!.errorCode, Math.sign(results[0]!.configs.length)];
    };
    expect(await ask(4, '1')).toEqual([0, 1]);
    expect(await ask(4, '9')).toEqual([42, 0]);
    expect(await ask(2, 'none')).toEqual([3, 0]);
    expect(await ask(64, 'g')).toEqual([42, 0]);
  });
});
