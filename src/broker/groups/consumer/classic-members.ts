/**
 * Members that speak the classic protocol in a consumer group of the new one, while it is upgraded or downgraded: what they send is
 * turned into what the group understands. Their generation is their epoch; they never have a leader, the broker assigns.
 */
import { kafkaErrors } from '../../../wire/index.js';
import { type JoinAnswer, joinFailure, type JoinRequest, type MemberIdentity, type SyncAnswer, syncFailure } from '../member.js';
import type { ConsumerGroup } from './consumer-group.js';
import type { ClassicSide, ConsumerMember } from './consumer-member.js';
import { consumerProtocolType, decodeSubscription, encodeAssignment } from './consumer-protocol.js';
import { isRefusal } from './refusal.js';
import type { TopicView } from './subscriptions.js';

type ClassicMember = ConsumerMember & { readonly classic: ClassicSide };

interface ClassicJoin {
  readonly freshId: () => string;
  readonly topics: TopicView;
  /** Whether no member of the new protocol is left with it, and the group goes on as a classic one. */
  readonly isLast: boolean;
  readonly nowMs: number;
}

/** Errors: 23, 25, 79, 81, 82. */
export function joinAsClassic(group: ConsumerGroup, request: JoinRequest, { freshId, topics, isLast, nowMs }: ClassicJoin): JoinAnswer {
  // What refuses a join here names no member, as from Kafka.
  const [first] = request.protocols;
  if (first === undefined || !isSupported(group, request)) return joinFailure(kafkaErrors.INCONSISTENT_GROUP_PROTOCOL, '');
  const memberId = request.memberId === '' ? freshId() : request.memberId;
  if (request.memberId === '' && request.isIdRequired && request.instanceId === null)
    return joinFailure(kafkaErrors.MEMBER_ID_REQUIRED, memberId);
  // As from Kafka, before what it subscribes to is looked at.
  const named = request.memberId === '' || request.instanceId === null ? undefined : memberNamed(group, request);
  if (typeof named === 'number') return joinFailure(named, '');
  const subscription = decodeSubscription(first.metadata, topics);
  if (subscription === undefined) return joinFailure(kafkaErrors.INCONSISTENT_GROUP_PROTOCOL, '');
  const answer = group.joinClassic(
    {
      memberId,
      memberEpoch: 0,
      instanceId: request.instanceId,
      rackId: null,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      clientId: request.clientId,
      clientHost: request.clientHost,
      topicNames: subscription.topics,
      topicRegex: '',
      serverAssignor: null,
      owned: subscription.owned,
      classic: {
        sessionTimeoutMs: request.sessionTimeoutMs,
        protocols: request.protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) })),
      },
    },
    { isNew: request.memberId === '', isLast },
    nowMs,
  );
  if (isRefusal(answer)) return joinFailure(answer.errorCode, '');
  return {
    errorCode: kafkaErrors.NONE,
    generationId: answer.memberEpoch,
    protocolType: consumerProtocolType,
    protocolName: request.protocols[0]!.name,
    leader: '',
    skipAssignment: false,
    memberId,
    members: [],
  };
}

/** Whether it is a consumer's protocol, and one that all classic members have. */
function isSupported(group: ConsumerGroup, { protocolType, protocols }: JoinRequest): boolean {
  if (protocolType !== consumerProtocolType) return false;
  const members = [...group.members];
  return protocols.some(({ name }) =>
    members.every(({ classic }) => classic === null || classic.protocols.some((protocol) => protocol.name === name)),
  );
}

/** Errors: 25, 82, 22, 27. */
export function heartbeatAsClassic(group: ConsumerGroup, identity: MemberIdentity, generationId: number, nowMs: number): number {
  const member = check(group, identity, generationId);
  if (typeof member === 'number') return member;
  const mustRejoin =
    member.epoch < group.assignmentEpoch ||
    member.state === 'unrevoked' ||
    (member.state === 'unreleased' && !group.isWaiting(member)) ||
    // Kafka waits for a member of the new protocol, which assigns with its next heartbeat. Where there is none nobody else would.
    (group.isToAssign(nowMs) && [...group.members].every(isClassic));
  group.sawClassic(member, member.classic, nowMs, mustRejoin ? 'due' : 'same');
  return mustRejoin ? kafkaErrors.REBALANCE_IN_PROGRESS : kafkaErrors.NONE;
}

export interface SyncOfClassic extends MemberIdentity {
  readonly generationId: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
}

/** Errors: 25, 82, 22, 23, 27. */
export function syncAsClassic(group: ConsumerGroup, request: SyncOfClassic, topics: TopicView, nowMs: number): SyncAnswer {
  const member = check(group, request, request.generationId);
  if (typeof member === 'number') return syncFailure(member);
  const protocolName = member.classic.protocols[0]?.name ?? '';
  const isOther =
    (request.protocolType !== null && request.protocolType !== consumerProtocolType) ||
    (request.protocolName !== null && request.protocolName !== protocolName);
  if (isOther) return syncFailure(kafkaErrors.INCONSISTENT_GROUP_PROTOCOL);
  if (group.assignmentEpoch > member.epoch && member.state !== 'unrevoked') {
    group.sawClassic(member, member.classic, nowMs, 'due');
    return syncFailure(kafkaErrors.REBALANCE_IN_PROGRESS);
  }
  group.sawClassic(member, member.classic, nowMs, 'done');
  return {
    errorCode: kafkaErrors.NONE,
    protocolType: consumerProtocolType,
    protocolName,
    assignment: encodeAssignment(member.assigned, (id) => topics.nameOf(id)),
  };
}

function check(group: ConsumerGroup, identity: MemberIdentity, generationId: number): ClassicMember | number {
  const member = classicMember(group, identity);
  if (typeof member === 'number') return member;
  return member.epoch === generationId ? member : kafkaErrors.ILLEGAL_GENERATION;
}

/** The member, or why it may not (25, 82): a member of the new protocol is none here. */
function classicMember(group: ConsumerGroup, { memberId, instanceId }: MemberIdentity): ClassicMember | number {
  const member = instanceId === null ? group.member(memberId) : group.staticMember(instanceId);
  if (member !== undefined && member.id !== memberId) return kafkaErrors.FENCED_INSTANCE_ID;
  return member !== undefined && isClassic(member) ? member : kafkaErrors.UNKNOWN_MEMBER_ID;
}

/** The member that is named, of whichever protocol, or why there is none (25, 82). An instance alone names whoever has it. */
export function memberNamed(group: ConsumerGroup, { memberId, instanceId }: MemberIdentity): ConsumerMember | number {
  const member = instanceId === null ? group.member(memberId) : group.staticMember(instanceId);
  if (member === undefined) return kafkaErrors.UNKNOWN_MEMBER_ID;
  const isNamed = memberId === member.id || (memberId === '' && instanceId !== null);
  return isNamed ? member : kafkaErrors.FENCED_INSTANCE_ID;
}

export function isClassic(member: ConsumerMember): member is ClassicMember {
  return member.classic !== null;
}
