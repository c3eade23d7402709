/** AlterReplicaLogDirs: moves replicas between the log directories of a broker (KIP-113). */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, request, response, string, struct } from '../notation.js';

const alterReplicaLogDirsRequest = request('AlterReplicaLogDirs', {
  dirs: array(
    struct({
      path: string(),
      topics: array(
        struct({
          name: string(),
          partitions: array(int32()),
        }),
      ),
    }),
  ),
});

const alterReplicaLogDirsResponse = response('AlterReplicaLogDirs', {
  throttleTimeMs: int32({ default: 0 }),
  results: array(
    struct({
      topicName: string(),
      partitions: array(
        struct({
          partitionIndex: int32(),
          errorCode: int16(),
        }),
      ),
    }),
  ),
});

export const alterReplicaLogDirsApi = api({
  key: 34,
  name: 'AlterReplicaLogDirs',
  minVersion: 1,
  maxVersion: 2,
  flexibleFrom: 2,
  request: alterReplicaLogDirsRequest,
  response: alterReplicaLogDirsResponse,
});

export type AlterReplicaLogDirsRequest = MessageType<typeof alterReplicaLogDirsRequest>;
export type AlterReplicaLogDirsResponse = MessageType<typeof alterReplicaLogDirsResponse>;
