/** A member of a classic consumer group: what it said when it joined, and what it waits for. */

export interface MemberProtocol {
  readonly name: string;
  readonly metadata: Buffer;
}

export interface JoinRequest {
  readonly groupId: string;
  readonly memberId: string;
  /** Null: a dynamic member. */
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly protocolType: string;
  readonly protocols: readonly MemberProtocol[];
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** KIP-394: a dynamic member without an id is first given one and must come back with it (JoinGroup v4+). */
  readonly isIdRequired: boolean;
  /** KIP-814: a static leader that is back may be told that it leads and need not assign (JoinGroup v9+). */
  readonly canSkipAssignment: boolean;
}

export interface JoinAnswer {
  readonly errorCode: number;
  readonly generationId: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leader: string;
  readonly skipAssignment: boolean;
  readonly memberId: string;
  readonly members: readonly { readonly memberId: string; readonly groupInstanceId: string | null; readonly metadata: Buffer }[];
}

export interface SyncAnswer {
  readonly errorCode: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Buffer;
}

/** Who a request says that it comes from. */
export interface MemberIdentity {
  readonly memberId: string;
  readonly instanceId: string | null;
}

export interface Member {
  readonly id: string;
  /** Of a static member (KIP-345): it keeps its place and its assignment while it is away, until its session runs out. */
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  protocols: readonly MemberProtocol[];
  assignment: Buffer;
  /** Monotonic time of the last sign of life. */
  lastSeenMs: number;
  /** Answers the JoinGroup that is held, if one is. */
  answerJoin: ((answer: JoinAnswer) => void) | undefined;
  /** Answers the SyncGroup that is held, if one is. */
  answerSync: ((answer: SyncAnswer) => void) | undefined;
  /** Until it is in a generation. */
  isNew: boolean;
  /** Has synced in this generation. */
  isSynced: boolean;
  /** Ends its session without a word. */
  stopWatch: () => void;
}

export const emptyBytes: Buffer = Buffer.alloc(0);

export function joinFailure(errorCode: number, memberId: string): JoinAnswer {
  return { errorCode, generationId: -1, protocolType: null, protocolName: null, leader: '', skipAssignment: false, memberId, members: [] };
}

export function syncFailure(errorCode: number): SyncAnswer {
  return { errorCode, protocolType: null, protocolName: null, assignment: emptyBytes };
}

/** Whether a member supports the same protocols with the same metadata, in the same order. */
export function hasSameProtocols(member: Member, protocols: readonly MemberProtocol[]): boolean {
  return (
    member.protocols.length === protocols.length &&
    member.protocols.every((own, i) => own.name === protocols[i]!.name && own.metadata.equals(protocols[i]!.metadata))
  );
}

/** What a member says about itself under a protocol; empty where it does not support it. */
export function subscriptionOf(member: Member, protocol: string | null): Buffer {
  return member.protocols.find(({ name }) => name === protocol)?.metadata ?? emptyBytes;
}

/** What a member sent lies in the frame of its request, which must not be kept. */
export function copyProtocols(protocols: readonly MemberProtocol[]): MemberProtocol[] {
  return protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) }));
}

export function freshMember(
  from: Pick<Member, 'id' | 'instanceId' | 'clientId' | 'clientHost' | 'sessionTimeoutMs' | 'rebalanceTimeoutMs'>,
  protocols: readonly MemberProtocol[],
): Member {
  return {
    id: from.id,
    instanceId: from.instanceId,
    clientId: from.clientId,
    clientHost: from.clientHost,
    sessionTimeoutMs: from.sessionTimeoutMs,
    rebalanceTimeoutMs: from.rebalanceTimeoutMs,
    protocols,
    assignment: emptyBytes,
    lastSeenMs: 0,
    answerJoin: undefined,
    answerSync: undefined,
    isNew: true,
    isSynced: false,
    stopWatch: () => undefined,
  };
}
