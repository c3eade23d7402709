/** DescribeProducers: the idempotent and transactional producers that a partition remembers (KIP-664). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int64, producerId, request, response, string, struct } from '../notation.js';

const describeProducersRequest = request('DescribeProducers', {
  topics: array(
    struct({
      name: string(),
      partitionIndexes: array(int32()),
    }),
  ),
});

const describeProducersResponse = response('DescribeProducers', {
  throttleTimeMs: int32({ default: 0 }),
  topics: array(
    struct({
      name: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
          errorCode: int16(),
          errorMessage: string({ nullable: true, default: null }),
          activeProducers: array(
            struct({
              producerId: producerId(),
              producerEpoch: int32(),
              lastSequence: int32({ default: -1 }),
              lastTimestamp: int64({ default: -1 }),
              coordinatorEpoch: int32(),
              currentTxnStartOffset: int64({ default: -1 }),
            }),
          ),
        }),
      ),
    }),
  ),
});

export const describeProducersApi = api({
  key: 61,
  name: 'DescribeProducers',
  minVersion: 0,
  maxVersion: 0,
  flexibleFrom: 0,
  request: describeProducersRequest,
  response: describeProducersResponse,
});

export type DescribeProducersRequest = MessageType<typeof describeProducersRequest>;
export type DescribeProducersResponse = MessageType<typeof describeProducersResponse>;
export type DescribeProducersResponsePartition = DescribeProducersResponse['topics'][number]['partitions'][number];
