/**
 * One classic consumer group: joins are held until all known members are in, syncs until the leader has assigned. All of
 * it runs on one thread in order of arrival; only saving the assignment is awaited.
 */
import { type Clock, invariant, minuteMs, type Random, type TimestampMs } from '../../kernel/index.js';
import { kafkaErrors } from '../../wire/index.js';
import { runAfter } from '../deadline.js';
import { consumedTopics, consumerProtocol } from './consumed-topics.js';
import { type GroupEvent, type GroupState, nextGroupState } from './group-state.js';
import {
  emptyBytes,
  hasSameProtocols,
  type JoinAnswer,
  joinFailure,
  type JoinRequest,
  type Member,
  type MemberIdentity,
  type MemberProtocol,
  type SyncAnswer,
  syncFailure,
} from './member.js';
import { Roster } from './roster.js';

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

/** A group as it was saved. */
export interface SavedGroup {
  readonly groupId: string;
  readonly protocolType: string;
  readonly generation: number;
  readonly protocol: string | null;
  readonly leaderId: string | null;
  /** Since when it is in its state; null where that is not known. */
  readonly stateSinceMs: TimestampMs | null;
  readonly members: readonly {
    readonly id: string;
    readonly instanceId: string | null;
    readonly clientId: string;
    readonly clientHost: string;
    readonly sessionTimeoutMs: number;
    readonly rebalanceTimeoutMs: number;
    readonly subscription: Buffer;
    readonly assignment: Buffer;
    /** All that it supports; it is not written down, and then it is the one of the group. */
    readonly protocols?: readonly MemberProtocol[];
  }[];
}

/** A member whose JoinGroup is held is not timed out by its session: Kafka gives a new one this long. */
const heldJoinMaxMs = 5 * minuteMs;

/** Ids given out and not yet used: some 300 bytes each with their timers, gone after a session timeout. */
const pendingIdsMax = 10_000;

export class Group {
  readonly id: string;
  readonly #ports: GroupPorts;
  #state: GroupState = 'empty';
  #stateSinceMs: TimestampMs | null;
  #generation = 0;
  #protocolType: string | null = null;
  #protocol: string | null = null;
  #leaderId: string | null = null;
  readonly #members = new Roster();
  /** Whether a topic was subscribed to when the members last joined. */
  #consumes: (topic: string) => boolean = () => this.#protocolType === consumerProtocol;
  /** Ids given out by MEMBER_ID_REQUIRED and not yet used. */
  readonly #pendingIds = new Map<string, () => void>();
  #stopPhaseTimer: () => void = () => undefined;
  #isInInitialDelay = false;
  #joinedDuringDelay = false;

  constructor(id: string, ports: GroupPorts) {
    this.id = id;
    this.#ports = ports;
    this.#stateSinceMs = ports.clock.nowMs();
  }

  get state(): GroupState {
    return this.#state;
  }

  /** Since when it is in its state; null where that is not known. */
  get stateSinceMs(): TimestampMs | null {
    return this.#stateSinceMs;
  }

  get generation(): number {
    return this.#generation;
  }

  get protocolType(): string | null {
    return this.#protocolType;
  }

  get protocol(): string | null {
    return this.#protocol;
  }

  get members(): Iterable<Member> {
    return this.#members.all();
  }

  /** Whether members consume a topic, as of their generation. */
  consumes(topic: string): boolean {
    return this.#consumes(topic);
  }

  get memberCount(): number {
    return this.#members.size;
  }

  /** Takes up a group where it was saved: its members may go on without joining again. */
  restore(saved: SavedGroup): void {
    invariant(this.#state === 'empty' && this.#members.size === 0, 'only a fresh group is restored', { group: this.id });
    this.#generation = saved.generation;
    this.#protocolType = saved.protocolType === '' ? null : saved.protocolType;
    this.#protocol = saved.protocol;
    this.#leaderId = saved.leaderId;
    this.#stateSinceMs = saved.stateSinceMs;
    for (const was of saved.members) {
      const protocols = was.protocols ?? [{ name: saved.protocol ?? '', metadata: was.subscription }];
      this.#add({ ...freshMember(was, protocols), assignment: was.assignment, isSynced: true });
    }
    if (saved.members.length > 0) this.#state = 'stable';
    this.#consumes = consumedTopics(saved);
  }

  snapshot(): SavedGroup {
    return {
      groupId: this.id,
      protocolType: this.#protocolType ?? '',
      generation: this.#generation,
      protocol: this.#protocol,
      leaderId: this.#leaderId,
      stateSinceMs: this.#stateSinceMs,
      members: [...this.#members.all()].map((member) => ({
        id: member.id,
        instanceId: member.instanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        sessionTimeoutMs: member.sessionTimeoutMs,
        rebalanceTimeoutMs: member.rebalanceTimeoutMs,
        subscription: member.protocols.find((protocol) => protocol.name === this.#protocol)?.metadata ?? emptyBytes,
        assignment: member.assignment,
      })),
    };
  }

  /** Resolves when the rebalance that this join belongs to is complete. Errors 15, 23, 25, 79, 81, 82 stand in the answer. */
  join(request: JoinRequest): Promise<JoinAnswer> | JoinAnswer {
    const { memberId, instanceId } = request;
    if (!this.#hasRoomFor(memberId)) return this.#turnAway(memberId);
    if (this.#state === 'dead') return joinFailure(kafkaErrors.COORDINATOR_NOT_AVAILABLE, memberId);
    if (!this.#isCompatible(request)) return joinFailure(kafkaErrors.INCONSISTENT_GROUP_PROTOCOL, memberId);
    if (memberId === '') return instanceId === null ? this.#joinFresh(request) : this.#joinStatic(request, instanceId);

    const forget = this.#pendingIds.get(memberId);
    if (forget !== undefined) {
      // Ids are given out to dynamic members only.
      if (instanceId !== null) return joinFailure(kafkaErrors.UNKNOWN_SERVER_ERROR, memberId);
      forget();
      this.#pendingIds.delete(memberId);
      return this.#joinAs(memberId, request);
    }
    const member = this.#members.check(request);
    return typeof member === 'number' ? joinFailure(member, memberId) : this.#rejoin(member, request);
  }

  /** Resolves when the leader has assigned. Errors 22, 23, 25, 27, 82 stand in the answer. */
  sync(
    request: MemberIdentity & {
      readonly generationId: number;
      readonly protocolType: string | null;
      readonly protocolName: string | null;
      readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[];
    },
  ): Promise<SyncAnswer> | SyncAnswer {
    const member = this.#members.check(request);
    if (typeof member === 'number') return syncFailure(member);
    if (request.generationId !== this.#generation) return syncFailure(kafkaErrors.ILLEGAL_GENERATION);
    const isOtherType = request.protocolType !== null && request.protocolType !== this.#protocolType;
    const isOtherProtocol = request.protocolName !== null && request.protocolName !== this.#protocol;
    if (isOtherType || isOtherProtocol) return syncFailure(kafkaErrors.INCONSISTENT_GROUP_PROTOCOL);
    this.#sawMember(member);
    switch (this.#state) {
      case 'preparing-rebalance':
        return syncFailure(kafkaErrors.REBALANCE_IN_PROGRESS);
      case 'stable':
        member.isSynced = true;
        return this.#assignmentOf(member);
      case 'completing-rebalance': {
        member.isSynced = true;
        member.answerSync?.(syncFailure(kafkaErrors.REBALANCE_IN_PROGRESS));
        const held = new Promise<SyncAnswer>((resolve) => {
          member.answerSync = resolve;
        });
        if (member.id === this.#leaderId) void this.#assign(request.assignments);
        return held;
      }
      default:
        return syncFailure(kafkaErrors.UNKNOWN_MEMBER_ID);
    }
  }

  /** 0, or 22, 25, 27, 82. */
  heartbeat(identity: MemberIdentity, generationId: number): number {
    const member = this.#members.check(identity);
    if (typeof member === 'number') return member;
    if (generationId !== this.#generation) return kafkaErrors.ILLEGAL_GENERATION;
    this.#sawMember(member);
    return this.#state === 'preparing-rebalance' ? kafkaErrors.REBALANCE_IN_PROGRESS : kafkaErrors.NONE;
  }

  /**
   * Removes members, by each 0, or 25, 82; then the others rebalance, once. Who names an instance only may be an administrator. As from
   * Kafka, a member that was given an id and never came makes the others join again all the same.
   */
  leave(identities: readonly MemberIdentity[]): readonly number[] {
    const codes = identities.map((identity) => this.#drop(identity));
    if (codes.includes(kafkaErrors.NONE)) this.#hasLeft();
    return codes;
  }

  #drop({ memberId, instanceId }: MemberIdentity): number {
    const forget = this.#pendingIds.get(memberId);
    if (forget !== undefined) {
      forget();
      this.#pendingIds.delete(memberId);
      return kafkaErrors.NONE;
    }
    const member =
      memberId === '' && instanceId !== null
        ? (this.#members.ofInstance(instanceId) ?? kafkaErrors.UNKNOWN_MEMBER_ID)
        : this.#members.check({ memberId, instanceId });
    if (typeof member === 'number') return member;
    this.#takeOut(member);
    return kafkaErrors.NONE;
  }

  /** Answers what is held; the members that were waiting have not joined then. */
  answerHeld(errorCode: number): void {
    for (const member of this.#members.all()) {
      this.#members.answerJoin(member, joinFailure(errorCode, member.id));
      member.answerSync?.(syncFailure(errorCode));
      member.answerSync = undefined;
    }
  }

  /** Has all members of a stable group join again. */
  rebalance(): void {
    if (this.#state === 'stable') this.#prepareRebalance();
  }

  /** Whether this member may commit offsets now: 0, or 22, 25, 27, 82. Generation −1 is the simple consumer's. */
  mayCommit(identity: MemberIdentity, generationId: number): number {
    if (this.#state === 'dead') return kafkaErrors.COORDINATOR_NOT_AVAILABLE;
    if (generationId < 0 && this.#state === 'empty') return kafkaErrors.NONE;
    const member = this.#members.check(identity);
    if (typeof member === 'number') return member;
    if (generationId !== this.#generation) return kafkaErrors.ILLEGAL_GENERATION;
    if (this.#state === 'completing-rebalance') return kafkaErrors.REBALANCE_IN_PROGRESS;
    this.#sawMember(member);
    return kafkaErrors.NONE;
  }

  /** Ends every timer and answers everything held. */
  close(errorCode: number): void {
    this.#stopPhaseTimer();
    for (const forget of this.#pendingIds.values()) forget();
    this.#pendingIds.clear();
    for (const member of this.#members.all()) this.#release(member, errorCode);
    this.#members.clear();
    if (this.#state !== 'dead') this.#enter('removed');
  }

  #enter(event: GroupEvent): void {
    this.#state = nextGroupState(this.#state, event);
    this.#stateSinceMs = this.#ports.clock.nowMs();
  }

  #isCompatible({ protocolType, protocols }: JoinRequest): boolean {
    if (this.#state === 'empty') return protocolType !== '' && protocols.length > 0;
    return protocolType === this.#protocolType && this.#members.isAnyCommon(protocols);
  }

  /** While members come back, the first ones to do so have the room, also where `group.max.size` was lowered. */
  #hasRoomFor(memberId: string): boolean {
    const { maxSize } = this.#ports.settings;
    const known = this.#members.get(memberId);
    switch (this.#state) {
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
    if (known !== undefined) this.#removeMember(known);
    return joinFailure(kafkaErrors.GROUP_MAX_SIZE_REACHED, '');
  }

  #joinFresh(request: JoinRequest): Promise<JoinAnswer> | JoinAnswer {
    const id = `${request.clientId}-${this.#ports.random.uuid()}`;
    if (!request.isIdRequired) return this.#joinAs(id, request);
    if (this.#pendingIds.size >= pendingIdsMax) return joinFailure(kafkaErrors.GROUP_MAX_SIZE_REACHED, '');
    this.#pendingIds.set(
      id,
      runAfter(this.#ports.clock, request.sessionTimeoutMs, () => {
        this.#pendingIds.delete(id);
        this.#completeJoinIfAllIn();
      }),
    );
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
    const leaderBefore = this.#leaderId;
    const { sessionTimeoutMs, rebalanceTimeoutMs } = request;
    const protocols = copyProtocols(request.protocols);
    const member = { ...former, id, sessionTimeoutMs, rebalanceTimeoutMs, protocols, answerJoin: undefined, answerSync: undefined };
    this.#replace(former, member, kafkaErrors.FENCED_INSTANCE_ID);
    const held = this.#hold(member);
    if (this.#state === 'stable' && this.#members.vote() === this.#protocol) void this.#resume(member, former, leaderBefore, request);
    else if (this.#state === 'preparing-rebalance') this.#completeJoinIfAllIn();
    // Who assigns may know it by its former id.
    else this.#prepareRebalance();
    return held;
  }

  #replace(former: Member, member: Member, errorCode: number): void {
    this.#release(former, errorCode);
    this.#members.remove(former);
    if (this.#leaderId === former.id) this.#leaderId = member.id;
    this.#add(member);
  }

  /** Saves who a static member is now, then answers it. */
  async #resume(member: Member, former: Member, leaderBefore: string | null, request: JoinRequest): Promise<void> {
    const generation = this.#generation;
    let isSaved = true;
    try {
      await this.#ports.save(this);
    } catch {
      isSaved = false;
    }
    // Where a rebalance began meanwhile, the join belongs to it.
    if (this.#state !== 'stable' || this.#generation !== generation || this.#members.get(member.id) !== member) return;
    if (!isSaved) {
      this.#replace(member, former, kafkaErrors.COORDINATOR_NOT_AVAILABLE);
      return;
    }
    const answer = this.#joinAnswerFor(member);
    // One that leads, and cannot be told that it need not assign, is told that the one it was leads.
    this.#members.answerJoin(
      member,
      request.canSkipAssignment
        ? { ...answer, skipAssignment: member.id === this.#leaderId }
        : { ...answer, leader: leaderBefore ?? '', members: [] },
    );
  }

  #joinAs(id: string, request: JoinRequest): Promise<JoinAnswer> {
    if (this.#members.size === 0) this.#protocolType = request.protocolType;
    const member = this.#add(freshMember({ ...request, id }, copyProtocols(request.protocols)));
    const held = this.#hold(member);
    this.#joinedDuringDelay = true;
    if (this.#state === 'preparing-rebalance') this.#completeJoinIfAllIn();
    else this.#prepareRebalance();
    return held;
  }

  #rejoin(member: Member, request: JoinRequest): Promise<JoinAnswer> | JoinAnswer {
    const isSame = hasSameProtocols(member, request.protocols);
    const isRetry =
      (this.#state === 'completing-rebalance' && isSame) || (this.#state === 'stable' && isSame && member.id !== this.#leaderId);
    this.#sawMember(member);
    if (isRetry) return this.#joinAnswerFor(member);
    this.#members.setProtocols(member, copyProtocols(request.protocols));
    member.sessionTimeoutMs = request.sessionTimeoutMs;
    member.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    const held = this.#hold(member);
    if (this.#state === 'preparing-rebalance') this.#completeJoinIfAllIn();
    else this.#prepareRebalance();
    return held;
  }

  #hold(member: Member): Promise<JoinAnswer> {
    this.#members.answerJoin(member, joinFailure(kafkaErrors.REBALANCE_IN_PROGRESS, member.id));
    return new Promise<JoinAnswer>((resolve) => this.#members.hold(member, resolve));
  }

  #add(member: Member): Member {
    this.#members.add(member);
    this.#sawMember(member);
    this.#watch(member, member.sessionTimeoutMs);
    return member;
  }

  /** One timer a member, which looks when it is due whether there was a sign of life meanwhile. */
  #watch(member: Member, ms: number): void {
    member.stopWatch = runAfter(this.#ports.clock, ms, () => {
      const isHeld = member.answerJoin !== undefined || member.answerSync !== undefined;
      const limitMs = isHeld ? Math.max(heldJoinMaxMs, member.sessionTimeoutMs) : member.sessionTimeoutMs;
      const leftMs = member.lastSeenMs + limitMs - this.#ports.clock.monotonicMs();
      if (leftMs > 0) this.#watch(member, Math.min(leftMs, member.sessionTimeoutMs));
      else this.#removeMember(member);
    });
  }

  #sawMember(member: Member): void {
    member.lastSeenMs = this.#ports.clock.monotonicMs();
  }

  #release(member: Member, errorCode: number, toldId = member.id): void {
    member.stopWatch();
    this.#members.answerJoin(member, joinFailure(errorCode, toldId));
    member.answerSync?.(syncFailure(errorCode));
    member.answerSync = undefined;
  }

  #removeMember(member: Member): void {
    if (this.#takeOut(member)) this.#hasLeft();
  }

  #takeOut(member: Member): boolean {
    if (!this.#members.remove(member)) return false;
    this.#release(member, kafkaErrors.UNKNOWN_MEMBER_ID, '');
    if (this.#leaderId === member.id) this.#leaderId = null;
    return true;
  }

  #hasLeft(): void {
    if (this.#state === 'stable' || this.#state === 'completing-rebalance') this.#prepareRebalance();
    else if (this.#state === 'preparing-rebalance') this.#completeJoinIfAllIn();
  }

  #prepareRebalance(): void {
    const wasEmpty = this.#state === 'empty';
    // Until a leader assigns anew, what was assigned before is shown; where it had not yet, that is nothing any more.
    const isUnassigned = this.#state === 'completing-rebalance';
    this.#stopPhaseTimer();
    for (const member of this.#members.all()) {
      if (isUnassigned) member.assignment = emptyBytes;
      member.answerSync?.(syncFailure(kafkaErrors.REBALANCE_IN_PROGRESS));
      member.answerSync = undefined;
      member.isSynced = false;
    }
    this.#enter('rebalance');
    const limitMs = this.#rebalanceTimeoutMs();
    const delayMs = Math.min(this.#ports.settings.initialRebalanceDelayMs, limitMs);
    if (wasEmpty && delayMs > 0) {
      this.#isInInitialDelay = true;
      this.#waitForMore(delayMs, limitMs - delayMs);
      return;
    }
    // Without a delay it does not even wait for those that have been given an id and not come back yet; nor does a group that all have left.
    if (wasEmpty || this.#members.size === 0) {
      this.#completeJoin();
      return;
    }
    this.#stopPhaseTimer = runAfter(this.#ports.clock, limitMs, () => this.#completeJoin());
    this.#completeJoinIfAllIn();
  }

  /** The first rebalance of an empty group waits, and again while members keep arriving (KIP-134). */
  #waitForMore(delayMs: number, leftMs: number): void {
    this.#joinedDuringDelay = false;
    this.#stopPhaseTimer = runAfter(this.#ports.clock, delayMs, () => {
      const moreMs = Math.min(this.#ports.settings.initialRebalanceDelayMs, leftMs);
      if (this.#joinedDuringDelay && moreMs > 0) {
        this.#waitForMore(moreMs, leftMs - moreMs);
        return;
      }
      this.#isInInitialDelay = false;
      this.#completeJoin();
    });
  }

  #rebalanceTimeoutMs(): number {
    let ms = 0;
    for (const member of this.#members.all()) ms = Math.max(ms, member.rebalanceTimeoutMs);
    return ms;
  }

  #completeJoinIfAllIn(): void {
    if (this.#state !== 'preparing-rebalance' || this.#isInInitialDelay || this.#pendingIds.size > 0) return;
    if (this.#members.joiningCount === this.#members.size) this.#completeJoin();
  }

  #completeJoin(): void {
    this.#stopPhaseTimer();
    for (const member of this.#members.all()) {
      // A static member may be away until its session runs out.
      if (member.answerJoin !== undefined || member.instanceId !== null) continue;
      this.#members.remove(member);
      this.#release(member, kafkaErrors.UNKNOWN_MEMBER_ID);
    }
    if (this.#members.size > 0 && this.#members.joiningCount === 0) {
      this.#stopPhaseTimer = runAfter(this.#ports.clock, this.#rebalanceTimeoutMs(), () => this.#completeJoin());
      return;
    }
    this.#generation++;
    const members = [...this.#members.all()];
    if (members.length === 0) {
      this.#protocol = null;
      this.#leaderId = null;
      this.#enter('emptied');
      this.#consumes = () => false;
      void this.#ports.save(this).catch(() => undefined);
      return;
    }
    this.#protocol = this.#members.vote() ?? null;
    invariant(this.#protocol !== null, 'members were let in only with a common protocol', { group: this.id });
    if (this.#members.get(this.#leaderId ?? '')?.answerJoin === undefined)
      this.#leaderId = members.find(({ answerJoin }) => answerJoin !== undefined)!.id;
    this.#enter('all-joined');
    this.#consumes = consumedTopics(this.snapshot());
    for (const member of members) {
      this.#sawMember(member);
      member.isSynced = false;
    }
    for (const member of members) this.#members.answerJoin(member, this.#joinAnswerFor(member));
    this.#stopPhaseTimer = runAfter(this.#ports.clock, this.#rebalanceTimeoutMs(), () => this.#dropUnsynced());
  }

  /** Who has not fetched its assignment by now, in a stable group too. */
  #dropUnsynced(): void {
    if (this.#state !== 'completing-rebalance' && this.#state !== 'stable') return;
    const late = [...this.#members.all()].filter((member) => !member.isSynced);
    for (const member of late) this.#removeMember(member);
  }

  #joinAnswerFor(member: Member): JoinAnswer {
    const isLeader = member.id === this.#leaderId;
    return {
      errorCode: kafkaErrors.NONE,
      generationId: this.#generation,
      protocolType: this.#protocolType,
      protocolName: this.#protocol,
      leader: this.#leaderId ?? '',
      skipAssignment: false,
      memberId: member.id,
      members: isLeader ? this.#subscriptions() : [],
    };
  }

  #subscriptions(): JoinAnswer['members'] {
    return [...this.#members.all()].map((member) => ({
      memberId: member.id,
      groupInstanceId: member.instanceId,
      metadata: member.protocols.find((protocol) => protocol.name === this.#protocol)?.metadata ?? emptyBytes,
    }));
  }

  #assignmentOf(member: Member): SyncAnswer {
    return {
      errorCode: kafkaErrors.NONE,
      protocolType: this.#protocolType,
      protocolName: this.#protocol,
      assignment: member.assignment,
    };
  }

  /** Saves the leader's assignment, then answers every sync; a failed save starts the rebalance anew. */
  async #assign(assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[]): Promise<void> {
    const generation = this.#generation;
    for (const member of this.#members.all()) member.assignment = emptyBytes;
    for (const { memberId, assignment } of assignments) {
      const member = this.#members.get(memberId);
      if (member !== undefined) member.assignment = Buffer.from(assignment);
    }
    let isSaved = true;
    try {
      await this.#ports.save(this);
    } catch {
      isSaved = false;
    }
    if (this.#state !== 'completing-rebalance' || this.#generation !== generation) return;
    if (!isSaved) {
      for (const member of this.#members.all()) member.assignment = emptyBytes;
      this.#prepareRebalance();
      return;
    }
    this.#enter('assigned');
    for (const member of this.#members.all()) {
      const answer = member.answerSync;
      member.answerSync = undefined;
      answer?.(this.#assignmentOf(member));
    }
  }
}

/** What a member sent lies in the frame of its request, which must not be kept. */
function copyProtocols(protocols: readonly MemberProtocol[]): MemberProtocol[] {
  return protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) }));
}

function freshMember(
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
    isSynced: false,
    stopWatch: () => undefined,
  };
}
