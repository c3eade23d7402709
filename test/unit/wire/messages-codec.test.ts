/** What the message codec promises beyond a round trip: strictness by direction, tolerance of what real clients send, chunks. */
import { describe, expect, it } from 'vitest';
import {
  apiByKey,
  apiVersionsApi,
  apis,
  createTopicsApi,
  decodeCorrelationId,
  decodeRequest,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  fetchApi,
  findCoordinatorApi,
  heartbeatApi,
  initProducerIdApi,
  joinGroupApi,
  kafkaErrorName,
  kafkaErrors,
  listOffsetsApi,
  metadataApi,
  offsetFetchApi,
  produceApi,
} from '../../../src/wire/index.js';
import type { FetchResponsePartition, MessageInput, MetadataResponse } from '../../../src/wire/index.js';
import { topicId } from '../../../src/kernel/index.js';

const messageInvalid = expect.objectContaining({ name: 'LakeError', code: 'message-invalid' });
const frameOf = (chunks: readonly Buffer[]): Buffer => Buffer.concat(chunks).subarray(4);

describe('responses', () => {
  it('drop what the version has no field for', () => {
    const body: MessageInput<MetadataResponse> = {
      throttleTimeMs: 7,
      clusterId: 'cluster',
      controllerId: 1,
      brokers: [{ nodeId: 1, host: 'h', port: 9092, rack: 'r' }],
      topics: [{ errorCode: 0, name: 't', topicId: topicId('AAAAAAAAAAAAAAAAAAAAAQ'), partitions: [] }],
    };
    const decoded = decodeResponse(metadataApi, 0, frameOf(encodeResponse(metadataApi, 0, 1, body))).body;
    expect(decoded).toMatchObject({
      throttleTimeMs: 0,
      clusterId: null,
      controllerId: -1,
      brokers: [{ rack: null }],
      topics: [{ name: 't' }],
    });
  });

  it('refuse null where the version has no null', () => {
    const body: MessageInput<MetadataResponse> = { brokers: [], topics: [{ errorCode: 100, name: null, partitions: [] }] };
    expect(() => encodeResponse(metadataApi, 11, 1, body)).toThrow(messageInvalid);
    expect(encodeResponse(metadataApi, 12, 1, body).length).toBe(1);
  });

  it('keep record batches as chunks of their own, uncopied, also several to a partition', () => {
    const first = Buffer.from('first');
    const second = Buffer.from('second');
    const partition = (index: number, records: MessageInput<FetchResponsePartition>['records']): MessageInput<FetchResponsePartition> => ({
      partitionIndex: index,
      errorCode: 0,
      highWatermark: 9,
      records,
    });
    const body = {
      responses: [{ topic: 't', partitions: [partition(0, [first, second]), partition(1, null), partition(2, Buffer.alloc(0))] }],
    };
    for (const version of [4, 12, 17]) {
      const chunks = encodeResponse(fetchApi, version, 1, body);
      expect(chunks).toContain(first);
      expect(chunks).toContain(second);
      const partitions = decodeResponse(fetchApi, version, frameOf(chunks)).body.responses[0]?.partitions;
      expect(partitions?.map((p) => p.records?.toString())).toEqual(['firstsecond', undefined, '']);
    }
  });

  it('stay whole when later ones are written before they are sent', () => {
    const partitions = [{ partitionIndex: 0, errorCode: 0, highWatermark: 1, records: Buffer.from('x') }];
    const written = Array.from({ length: 500 }, (_, i) =>
      encodeResponse(fetchApi, 11, i, { responses: [{ topic: 'a'.repeat(i * 50), partitions }] }),
    );
    for (const [i, chunks] of written.entries()) {
      const { correlationId, body } = decodeResponse(fetchApi, 11, frameOf(chunks));
      expect([correlationId, body.responses[0]?.topic.length]).toEqual([i, i * 50]);
    }
  });

  it('of ApiVersions have no tag section in their header at any version', () => {
    for (const version of [0, 3, 4]) {
      const frame = frameOf(encodeResponse(apiVersionsApi, version, 5, { errorCode: 35, apiKeys: [] }));
      expect(frame.subarray(0, 6).toString('hex')).toBe('000000050023');
    }
  });

  it('write a tagged field of more than 127 bytes with the shortest size', () => {
    const supportedFeatures = Array.from({ length: 40 }, (_, i) => ({ name: `feature-${i}`, minVersion: 0, maxVersion: i }));
    const finalizedFeatures = Array.from({ length: 1500 }, (_, i) => ({ name: `feature-${i}`, minVersionLevel: 0, maxVersionLevel: 1 }));
    const body = { errorCode: 0, apiKeys: [], supportedFeatures, finalizedFeatures, finalizedFeaturesEpoch: 3 };
    const decoded = decodeResponse(apiVersionsApi, 4, frameOf(encodeResponse(apiVersionsApi, 4, 1, body))).body;
    expect(decoded).toEqual({ ...body, throttleTimeMs: 0, zkMigrationReady: false });
  });

  it('tell their correlation id without being decoded', () => {
    expect(decodeCorrelationId(frameOf(encodeResponse(heartbeatApi, 4, -77, { errorCode: 0 })))).toBe(-77);
  });
});

describe('requests', () => {
  it('refuse a value that the version would lose, unless it is ignorable', () => {
    const group = { groupId: 'g', topics: null };
    expect(() => encodeRequest(offsetFetchApi, 7, 1, null, { groupId: 'g', topics: null, groups: [group] })).toThrow(messageInvalid);
    expect(() => encodeRequest(offsetFetchApi, 8, 1, null, { groupId: 'g', groups: [group] })).toThrow(messageInvalid);
    expect(() => encodeRequest(offsetFetchApi, 6, 1, null, { groupId: 'g', topics: [], requireStable: true })).toThrow(messageInvalid);
    expect(() => encodeRequest(metadataApi, 3, 1, null, { topics: [], allowAutoTopicCreation: false })).toThrow(messageInvalid);
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 }];
    const fetch = { maxWaitMs: 1, minBytes: 1, topics: [{ topic: 't', partitions }], rackId: 'ignorable' };
    expect(encodeRequest(fetchApi, 4, 1, null, fetch).length).toBe(1);
    expect(() => encodeRequest(fetchApi, 14, 1, null, { ...fetch, replicaState: { replicaId: 5 } })).toThrow(messageInvalid);
  });

  it('fill what is left out with its default', () => {
    const frame = frameOf(encodeRequest(initProducerIdApi, 5, 1, 'c', { transactionalId: null, transactionTimeoutMs: 0 }));
    const header = decodeRequestHeader(frame);
    expect(header).toEqual({ apiKey: 22, apiVersion: 5, correlationId: 1, clientId: 'c', bodyAt: 12 });
    expect(decodeRequest(initProducerIdApi, 5, frame, header.bodyAt)).toEqual({
      transactionalId: null,
      transactionTimeoutMs: 0,
      producerId: -1n,
      producerEpoch: -1,
    });
  });

  it('refuse numbers that do not fit and texts that are too long', () => {
    const heartbeat = { groupId: 'g', generationId: 0, memberId: 'm' };
    expect(() => encodeRequest(heartbeatApi, 0, 1, null, { ...heartbeat, generationId: 2 ** 31 })).toThrow(messageInvalid);
    expect(() => encodeRequest(heartbeatApi, 0, 1, null, { ...heartbeat, generationId: 1.5 })).toThrow(messageInvalid);
    expect(() => encodeRequest(heartbeatApi, 4, 1, null, { ...heartbeat, memberId: 'é'.repeat(16384) })).toThrow(messageInvalid);
    expect(encodeRequest(heartbeatApi, 4, 1, null, { ...heartbeat, memberId: `${'é'.repeat(16383)}x` }).length).toBe(1);
    expect(() => encodeRequest(findCoordinatorApi, 1, 1, null, { key: 'k', keyType: 200 })).toThrow(messageInvalid);
    const partitions = [{ partitionIndex: 0, timestamp: 2 ** 53 }];
    expect(() => encodeRequest(listOffsetsApi, 1, 1, null, { replicaId: -1, topics: [{ name: 't', partitions }] })).toThrow(messageInvalid);
  });
});

describe('decoding', () => {
  it('takes librdkafka’s Metadata for all topics, with three bytes too many', () => {
    const body = decodeRequest(metadataApi, 12, Buffer.from('0000000001000000', 'hex').subarray(0, 7), 0);
    expect(body).toMatchObject({ topics: null, allowAutoTopicCreation: false });
  });

  it('skips tags that it does not know, in headers and structs', () => {
    const frame = Buffer.from('000c000400000009ffff 01 63 02 aabb 0267 00000001 026d 00 02 00 00 05 03 010203'.replaceAll(' ', ''), 'hex');
    const header = decodeRequestHeader(frame);
    expect(header.clientId).toBe(null);
    expect(decodeRequest(heartbeatApi, 4, frame, header.bodyAt)).toEqual({
      groupId: 'g',
      generationId: 1,
      memberId: 'm',
      groupInstanceId: null,
    });
  });

  it('takes int64 beyond what a number holds as the last that fits in a request, and refuses them in a response', () => {
    const bodyWith = (timestamp: string): Buffer =>
      Buffer.from(`ffffffff 00000001 0001 74 00000001 00000000 ${timestamp}`.replaceAll(' ', ''), 'hex');
    const timestampOf = (hex: string): number | undefined =>
      decodeRequest(listOffsetsApi, 1, bodyWith(hex), 0).topics[0]?.partitions[0]?.timestamp;
    expect(timestampOf('001fffffffffffff')).toBe(Number.MAX_SAFE_INTEGER);
    expect(timestampOf('ffe0000000000001')).toBe(Number.MIN_SAFE_INTEGER);
    expect(timestampOf('fffffffffffffffe')).toBe(-2);
    for (const hex of ['0020000000000000', '7fffffffffffffff']) expect(timestampOf(hex)).toBe(Number.MAX_SAFE_INTEGER);
    for (const hex of ['ffe0000000000000', '8000000000000000']) expect(timestampOf(hex)).toBe(Number.MIN_SAFE_INTEGER);
    const answer = Buffer.from(
      '00000001 00000001 0001 74 00000001 00000000 0000 7fffffffffffffff 0000000000000000'.replaceAll(' ', ''),
      'hex',
    );
    expect(() => decodeResponse(listOffsetsApi, 1, answer)).toThrow(messageInvalid);
  });

  it('refuses counts and lengths beyond the bytes that are there', () => {
    const bodies = ['7fffffff', '00000001 7fff', '00000002 0001 74', 'fffffffe'];
    for (const hex of bodies)
      expect(() => decodeRequest(metadataApi, 1, Buffer.from(hex.replaceAll(' ', ''), 'hex'), 0)).toThrow(messageInvalid);
    for (const hex of ['ffffffff0f', 'ffffffff7f', '8080808080', 'ff']) {
      expect(() => decodeRequest(metadataApi, 12, Buffer.from(hex, 'hex'), 0)).toThrow(messageInvalid);
    }
  });

  it('refuses a count before making the first element of it', () => {
    const body = Buffer.concat([Buffer.from('00000400', 'hex'), Buffer.alloc(2 * 0x400 - 1)]);
    expect(() => decodeRequest(metadataApi, 1, body, 0)).toThrow(/higher count than bytes are left, before byte 4 /);
  });

  it('bounds the elements of a message, also where the bytes would allow more', () => {
    const group = Buffer.from('0000 00001000 00001000 0000 0000'.replaceAll(' ', ''), 'hex');
    const count = Buffer.alloc(4);
    count.writeInt32BE(1_500_000);
    const body = Buffer.concat([group, count, Buffer.alloc(1_500_000 * 6)]);
    expect(() => decodeRequest(joinGroupApi, 1, body, 0)).toThrow(messageInvalid);
  });

  it('gives byte fields as views into the frame', () => {
    const body = { acks: 1, timeoutMs: 1, topicData: [{ name: 't', partitionData: [{ index: 0, records: Buffer.from('batch') }] }] };
    const frame = frameOf(encodeRequest(produceApi, 9, 1, null, body));
    const records = decodeRequest(produceApi, 9, frame, decodeRequestHeader(frame).bodyAt).topicData[0]?.partitionData[0]?.records;
    expect(records?.toString()).toBe('batch');
    expect(records?.buffer).toBe(frame.buffer);
  });

  it('refuses null for a field that has none', () => {
    expect(() => decodeRequest(heartbeatApi, 0, Buffer.from('ffff', 'hex'), 0)).toThrow(messageInvalid);
    expect(() => decodeRequest(createTopicsApi, 2, Buffer.from('ffffffff', 'hex'), 0)).toThrow(messageInvalid);
  });
});

describe('headers', () => {
  it('are read for versions and keys that are not served', () => {
    const unknown = Buffer.from('0012006300000007000163ffff', 'hex');
    expect(decodeRequestHeader(unknown)).toMatchObject({ apiKey: 18, apiVersion: 99, correlationId: 7, clientId: 'c' });
    expect(decodeRequestHeader(Buffer.from('7000000000000007ffff', 'hex'))).toMatchObject({ apiKey: 0x7000, clientId: null });
    expect(() => decodeRequestHeader(Buffer.from('00120063', 'hex'))).toThrow(messageInvalid);
  });

  it('do not make a version served', () => {
    expect(() => decodeRequest(produceApi, 2, Buffer.alloc(100), 0)).toThrow(
      expect.objectContaining({ code: 'unsupported-version', kafkaCode: 35 }),
    );
    expect(() => encodeResponse(fetchApi, 19, 1, { responses: [] })).toThrow(expect.objectContaining({ code: 'unsupported-version' }));
  });
});

describe('tables', () => {
  it('find every API by its key, and no other', () => {
    expect(apis.map((api) => apiByKey(api.key))).toEqual(apis);
    expect(apis.map((api) => api.key)).toEqual(apis.map((api) => api.key).toSorted((a, b) => a - b));
    expect(apiByKey(4)).toBe(undefined);
  });

  it('name every error code', () => {
    expect(Object.keys(kafkaErrors).length).toBe(138);
    expect(kafkaErrorName(kafkaErrors.OFFSET_OUT_OF_RANGE)).toBe('OFFSET_OUT_OF_RANGE');
    expect([kafkaErrorName(-1), kafkaErrorName(0), kafkaErrorName(136)]).toEqual([
      'UNKNOWN_SERVER_ERROR',
      'NONE',
      'CONTROLLER_ID_NOT_REGISTERED',
    ]);
    expect(kafkaErrorName(999)).toBe('ERROR_999');
  });
});
