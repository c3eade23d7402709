/** DescribeGroups: state, protocol, members and assignments of classic groups. From v6 a group that is not there is an error (KIP-1043). */
import type { MessageType } from '../notation.js';
import { api, array, bool, bytes, int16, int32, request, response, string, struct } from '../notation.js';

const describeGroupsRequest = request('DescribeGroups', {
  groups: array(string()),
  includeAuthorizedOperations: bool({ versions: '3+' }),
});

const describeGroupsResponse = response('DescribeGroups', {
  throttleTimeMs: int32({ versions: '1+', ignorable: true }),
  groups: array(
    struct({
      errorCode: int16(),
      errorMessage: string({ versions: '6+', nullable: true, default: null }),
      groupId: string(),
      groupState: string(),
      protocolType: string(),
      protocolData: string(),
      members: array(
        struct({
          memberId: string(),
          groupInstanceId: string({ versions: '4+', nullable: true, default: null, ignorable: true }),
          clientId: string(),
          clientHost: string(),
          memberMetadata: bytes(),
          memberAssignment: bytes(),
        }),
      ),
      authorizedOperations: int32({ versions: '3+', default: -2147483648 }),
    }),
  ),
});

export const describeGroupsApi = api({
  key: 15,
  name: 'DescribeGroups',
  minVersion: 0,
  maxVersion: 6,
  flexibleFrom: 5,
  request: describeGroupsRequest,
  response: describeGroupsResponse,
});

export type DescribeGroupsRequest = MessageType<typeof describeGroupsRequest>;
export type DescribeGroupsResponse = MessageType<typeof describeGroupsResponse>;
export type DescribeGroupsResponseGroup = DescribeGroupsResponse['groups'][number];
