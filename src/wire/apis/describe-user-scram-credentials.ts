/** DescribeUserScramCredentials: which SCRAM credentials users have (KIP-554). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, int8, request, response, string, struct } from '../notation.js';

const describeUserScramCredentialsRequest = request('DescribeUserScramCredentials', {
  users: array(
    struct({
      name: string(),
    }),
    { nullable: true },
  ),
});

const describeUserScramCredentialsResponse = response('DescribeUserScramCredentials', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16(),
  errorMessage: string({ nullable: true }),
  results: array(
    struct({
      user: string(),
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      credentialInfos: array(
        struct({
          mechanism: int8(),
          iterations: int32(),
        }),
      ),
    }),
  ),
});

export const describeUserScramCredentialsApi = api({
  key: 50,
  name: 'DescribeUserScramCredentials',
  minVersion: 0,
  maxVersion: 0,
  flexibleFrom: 0,
  request: describeUserScramCredentialsRequest,
  response: describeUserScramCredentialsResponse,
});

export type DescribeUserScramCredentialsRequest = MessageType<typeof describeUserScramCredentialsRequest>;
export type DescribeUserScramCredentialsResponse = MessageType<typeof describeUserScramCredentialsResponse>;
