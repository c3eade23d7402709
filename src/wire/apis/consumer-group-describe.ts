/** ConsumerGroupDescribe (KIP-848): a consumer group of the new protocol, its members, what they have and what they are to have. */
import type { MessageType } from '../notation.js';
import { api, array, bool, int16, int32, int8, request, response, string, struct, uuid } from '../notation.js';

const assignment = { topicPartitions: array(struct({ topicId: uuid(), topicName: string(), partitions: array(int32()) })) };

const consumerGroupDescribeRequest = request('ConsumerGroupDescribe', {
  groupIds: array(string()),
  includeAuthorizedOperations: bool(),
});

const consumerGroupDescribeResponse = response('ConsumerGroupDescribe', {
  throttleTimeMs: int32({ ignorable: true }),
  groups: array(
    struct({
      errorCode: int16(),
      errorMessage: string({ nullable: true, default: null }),
      groupId: string(),
      groupState: string(),
      groupEpoch: int32(),
      assignmentEpoch: int32(),
      assignorName: string(),
      members: array(
        struct({
          memberId: string(),
          instanceId: string({ nullable: true, default: null }),
          rackId: string({ nullable: true, default: null }),
          memberEpoch: int32(),
          clientId: string(),
          clientHost: string(),
          subscribedTopicNames: array(string()),
          subscribedTopicRegex: string({ nullable: true, default: null }),
          assignment: struct(assignment),
          targetAssignment: struct(assignment),
          memberType: int8({ versions: '1+', default: -1, ignorable: true }),
        }),
      ),
      authorizedOperations: int32({ default: -2147483648 }),
    }),
  ),
});

export const consumerGroupDescribeApi = api({
  key: 69,
  name: 'ConsumerGroupDescribe',
  minVersion: 0,
  maxVersion: 1,
  flexibleFrom: 0,
  request: consumerGroupDescribeRequest,
  response: consumerGroupDescribeResponse,
});

export type ConsumerGroupDescribeRequest = MessageType<typeof consumerGroupDescribeRequest>;
export type ConsumerGroupDescribeResponse = MessageType<typeof consumerGroupDescribeResponse>;
export type ConsumerGroupDescribeResponseGroup = ConsumerGroupDescribeResponse['groups'][number];
export type ConsumerGroupDescribeResponseMember = ConsumerGroupDescribeResponseGroup['members'][number];
