/** ListGroups: every group of this broker, filtered by state (v4, KIP-518) and by type (v5, KIP-848). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, request, response, string, struct } from '../notation.js';

const listGroupsRequest = request('ListGroups', {
  statesFilter: array(string(), { versions: '4+' }),
  typesFilter: array(string(), { versions: '5+' }),
});

const listGroupsResponse = response('ListGroups', {
  throttleTimeMs: int32({ versions: '1+', ignorable: true }),
  errorCode: int16(),
  groups: array(
    struct({
      groupId: string(),
      protocolType: string(),
      groupState: string({ versions: '4+', ignorable: true }),
      groupType: string({ versions: '5+', ignorable: true }),
    }),
  ),
});

export const listGroupsApi = api({
  key: 16,
  name: 'ListGroups',
  minVersion: 0,
  maxVersion: 5,
  flexibleFrom: 3,
  request: listGroupsRequest,
  response: listGroupsResponse,
});

export type ListGroupsRequest = MessageType<typeof listGroupsRequest>;
export type ListGroupsResponse = MessageType<typeof listGroupsResponse>;
