/** ListPartitionReassignments: partitions that are being moved between brokers (KIP-455). Topics null asks for all. */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, request, response, string, struct } from '../notation.js';

const listPartitionReassignmentsRequest = request('ListPartitionReassignments', {
  timeoutMs: int32({ default: 60000 }),
  topics: array(
    struct({
      name: string(),
      partitionIndexes: array(int32()),
    }),
    { nullable: true, default: null },
  ),
});

const listPartitionReassignmentsResponse = response('ListPartitionReassignments', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16(),
  errorMessage: string({ nullable: true }),
  topics: array(
    struct({
      name: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
          replicas: array(int32()),
          addingReplicas: array(int32()),
          removingReplicas: array(int32()),
        }),
      ),
    }),
  ),
});

export const listPartitionReassignmentsApi = api({
  key: 46,
  name: 'ListPartitionReassignments',
  minVersion: 0,
  maxVersion: 0,
  flexibleFrom: 0,
  request: listPartitionReassignmentsRequest,
  response: listPartitionReassignmentsResponse,
});

export type ListPartitionReassignmentsRequest = MessageType<typeof listPartitionReassignmentsRequest>;
export type ListPartitionReassignmentsResponse = MessageType<typeof listPartitionReassignmentsResponse>;
