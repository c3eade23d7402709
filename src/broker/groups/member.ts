/** A member of a classic consumer group: what it said when it joined, and what it waits for. */

export interface MemberProtocol {
  readonly name: string;
  readonly metadata: Buffer;
}

export interface JoinRequest {
  readonly groupId: string;
  readonly memberId: string;
  readonly clientId: string;
  readonly clientHost: string;
  readonly protocolType: string;
  readonly protocols: readonly MemberProtocol[];
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** KIP-394: a member without an id is first given one and must come back with it (JoinGroup v4+). */
  readonly isIdRequired: boolean;
}

export interface JoinAnswer {
  readonly errorCode: number;
  readonly generationId: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leader: string;
  readonly memberId: string;
  readonly members: readonly { readonly memberId: string; readonly metadata: Buffer }[];
}

export interface SyncAnswer {
  readonly errorCode: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Buffer;
}

export interface Member {
  readonly id: string;
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
  /** Has synced in this generation. */
  isSynced: boolean;
  stopWatch: () => void;
}

export const emptyBytes: Buffer = Buffer.alloc(0);

export function joinFailure(errorCode: number, memberId: string): JoinAnswer {
  return { errorCode, generationId: -1, protocolType: null, protocolName: null, leader: '', memberId, members: [] };
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

/**
 * The protocol that all members support and most prefer; of equals, the one the first member lists first.
 * `undefined` where there is none.
 */
export function voteProtocol(members: readonly Member[]): string | undefined {
  const [first, ...rest] = members;
  if (first === undefined) return undefined;
  const common = first.protocols
    .map((protocol) => protocol.name)
    .filter((name) => rest.every((member) => member.protocols.some((protocol) => protocol.name === name)));
  const votes = new Map<string, number>(common.map((name) => [name, 0]));
  for (const member of members) {
    const choice = member.protocols.find((protocol) => votes.has(protocol.name));
    if (choice !== undefined) votes.set(choice.name, votes.get(choice.name)! + 1);
  }
  let best: string | undefined;
  for (const [name, count] of votes) if (best === undefined || count > votes.get(best)!) best = name;
  return best;
}
