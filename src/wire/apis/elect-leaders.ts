/** ElectLeaders: elects preferred (0) or unclean (1) leaders (KIP-183, KIP-460). Topics null asks for all partitions. */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int8, request, response, string, struct } from '../notation.js';

const electLeadersRequest = request('ElectLeaders', {
  electionType: int8({ versions: '1+' }),
  topicPartitions: array(
    struct({
      topic: string(),
      partitions: array(int32()),
    }),
    { nullable: true },
  ),
  timeoutMs: int32({ default: 60000 }),
});

const electLeadersResponse = response('ElectLeaders', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16({ versions: '1+' }),
  replicaElectionResults: array(
    struct({
      topic: string(),
      partitionResult: array(
        struct({
          partitionId: int32(),
          errorCode: int16(),
          errorMessage: string({ nullable: true }),
        }),
      ),
    }),
  ),
});

export const electLeadersApi = api({
  key: 43,
  name: 'ElectLeaders',
  minVersion: 0,
  maxVersion: 2,
  flexibleFrom: 2,
  request: electLeadersRequest,
  response: electLeadersResponse,
});

export type ElectLeadersRequest = MessageType<typeof electLeadersRequest>;
export type ElectLeadersResponse = MessageType<typeof electLeadersResponse>;
