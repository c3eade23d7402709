/** AddRaftVoter: adds a voter to the quorum of controllers (KIP-853). */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, request, response, string, struct, uint16, uuid } from '../notation.js';

const addRaftVoterRequest = request('AddRaftVoter', {
  clusterId: string({ nullable: true }),
  timeoutMs: int32(),
  voterId: int32(),
  voterDirectoryId: uuid(),
  listeners: array(
    struct({
      name: string(),
      host: string(),
      port: uint16(),
    }),
  ),
  ackWhenCommitted: bool({ versions: '1+', default: true }),
});

const addRaftVoterResponse = response('AddRaftVoter', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16(),
  errorMessage: string({ nullable: true, ignorable: true }),
});

export const addRaftVoterApi = api({
  key: 80,
  name: 'AddRaftVoter',
  minVersion: 0,
  maxVersion: 1,
  flexibleFrom: 0,
  request: addRaftVoterRequest,
  response: addRaftVoterResponse,
});

export type AddRaftVoterRequest = MessageType<typeof addRaftVoterRequest>;
export type AddRaftVoterResponse = MessageType<typeof addRaftVoterResponse>;
