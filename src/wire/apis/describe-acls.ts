/** DescribeAcls: access control lists that match a filter (KIP-140, KIP-290). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int8, request, response, string, struct } from '../notation.js';

const describeAclsRequest = request('DescribeAcls', {
  resourceTypeFilter: int8(),
  resourceNameFilter: string({ nullable: true }),
  patternTypeFilter: int8({ default: 3 }),
  principalFilter: string({ nullable: true }),
  hostFilter: string({ nullable: true }),
  operation: int8(),
  permissionType: int8(),
});

const describeAclsResponse = response('DescribeAcls', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16(),
  errorMessage: string({ nullable: true }),
  resources: array(
    struct({
      resourceType: int8(),
      resourceName: string(),
      patternType: int8({ default: 3 }),
      acls: array(
        struct({
          principal: string(),
          host: string(),
          operation: int8(),
          permissionType: int8(),
        }),
      ),
    }),
  ),
});

export const describeAclsApi = api({
  key: 29,
  name: 'DescribeAcls',
  minVersion: 1,
  maxVersion: 3,
  flexibleFrom: 2,
  request: describeAclsRequest,
  response: describeAclsResponse,
});

export type DescribeAclsRequest = MessageType<typeof describeAclsRequest>;
export type DescribeAclsResponse = MessageType<typeof describeAclsResponse>;
