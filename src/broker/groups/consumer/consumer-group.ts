/**
 * One consumer group of the new protocol (KIP-848) as a state machine: no clock, no I/O. A heartbeat is the only thing a member ever
 * sends; each moves the group (epoch, target assignment) and that member (one step of reconciliation). What changed is gathered, and
 * taken by whoever saves the group.
 *
 * Invariant: a partition has one owner. It gets another one only after its owner has reported not to have it, has left, or was fenced.
 */
import type { TopicId } from '../../../kernel/index.js';
import { epochsAt } from './assignment-epochs.js';
import { type AssignorName, assignors, isAssignorName, type MemberToAssign } from './assignor.js';
import {
  type ClassicSide,
  type ConsumerMember,
  freshMember,
  hasOtherSubscription,
  joinEpoch,
  leaveEpoch,
  staticLeaveEpoch,
} from './consumer-member.js';
import { ConsumerRoster } from './consumer-roster.js';
import { Dirt, type GroupChange, type SavedConsumerGroup } from './group-changes.js';
import { type ClassicStep, MemberDeadlines } from './member-deadlines.js';
import { areSamePartitions, eachPartition, isWithin, noPartitions, type PartitionSets } from './partitions.js';
import { reconcile } from './reconciliation.js';
import { isRefusal, type Refusal, refusal } from './refusal.js';
import { Subscriptions, type TopicView } from './subscriptions.js';

/** What a group obeys; read whenever it counts, so that a change holds from the next heartbeat on. */
export interface ConsumerGroupSettings {
  readonly sessionTimeoutMs: number;
  /** Least time between two assignments (KIP-1263); 0 for none. */
  readonly assignmentIntervalMs: number;
  readonly maxSize: number;
  /** Served; the first is the default. */
  readonly assignors: readonly AssignorName[];
}

export interface MemberHeartbeat {
  readonly memberId: string;
  readonly memberEpoch: number;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  /** −1: as before. */
  readonly rebalanceTimeoutMs: number;
  readonly clientId: string;
  readonly clientHost: string;
  /** Null, here and below: as before. */
  readonly topicNames: readonly string[] | null;
  readonly topicRegex: string | null;
  readonly serverAssignor: string | null;
  /** What the member has now. */
  readonly owned: PartitionSets | null;
  /** For a member that speaks the classic protocol; null for the others. */
  readonly classic: ClassicSide | null;
}

export interface MemberAnswer {
  readonly memberId: string;
  readonly memberEpoch: number;
  /** Null: as before. */
  readonly assignment: PartitionSets | null;
}

export type ConsumerGroupState = 'Empty' | 'Assigning' | 'Reconciling' | 'Stable';

export class ConsumerGroup {
  readonly id: string;
  readonly #settings: ConsumerGroupSettings;
  readonly #subscriptions: Subscriptions;
  /** Never 0 in an answer, which would tell members to join. */
  #epoch = 1;
  #writtenEpoch = 0;
  #assignmentEpoch = 0;
  /** When partitions were last assigned to members; not since the start of the broker, or since there are members, where undefined. */
  #assignedAtMs: number | undefined;
  #metadataHash = '';
  /** Of what members subscribe to, when the hash was last compared. */
  #seenVersion = -1;
  readonly #dirt = new Dirt();
  readonly #roster = new ConsumerRoster(this.#dirt);
  readonly #deadlines: MemberDeadlines;

  constructor(id: string, settings: ConsumerGroupSettings, topics: TopicView) {
    this.id = id;
    this.#settings = settings;
    this.#subscriptions = new Subscriptions(topics);
    this.#deadlines = new MemberDeadlines(settings);
  }

  get epoch(): number {
    return this.#epoch;
  }

  get assignmentEpoch(): number {
    return this.#assignmentEpoch;
  }

  get memberCount(): number {
    return this.#roster.size;
  }

  get members(): Iterable<ConsumerMember> {
    return this.#roster.all();
  }

  get state(): ConsumerGroupState {
    if (this.#roster.size === 0) return 'Empty';
    if (this.#epoch > this.#assignmentEpoch) return 'Assigning';
    for (const member of this.#roster.all()) {
      if (member.state !== 'stable' || member.epoch !== this.#assignmentEpoch) return 'Reconciling';
    }
    return 'Stable';
  }

  /** The one that most members ask for; of equals the one served first. */
  get assignor(): AssignorName {
    const votes = new Map<AssignorName, number>(this.#settings.assignors.map((name) => [name, 0]));
    for (const { serverAssignor } of this.#roster.all()) {
      if (serverAssignor === null || !isAssignorName(serverAssignor)) continue;
      const count = votes.get(serverAssignor);
      if (count !== undefined) votes.set(serverAssignor, count + 1);
    }
    const most = Math.max(...votes.values());
    const byDefault = this.#settings.assignors[0]!;
    // Of equal votes Kafka takes `range`.
    return most === 0 ? byDefault : [...votes.keys()].filter((name) => votes.get(name) === most).toSorted()[0]!;
  }

  /** Whether something has changed since partitions were assigned last. */
  get isAssignmentDue(): boolean {
    return this.#epoch > this.#assignmentEpoch;
  }

  /** Whether the next step of a member assigns partitions: changes that come close together are assigned for together (KIP-1263). */
  isToAssign(nowMs: number): boolean {
    if (!this.isAssignmentDue) return false;
    return this.#assignedAtMs === undefined || nowMs >= this.#assignedAtMs + this.#settings.assignmentIntervalMs;
  }

  /** The epoch before what has changed and was not taken to be written yet. */
  get writtenEpoch(): number {
    return this.#writtenEpoch;
  }

  member(id: string): ConsumerMember | undefined {
    return this.#roster.member(id);
  }

  staticMember(instanceId: string): ConsumerMember | undefined {
    return this.#roster.staticMember(instanceId);
  }

  target(memberId: string): PartitionSets {
    return this.#roster.target(memberId);
  }

  /** Which topics members subscribe to, after one search for those of expressions: every one while that is not known. */
  subscribedTo(): (topic: TopicId) => boolean {
    this.#subscriptions.follow();
    if (!this.#subscriptions.isResolved) return () => true;
    // Equal subscriptions share one set.
    const sets = [...new Set([...this.#roster.all()].map((member) => this.#subscriptions.topicsOf(member)))];
    return (topic) => sets.some((topics) => topics.has(topic));
  }

  /** Errors: 81, 25, 110, 111, 82, 128. */
  heartbeat(request: MemberHeartbeat, nowMs: number): MemberAnswer | Refusal {
    if (request.memberEpoch === leaveEpoch || request.memberEpoch === staticLeaveEpoch) return this.#leave(request);
    const known = this.#refuseFull(request.memberId) ?? this.#known(request);
    return isRefusal(known) ? known : this.#update(known, request, nowMs);
  }

  /**
   * A member of the classic protocol joins, or joins again: it has no epoch to check. A static one that names no id takes the place of
   * the one it was. The last one of a group, with which it goes on as a classic one, is not assigned to any more. Errors: 81, 25, 82.
   */
  joinClassic(
    request: MemberHeartbeat & { readonly classic: ClassicSide },
    { isNew, isLast }: { readonly isNew: boolean; readonly isLast: boolean },
    nowMs: number,
  ): MemberAnswer | Refusal {
    const known = this.#refuseFull(request.memberId) ?? this.#knownClassic(request, isNew);
    return isRefusal(known) ? known : this.#update(known, request, nowMs, !isLast);
  }

  #knownClassic(request: MemberHeartbeat, isNew: boolean): ConsumerMember | Refusal {
    const own = this.#roster.member(request.memberId) ?? freshMember(request.memberId);
    if (request.instanceId === null) return own;
    const member = this.staticMember(request.instanceId);
    if (!isNew) return this.#requireInstance(member, request, request.instanceId) ?? member!;
    return member === undefined ? own : { ...member, id: request.memberId, epoch: joinEpoch, previousEpoch: joinEpoch };
  }

  /** A sign of life of a classic member. */
  sawClassic(member: ConsumerMember, classic: ClassicSide, nowMs: number, step: ClassicStep): void {
    this.#deadlines.sawClassic(member, classic, nowMs, step);
  }

  /** Whether another member has something that this one is to have. */
  isWaiting(member: ConsumerMember): boolean {
    for (const [topic, partition] of eachPartition(this.target(member.id)))
      if (this.#roster.isHeldByOther(member.id, topic, partition)) return true;
    return false;
  }

  /** Takes the place of a classic group of that generation, whose members have what it assigned. */
  adoptClassic(generation: number, members: readonly ConsumerMember[], nowMs: number): void {
    this.#epoch = generation;
    this.#writtenEpoch = generation;
    this.#assignmentEpoch = generation;
    for (const member of members) {
      this.#roster.put(member);
      this.#roster.setTarget(member.id, member.assigned);
      this.sawClassic(member, member.classic!, nowMs, 'done');
    }
    this.#metadataHash = this.#subscriptions.hash(this.#roster.all());
    this.#dirt.isEpoch = true;
    this.#dirt.isAssignmentEpoch = true;
  }

  #refuseFull(memberId: string): Refusal | undefined {
    if (this.#roster.size < this.#settings.maxSize || this.#roster.has(memberId)) return undefined;
    return refusal('GROUP_MAX_SIZE_REACHED', `The consumer group has reached its maximum capacity of ${this.#settings.maxSize} members.`);
  }

  #update(known: ConsumerMember, request: MemberHeartbeat, nowMs: number, isAssigning = true): MemberAnswer | Refusal {
    const isNewRegex = request.topicRegex !== null && request.topicRegex !== '' && request.topicRegex !== known.topicRegex;
    const refused = isNewRegex ? this.#subscriptions.refuse(request.topicRegex!) : undefined;
    if (refused !== undefined) return refused;

    const assignorBefore = this.assignor;
    const before = this.#adopt(known);
    const said = updated(before, request);
    this.#roster.put(said);
    const isSubscriptionChanged = hasOtherSubscription(before, said);
    const isOtherAssignor = said.classic === null && this.assignor !== assignorBefore;
    this.#followTopics(isSubscriptionChanged || isOtherAssignor);
    const isGoingOn = isAssigning || !this.isAssignmentDue;
    const after = isGoingOn ? this.#advance(said, request.owned, isSubscriptionChanged, nowMs) : said;
    this.#deadlines.expectNext(said, after, nowMs);
    const isFull =
      request.memberEpoch === joinEpoch ||
      (request.rebalanceTimeoutMs !== -1 && (request.topicNames !== null || request.topicRegex !== null) && request.owned !== null);
    const isAssignmentTold = isFull || !areSamePartitions(known.assigned, after.assigned);
    return { memberId: after.id, memberEpoch: after.epoch, assignment: isAssignmentTold ? after.assigned : null };
  }

  /** Assigns where that is due, and brings one member a step further; returns it as it is then. */
  #advance(member: ConsumerMember, owned: PartitionSets | null, isSubscriptionChanged: boolean, nowMs: number): ConsumerMember {
    if (this.isToAssign(nowMs)) this.#assign(nowMs);
    const stepped = reconcile({
      member,
      target: { epoch: this.#assignmentEpoch, partitions: this.target(member.id) },
      owned,
      isSubscriptionChanged,
      subscribed: () => this.#subscriptions.topicsOf(member),
      isHeldByOther: (topic, partition) => this.#roster.isHeldByOther(member.id, topic, partition),
    });
    if (stepped !== member) this.#roster.put(stepped);
    return stepped;
  }

  /** Removes members at once, with one change of the group; their partitions are free. */
  fence(...memberIds: readonly string[]): void {
    const there = new Set(memberIds.filter((id) => this.#roster.has(id)));
    if (there.size === 0) return;
    for (const id of there) this.#remove(id);
    this.#subscriptions.use(this.#roster.all());
    this.#metadataHash = this.#subscriptions.hash(this.#roster.all());
    this.#bump();
    if (this.#roster.size > 0) return;
    // There is nobody to assign to.
    this.#assignmentEpoch = this.#epoch;
    this.#assignedAtMs = undefined;
    this.#dirt.isAssignmentEpoch = true;
  }

  /** Fences whoever is late, at once, and says who that was. */
  expire(nowMs: number): readonly string[] {
    const late = this.#deadlines.late(nowMs);
    this.fence(...late);
    return late;
  }

  /** When `expire` is to be called next; `undefined` where there is no member. */
  get nextDueMs(): number | undefined {
    return this.#deadlines.nextDueMs;
  }

  /** Takes up a group where it was saved: its members go on with their epochs. */
  restore(saved: SavedConsumerGroup, nowMs: number): void {
    this.#epoch = saved.epoch;
    this.#writtenEpoch = saved.epoch;
    this.#assignmentEpoch = saved.assignmentEpoch;
    this.#metadataHash = saved.metadataHash;
    for (const [id, partitions] of saved.targets) this.#roster.setTarget(id, partitions);
    for (const member of saved.members.values()) {
      this.#roster.put(member);
      this.#deadlines.restore(member, nowMs);
    }
    this.#subscriptions.use(this.#roster.all());
    for (const member of this.#roster.all())
      this.#subscriptions.remember(member, [...member.assigned.keys(), ...this.target(member.id).keys()]);
    this.#dirt.take();
  }

  /** What was changed since it was last asked. */
  takeDirt(): Dirt {
    this.#writtenEpoch = this.#epoch;
    return this.#dirt.take();
  }

  /** For what could not be saved. */
  returnDirt(dirt: Dirt): void {
    this.#dirt.addAll(dirt);
  }

  /** Everything there is, to be written anew. */
  changesOf(dirt: Dirt): readonly GroupChange[] {
    const changes: GroupChange[] = [];
    for (const id of dirt.members) changes.push({ kind: 'member', id, member: this.#roster.member(id) ?? null });
    if (dirt.isEpoch) changes.push({ kind: 'epoch', epoch: this.#epoch, metadataHash: this.#metadataHash });
    for (const id of dirt.targets) changes.push({ kind: 'target', id, partitions: this.#roster.targetOrNone(id) ?? null });
    if (dirt.isAssignmentEpoch) changes.push({ kind: 'assignment-epoch', epoch: this.#assignmentEpoch });
    for (const id of dirt.currents) changes.push({ kind: 'current', id, member: this.#roster.member(id) ?? null });
    return changes;
  }

  /** The member that sends a heartbeat, as it is so far: a fresh one where it joins. */
  #known(request: MemberHeartbeat): ConsumerMember | Refusal {
    const isJoining = request.memberEpoch === joinEpoch;
    if (request.instanceId !== null) return this.#knownStatic(request, request.instanceId, isJoining);
    const member = this.#roster.member(request.memberId);
    if (member === undefined) return isJoining ? freshMember(request.memberId) : unknownMember(this.id, request.memberId);
    return checkEpoch(member, request) ?? member;
  }

  #knownStatic(request: MemberHeartbeat, instanceId: string, isJoining: boolean): ConsumerMember | Refusal {
    const member = this.staticMember(instanceId);
    if (!isJoining) return this.#requireInstance(member, request, instanceId) ?? checkEpoch(member!, request) ?? member!;
    if (member === undefined) return this.#roster.member(request.memberId) ?? freshMember(request.memberId);
    if (member.epoch !== staticLeaveEpoch && member.classic === null) {
      return refusal(
        'UNRELEASED_INSTANCE_ID',
        `Static member ${request.memberId} with instance id ${instanceId} cannot join the group because the instance id is owned by ${member.id} member.`,
      );
    }
    return { ...member, id: request.memberId, epoch: joinEpoch, previousEpoch: joinEpoch };
  }

  #requireInstance(member: ConsumerMember | undefined, request: MemberHeartbeat, instanceId: string): Refusal | undefined {
    if (member === undefined) return refusal('UNKNOWN_MEMBER_ID', `Instance id ${instanceId} is unknown.`);
    if (member.id === request.memberId) return undefined;
    return refusal(
      'FENCED_INSTANCE_ID',
      `Static member ${request.memberId} with instance id ${instanceId} was fenced by member ${member.id}.`,
    );
  }

  /** A static member that comes back takes the place, the target and the partitions of the one it was. */
  #adopt(member: ConsumerMember): ConsumerMember {
    const former = member.instanceId === null ? undefined : this.staticMember(member.instanceId);
    if (former === undefined || former.id === member.id) return member;
    const target = this.target(former.id);
    this.#remove(former.id);
    this.#roster.put(member);
    this.#roster.setTarget(member.id, target);
    return member;
  }

  #leave(request: MemberHeartbeat): MemberAnswer | Refusal {
    const { memberId, memberEpoch, instanceId } = request;
    const answer = { memberId, memberEpoch, assignment: null };
    if (instanceId === null) {
      if (!this.#roster.has(memberId)) return unknownMember(this.id, memberId);
      this.fence(memberId);
      return answer;
    }
    const member = this.staticMember(instanceId);
    const refused = this.#requireInstance(member, request, instanceId);
    if (refused !== undefined) return refused;
    if (memberEpoch === leaveEpoch) {
      this.fence(memberId);
      return answer;
    }
    const assignedAt = epochsAt(member!.assigned, joinEpoch);
    this.#roster.put({ ...member!, epoch: staticLeaveEpoch, pendingRevocation: noPartitions, assignedAt });
    this.#deadlines.endStep(memberId);
    return answer;
  }

  /** Brings the group up to date with its topics; another subscription or assignor begins an epoch in any case. */
  #followTopics(isChanged: boolean): void {
    // In the place of a classic group that had no generation yet.
    let isBumped = isChanged || this.#epoch === 0;
    if (this.#assignmentEpoch === 0) this.#dirt.isEpoch = true;
    if (isChanged) this.#subscriptions.use(this.#roster.all());
    this.#subscriptions.follow();
    if (isChanged || (this.#seenVersion !== this.#subscriptions.version && this.#subscriptions.isResolved)) {
      this.#seenVersion = this.#subscriptions.version;
      const hash = this.#subscriptions.hash(this.#roster.all());
      isBumped ||= hash !== this.#metadataHash;
      this.#metadataHash = hash;
    }
    if (isBumped) this.#bump();
  }

  #bump(): void {
    this.#epoch++;
    this.#dirt.isEpoch = true;
  }

  #assign(nowMs: number): void {
    const members = [...this.#roster.all()].map(
      (member): MemberToAssign => ({
        id: member.id,
        instanceId: member.instanceId,
        topics: this.#subscriptions.topicsOf(member),
        target: this.target(member.id),
      }),
    );
    const targets = assignors[this.assignor]({ members, partitionCount: (topic) => this.#subscriptions.partitionCount(topic) });
    for (const [id, partitions] of targets) this.#roster.setTarget(id, partitions);
    if (!this.#subscriptions.isResolved) {
      // The hash may be of what was found before a restart. What is found now has to be seen to differ from what was assigned.
      this.#metadataHash = this.#subscriptions.hash(this.#roster.all());
      this.#dirt.isEpoch = true;
    }
    this.#assignmentEpoch = this.#epoch;
    this.#assignedAtMs = nowMs;
    this.#dirt.isAssignmentEpoch = true;
  }

  #remove(id: string): void {
    this.#roster.remove(id);
    this.#deadlines.remove(id);
  }
}

function unknownMember(group: string, id: string): Refusal {
  return refusal('UNKNOWN_MEMBER_ID', `Member ${id} is not a member of group ${group}.`);
}

/**
 * Why an epoch is not good. That of joining always is, and the previous one is, where what the member has is within what it was given: then the answer that told
 * it the next one was lost.
 */
function checkEpoch(member: ConsumerMember, { memberEpoch, owned }: MemberHeartbeat): Refusal | undefined {
  if (memberEpoch === member.epoch || memberEpoch === joinEpoch) return undefined;
  const isRetry = memberEpoch < member.epoch && memberEpoch === member.previousEpoch && owned !== null && isWithin(owned, member.assigned);
  if (isRetry) return undefined;
  const which = memberEpoch > member.epoch ? 'greater' : 'smaller';
  return refusal(
    'FENCED_MEMBER_EPOCH',
    `The consumer group member has a ${which} member epoch (${memberEpoch}) than the one known by the group coordinator (${member.epoch}). The member must abandon all its partitions and rejoin.`,
  );
}

function updated(member: ConsumerMember, request: MemberHeartbeat): ConsumerMember {
  return {
    ...member,
    instanceId: request.instanceId ?? member.instanceId,
    rackId: request.rackId ?? member.rackId,
    rebalanceTimeoutMs: request.rebalanceTimeoutMs === -1 ? member.rebalanceTimeoutMs : request.rebalanceTimeoutMs,
    clientId: request.clientId,
    clientHost: request.clientHost,
    topicNames: request.topicNames === null ? member.topicNames : [...new Set(request.topicNames)].toSorted(),
    topicRegex: request.topicRegex ?? member.topicRegex,
    serverAssignor: request.serverAssignor ?? member.serverAssignor,
    classic: request.classic,
  };
}
