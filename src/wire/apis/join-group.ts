/** JoinGroup: a member enters a classic group; the leader's answer lists all members (KIP-394 member ids, KIP-345 static members). */
import type { MessageType } from '../notation.js';
import { api, array, bool, bytes, int16, int32, request, response, string, struct } from '../notation.js';

const joinGroupRequest = request('JoinGroup', {
  groupId: string(),
  sessionTimeoutMs: int32(),
  rebalanceTimeoutMs: int32({ versions: '1+', default: -1, ignorable: true }),
  memberId: string(),
  groupInstanceId: string({ versions: '5+', nullable: true, default: null }),
  protocolType: string(),
  protocols: array(struct({ name: string(), metadata: bytes() })),
  reason: string({ versions: '8+', nullable: true, default: null, ignorable: true }),
});

const joinGroupResponse = response('JoinGroup', {
  throttleTimeMs: int32({ versions: '2+', ignorable: true }),
  errorCode: int16(),
  generationId: int32({ default: -1 }),
  protocolType: string({ versions: '7+', nullable: true, default: null, ignorable: true }),
  protocolName: string({ nullable: '7+' }),
  leader: string(),
  skipAssignment: bool({ versions: '9+', default: false }),
  memberId: string(),
  members: array(
    struct({
      memberId: string(),
      groupInstanceId: string({ versions: '5+', nullable: true, default: null, ignorable: true }),
      metadata: bytes(),
    }),
  ),
});

export const joinGroupApi = api({
  key: 11,
  name: 'JoinGroup',
  minVersion: 0,
  maxVersion: 9,
  flexibleFrom: 6,
  request: joinGroupRequest,
  response: joinGroupResponse,
});

export type JoinGroupRequest = MessageType<typeof joinGroupRequest>;
export type JoinGroupResponse = MessageType<typeof joinGroupResponse>;
export type JoinGroupRequestProtocol = JoinGroupRequest['protocols'][number];
export type JoinGroupResponseMember = JoinGroupResponse['members'][number];
