/** RemoveRaftVoter: removes a voter from the quorum of controllers (KIP-853). */
import type { MessageType } from '../notation.js';
import { api, int16, int32, request, response, string, uuid } from '../notation.js';

const removeRaftVoterRequest = request('RemoveRaftVoter', {
  clusterId: string({ nullable: true }),
  voterId: int32(),
  voterDirectoryId: uuid(),
});

const removeRaftVoterResponse = response('RemoveRaftVoter', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16(),
  errorMessage: string({ nullable: true, ignorable: true }),
});

export const removeRaftVoterApi = api({
  key: 81,
  name: 'RemoveRaftVoter',
  minVersion: 0,
  maxVersion: 0,
  flexibleFrom: 0,
  request: removeRaftVoterRequest,
  response: removeRaftVoterResponse,
});

export type RemoveRaftVoterRequest = MessageType<typeof removeRaftVoterRequest>;
export type RemoveRaftVoterResponse = MessageType<typeof removeRaftVoterResponse>;
