/** AlterUserScramCredentials: sets and deletes SCRAM credentials (KIP-554). */
import type { MessageType } from '../notation.js';
import { api, array, bytes, int16, int32, int8, request, response, string, struct } from '../notation.js';

const alterUserScramCredentialsRequest = request('AlterUserScramCredentials', {
  deletions: array(
    struct({
      name: string(),
      mechanism: int8(),
    }),
  ),
  upsertions: array(
    struct({
      name: string(),
      mechanism: int8(),
      iterations: int32(),
      salt: bytes(),
      saltedPassword: bytes(),
    }),
  ),
});

const alterUserScramCredentialsResponse = response('AlterUserScramCredentials', {
  throttleTimeMs: int32({ default: 0 }),
  results: array(
    struct({
      user: string(),
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
    }),
  ),
});

export const alterUserScramCredentialsApi = api({
  key: 51,
  name: 'AlterUserScramCredentials',
  minVersion: 0,
  maxVersion: 0,
  flexibleFrom: 0,
  request: alterUserScramCredentialsRequest,
  response: alterUserScramCredentialsResponse,
});

export type AlterUserScramCredentialsRequest = MessageType<typeof alterUserScramCredentialsRequest>;
export type AlterUserScramCredentialsResponse = MessageType<typeof alterUserScramCredentialsResponse>;
