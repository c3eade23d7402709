/** AlterConfigs: replaces all keys that are set on a resource; what is not named goes back to its default (KIP-133). */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, int8, request, response, string, struct } from '../notation.js';

const alterConfigsRequest = request('AlterConfigs', {
  resources: array(
    struct({
      resourceType: int8(),
      resourceName: string(),
      configs: array(
        struct({
          name: string(),
          value: string({ nullable: true }),
        }),
      ),
    }),
  ),
  validateOnly: bool(),
});

const alterConfigsResponse = response('AlterConfigs', {
  throttleTimeMs: int32({ default: 0 }),
  responses: array(
    struct({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      resourceType: int8(),
      resourceName: string(),
    }),
  ),
});

export const alterConfigsApi = api({
  key: 33,
  name: 'AlterConfigs',
  minVersion: 0,
  maxVersion: 2,
  flexibleFrom: 2,
  request: alterConfigsRequest,
  response: alterConfigsResponse,
});

export type AlterConfigsRequest = MessageType<typeof alterConfigsRequest>;
export type AlterConfigsResponse = MessageType<typeof alterConfigsResponse>;
