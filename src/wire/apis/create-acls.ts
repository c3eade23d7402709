/** CreateAcls: adds access control lists (KIP-140, KIP-290). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int8, request, response, string, struct } from '../notation.js';

const createAclsRequest = request('CreateAcls', {
  creations: array(
    struct({
      resourceType: int8(),
      resourceName: string(),
      resourcePatternType: int8({ default: 3 }),
      principal: string(),
      host: string(),
      operation: int8(),
      permissionType: int8(),
    }),
  ),
});

const createAclsResponse = response('CreateAcls', {
  throttleTimeMs: int32({ default: 0 }),
  results: array(
    struct({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
    }),
  ),
});

export const createAclsApi = api({
  key: 30,
  name: 'CreateAcls',
  minVersion: 1,
  maxVersion: 3,
  flexibleFrom: 2,
  request: createAclsRequest,
  response: createAclsResponse,
});

export type CreateAclsRequest = MessageType<typeof createAclsRequest>;
export type CreateAclsResponse = MessageType<typeof createAclsResponse>;
