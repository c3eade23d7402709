/** DescribeLogDirs: the log directories of a broker and the size of each partition in them (KIP-113). Topics null asks for all. */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, int64, request, response, string, struct } from '../notation.js';

const describeLogDirsRequest = request('DescribeLogDirs', {
  topics: array(
    struct({
      topic: string(),
      partitions: array(int32()),
    }),
    { nullable: true },
  ),
});

const describeLogDirsResponse = response('DescribeLogDirs', {
  throttleTimeMs: int32({ default: 0 }),
  errorCode: int16({ versions: '3+', ignorable: true }),
  results: array(
    struct({
      errorCode: int16(),
      logDir: string(),
      topics: array(
        struct({
          name: string(),
          partitions: array(
            struct({
              partitionIndex: int32(),
              partitionSize: int64(),
              offsetLag: int64(),
              isFutureKey: bool(),
            }),
          ),
        }),
      ),
      totalBytes: int64({ versions: '4+', default: -1, ignorable: true }),
      usableBytes: int64({ versions: '4+', default: -1, ignorable: true }),
      isCordoned: bool({ versions: '5+', ignorable: true }),
    }),
  ),
});

export const describeLogDirsApi = api({
  key: 35,
  name: 'DescribeLogDirs',
  minVersion: 1,
  maxVersion: 5,
  flexibleFrom: 2,
  request: describeLogDirsRequest,
  response: describeLogDirsResponse,
});

export type DescribeLogDirsRequest = MessageType<typeof describeLogDirsRequest>;
export type DescribeLogDirsResponse = MessageType<typeof describeLogDirsResponse>;
