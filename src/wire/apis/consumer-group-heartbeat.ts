/** ConsumerGroupHeartbeat (KIP-848): all that a member of a consumer group of the new protocol ever says, and hears. */
import type { MessageType } from '../notation.js';
import { api, array, int16, int32, request, response, string, struct, uuid } from '../notation.js';

const topicPartitions = { topicId: uuid(), partitions: array(int32()) };

const consumerGroupHeartbeatRequest = request('ConsumerGroupHeartbeat', {
  groupId: string(),
  memberId: string(),
  memberEpoch: int32(),
  instanceId: string({ nullable: true, default: null }),
  rackId: string({ nullable: true, default: null }),
  rebalanceTimeoutMs: int32({ default: -1 }),
  subscribedTopicNames: array(string(), { nullable: true, default: null }),
  subscribedTopicRegex: string({ versions: '1+', nullable: true, default: null }),
  serverAssignor: string({ nullable: true, default: null }),
  topicPartitions: array(struct(topicPartitions), { nullable: true, default: null }),
});

const consumerGroupHeartbeatResponse = response('ConsumerGroupHeartbeat', {
  throttleTimeMs: int32({ ignorable: true }),
  errorCode: int16(),
  errorMessage: string({ nullable: true, default: null }),
  memberId: string({ nullable: true, default: null }),
  memberEpoch: int32(),
  heartbeatIntervalMs: int32(),
  assignment: struct({ topicPartitions: array(struct(topicPartitions)) }, { nullable: true, default: null }),
});

export const consumerGroupHeartbeatApi = api({
  key: 68,
  name: 'ConsumerGroupHeartbeat',
  minVersion: 0,
  maxVersion: 1,
  flexibleFrom: 0,
  request: consumerGroupHeartbeatRequest,
  response: consumerGroupHeartbeatResponse,
});

export type ConsumerGroupHeartbeatRequest = MessageType<typeof consumerGroupHeartbeatRequest>;
export type ConsumerGroupHeartbeatResponse = MessageType<typeof consumerGroupHeartbeatResponse>;
