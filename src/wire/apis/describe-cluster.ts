/** DescribeCluster: brokers and controller (KIP-700); from v1 of brokers or controllers, from v2 fenced brokers too. */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, int8, request, response, string, struct } from '../notation.js';

const describeClusterRequest = request('DescribeCluster', {
  includeClusterAuthorizedOperations: bool(),
  endpointType: int8({ versions: '1+', default: 1 }),
  includeFencedBrokers: bool({ versions: '2+' }),
});

const describeClusterResponse = response('DescribeCluster', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16(),
  errorMessage: string({ nullable: true, default: null }),
  endpointType: int8({ versions: '1+', default: 1 }),
  clusterId: string(),
  controllerId: int32({ default: -1 }),
  brokers: array(
    struct({
      brokerId: int32(),
      host: string(),
      port: int32(),
      rack: string({ nullable: true, default: null }),
      isFenced: bool({ versions: '2+' }),
    }),
  ),
  clusterAuthorizedOperations: int32({ default: -2147483648 }),
});

export const describeClusterApi = api({
  key: 60,
  name: 'DescribeCluster',
  minVersion: 0,
  maxVersion: 2,
  flexibleFrom: 0,
  request: describeClusterRequest,
  response: describeClusterResponse,
});

export type DescribeClusterRequest = MessageType<typeof describeClusterRequest>;
export type DescribeClusterResponse = MessageType<typeof describeClusterResponse>;
