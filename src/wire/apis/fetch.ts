/** Fetch: record batches out. Topics by name up to v12, by id from v13 (KIP-516); a topic may be listed several times in one request. */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int64, int8, producerId, records, request, response, string, struct, uuid } from '../notation.js';

const fetchRequest = request('Fetch', {
  clusterId: string({ versions: '12+', nullable: true, default: null, tag: 0, ignorable: true }),
  replicaId: int32({ versions: '0-14', default: -1 }),
  replicaState: struct({ replicaId: int32({ default: -1 }), replicaEpoch: int64({ default: -1 }) }, { versions: '15+', tag: 1 }),
  maxWaitMs: int32(),
  minBytes: int32(),
  maxBytes: int32({ default: 0x7fffffff, ignorable: true }),
  isolationLevel: int8({ default: 0, ignorable: true }),
  sessionId: int32({ versions: '7+', default: 0, ignorable: true }),
  sessionEpoch: int32({ versions: '7+', default: -1, ignorable: true }),
  topics: array(
    struct({
      topic: string({ versions: '0-12', ignorable: true }),
      topicId: uuid({ versions: '13+', ignorable: true }),
      partitions: array(
        struct({
          partition: int32(),
          currentLeaderEpoch: int32({ versions: '9+', default: -1, ignorable: true }),
          fetchOffset: int64(),
          lastFetchedEpoch: int32({ versions: '12+', default: -1 }),
          logStartOffset: int64({ versions: '5+', default: -1, ignorable: true }),
          partitionMaxBytes: int32(),
          replicaDirectoryId: uuid({ versions: '17+', tag: 0, ignorable: true }),
          // Kafka's default is 2^63−1, which is read as the largest number there is (KIP-1166).
          highWatermark: int64({ versions: '18+', default: Number.MAX_SAFE_INTEGER, tag: 1, ignorable: true }),
        }),
      ),
    }),
  ),
  forgottenTopicsData: array(
    struct({
      topic: string({ versions: '7-12', ignorable: true }),
      topicId: uuid({ versions: '13+', ignorable: true }),
      partitions: array(int32()),
    }),
    { versions: '7+' },
  ),
  rackId: string({ versions: '11+', default: '', ignorable: true }),
});

const partition = struct({
  partitionIndex: int32(),
  errorCode: int16(),
  highWatermark: int64(),
  lastStableOffset: int64({ default: -1, ignorable: true }),
  logStartOffset: int64({ versions: '5+', default: -1, ignorable: true }),
  divergingEpoch: struct({ epoch: int32({ default: -1 }), endOffset: int64({ default: -1 }) }, { versions: '12+', tag: 0 }),
  currentLeader: struct({ leaderId: int32({ default: -1 }), leaderEpoch: int32({ default: -1 }) }, { versions: '12+', tag: 1 }),
  snapshotId: struct({ endOffset: int64({ default: -1 }), epoch: int32({ default: -1 }) }, { versions: '12+', tag: 2 }),
  abortedTransactions: array(struct({ producerId: producerId(), firstOffset: int64() }), { nullable: true, ignorable: true }),
  preferredReadReplica: int32({ versions: '11+', default: -1 }),
  records: records({ nullable: true }),
});

const fetchResponse = response('Fetch', {
  throttleTimeMs: int32({ ignorable: true }),
  errorCode: int16({ versions: '7+', ignorable: true }),
  sessionId: int32({ versions: '7+', default: 0 }),
  responses: array(
    struct({
      topic: string({ versions: '0-12', ignorable: true }),
      topicId: uuid({ versions: '13+', ignorable: true }),
      partitions: array(partition),
    }),
  ),
  nodeEndpoints: array(struct({ nodeId: int32(), host: string(), port: int32(), rack: string({ nullable: true, default: null }) }), {
    versions: '16+',
    tag: 0,
  }),
});

export const fetchApi = api({
  key: 1,
  name: 'Fetch',
  minVersion: 4,
  maxVersion: 18,
  flexibleFrom: 12,
  request: fetchRequest,
  response: fetchResponse,
});

export type FetchRequest = MessageType<typeof fetchRequest>;
export type FetchResponse = MessageType<typeof fetchResponse>;
export type FetchRequestTopic = FetchRequest['topics'][number];
export type FetchRequestPartition = FetchRequestTopic['partitions'][number];
export type FetchResponseTopic = FetchResponse['responses'][number];
export type FetchResponsePartition = FetchResponseTopic['partitions'][number];
