/** LeaveGroup: one member leaves (up to v2), or several are removed at once (v3+, KIP-345). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, request, response, string, struct } from '../notation.js';

const leaveGroupRequest = request('LeaveGroup', {
  groupId: string(),
  memberId: string({ versions: '0-2' }),
  members: array(
    struct({
      memberId: string(),
      groupInstanceId: string({ nullable: true, default: null }),
      reason: string({ versions: '5+', nullable: true, default: null, ignorable: true }),
    }),
    { versions: '3+' },
  ),
});

const leaveGroupResponse = response('LeaveGroup', {
  throttleTimeMs: int32({ versions: '1+', ignorable: true }),
  errorCode: int16(),
  members: array(struct({ memberId: string(), groupInstanceId: string({ nullable: true }), errorCode: int16() }), { versions: '3+' }),
});

export const leaveGroupApi = api({
  key: 13,
  name: 'LeaveGroup',
  minVersion: 0,
  maxVersion: 5,
  flexibleFrom: 4,
  request: leaveGroupRequest,
  response: leaveGroupResponse,
});

export type LeaveGroupRequest = MessageType<typeof leaveGroupRequest>;
export type LeaveGroupResponse = MessageType<typeof leaveGroupResponse>;
export type LeaveGroupRequestMember = LeaveGroupRequest['members'][number];
export type LeaveGroupResponseMember = LeaveGroupResponse['members'][number];
