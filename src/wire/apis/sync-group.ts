/** SyncGroup: the leader of a classic group hands out assignments, every member receives its own. */
import type { MessageType } from '../notation.js';
import { api, array, bytes, int16, int32, request, response, string, struct } from '../notation.js';

const syncGroupRequest = request('SyncGroup', {
  groupId: string(),
  generationId: int32(),
  memberId: string(),
  groupInstanceId: string({ versions: '3+', nullable: true, default: null }),
  protocolType: string({ versions: '5+', nullable: true, default: null, ignorable: true }),
  protocolName: string({ versions: '5+', nullable: true, default: null, ignorable: true }),
  assignments: array(struct({ memberId: string(), assignment: bytes() })),
});

const syncGroupResponse = response('SyncGroup', {
  throttleTimeMs: int32({ versions: '1+', ignorable: true }),
  errorCode: int16(),
  protocolType: string({ versions: '5+', nullable: true, default: null, ignorable: true }),
  protocolName: string({ versions: '5+', nullable: true, default: null, ignorable: true }),
  assignment: bytes(),
});

export const syncGroupApi = api({
  key: 14,
  name: 'SyncGroup',
  minVersion: 0,
  maxVersion: 5,
  flexibleFrom: 4,
  request: syncGroupRequest,
  response: syncGroupResponse,
});

export type SyncGroupRequest = MessageType<typeof syncGroupRequest>;
export type SyncGroupResponse = MessageType<typeof syncGroupResponse>;
export type SyncGroupRequestAssignment = SyncGroupRequest['assignments'][number];
