/** Answers that were found to differ from Apache Kafka 4.4's by the differential test, one by one. */
import { describe, expect, it } from 'vitest';
import {
  createTopicsApi,
  encodeBatch,
  initProducerIdApi,
  kafkaErrors,
  listOffsetsApi,
  metadataApi,
  produceApi,
} from '../../../src/wire/index.js';
import { batchOf, testBroker, WireClient } from './broker-fixture.js';

describe('as Kafka answers it', () => {
  it('a special time that the version lacks is refused before the topic is looked for', async () => {
    const client = await WireClient.open(await testBroker());
    const partitions = [{ partitionIndex: 0, timestamp: -5 }];
    const answer = await client.call(listOffsetsApi, 5, { replicaId: -1, isolationLevel: 0, topics: [{ name: 'none', partitions }] });
    expect(answer.topics[0]!.partitions[0]!.errorCode).toBe(kafkaErrors.UNSUPPORTED_VERSION);
  });

  it('a producer id without its epoch is refused', async () => {
    const client = await WireClient.open(await testBroker());
    const ask = (producerId: bigint, producerEpoch: number): Promise<{ errorCode: number }> =>
      client.call(initProducerIdApi, 4, { transactionalId: null, transactionTimeoutMs: 1000, producerId, producerEpoch });
    expect((await ask(5n, -1)).errorCode).toBe(kafkaErrors.INVALID_REQUEST);
    expect((await ask(-1n, 3)).errorCode).toBe(kafkaErrors.INVALID_REQUEST);
    expect((await ask(5n, 3)).errorCode).toBe(kafkaErrors.NONE);
  });

  it('a topic that is there is said to be so whatever else is wrong, and a refusal lists no configuration rather than none at all', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a');
    const topics = [{ name: 'a', numPartitions: -1, replicationFactor: 7, assignments: [], configs: [] }];
    const [answer] = (await client.call(createTopicsApi, 5, { topics })).topics;
    expect(answer).toMatchObject({ errorCode: kafkaErrors.TOPIC_ALREADY_EXISTS, configs: [] });
  });

  it('a produced batch: the frame first, then acks, then the records; what is left of a cut one behind it is dropped', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a');
    const good = batchOf(['x']);
    const unknownFormat = Buffer.from(good);
    unknownFormat.writeInt8(3, 16);
    const code = async (name: string, records: Buffer, acks: number, version = 7): Promise<readonly [number, number]> => {
      const topicData = [{ name, partitionData: [{ index: 0, records }] }];
      const { responses } = await client.call(produceApi, version, { transactionalId: null, acks, timeoutMs: 1000, topicData });
      const { errorCode, logStartOffset } = responses[0]!.partitionResponses[0]!;
      return [errorCode, logStartOffset];
    };
    expect(await code('none', good, 7)).toEqual([kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION, -1]);
    expect(await code('none', unknownFormat, 1)).toEqual([kafkaErrors.CORRUPT_MESSAGE, -1]);
    unknownFormat.writeInt8(-3, 16);
    expect(await code('none', unknownFormat, 1)).toEqual([kafkaErrors.CORRUPT_MESSAGE, -1]);
    expect(await code('a', Buffer.concat([good, good]), 7)).toEqual([kafkaErrors.INVALID_RECORD, -1]);
    const zstd = encodeBatch({ compression: 'zstd', records: [{ timestampMs: 1, key: null, value: Buffer.from('x') }] });
    expect(await code('a', Buffer.concat([zstd, zstd]), 7, 6)).toEqual([kafkaErrors.UNSUPPORTED_COMPRESSION_TYPE, -1]);
    expect(await code('a', good, 7)).toEqual([kafkaErrors.INVALID_REQUIRED_ACKS, -1]);
    expect(await code('a', batchOf(['x'], Date.now() + 7_200_000), 1)).toEqual([kafkaErrors.INVALID_TIMESTAMP, 0]);
    expect(await code('a', Buffer.concat([good, Buffer.alloc(3)]), 1)).toEqual([kafkaErrors.NONE, 0]);
    expect(await client.listOffset('a', -1)).toMatchObject({ offset: 1 });
  });

  it('authorized operations are answered where they are asked for', async () => {
    const client = await WireClient.open(await testBroker());
    await client.createTopic('a');
    const ask = { topics: [{ name: 'a' }], allowAutoTopicCreation: false };
    const asked = await client.call(metadataApi, 8, {
      ...ask,
      includeTopicAuthorizedOperations: true,
      includeClusterAuthorizedOperations: true,
    });
    expect([asked.clusterAuthorizedOperations, asked.topics[0]!.topicAuthorizedOperations]).toEqual([8096, 3576]);
    const not = await client.call(metadataApi, 8, {
      ...ask,
      includeTopicAuthorizedOperations: false,
      includeClusterAuthorizedOperations: false,
    });
    expect([not.clusterAuthorizedOperations, not.topics[0]!.topicAuthorizedOperations]).toEqual([-2147483648, -2147483648]);
  });
});
