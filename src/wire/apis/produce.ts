/** Produce: record batches in. Advertised from 0, though v0–2 are refused: librdkafka up to 2.8 compresses only then (KAFKA-18659). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int64, records, request, response, string, struct } from '../notation.js';

const produceRequest = request('Produce', {
  transactionalId: string({ nullable: true, default: null }),
  acks: int16(),
  timeoutMs: int32(),
  topicData: array(
    struct({
      name: string(),
      partitionData: array(struct({ index: int32(), records: records({ nullable: true }) })),
    }),
  ),
});

const partitionResponse = struct({
  index: int32(),
  errorCode: int16(),
  baseOffset: int64(),
  logAppendTimeMs: int64({ default: -1, ignorable: true }),
  logStartOffset: int64({ versions: '5+', default: -1, ignorable: true }),
  recordErrors: array(struct({ batchIndex: int32(), batchIndexErrorMessage: string({ nullable: true, default: null }) }), {
    versions: '8+',
    ignorable: true,
  }),
  errorMessage: string({ versions: '8+', nullable: true, default: null, ignorable: true }),
  currentLeader: struct({ leaderId: int32({ default: -1 }), leaderEpoch: int32({ default: -1 }) }, { versions: '10+', tag: 0 }),
});

const produceResponse = response('Produce', {
  responses: array(struct({ name: string(), partitionResponses: array(partitionResponse) })),
  throttleTimeMs: int32({ default: 0, ignorable: true }),
  nodeEndpoints: array(struct({ nodeId: int32(), host: string(), port: int32(), rack: string({ nullable: true, default: null }) }), {
    versions: '10+',
    tag: 0,
  }),
});

export const produceApi = api({
  key: 0,
  name: 'Produce',
  minVersion: 3,
  maxVersion: 11,
  advertisedMinVersion: 0,
  flexibleFrom: 9,
  request: produceRequest,
  response: produceResponse,
});

export type ProduceRequest = MessageType<typeof produceRequest>;
export type ProduceResponse = MessageType<typeof produceResponse>;
export type ProduceRequestTopic = ProduceRequest['topicData'][number];
export type ProduceRequestPartition = ProduceRequestTopic['partitionData'][number];
export type ProduceResponseTopic = ProduceResponse['responses'][number];
export type ProduceResponsePartition = ProduceResponseTopic['partitionResponses'][number];
