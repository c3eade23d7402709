/** FindCoordinator: the broker of a group (key type 0) or a transactional id (1). One key up to v3, several from v4 (KIP-699). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int8, request, response, string, struct } from '../notation.js';

const findCoordinatorRequest = request('FindCoordinator', {
  key: string({ versions: '0-3' }),
  keyType: int8({ versions: '1+', default: 0 }),
  coordinatorKeys: array(string(), { versions: '4+' }),
});

const findCoordinatorResponse = response('FindCoordinator', {
  throttleTimeMs: int32({ versions: '1+', ignorable: true }),
  errorCode: int16({ versions: '0-3' }),
  errorMessage: string({ versions: '1-3', nullable: true, ignorable: true }),
  nodeId: int32({ versions: '0-3' }),
  host: string({ versions: '0-3' }),
  port: int32({ versions: '0-3' }),
  coordinators: array(
    struct({
      key: string(),
      nodeId: int32(),
      host: string(),
      port: int32(),
      errorCode: int16(),
      errorMessage: string({ nullable: true, ignorable: true }),
    }),
    { versions: '4+' },
  ),
});

export const findCoordinatorApi = api({
  key: 10,
  name: 'FindCoordinator',
  minVersion: 0,
  maxVersion: 6,
  flexibleFrom: 3,
  request: findCoordinatorRequest,
  response: findCoordinatorResponse,
});

export type FindCoordinatorRequest = MessageType<typeof findCoordinatorRequest>;
export type FindCoordinatorResponse = MessageType<typeof findCoordinatorResponse>;
export type FindCoordinatorResponseCoordinator = FindCoordinatorResponse['coordinators'][number];
