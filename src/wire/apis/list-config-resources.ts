/** ListConfigResources: names of what has a configuration (KIP-1142); at v0 client metrics subscriptions only. */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int8, request, response, string, struct } from '../notation.js';

const listConfigResourcesRequest = request('ListConfigResources', {
  resourceTypes: array(int8(), { versions: '1+' }),
});

const listConfigResourcesResponse = response('ListConfigResources', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16(),
  configResources: array(
    struct({
      resourceName: string(),
      resourceType: int8({ versions: '1+', default: 16, ignorable: true }),
    }),
  ),
});

export const listConfigResourcesApi = api({
  key: 74,
  name: 'ListConfigResources',
  minVersion: 0,
  maxVersion: 1,
  flexibleFrom: 0,
  request: listConfigResourcesRequest,
  response: listConfigResourcesResponse,
});

export type ListConfigResourcesRequest = MessageType<typeof listConfigResourcesRequest>;
export type ListConfigResourcesResponse = MessageType<typeof listConfigResourcesResponse>;
