/**
 * The members of a classic group, found by id and by instance id, with counts kept beside them: how many support each protocol and how
 * many have a JoinGroup held, so that neither a join nor a vote looks at every pair of members.
 */
import { kafkaErrors } from '../../wire/index.js';
import { type JoinAnswer, type Member, type MemberIdentity, type MemberProtocol } from './member.js';

export class Roster {
  readonly #members = new Map<string, Member>();
  /** Instance id → member id (KIP-345). */
  readonly #statics = new Map<string, string>();
  /** Protocol name → members that support it. */
  readonly #supporters = new Map<string, number>();
  readonly #joining = new Set<Member>();

  get size(): number {
    return this.#members.size;
  }

  /** Members whose JoinGroup is held. */
  get joiningCount(): number {
    return this.#joining.size;
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
  }

  /** Whether it was there. */
  remove(member: Member): boolean {
    if (this.#members.get(member.id) !== member) return false;
    this.#members.delete(member.id);
    this.#joining.delete(member);
    if (member.instanceId !== null && this.#statics.get(member.instanceId) === member.id) this.#statics.delete(member.instanceId);
    this.#count(member.protocols, -1);
    return true;
  }

  clear(): void {
    for (const map of [this.#members, this.#statics, this.#supporters, this.#joining]) map.clear();
  }

  setProtocols(member: Member, protocols: readonly MemberProtocol[]): void {
    this.#count(member.protocols, -1);
    member.protocols = protocols;
    this.#count(protocols, 1);
  }

  hold(member: Member, answer: (answer: JoinAnswer) => void): void {
    member.answerJoin = answer;
    this.#joining.add(member);
  }

  /** Answers the JoinGroup that a member has held, if it has one. */
  answerJoin(member: Member, answer: JoinAnswer): void {
    const held = member.answerJoin;
    member.answerJoin = undefined;
    this.#joining.delete(member);
    held?.(answer);
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
