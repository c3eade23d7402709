/** AlterPartitionReassignments: begins and cancels moves of partitions between brokers (KIP-455). */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, request, response, string, struct } from '../notation.js';

const alterPartitionReassignmentsRequest = request('AlterPartitionReassignments', {
  timeoutMs: int32({ default: 60000 }),
  allowReplicationFactorChange: bool({ versions: '1+', default: true }),
  topics: array(
    struct({
      name: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
          replicas: array(int32(), { nullable: true, default: null }),
        }),
      ),
    }),
  ),
});

const alterPartitionReassignmentsResponse = response('AlterPartitionReassignments', {
  throttleTimeMs: int32({ default: 0 }),
  allowReplicationFactorChange: bool({ versions: '1+', default: true, ignorable: true }),
  errorCode: int16(),
  errorMessage: string({ nullable: true }),
  responses: array(
    struct({
      name: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
          errorCode: int16(),
          errorMessage: string({ nullable: true }),
        }),
      ),
    }),
  ),
});

export const alterPartitionReassignmentsApi = api({
  key: 45,
  name: 'AlterPartitionReassignments',
  minVersion: 0,
  maxVersion: 1,
  flexibleFrom: 0,
  request: alterPartitionReassignmentsRequest,
  response: alterPartitionReassignmentsResponse,
});

export type AlterPartitionReassignmentsRequest = MessageType<typeof alterPartitionReassignmentsRequest>;
export type AlterPartitionReassignmentsResponse = MessageType<typeof alterPartitionReassignmentsResponse>;
