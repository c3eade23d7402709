/** Metadata: brokers, topics and the leaders of their partitions. Topics null asks for all; at v0 an empty list does (KIP-516 ids from v10). */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, request, response, string, struct, uuid } from '../notation.js';

const metadataRequest = request('Metadata', {
  topics: array(struct({ topicId: uuid({ versions: '10+', ignorable: true }), name: string({ nullable: '10+' }) }), { nullable: '1+' }),
  allowAutoTopicCreation: bool({ versions: '4+', default: true }),
  includeClusterAuthorizedOperations: bool({ versions: '8-10' }),
  includeTopicAuthorizedOperations: bool({ versions: '8+' }),
});

const partition = struct({
  errorCode: int16(),
  partitionIndex: int32(),
  leaderId: int32(),
  leaderEpoch: int32({ versions: '7+', default: -1, ignorable: true }),
  replicaNodes: array(int32()),
  isrNodes: array(int32()),
  offlineReplicas: array(int32(), { versions: '5+', ignorable: true }),
});

const metadataResponse = response('Metadata', {
  throttleTimeMs: int32({ versions: '3+', ignorable: true }),
  brokers: array(
    struct({
      nodeId: int32(),
      host: string(),
      port: int32(),
      rack: string({ versions: '1+', nullable: true, default: null, ignorable: true }),
    }),
  ),
  clusterId: string({ versions: '2+', nullable: true, default: null, ignorable: true }),
  controllerId: int32({ versions: '1+', default: -1, ignorable: true }),
  topics: array(
    struct({
      errorCode: int16(),
      name: string({ nullable: '12+' }),
      topicId: uuid({ versions: '10+', ignorable: true }),
      isInternal: bool({ versions: '1+', default: false, ignorable: true }),
      partitions: array(partition),
      topicAuthorizedOperations: int32({ versions: '8+', default: -2147483648 }),
    }),
  ),
  clusterAuthorizedOperations: int32({ versions: '8-10', default: -2147483648 }),
  errorCode: int16({ versions: '13+', ignorable: true }),
});

export const metadataApi = api({
  key: 3,
  name: 'Metadata',
  minVersion: 0,
  maxVersion: 13,
  flexibleFrom: 9,
  request: metadataRequest,
  response: metadataResponse,
});

export type MetadataRequest = MessageType<typeof metadataRequest>;
export type MetadataResponse = MessageType<typeof metadataResponse>;
export type MetadataRequestTopic = NonNullable<MetadataRequest['topics']>[number];
export type MetadataResponseBroker = MetadataResponse['brokers'][number];
export type MetadataResponseTopic = MetadataResponse['topics'][number];
export type MetadataResponsePartition = MetadataResponseTopic['partitions'][number];
