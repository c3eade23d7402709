/** UnregisterController: forgets a controller of the cluster. */
import type { MessageType } from '../notation.js';
import { api, int16, int32, request, response, string } from '../notation.js';

const unregisterControllerRequest = request('UnregisterController', {
  controllerId: int32(),
});

const unregisterControllerResponse = response('UnregisterController', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16(),
  errorMessage: string({ nullable: true }),
});

export const unregisterControllerApi = api({
  key: 94,
  name: 'UnregisterController',
  minVersion: 0,
  maxVersion: 0,
  flexibleFrom: 0,
  request: unregisterControllerRequest,
  response: unregisterControllerResponse,
});

export type UnregisterControllerRequest = MessageType<typeof unregisterControllerRequest>;
export type UnregisterControllerResponse = MessageType<typeof unregisterControllerResponse>;
