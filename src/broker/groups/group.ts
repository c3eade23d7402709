/**
 * One classic consumer group as requests see it: who may join, as whom, and what its members may do. How it comes from one generation to
 * the next is `rebalance.ts`. All of it runs on one thread in order of arrival; only saving is awaited.
 */
import { type Clock, invariant, type Random, type TimestampMs } from '../../kernel/index.js';
import { kafkaErrors } from '../../wire/index.js';
import type { GroupState } from './group-state.js';
import {
  copyProtocols,
  freshMember,
  hasSameProtocols,
  type JoinAnswer,
  joinFailure,
  type JoinRequest,
  type Member,
  type MemberIdentity,
  subscriptionOf,
  type SyncAnswer,
  syncFailure,
} from './member.js';
import { PendingIds } from './pending-ids.js';
import { type Assignments, Rebalance } from './rebalance.js';
import { Roster } from './roster.js';
import type { SavedGroup } from './saved-group.js';
import { Sessions } from './sessions.js';

export interface GroupSettings {
  readonly initialRebalanceDelayMs: number;
  readonly maxSize: number;
}

export interface GroupPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: GroupSettings;
  /** Writes the group's generation, members and assignments durably. */
  readonly save: (group: Group) => Promise<void>;
}

export class Group {
  readonly id: string;
  readonly #ports: GroupPorts;
  readonly #sessions: Sessions;
  readonly #members: Roster;
  readonly #pendingIds: PendingIds;
  readonly #rebalance: Rebalance;

  constructor(id: string, ports: GroupPorts) {
    this.id = id;
    this.#ports = ports;
    const { clock, settings } = ports;
    this.#sessions = new Sessions(clock, (member) => this.#rebalance.remove(member));
    this.#members = new Roster(this.#sessions);
    this.#pendingIds = new PendingIds(clock, () => this.#rebalance.completeIfAllIn());
    this.#rebalance = new Rebalance({
      groupId: id,
      clock,
      settings,
      roster: this.#members,
      sessions: this.#sessions,
      pendingIds: this.#pendingIds,
      save: () => ports.save(this),
    });
  }

  get state(): GroupState {
    return this.#rebalance.state;
  }

  /** Since when it is in its state; null where that is not known. */
  get stateSinceMs(): TimestampMs | null {
    return this.#rebalance.stateSinceMs;
  }

  get generation(): number {
    return this.#rebalance.generation;
  }

  get protocolType(): string | null {
    return this.#rebalance.protocolType;
  }

  get protocol(): string | null {
    return this.#rebalance.protocol;
  }

  get members(): Iterable<Member> {
    return this.#members.all();
  }

  /** Whether members consume a topic, as of their generation. */
  consumes(topic: string): boolean {
    return this.#rebalance.consumes(topic);
  }

  get memberCount(): number {
    return this.#members.size;
  }

  /** Takes up a group where it was saved: its members may go on without joining again. */
  restore(saved: SavedGroup): void {
    invariant(this.state === 'empty' && this.#members.size === 0, 'only a fresh group is restored', { group: this.id });
    for (const was of saved.members) {
      const protocols = was.protocols ?? [{ name: saved.protocol ?? '', metadata: was.subscription }];
      this.#members.add({ ...freshMember(was, protocols), assignment: was.assignment, isNew: false, isSynced: true });
    }
    this.#members.appoint(saved.leaderId);
    this.#rebalance.restore(saved);
  }

  snapshot(): SavedGroup {
    const { protocol } = this;
    return {
      groupId: this.id,
      protocolType: this.protocolType ?? '',
      generation: this.generation,
      protocol,
      leaderId: this.#members.leaderId,
      stateSinceMs: this.stateSinceMs,
      members: [...this.#members.all()].map((member) => ({
        id: member.id,
        instanceId: member.instanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        sessionTimeoutMs: member.sessionTimeoutMs,
        rebalanceTimeoutMs: member.rebalanceTimeoutMs,
        subscription: subscriptionOf(member, protocol),
        assignment: member.assignment,
      })),
    };
  }

  /** Resolves when the rebalance that this join belongs to is complete. Errors 15, 23, 25, 79, 81, 82 stand in the answer. */
  join(request: JoinRequest): Promise<JoinAnswer> | JoinAnswer {
    const { memberId, instanceId } = request;
    if (!this.#hasRoomFor(memberId)) return this.#turnAway(memberId);
    if (this.state === 'dead') return joinFailure(kafkaErrors.COORDINATOR_NOT_AVAILABLE, memberId);
    if (!this.#isCompatible(request)) return joinFailure(kafkaErrors.INCONSISTENT_GROUP_PROTOCOL, memberId);
    if (memberId === '') return instanceId === null ? this.#joinFresh(request) : this.#joinStatic(request, instanceId);

    // Ids are given out to dynamic members only.
    if (instanceId !== null && this.#pendingIds.has(memberId)) return joinFailure(kafkaErrors.UNKNOWN_SERVER_ERROR, memberId);
    if (this.#pendingIds.take(memberId)) return this.#joinAs(memberId, request);
    const member = this.#members.check(request);
    return typeof member === 'number' ? joinFailure(member, memberId) : this.#rejoin(member, request);
  }

  /** Resolves when the leader has assigned. Errors 22, 23, 25, 27, 82 stand in the answer. */
  sync(
    request: MemberIdentity & {
      readonly generationId: number;
      readonly protocolType: string | null;
      readonly protocolName: string | null;
      readonly assignments: Assignments;
    },
  ): Promise<SyncAnswer> | SyncAnswer {
    const member = this.#members.check(request);
    if (typeof member === 'number') return syncFailure(member);
    if (request.generationId !== this.generation) return syncFailure(kafkaErrors.ILLEGAL_GENERATION);
    const isOtherType = request.protocolType !== null && request.protocolType !== this.protocolType;
    const isOtherProtocol = request.protocolName !== null && request.protocolName !== this.protocol;
    if (isOtherType || isOtherProtocol) return syncFailure(kafkaErrors.INCONSISTENT_GROUP_PROTOCOL);
    this.#sessions.saw(member);
    return this.#rebalance.sync(member, request.assignments);
  }

  /** 0, or 22, 25, 27, 82. */
  heartbeat(identity: MemberIdentity, generationId: number): number {
    const member = this.#members.check(identity);
    if (typeof member === 'number') return member;
    if (generationId !== this.generation) return kafkaErrors.ILLEGAL_GENERATION;
    this.#sessions.saw(member);
    return this.state === 'preparing-rebalance' ? kafkaErrors.REBALANCE_IN_PROGRESS : kafkaErrors.NONE;
  }

  /**
   * Removes members, by each 0, or 25, 82; then the others rebalance, once. Who names an instance only may be an administrator. As from
   * Kafka, a member that was given an id and never came makes the others join again all the same.
   */
  leave(identities: readonly MemberIdentity[]): readonly number[] {
    const codes = identities.map((identity) => this.#drop(identity));
    if (codes.includes(kafkaErrors.NONE)) this.#rebalance.left();
    return codes;
  }

  #drop({ memberId, instanceId }: MemberIdentity): number {
    if (this.#pendingIds.take(memberId)) return kafkaErrors.NONE;
    const member =
      memberId === '' && instanceId !== null
        ? (this.#members.ofInstance(instanceId) ?? kafkaErrors.UNKNOWN_MEMBER_ID)
        : this.#members.check({ memberId, instanceId });
    if (typeof member === 'number') return member;
    this.#members.remove(member);
    return kafkaErrors.NONE;
  }

  /** Answers what is held; the members that were waiting have not joined then. */
  answerHeld(errorCode: number): void {
    this.#members.answerHeld(errorCode);
  }

  /** Has all members of a stable group join again. */
  rebalance(): void {
    this.#rebalance.begin();
  }

  /** Whether this member may commit offsets now: 0, or 22, 25, 27, 82. Generation −1 is the simple consumer's. */
  mayCommit(identity: MemberIdentity, generationId: number): number {
    const { state } = this;
    if (state === 'dead') return kafkaErrors.COORDINATOR_NOT_AVAILABLE;
    if (generationId < 0 && state === 'empty') return kafkaErrors.NONE;
    const member = this.#members.check(identity);
    if (typeof member === 'number') return member;
    if (generationId !== this.generation) return kafkaErrors.ILLEGAL_GENERATION;
    if (state === 'completing-rebalance') return kafkaErrors.REBALANCE_IN_PROGRESS;
    this.#sessions.saw(member);
    return kafkaErrors.NONE;
  }

  /** Ends every timer and answers everything held. */
  close(errorCode: number): void {
    this.#pendingIds.clear();
    this.#members.clear(errorCode);
    this.#rebalance.close();
  }

  #isCompatible({ protocolType, protocols }: JoinRequest): boolean {
    if (this.state === 'empty') return protocolType !== '' && protocols.length > 0;
    return protocolType === this.protocolType && this.#members.isAnyCommon(protocols);
  }

  /** While members come back, the first ones to do so have the room, also where `group.max.size` was lowered. */
  #hasRoomFor(memberId: string): boolean {
    const { maxSize } = this.#ports.settings;
    const known = this.#members.get(memberId);
    switch (this.state) {
      case 'empty':
      case 'dead':
        return true;
      case 'preparing-rebalance':
        return known?.answerJoin !== undefined || this.#members.joiningCount < maxSize;
      default:
        return known !== undefined || this.#members.size < maxSize;
    }
  }

  #turnAway(memberId: string): JoinAnswer {
    const known = this.#members.get(memberId);
    if (known !== undefined) this.#rebalance.remove(known);
    return joinFailure(kafkaErrors.GROUP_MAX_SIZE_REACHED, '');
  }

  #joinFresh(request: JoinRequest): Promise<JoinAnswer> | JoinAnswer {
    const id = `${request.clientId}-${this.#ports.random.uuid()}`;
    if (!request.isIdRequired) return this.#joinAs(id, request);
    if (this.#pendingIds.isFull) return joinFailure(kafkaErrors.GROUP_MAX_SIZE_REACHED, '');
    this.#pendingIds.add(id, request.sessionTimeoutMs);
    return joinFailure(kafkaErrors.MEMBER_ID_REQUIRED, id);
  }

  #joinStatic(request: JoinRequest, instanceId: string): Promise<JoinAnswer> {
    const id = `${instanceId}-${this.#ports.random.uuid()}`;
    const former = this.#members.ofInstance(instanceId);
    return former === undefined ? this.#joinAs(id, request) : this.#takeOver(former, id, request);
  }

  /**
   * A static member that is back under another id takes the place of the one it was, which is fenced (KIP-345). In a stable group whose
   * protocol does not change by that, nobody else hears of it.
   */
  #takeOver(former: Member, id: string, request: JoinRequest): Promise<JoinAnswer> {
    const leaderBefore = this.#members.leaderId;
    const { sessionTimeoutMs, rebalanceTimeoutMs } = request;
    const protocols = copyProtocols(request.protocols);
    const own = { id, isNew: false, answerJoin: undefined, answerSync: undefined };
    const member = { ...former, ...own, sessionTimeoutMs, rebalanceTimeoutMs, protocols };
    this.#members.replace(former, member, kafkaErrors.FENCED_INSTANCE_ID);
    const held = this.#members.holdJoin(member);
    if (this.state === 'stable' && this.#members.vote() === this.protocol) void this.#resume(member, former, leaderBefore, request);
    // Who assigns may know it by its former id.
    else this.#rebalance.joined();
    return held;
  }

  /** Saves who a static member is now, then answers it. */
  async #resume(member: Member, former: Member, leaderBefore: string | null, request: JoinRequest): Promise<void> {
    const { generation } = this;
    let isSaved = true;
    try {
      await this.#ports.save(this);
    } catch {
      isSaved = false;
    }
    // Where a rebalance began meanwhile, the join belongs to it.
    if (this.state !== 'stable' || this.generation !== generation || this.#members.get(member.id) !== member) return;
    if (!isSaved) {
      this.#members.replace(member, former, kafkaErrors.COORDINATOR_NOT_AVAILABLE);
      return;
    }
    const answer = this.#rebalance.joinAnswer(member);
    // One that leads, and cannot be told that it need not assign, is told that the one it was leads.
    this.#members.answerJoin(
      member,
      request.canSkipAssignment
        ? { ...answer, skipAssignment: member.id === this.#members.leaderId }
        : { ...answer, leader: leaderBefore ?? '', members: [] },
    );
  }

  #joinAs(id: string, request: JoinRequest): Promise<JoinAnswer> {
    const member = freshMember({ ...request, id }, copyProtocols(request.protocols));
    this.#members.add(member);
    const held = this.#members.holdJoin(member);
    this.#rebalance.joinedAnew(request.protocolType);
    return held;
  }

  #rejoin(member: Member, request: JoinRequest): Promise<JoinAnswer> | JoinAnswer {
    const { state } = this;
    const isSame = hasSameProtocols(member, request.protocols);
    const isRetry = (state === 'completing-rebalance' && isSame) || (state === 'stable' && isSame && member.id !== this.#members.leaderId);
    this.#sessions.saw(member);
    if (isRetry) return this.#rebalance.joinAnswer(member);
    this.#members.setProtocols(member, copyProtocols(request.protocols));
    member.sessionTimeoutMs = request.sessionTimeoutMs;
    member.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    const held = this.#members.holdJoin(member);
    this.#rebalance.joined();
    return held;
  }
}
