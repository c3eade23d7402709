import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Broker } from '../../../src/broker/index.js';
import { zeroTopicId } from '../../../src/kernel/index.js';
import {
  alterConfigsApi,
  createPartitionsApi,
  describeClusterApi,
  describeConfigsApi,
  describeLogDirsApi,
  describeProducersApi,
  describeQuorumApi,
  describeTopicPartitionsApi,
  electLeadersApi,
  encodeBatch,
  findCoordinatorApi,
  listConfigResourcesApi,
  listPartitionReassignmentsApi,
  metadataApi,
  offsetForLeaderEpochApi,
} from '../../../src/wire/index.js';
import { batchOf, noColdTier, temporaryFolder, testBroker, valuesOf, WireClient } from './broker-fixture.js';

async function serve(dataDir?: string): Promise<{ broker: Broker; client: WireClient }> {
  const broker = await testBroker(dataDir === undefined ? {} : { dataDir });
  return { broker, client: await WireClient.open(broker) };
}

const partitionCount = async (client: WireClient, name: string): Promise<number> =>
  (await client.call(metadataApi, 12, { topics: [{ name }] })).topics[0]!.partitions.length;

describe('CreatePartitions', () => {
  const grow = async (client: WireClient, name: string, count: number, assignments: number[][] | null = null, validateOnly = false) => {
    const placed = assignments?.map((brokerIds) => ({ brokerIds })) ?? null;
    const { results } = await client.call(createPartitionsApi, 3, {
      topics: [{ name, count, assignments: placed }],
      timeoutMs: 1000,
      validateOnly,
    });
    return results[0]!.errorCode;
  };

  it('adds partitions that take records at once, for good, and tells the tier daemon', async () => {
    const dataDir = await temporaryFolder();
    let changes = 0;
    const broker = await testBroker({ dataDir, coldTier: { ...noColdTier, topicsChanged: () => void changes++ } });
    const client = await WireClient.open(broker);
    const id = await client.createTopic('a');
    await client.produce('a', batchOf(['old']));
    changes = 0;
    expect(await grow(client, 'a', 3)).toBe(0);
    expect(changes).toBe(1);
    expect(await client.produce('a', batchOf(['new']), { partition: 2 })).toMatchObject({ errorCode: 0, baseOffset: 0 });
    await broker.close();
    const again = await serve(dataDir);
    expect(await partitionCount(again.client, 'a')).toBe(3);
    expect(valuesOf((await again.client.fetch(id, 0, { partition: 2 })).records)).toEqual([[0, 'new']]);
    expect(valuesOf((await again.client.fetch(id, 0)).records)).toEqual([[0, 'old']]);
  });

  it('creates none where it is only to validate', async () => {
    const { client } = await serve();
    await client.createTopic('a');
    expect(await grow(client, 'a', 3, null, true)).toBe(0);
    expect(await partitionCount(client, 'a')).toBe(1);
  });

  it('takes assignments to this broker, one replica each', async () => {
    const { client } = await serve();
    await client.createTopic('a');
    expect(await grow(client, 'a', 3, [[1]])).toBe(39);
    expect(await grow(client, 'a', 2, [[2]])).toBe(39);
    expect(await grow(client, 'a', 2, [[1, 2]])).toBe(39);
    expect(await grow(client, 'a', 2, [[]])).toBe(39);
    expect(await grow(client, 'a', 2, [[1]])).toBe(0);
    expect(await partitionCount(client, 'a')).toBe(2);
  });

  it('refuses by Kafka’s codes', async () => {
    const broker = await testBroker({ flags: { 'topic.max.partitions': '4' } });
    const client = await WireClient.open(broker);
    await client.createTopic('a', 2);
    await client.call(findCoordinatorApi, 4, { keyType: 0, coordinatorKeys: ['g'] });
    expect(await grow(client, 'none', 3)).toBe(3);
    expect(await grow(client, 'a', 2)).toBe(37);
    expect(await grow(client, 'a', 1)).toBe(37);
    expect(await grow(client, 'a', 5)).toBe(37);
    expect(await grow(client, '__consumer_offsets', 4)).toBe(42);
    const twice = { name: 'a', count: 3, assignments: null };
    const { results } = await client.call(createPartitionsApi, 3, { topics: [twice, twice], timeoutMs: 1, validateOnly: false });
    expect(results.map(({ name, errorCode }) => [name, errorCode])).toEqual([['a', 42]]);
    expect(await partitionCount(client, 'a')).toBe(2);
  });
});

describe('AlterConfigs', () => {
  const alter = async (client: WireClient, resourceName: string, changes: [string, string | null][], over: object = {}) => {
    const configs = changes.map(([name, value]) => ({ name, value }));
    const { responses } = await client.call(alterConfigsApi, 2, {
      resources: [{ resourceType: 2, resourceName, configs, ...over }],
      validateOnly: false,
      ...over,
    });
    return responses[0]!.errorCode;
  };
  const own = async (client: WireClient, resourceName: string) => {
    const { results } = await client.call(describeConfigsApi, 4, {
      resources: [{ resourceType: 2, resourceName, configurationKeys: null }],
    });
    return results[0]!.configs.filter(({ configSource }) => configSource === 1).map(({ name, value }) => [name, value]);
  };

  it('replaces all keys of a topic: what is not named goes back to its default', async () => {
    const { client } = await serve();
    await client.createTopic('a', 1, { 'segment.ms': '5000', 'retention.ms': '1000' });
    expect(await alter(client, 'a', [['segment.bytes', '2000000']], { validateOnly: true })).toBe(0);
    expect(await own(client, 'a')).toHaveLength(2);
    expect(await alter(client, 'a', [['segment.bytes', '2000000']])).toBe(0);
    expect(await own(client, 'a')).toEqual([['segment.bytes', '2000000']]);
  });

  it('refuses by Kafka’s codes, and changes nothing then', async () => {
    const { client } = await serve();
    await client.createTopic('a', 1, { 'segment.ms': '5000' });
    expect(await alter(client, 'none', [])).toBe(3);
    expect(await alter(client, 'a/b', [])).toBe(17);
    expect(await alter(client, '1', [['log.segment.bytes', '1']], { resourceType: 4 })).toBe(42);
    expect(await alter(client, 'a', [['segment.mx', '1']])).toBe(40);
    expect(await alter(client, 'a', [['segment.ms', null]])).toBe(42);
    expect(
      await alter(client, 'a', [
        ['segment.ms', '1'],
        ['segment.ms', '2'],
      ]),
    ).toBe(42);
    expect(await own(client, 'a')).toEqual([['segment.ms', '5000']]);
  });
});

describe('DescribeCluster', () => {
  it('is one broker, which is the controller', async () => {
    const { broker, client } = await serve();
    const asked = { includeClusterAuthorizedOperations: true, includeFencedBrokers: true };
    expect(await client.call(describeClusterApi, 2, asked)).toEqual({
      throttleTimeMs: 0,
      errorCode: 0,
      errorMessage: null,
      endpointType: 1,
      clusterId: broker.clusterId,
      controllerId: 1,
      brokers: [{ brokerId: 1, host: '127.0.0.1', port: broker.kafkaAddress.port, rack: null, isFenced: false }],
      clusterAuthorizedOperations: 8096,
    });
    expect(await client.call(describeClusterApi, 1, { ...asked, includeFencedBrokers: false, endpointType: 2 })).toMatchObject({
      errorCode: 114,
    });
    expect(await client.call(describeClusterApi, 1, { ...asked, includeFencedBrokers: false, endpointType: 3 })).toMatchObject({
      errorCode: 115,
    });
  });
});

describe('DescribeLogDirs', () => {
  it('gives the bytes of partitions in the one directory, and its disk', async () => {
    const dataDir = await temporaryFolder();
    const { client } = await serve(dataDir);
    await client.createTopic('a', 2);
    await client.createTopic('b');
    const batch = batchOf(['x']);
    await client.produce('a', batch, { partition: 1 });
    const all = await client.call(describeLogDirsApi, 5, { topics: null });
    const partition = (partitionIndex: number, partitionSize = 0) => ({ partitionIndex, partitionSize, offsetLag: 0, isFutureKey: false });
    expect(all.results).toMatchObject([
      {
        errorCode: 0,
        logDir: join(dataDir, 'log'),
        topics: [
          { name: 'a', partitions: [partition(0), partition(1, batch.length)] },
          { name: 'b', partitions: [partition(0)] },
        ],
        isCordoned: false,
      },
    ]);
    const { totalBytes, usableBytes } = all.results[0]!;
    expect(totalBytes).toBeGreaterThanOrEqual(usableBytes);
    expect(usableBytes).toBeGreaterThan(0);
    const some = await client.call(describeLogDirsApi, 1, {
      topics: [
        { topic: 'a', partitions: [1, 7] },
        { topic: 'none', partitions: [0] },
      ],
    });
    expect(some.results[0]!.topics).toEqual([{ name: 'a', partitions: [partition(1, batch.length)] }]);
  });
});

describe('OffsetForLeaderEpoch', () => {
  it('gives the log end for the newest epoch, and none for one that has not begun', async () => {
    const { client } = await serve();
    await client.createTopic('a');
    await client.produce('a', batchOf(['x', 'y']));
    const end = async (leaderEpoch: number, currentLeaderEpoch = -1, topic = 'a', version = 4) => {
      const { topics } = await client.call(offsetForLeaderEpochApi, version, {
        topics: [{ topic, partitions: [{ partition: 0, currentLeaderEpoch, leaderEpoch }] }],
      });
      const { errorCode, leaderEpoch: epoch, endOffset } = topics[0]!.partitions[0]!;
      return [errorCode, epoch, endOffset];
    };
    expect(await end(0)).toEqual([0, 0, 2]);
    expect(await end(0, 0, 'a', 2)).toEqual([0, 0, 2]);
    expect(await end(5)).toEqual([0, -1, -1]);
    expect(await end(0, 5)).toEqual([75, -1, -1]);
    expect(await end(0, -1, 'none')).toEqual([3, -1, -1]);
  });
});

describe('DescribeTopicPartitions', () => {
  const page = async (client: WireClient, names: string[], responsePartitionLimit: number, at?: [string, number]) => {
    const cursor = at === undefined ? null : { topicName: at[0], partitionIndex: at[1] };
    const { topics, nextCursor } = await client.call(describeTopicPartitionsApi, 0, {
      topics: names.map((name) => ({ name })),
      responsePartitionLimit,
      cursor,
    });
    const seen = topics.map(({ name, errorCode, partitions }) => [name, errorCode, partitions.map(({ partitionIndex }) => partitionIndex)]);
    return [seen, nextCursor === null ? null : [nextCursor.topicName, nextCursor.partitionIndex]];
  };

  it('goes over all topics by name, page by page', async () => {
    const { client } = await serve();
    await client.createTopic('b', 3);
    await client.createTopic('a', 2);
    expect(await page(client, [], 2000)).toEqual([
      [
        ['a', 0, [0, 1]],
        ['b', 0, [0, 1, 2]],
      ],
      null,
    ]);
    expect(await page(client, [], 2)).toEqual([[['a', 0, [0, 1]]], ['b', 0]]);
    expect(await page(client, [], 2, ['b', 0])).toEqual([[['b', 0, [0, 1]]], ['b', 2]]);
    expect(await page(client, [], 0, ['b', 2])).toEqual([[['b', 0, [2]]], null]);
  });

  it('answers the topics named, and says of each that is not there why', async () => {
    const { client } = await serve();
    const id = await client.createTopic('b', 1);
    expect(await page(client, ['b', 'none', 'a/b'], 9)).toEqual([
      [
        ['a/b', 17, []],
        ['b', 0, [0]],
        ['none', 3, []],
      ],
      null,
    ]);
    expect(await page(client, ['b'], 9, ['a', 0])).toEqual([[['b', 42, []]], null]);
    expect(await page(client, ['b'], 9, ['b', -1])).toEqual([[['b', 42, []]], null]);
    const { topics } = await client.call(describeTopicPartitionsApi, 0, { topics: [{ name: 'b' }], cursor: null });
    expect(topics[0]).toEqual({
      errorCode: 0,
      name: 'b',
      topicId: id,
      isInternal: false,
      partitions: [
        {
          errorCode: 0,
          partitionIndex: 0,
          leaderId: 1,
          leaderEpoch: 0,
          replicaNodes: [1],
          isrNodes: [1],
          eligibleLeaderReplicas: [],
          lastKnownElr: [],
          offlineReplicas: [],
        },
      ],
      topicAuthorizedOperations: 3576,
    });
  });
});

describe('DescribeProducers', () => {
  it('shows the idempotent producers of a partition', async () => {
    const { client } = await serve();
    await client.createTopic('a');
    const records = [1, 2].map((timestampMs) => ({ timestampMs, key: null, value: Buffer.from('x') }));
    await client.produce('a', encodeBatch({ records, producerId: 77n, producerEpoch: 3, baseSequence: 0 }));
    const { topics } = await client.call(describeProducersApi, 0, {
      topics: [
        { name: 'a', partitionIndexes: [0, 1] },
        { name: 'none', partitionIndexes: [0] },
      ],
    });
    expect(topics).toMatchObject([
      {
        name: 'a',
        partitions: [
          {
            errorCode: 0,
            activeProducers: [{ producerId: 77n, producerEpoch: 3, lastSequence: 1, coordinatorEpoch: -1, currentTxnStartOffset: -1 }],
          },
          { errorCode: 3 },
        ],
      },
      { name: 'none', partitions: [{ errorCode: 3, activeProducers: [] }] },
    ]);
  });
});

describe('what one broker never has', () => {
  it('elects no leaders', async () => {
    const { client } = await serve();
    await client.createTopic('a');
    const elect = async (topicPartitions: { topic: string; partitions: number[] }[] | null, electionType = 0) => {
      const { errorCode, replicaElectionResults } = await client.call(electLeadersApi, 2, { electionType, topicPartitions, timeoutMs: 1 });
      return [errorCode, replicaElectionResults.flatMap(({ partitionResult }) => partitionResult.map((each) => each.errorCode))];
    };
    expect(await elect(null)).toEqual([0, []]);
    expect(await elect([{ topic: 'a', partitions: [0, 1] }])).toEqual([0, [84, 3]]);
    expect(await elect([{ topic: 'a', partitions: [0] }], 1)).toEqual([0, [84]]);
    expect(await elect(null, 7)).toEqual([42, []]);
  });

  it('moves no partitions', async () => {
    const { client } = await serve();
    const { errorCode, topics } = await client.call(listPartitionReassignmentsApi, 0, { topics: null });
    expect([errorCode, topics]).toEqual([0, []]);
  });

  it('is its own quorum, which counts the changes of its metadata', async () => {
    const { broker, client } = await serve();
    const quorum = async (...names: string[]) => {
      const topics = names.map((topicName) => ({ topicName, partitions: [{ partitionIndex: 0 }] }));
      return client.call(describeQuorumApi, 2, { topics });
    };
    const metadata = '__cluster_metadata';
    const before = (await quorum(metadata)).topics[0]!.partitions[0]!.highWatermark;
    await client.createTopic('a');
    const { topics, nodes } = await quorum(metadata);
    expect(topics[0]!.partitions[0]).toMatchObject({
      errorCode: 0,
      leaderId: 1,
      leaderEpoch: 0,
      highWatermark: before + 1,
      currentVoters: [{ replicaId: 1, replicaDirectoryId: zeroTopicId, logEndOffset: before + 1 }],
      observers: [],
    });
    expect(nodes).toEqual([{ nodeId: 1, listeners: [{ name: 'PLAINTEXT', host: '127.0.0.1', port: broker.kafkaAddress.port }] }]);
    // Whoever asks for anything else gets nothing.
    const refused = await quorum(metadata, 'a');
    expect(refused.topics.map(({ partitions }) => partitions[0])).toMatchObject([
      { errorCode: 3, leaderId: 0, currentVoters: [] },
      { errorCode: 3, leaderId: 0, currentVoters: [] },
    ]);
    expect(refused.nodes).toEqual([]);
  });
});

describe('ListConfigResources', () => {
  it('lists topics and the broker, by type', async () => {
    const { client } = await serve();
    await client.createTopic('a');
    const list = async (resourceTypes: number[], version = 1) => {
      const { errorCode, configResources } = await client.call(listConfigResourcesApi, version, { resourceTypes });
      return [errorCode, configResources.map(({ resourceName, resourceType }) => `${resourceType}:${resourceName}`)];
    };
    expect(await list([])).toEqual([0, ['8:1', '4:1', '2:a']]);
    expect(await list([2])).toEqual([0, ['2:a']]);
    expect(await list([4, 16, 32])).toEqual([0, ['4:1']]);
    expect(await list([8])).toEqual([0, ['8:1']]);
    expect(await list([3])).toEqual([35, []]);
    expect(await list([], 0)).toEqual([0, []]);
  });
});
