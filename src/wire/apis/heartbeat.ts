/** Heartbeat: a member of a classic group says that it lives, and hears when the group rebalances. */
import type { MessageType } from '../notation.js';
import { api, int16, int32, request, response, string } from '../notation.js';

const heartbeatRequest = request('Heartbeat', {
  groupId: string(),
  generationId: int32(),
  memberId: string(),
  groupInstanceId: string({ versions: '3+', nullable: true, default: null }),
});

const heartbeatResponse = response('Heartbeat', {
  throttleTimeMs: int32({ versions: '1+', ignorable: true }),
  errorCode: int16(),
});

export const heartbeatApi = api({
  key: 12,
  name: 'Heartbeat',
  minVersion: 0,
  maxVersion: 4,
  flexibleFrom: 4,
  request: heartbeatRequest,
  response: heartbeatResponse,
});

export type HeartbeatRequest = MessageType<typeof heartbeatRequest>;
export type HeartbeatResponse = MessageType<typeof heartbeatResponse>;
