/**
 * How a classic group comes from one generation to the next (`group-state.ts` has the picture): joins are held until all known members are
 * in, or the rebalance timeout ends; then syncs, until the leader's assignment is saved. Owns the state, the generation and its protocol;
 * who is a member, who leads and what each waits for is the roster's.
 */
import { type Clock, invariant, type TimestampMs } from '../../kernel/index.js';
import { kafkaErrors } from '../../wire/index.js';
import { runAfter } from '../deadline.js';
import { consumedTopics, consumerProtocol } from './consumed-topics.js';
import { type GroupEvent, type GroupState, nextGroupState } from './group-state.js';
import { emptyBytes, type JoinAnswer, type Member, subscriptionOf, type SyncAnswer, syncFailure } from './member.js';
import type { PendingIds } from './pending-ids.js';
import type { Roster } from './roster.js';
import type { SavedGroup } from './saved-group.js';
import type { Sessions } from './sessions.js';

/** What the leader gives each member. */
export type Assignments = readonly { readonly memberId: string; readonly assignment: Buffer }[];

export interface RebalancePorts {
  readonly groupId: string;
  readonly clock: Clock;
  readonly settings: { readonly initialRebalanceDelayMs: number };
  readonly roster: Roster;
  readonly sessions: Sessions;
  /** Not complete while there are any. */
  readonly pendingIds: PendingIds;
  /** Writes the group as it is now durably. */
  readonly save: () => Promise<void>;
}

export class Rebalance {
  readonly #ports: RebalancePorts;
  readonly #roster: Roster;
  #state: GroupState = 'empty';
  #stateSinceMs: TimestampMs | null;
  #generation = 0;
  #protocolType: string | null = null;
  #protocol: string | null = null;
  #consumes: (topic: string) => boolean = () => this.#protocolType === consumerProtocol;
  #stopPhaseTimer: () => void = () => undefined;
  #isInInitialDelay = false;
  #joinedDuringDelay = false;

  constructor(ports: RebalancePorts) {
    this.#ports = ports;
    this.#roster = ports.roster;
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

  /** The one that the members of the generation have in common. */
  get protocol(): string | null {
    return this.#protocol;
  }

  /** Whether a topic was subscribed to when the members last joined. */
  consumes(topic: string): boolean {
    return this.#consumes(topic);
  }

  /** Goes on with the generation that was saved. */
  restore(saved: SavedGroup): void {
    this.#generation = saved.generation;
    this.#protocolType = saved.protocolType === '' ? null : saved.protocolType;
    this.#protocol = saved.protocol;
    this.#stateSinceMs = saved.stateSinceMs;
    if (saved.members.length > 0) this.#state = 'stable';
    this.#consumes = consumedTopics(
      this.#protocolType,
      saved.members.map(({ subscription }) => subscription),
    );
  }

  /** A member that was none before has joined: the type of the first one is the group's. */
  joinedAnew(protocolType: string): void {
    if (this.#roster.size === 1) this.#protocolType = protocolType;
    this.#joinedDuringDelay = true;
    this.joined();
  }

  /** A member's join is held: it belongs to the rebalance under way, or begins one. */
  joined(): void {
    if (this.#state === 'preparing-rebalance') this.completeIfAllIn();
    else this.#prepare();
  }

  /** Members have left: the others rebalance, or need not wait for them. */
  left(): void {
    if (this.#state === 'stable' || this.#state === 'completing-rebalance') this.#prepare();
    else if (this.#state === 'preparing-rebalance') this.completeIfAllIn();
  }

  /** Takes out a member that has not left by itself. */
  remove(member: Member): void {
    if (this.#roster.remove(member)) this.left();
  }

  /** Has all members of a stable group join again. */
  begin(): void {
    if (this.#state === 'stable') this.#prepare();
  }

  /** Ends the joining where nobody is waited for any more. */
  completeIfAllIn(): void {
    if (this.#state !== 'preparing-rebalance' || this.#isInInitialDelay || !this.#ports.pendingIds.isEmpty) return;
    if (this.#roster.joiningCount === this.#roster.size) this.#complete();
  }

  /** What a member is told that has joined the present generation. */
  joinAnswer(member: Member): JoinAnswer {
    const { leaderId } = this.#roster;
    return {
      errorCode: kafkaErrors.NONE,
      generationId: this.#generation,
      protocolType: this.#protocolType,
      protocolName: this.#protocol,
      leader: leaderId ?? '',
      skipAssignment: false,
      memberId: member.id,
      members: member.id === leaderId ? this.#subscriptions() : [],
    };
  }

  /** A member of this generation asks for its assignment; the leader brings those of all. Resolves when they are saved. */
  sync(member: Member, assignments: Assignments): Promise<SyncAnswer> | SyncAnswer {
    switch (this.#state) {
      case 'preparing-rebalance':
        return syncFailure(kafkaErrors.REBALANCE_IN_PROGRESS);
      case 'stable':
        member.isSynced = true;
        return this.#assignmentOf(member);
      case 'completing-rebalance': {
        member.isSynced = true;
        const held = this.#roster.holdSync(member);
        if (member.id === this.#roster.leaderId) void this.#assign(assignments);
        return held;
      }
      default:
        return syncFailure(kafkaErrors.UNKNOWN_MEMBER_ID);
    }
  }

  /** Nothing is due any more; the group is dead. */
  close(): void {
    this.#stopPhaseTimer();
    if (this.#state !== 'dead') this.#enter('removed');
  }

  #enter(event: GroupEvent): void {
    this.#state = nextGroupState(this.#state, event);
    this.#stateSinceMs = this.#ports.clock.nowMs();
  }

  #prepare(): void {
    const wasEmpty = this.#state === 'empty';
    // Until a leader assigns anew, what was assigned before is shown; where it had not yet, that is nothing any more.
    const isUnassigned = this.#state === 'completing-rebalance';
    this.#stopPhaseTimer();
    for (const member of this.#roster.all()) {
      if (isUnassigned) member.assignment = emptyBytes;
      this.#roster.answerSync(member, syncFailure(kafkaErrors.REBALANCE_IN_PROGRESS));
      member.isSynced = false;
    }
    this.#enter('rebalance');
    const limitMs = this.#timeoutMs();
    const delayMs = Math.min(this.#ports.settings.initialRebalanceDelayMs, limitMs);
    if (wasEmpty && delayMs > 0) {
      this.#isInInitialDelay = true;
      this.#waitForMore(delayMs, limitMs - delayMs);
      return;
    }
    // Without a delay it does not even wait for those that have been given an id and not come back yet; nor does a group that all have left.
    if (wasEmpty || this.#roster.size === 0) {
      this.#complete();
      return;
    }
    this.#stopPhaseTimer = runAfter(this.#ports.clock, limitMs, () => this.#complete());
    this.completeIfAllIn();
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
      this.#complete();
    });
  }

  /** The longest that a member asks for. */
  #timeoutMs(): number {
    let ms = 0;
    for (const member of this.#roster.all()) ms = Math.max(ms, member.rebalanceTimeoutMs);
    return ms;
  }

  /** Ends the joining: who has not come back is out, and who has makes the next generation. */
  #complete(): void {
    this.#stopPhaseTimer();
    for (const member of this.#roster.all()) {
      // A static member may be away until its session runs out.
      if (member.answerJoin === undefined && member.instanceId === null) this.#roster.remove(member);
    }
    if (this.#roster.size > 0 && this.#roster.joiningCount === 0) {
      this.#stopPhaseTimer = runAfter(this.#ports.clock, this.#timeoutMs(), () => this.#complete());
      return;
    }
    this.#generation++;
    this.#roster.elect();
    if (this.#roster.size === 0) {
      this.#protocol = null;
      this.#enter('emptied');
      this.#consumes = () => false;
      void this.#ports.save().catch(() => undefined);
      return;
    }
    this.#protocol = this.#roster.vote() ?? null;
    invariant(this.#protocol !== null, 'members were let in only with a common protocol', { group: this.#ports.groupId });
    this.#enter('all-joined');
    const members = [...this.#roster.all()];
    this.#consumes = consumedTopics(
      this.#protocolType,
      members.map((member) => subscriptionOf(member, this.#protocol)),
    );
    for (const member of members) {
      this.#ports.sessions.saw(member);
      member.isNew = false;
      member.isSynced = false;
    }
    for (const member of members) this.#roster.answerJoin(member, this.joinAnswer(member));
    this.#stopPhaseTimer = runAfter(this.#ports.clock, this.#timeoutMs(), () => this.#dropUnsynced());
  }

  #subscriptions(): JoinAnswer['members'] {
    return [...this.#roster.all()].map((member) => ({
      memberId: member.id,
      groupInstanceId: member.instanceId,
      metadata: subscriptionOf(member, this.#protocol),
    }));
  }

  /** Who has not fetched its assignment by now, in a stable group too. */
  #dropUnsynced(): void {
    if (this.#state !== 'completing-rebalance' && this.#state !== 'stable') return;
    const late = [...this.#roster.all()].filter((member) => !member.isSynced);
    for (const member of late) this.remove(member);
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
  async #assign(assignments: Assignments): Promise<void> {
    const generation = this.#generation;
    for (const member of this.#roster.all()) member.assignment = emptyBytes;
    for (const { memberId, assignment } of assignments) {
      const member = this.#roster.get(memberId);
      if (member !== undefined) member.assignment = Buffer.from(assignment);
    }
    let isSaved = true;
    try {
      await this.#ports.save();
    } catch {
      isSaved = false;
    }
    if (this.#state !== 'completing-rebalance' || this.#generation !== generation) return;
    if (!isSaved) {
      for (const member of this.#roster.all()) member.assignment = emptyBytes;
      this.#prepare();
      return;
    }
    this.#enter('assigned');
    for (const member of this.#roster.all()) this.#roster.answerSync(member, this.#assignmentOf(member));
  }
}
