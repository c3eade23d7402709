/**
 * The members of a classic group, found by id and by instance id, which of them leads, and the requests of theirs that are held. Counts are
 * kept beside them: how many support each protocol and how many have a JoinGroup held, so that neither a join nor a vote looks at every
 * pair of members. Whoever goes has its session ended and is answered; whoever stays has the time of its session from an answer on, as it could
 * give no sign of life while it waited.
 */
import { kafkaErrors } from '../../wire/index.js';
import {
  type JoinAnswer,
  joinFailure,
  type Member,
  type MemberIdentity,
  type MemberProtocol,
  type SyncAnswer,
  syncFailure,
} from './member.js';
import type { Sessions } from './sessions.js';

export class Roster {
  readonly #sessions: Sessions;
  readonly #members = new Map<string, Member>();
  /** Instance id → member id (KIP-345). */
  readonly #statics = new Map<string, string>();
  /** Protocol name → members that support it. */
  readonly #supporters = new Map<string, number>();
  /** Whose JoinGroup is held. */
  readonly #joining = new Set<Member>();
  #leaderId: string | null = null;

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  get size(): number {
    return this.#members.size;
  }

  /** Members whose JoinGroup is held. */
  get joiningCount(): number {
    return this.#joining.size;
  }

  /** Null where nobody leads. */
  get leaderId(): string | null {
    return this.#leaderId;
  }

  all(): Iterable<Member> {
    return this.#members.values();
  }

  get(id: string): Member | undefined {
    return this.#members.get(id);
  }

  ofInstance(instanceId: string): Member | undefined {
    return this.#members.get(this.#statics.get(instanceId) ?? '');
  }

  /** The member that a request comes from, or why it may not: UNKNOWN_MEMBER_ID (25), FENCED_INSTANCE_ID (82). */
  check({ memberId, instanceId }: MemberIdentity): Member | number {
    if (instanceId !== null) {
      const known = this.ofInstance(instanceId);
      if (known === undefined) return kafkaErrors.UNKNOWN_MEMBER_ID;
      if (known.id !== memberId) return kafkaErrors.FENCED_INSTANCE_ID;
    }
    return this.#members.get(memberId) ?? kafkaErrors.UNKNOWN_MEMBER_ID;
  }

  add(member: Member): void {
    this.#members.set(member.id, member);
    if (member.instanceId !== null) this.#statics.set(member.instanceId, member.id);
    this.#count(member.protocols, 1);
    this.#sessions.begin(member);
  }

  /** Whether it was there. What it waits for is answered with UNKNOWN_MEMBER_ID (25). */
  remove(member: Member): boolean {
    if (!this.#delete(member)) return false;
    this.#release(member, kafkaErrors.UNKNOWN_MEMBER_ID, '');
    if (this.#leaderId === member.id) this.#leaderId = null;
    return true;
  }

  /** Puts a member in the place of another, which is answered with an error; where that one led, it leads. */
  replace(former: Member, member: Member, errorCode: number): void {
    this.#release(former, errorCode);
    this.#delete(former);
    if (this.#leaderId === former.id) this.#leaderId = member.id;
    this.add(member);
  }

  /** Removes all of them; what they wait for is answered with an error. */
  clear(errorCode: number): void {
    for (const member of this.#members.values()) this.#release(member, errorCode);
    for (const map of [this.#members, this.#statics, this.#supporters, this.#joining]) map.clear();
    this.#leaderId = null;
  }

  #delete(member: Member): boolean {
    if (this.#members.get(member.id) !== member) return false;
    this.#members.delete(member.id);
    this.#joining.delete(member);
    if (member.instanceId !== null && this.#statics.get(member.instanceId) === member.id) this.#statics.delete(member.instanceId);
    this.#count(member.protocols, -1);
    return true;
  }

  #release(member: Member, errorCode: number, toldId = member.id): void {
    member.stopWatch();
    this.#answerHeldOf(member, errorCode, toldId);
  }

  setProtocols(member: Member, protocols: readonly MemberProtocol[]): void {
    this.#count(member.protocols, -1);
    member.protocols = protocols;
    this.#count(protocols, 1);
  }

  /** Answered by `answerJoin`; what is held already, with REBALANCE_IN_PROGRESS (27). */
  holdJoin(member: Member): Promise<JoinAnswer> {
    this.answerJoin(member, joinFailure(kafkaErrors.REBALANCE_IN_PROGRESS, member.id));
    return new Promise<JoinAnswer>((resolve) => {
      member.answerJoin = resolve;
      this.#joining.add(member);
    });
  }

  /** Answers the JoinGroup that a member has held, if it has one. */
  answerJoin(member: Member, answer: JoinAnswer): void {
    const held = member.answerJoin;
    if (held === undefined) return;
    member.answerJoin = undefined;
    this.#joining.delete(member);
    this.#sessions.saw(member);
    held(answer);
  }

  /** Answered by `answerSync`; what is held already, with REBALANCE_IN_PROGRESS (27). */
  holdSync(member: Member): Promise<SyncAnswer> {
    this.answerSync(member, syncFailure(kafkaErrors.REBALANCE_IN_PROGRESS));
    return new Promise<SyncAnswer>((resolve) => {
      member.answerSync = resolve;
    });
  }

  /** Answers the SyncGroup that a member has held, if it has one. */
  answerSync(member: Member, answer: SyncAnswer): void {
    const held = member.answerSync;
    if (held === undefined) return;
    member.answerSync = undefined;
    this.#sessions.saw(member);
    held(answer);
  }

  /** Answers all that is held; the members that were waiting have not joined then. */
  answerHeld(errorCode: number): void {
    for (const member of this.#members.values()) this.#answerHeldOf(member, errorCode, member.id);
  }

  #answerHeldOf(member: Member, errorCode: number, toldId: string): void {
    this.answerJoin(member, joinFailure(errorCode, toldId));
    this.answerSync(member, syncFailure(errorCode));
  }

  /** Who led the group that is taken up. */
  appoint(leaderId: string | null): void {
    this.#leaderId = leaderId;
  }

  /** Who leads goes on to, if it has joined; else the first that has does. */
  elect(): void {
    if (this.#members.get(this.#leaderId ?? '')?.answerJoin !== undefined) return;
    this.#leaderId = [...this.#members.values()].find(({ answerJoin }) => answerJoin !== undefined)?.id ?? null;
  }

  /** Whether every member supports one of these protocols; where there is no member, each will do. */
  isAnyCommon(protocols: readonly MemberProtocol[]): boolean {
    return protocols.some(({ name }) => this.#isCommon(name));
  }

  /**
   * The protocol that all members support and most prefer; of equals, the one the first member lists first. `undefined` where there
   * is none.
   */
  vote(): string | undefined {
    const votes = new Map<string, number>();
    for (const { protocols } of this.#members.values()) {
      // The first member supports whatever is common, so the order of its list comes first among equals.
      if (votes.size === 0) for (const { name } of protocols) if (this.#isCommon(name)) votes.set(name, 0);
      const choice = protocols.find(({ name }) => votes.has(name));
      if (choice !== undefined) votes.set(choice.name, votes.get(choice.name)! + 1);
    }
    let best: string | undefined;
    for (const [name, count] of votes) if (best === undefined || count > votes.get(best)!) best = name;
    return best;
  }

  #isCommon(name: string): boolean {
    return (this.#supporters.get(name) ?? 0) === this.#members.size;
  }

  /** A protocol that a member lists twice counts once. */
  #count(protocols: readonly MemberProtocol[], by: 1 | -1): void {
    for (const name of new Set(protocols.map((protocol) => protocol.name))) {
      const count = (this.#supporters.get(name) ?? 0) + by;
      if (count === 0) this.#supporters.delete(name);
      else this.#supporters.set(name, count);
    }
  }
}
