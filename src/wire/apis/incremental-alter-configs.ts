/** IncrementalAlterConfigs: sets, removes, appends or subtracts single configuration keys (KIP-339). */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, int8, request, response, string, struct } from '../notation.js';

const incrementalAlterConfigsRequest = request('IncrementalAlterConfigs', {
  resources: array(
    struct({
      resourceType: int8(),
      resourceName: string(),
      configs: array(struct({ name: string(), configOperation: int8(), value: string({ nullable: true }) })),
    }),
  ),
  validateOnly: bool(),
});

const incrementalAlterConfigsResponse = response('IncrementalAlterConfigs', {
  throttleTimeMs: int32({ default: 0 }),
  responses: array(struct({ errorCode: int16(), errorMessage: string({ nullable: true }), resourceType: int8(), resourceName: string() })),
});

export const incrementalAlterConfigsApi = api({
  key: 44,
  name: 'IncrementalAlterConfigs',
  minVersion: 0,
  maxVersion: 1,
  flexibleFrom: 1,
  request: incrementalAlterConfigsRequest,
  response: incrementalAlterConfigsResponse,
});

export type IncrementalAlterConfigsRequest = MessageType<typeof incrementalAlterConfigsRequest>;
export type IncrementalAlterConfigsResponse = MessageType<typeof incrementalAlterConfigsResponse>;
export type IncrementalAlterConfigsRequestResource = IncrementalAlterConfigsRequest['resources'][number];
export type IncrementalAlterConfigsResponseResource = IncrementalAlterConfigsResponse['responses'][number];
