/** DeleteGroups: forgets groups that have no members, with all they committed (KIP-229). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, request, response, string, struct } from '../notation.js';

const deleteGroupsRequest = request('DeleteGroups', {
  groupsNames: array(string()),
});

const deleteGroupsResponse = response('DeleteGroups', {
  throttleTimeMs: int32({ default: 0 }),
  results: array(
    struct({
      groupId: string(),
      errorCode: int16(),
      errorMessage: string({ versions: '3+', nullable: true, default: null, ignorable: true }),
    }),
  ),
});

export const deleteGroupsApi = api({
  key: 42,
  name: 'DeleteGroups',
  minVersion: 0,
  maxVersion: 3,
  flexibleFrom: 2,
  request: deleteGroupsRequest,
  response: deleteGroupsResponse,
});

export type DeleteGroupsRequest = MessageType<typeof deleteGroupsRequest>;
export type DeleteGroupsResponse = MessageType<typeof deleteGroupsResponse>;
export type DeleteGroupsResponseResult = DeleteGroupsResponse['results'][number];
