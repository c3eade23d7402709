/** DeleteAcls: removes access control lists that match filters (KIP-140, KIP-290). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int8, request, response, string, struct } from '../notation.js';

const deleteAclsRequest = request('DeleteAcls', {
  filters: array(
    struct({
      resourceTypeFilter: int8(),
      resourceNameFilter: string({ nullable: true }),
      patternTypeFilter: int8({ default: 3 }),
      principalFilter: string({ nullable: true }),
      hostFilter: string({ nullable: true }),
      operation: int8(),
      permissionType: int8(),
    }),
  ),
});

const deleteAclsResponse = response('DeleteAcls', {
  throttleTimeMs: int32({ default: 0 }),
  filterResults: array(
    struct({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      matchingAcls: array(
        struct({
          errorCode: int16(),
          errorMessage: string({ nullable: true }),
          resourceType: int8(),
          resourceName: string(),
          patternType: int8({ default: 3 }),
          principal: string(),
          host: string(),
          operation: int8(),
          permissionType: int8(),
        }),
      ),
    }),
  ),
});

export const deleteAclsApi = api({
  key: 31,
  name: 'DeleteAcls',
  minVersion: 1,
  maxVersion: 3,
  flexibleFrom: 2,
  request: deleteAclsRequest,
  response: deleteAclsResponse,
});

export type DeleteAclsRequest = MessageType<typeof deleteAclsRequest>;
export type DeleteAclsResponse = MessageType<typeof deleteAclsResponse>;
