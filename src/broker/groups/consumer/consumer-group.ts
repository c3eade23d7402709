/**
 * One consumer group of the new protocol (KIP-848) as a state machine: no clock, no I/O. A heartbeat is the only thing a member ever
 * sends; each moves the group (epoch, target assignment) and that member (one step of reconciliation). What changed is gathered, and
 * taken by whoever saves the group.
 *
 * Invariant: a partition has one owner. It gets another one only after its owner has reported not to have it, has left, or was fenced.
 */
import type { PartitionId, TopicId } from '../../../kernel/index.js';
import { epochsAt } from './assignment-epochs.js';
import { type AssignorName, assignors, isAssignorName, type MemberToAssign } from './assignor.js';
import {
  type ClassicSide,
  type ConsumerMember,
  freshMember,
  hasMoved,
  hasOtherSubscription,
  isOtherwiseDescribed,
  joinEpoch,
  leaveEpoch,
  staticLeaveEpoch,
} from './consumer-member.js';
import { Dirt, type GroupChange, type SavedConsumerGroup } from './group-changes.js';
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

interface Deadlines {
  readonly sessionAtMs: number;
  /** Until when a member must have given up what it is to revoke; a classic one must have joined again or synced. */
  readonly stepAtMs: number | undefined;
}

export class ConsumerGroup {
  readonly id: string;
  readonly #settings: ConsumerGroupSettings;
  readonly #subscriptions: Subscriptions;
  /** Never 0, which would tell members to join. */
  #epoch = 1;
  #assignmentEpoch = 0;
  /** When partitions were last assigned to members; not since the start of the broker, or since there are members, where undefined. */
  #assignedAtMs: number | undefined;
  #metadataHash = '';
  /** Of the topics, when the hash was last compared. */
  #seenRevision = -1;
  readonly #members = new Map<string, ConsumerMember>();
  /** Instance id → member id. */
  readonly #statics = new Map<string, string>();
  readonly #targets = new Map<string, PartitionSets>();
  readonly #owners = new Map<TopicId, Map<PartitionId, string>>();
  readonly #deadlines = new Map<string, Deadlines>();
  #dirt = new Dirt();

  constructor(id: string, settings: ConsumerGroupSettings, topics: TopicView) {
    this.id = id;
    this.#settings = settings;
    this.#subscriptions = new Subscriptions(topics);
  }

  get epoch(): number {
    return this.#epoch;
  }

  get assignmentEpoch(): number {
    return this.#assignmentEpoch;
  }

  get memberCount(): number {
    return this.#members.size;
  }

  get members(): Iterable<ConsumerMember> {
    return this.#members.values();
  }

  get state(): ConsumerGroupState {
    if (this.#members.size === 0) return 'Empty';
    if (this.#epoch > this.#assignmentEpoch) return 'Assigning';
    for (const member of this.#members.values()) {
      if (member.state !== 'stable' || member.epoch !== this.#assignmentEpoch) return 'Reconciling';
    }
    return 'Stable';
  }

  /** The one that most members ask for; of equals the one served first. */
  get assignor(): AssignorName {
    const votes = new Map<AssignorName, number>(this.#settings.assignors.map((name) => [name, 0]));
    for (const { serverAssignor } of this.#members.values()) {
      if (serverAssignor === null || !isAssignorName(serverAssignor)) continue;
      const count = votes.get(serverAssignor);
      if (count !== undefined) votes.set(serverAssignor, count + 1);
    }
    const most = Math.max(...votes.values());
    const byDefault = this.#settings.assignors[0]!;
    // Of equal votes Kafka takes `range`.
    return most === 0 ? byDefault : [...votes.keys()].filter((name) => votes.get(name) === most).toSorted()[0]!;
  }

  member(id: string): ConsumerMember | undefined {
    return this.#members.get(id);
  }

  staticMember(instanceId: string): ConsumerMember | undefined {
    return this.#members.get(this.#statics.get(instanceId) ?? '');
  }

  target(memberId: string): PartitionSets {
    return this.#targets.get(memberId) ?? noPartitions;
  }

  isSubscribedTo(topic: TopicId): boolean {
    for (const member of this.#members.values()) if (this.#subscriptions.topicsOf(member).has(topic)) return true;
    return false;
  }

  /** Errors: 81, 25, 110, 111, 82, 128. */
  heartbeat(request: MemberHeartbeat, nowMs: number): MemberAnswer | Refusal {
    if (request.memberEpoch === leaveEpoch || request.memberEpoch === staticLeaveEpoch) return this.#leave(request);
    const known = this.#refuseFull(request.memberId) ?? this.#known(request);
    return isRefusal(known) ? known : this.#update(known, request, nowMs);
  }

  /**
   * A member of the classic protocol joins, or joins again: it has no epoch to check. A static one that names no id takes the place of
   * the one it was. Errors: 81, 25, 82.
   */
  joinClassic(request: MemberHeartbeat & { readonly classic: ClassicSide }, isNew: boolean, nowMs: number): MemberAnswer | Refusal {
    const known = this.#refuseFull(request.memberId) ?? this.#knownClassic(request, isNew);
    return isRefusal(known) ? known : this.#update(known, request, nowMs);
  }

  #knownClassic(request: MemberHeartbeat, isNew: boolean): ConsumerMember | Refusal {
    const own = this.#members.get(request.memberId) ?? freshMember(request.memberId);
    if (request.instanceId === null) return own;
    const member = this.staticMember(request.instanceId);
    if (!isNew) return this.#requireInstance(member, request, request.instanceId) ?? member!;
    return member === undefined ? own : { ...member, id: request.memberId, epoch: joinEpoch, previousEpoch: joinEpoch };
  }

  /** A sign of life of a classic member. */
  sawClassic(member: ConsumerMember, classic: ClassicSide, nowMs: number, step: 'same' | 'done' | 'due'): void {
    const before = this.#deadlines.get(member.id)?.stepAtMs;
    const stepAtMs = step === 'done' ? undefined : step === 'due' ? (before ?? nowMs + member.rebalanceTimeoutMs) : before;
    this.#deadlines.set(member.id, { sessionAtMs: nowMs + classic.sessionTimeoutMs, stepAtMs });
  }

  /** Whether another member has something that this one is to have. */
  isWaiting(member: ConsumerMember): boolean {
    for (const [topic, partition] of eachPartition(this.target(member.id)))
      if (this.#isHeldByOther(member.id, topic, partition)) return true;
    return false;
  }

  /** Takes the place of a classic group of that generation, whose members have what it assigned. */
  adoptClassic(generation: number, members: readonly ConsumerMember[], nowMs: number): void {
    this.#epoch = generation;
    this.#assignmentEpoch = generation;
    for (const member of members) {
      this.#put(member);
      this.#setTarget(member.id, member.assigned);
      this.sawClassic(member, member.classic!, nowMs, 'done');
    }
    this.#metadataHash = this.#subscriptions.hash(this.#members.values());
    this.#dirt.isEpoch = true;
    this.#dirt.isAssignmentEpoch = true;
  }

  #refuseFull(memberId: string): Refusal | undefined {
    if (this.#members.size < this.#settings.maxSize || this.#members.has(memberId)) return undefined;
    return refusal('GROUP_MAX_SIZE_REACHED', `The consumer group has reached its maximum capacity of ${this.#settings.maxSize} members.`);
  }

  #update(known: ConsumerMember, request: MemberHeartbeat, nowMs: number): MemberAnswer | Refusal {
    const isNewRegex = request.topicRegex !== null && request.topicRegex !== '' && request.topicRegex !== known.topicRegex;
    const refused = isNewRegex ? this.#subscriptions.refuse(request.topicRegex!) : undefined;
    if (refused !== undefined) return refused;

    const assignorBefore = this.assignor;
    const before = this.#adopt(known);
    const said = updated(before, request);
    this.#put(said);
    const isOtherAssignor = said.classic === null && this.assignor !== assignorBefore;
    const after = this.#advance(said.id, request.owned, isOtherAssignor || hasOtherSubscription(before, said), nowMs);
    this.#expectNext(said, after, nowMs);
    const isFull =
      request.memberEpoch === joinEpoch ||
      (request.rebalanceTimeoutMs !== -1 && (request.topicNames !== null || request.topicRegex !== null) && request.owned !== null);
    const isAssignmentTold = isFull || !areSamePartitions(known.assigned, after.assigned);
    return { memberId: after.id, memberEpoch: after.epoch, assignment: isAssignmentTold ? after.assigned : null };
  }

  /** Until when a member must be heard of, and must have taken its next step. */
  #expectNext(said: ConsumerMember, after: ConsumerMember, nowMs: number): void {
    if (after.classic !== null) {
      // It has joined, and is to sync.
      this.#deadlines.set(after.id, { sessionAtMs: nowMs + after.classic.sessionTimeoutMs, stepAtMs: nowMs + after.rebalanceTimeoutMs });
      return;
    }
    const sessionAtMs = nowMs + this.#settings.sessionTimeoutMs;
    const revokeAtMs = after === said ? this.#deadlines.get(after.id)?.stepAtMs : nowMs + after.rebalanceTimeoutMs;
    this.#deadlines.set(after.id, { sessionAtMs, stepAtMs: after.state === 'unrevoked' ? revokeAtMs : undefined });
  }

  /** Brings the group up to date with its topics, and one member a step further; returns it as it is then. */
  #advance(memberId: string, owned: PartitionSets | null, isSubscriptionChanged: boolean, nowMs: number): ConsumerMember {
    this.#followTopics(isSubscriptionChanged);
    if (this.#epoch > this.#assignmentEpoch && this.#mayAssign(nowMs)) this.#assign(nowMs);
    const member = this.#members.get(memberId)!;
    const stepped = reconcile({
      member,
      target: { epoch: this.#assignmentEpoch, partitions: this.target(memberId) },
      owned,
      isHeldByOther: (topic, partition) => this.#isHeldByOther(memberId, topic, partition),
    });
    if (stepped !== member) this.#put(stepped);
    return stepped;
  }

  #isHeldByOther(memberId: string, topic: TopicId, partition: PartitionId): boolean {
    const owner = this.#owners.get(topic)?.get(partition);
    return owner !== undefined && owner !== memberId;
  }

  /** Removes a member at once; its partitions are free. */
  fence(memberId: string): void {
    if (!this.#members.has(memberId)) return;
    this.#remove(memberId);
    this.#subscriptions.prune(this.#members.values());
    this.#metadataHash = this.#subscriptions.hash(this.#members.values());
    this.#bump();
    if (this.#members.size > 0) return;
    // There is nobody to assign to.
    this.#assignmentEpoch = this.#epoch;
    this.#assignedAtMs = undefined;
    this.#dirt.isAssignmentEpoch = true;
  }

  /** Fences whoever is late, and says who that was. */
  expire(nowMs: number): readonly string[] {
    const late = [...this.#deadlines].filter(([, deadlines]) => dueMs(deadlines) <= nowMs).map(([id]) => id);
    for (const id of late) this.fence(id);
    return late;
  }

  /** When `expire` is to be called next; `undefined` where there is no member. */
  get nextDueMs(): number | undefined {
    let next: number | undefined;
    for (const deadlines of this.#deadlines.values()) next = Math.min(next ?? Infinity, dueMs(deadlines));
    return next;
  }

  /** Takes up a group where it was saved: its members go on with their epochs. */
  restore(saved: SavedConsumerGroup, nowMs: number): void {
    this.#epoch = saved.epoch;
    this.#assignmentEpoch = saved.assignmentEpoch;
    this.#metadataHash = saved.metadataHash;
    for (const [id, partitions] of saved.targets) this.#targets.set(id, partitions);
    for (const member of saved.members.values()) {
      this.#put(member);
      this.#deadlines.set(member.id, {
        sessionAtMs: nowMs + (member.classic?.sessionTimeoutMs ?? this.#settings.sessionTimeoutMs),
        stepAtMs:
          member.classic === null && member.state === 'unrevoked' && member.epoch >= 0 ? nowMs + member.rebalanceTimeoutMs : undefined,
      });
    }
    this.#dirt = new Dirt();
  }

  /** What was changed since it was last asked. */
  takeDirt(): Dirt {
    const taken = this.#dirt;
    this.#dirt = new Dirt();
    return taken;
  }

  /** For what could not be saved. */
  returnDirt(dirt: Dirt): void {
    this.#dirt.addAll(dirt);
  }

  /** Everything there is, to be written anew. */
  changesOf(dirt: Dirt): readonly GroupChange[] {
    const changes: GroupChange[] = [];
    for (const id of dirt.members) changes.push({ kind: 'member', id, member: this.#members.get(id) ?? null });
    if (dirt.isEpoch) changes.push({ kind: 'epoch', epoch: this.#epoch, metadataHash: this.#metadataHash });
    for (const id of dirt.targets) changes.push({ kind: 'target', id, partitions: this.#targets.get(id) ?? null });
    if (dirt.isAssignmentEpoch) changes.push({ kind: 'assignment-epoch', epoch: this.#assignmentEpoch });
    for (const id of dirt.currents) changes.push({ kind: 'current', id, member: this.#members.get(id) ?? null });
    return changes;
  }

  /** The member that sends a heartbeat, as it is so far: a fresh one where it joins. */
  #known(request: MemberHeartbeat): ConsumerMember | Refusal {
    const isJoining = request.memberEpoch === joinEpoch;
    if (request.instanceId !== null) return this.#knownStatic(request, request.instanceId, isJoining);
    const member = this.#members.get(request.memberId);
    if (member === undefined) return isJoining ? freshMember(request.memberId) : unknownMember(this.id, request.memberId);
    return checkEpoch(member, request) ?? member;
  }

  #knownStatic(request: MemberHeartbeat, instanceId: string, isJoining: boolean): ConsumerMember | Refusal {
    const member = this.staticMember(instanceId);
    if (!isJoining) return this.#requireInstance(member, request, instanceId) ?? checkEpoch(member!, request) ?? member!;
    if (member === undefined) return this.#members.get(request.memberId) ?? freshMember(request.memberId);
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
    this.#put(member);
    this.#setTarget(member.id, target);
    return member;
  }

  #leave(request: MemberHeartbeat): MemberAnswer | Refusal {
    const { memberId, memberEpoch, instanceId } = request;
    const answer = { memberId, memberEpoch, assignment: null };
    if (instanceId === null) {
      if (!this.#members.has(memberId)) return unknownMember(this.id, memberId);
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
    this.#put({ ...member!, epoch: staticLeaveEpoch, pendingRevocation: noPartitions, assignedAt });
    const { sessionAtMs } = this.#deadlines.get(memberId)!;
    this.#deadlines.set(memberId, { sessionAtMs, stepAtMs: undefined });
    return answer;
  }

  #followTopics(isSubscriptionChanged: boolean): void {
    let isBumped = isSubscriptionChanged;
    if (this.#assignmentEpoch === 0) this.#dirt.isEpoch = true;
    if (isSubscriptionChanged || this.#seenRevision !== this.#subscriptions.revision) {
      this.#seenRevision = this.#subscriptions.revision;
      if (isSubscriptionChanged) this.#subscriptions.prune(this.#members.values());
      const hash = this.#subscriptions.hash(this.#members.values());
      isBumped ||= hash !== this.#metadataHash;
      this.#metadataHash = hash;
    }
    if (isBumped) this.#bump();
  }

  #bump(): void {
    this.#epoch++;
    this.#dirt.isEpoch = true;
  }

  /** Changes that come close together are assigned for together (KIP-1263). */
  #mayAssign(nowMs: number): boolean {
    return this.#assignedAtMs === undefined || nowMs >= this.#assignedAtMs + this.#settings.assignmentIntervalMs;
  }

  #assign(nowMs: number): void {
    const members = [...this.#members.values()].map(
      (member): MemberToAssign => ({
        id: member.id,
        instanceId: member.instanceId,
        topics: this.#subscriptions.topicsOf(member),
        target: this.target(member.id),
      }),
    );
    const targets = assignors[this.assignor]({ members, partitionCount: (topic) => this.#subscriptions.partitionCount(topic) });
    for (const [id, partitions] of targets) this.#setTarget(id, partitions);
    this.#assignmentEpoch = this.#epoch;
    this.#assignedAtMs = nowMs;
    this.#dirt.isAssignmentEpoch = true;
  }

  #setTarget(id: string, partitions: PartitionSets): void {
    const before = this.#targets.get(id);
    if (before !== undefined && areSamePartitions(before, partitions)) return;
    this.#targets.set(id, partitions);
    this.#dirt.targets.add(id);
  }

  #put(member: ConsumerMember): void {
    const before = this.#members.get(member.id);
    if (before === undefined || isOtherwiseDescribed(before, member)) this.#dirt.members.add(member.id);
    if (before === undefined || hasMoved(before, member)) this.#dirt.currents.add(member.id);
    if (before !== undefined) this.#disown(before);
    if (member.instanceId !== null) this.#statics.set(member.instanceId, member.id);
    this.#members.set(member.id, member);
    for (const held of [member.assigned, member.pendingRevocation]) {
      for (const [topic, partition] of eachPartition(held)) {
        let owners = this.#owners.get(topic);
        if (owners === undefined) this.#owners.set(topic, (owners = new Map()));
        owners.set(partition, member.id);
      }
    }
  }

  #disown(member: ConsumerMember): void {
    for (const held of [member.assigned, member.pendingRevocation]) {
      for (const [topic, partition] of eachPartition(held)) {
        const owners = this.#owners.get(topic);
        if (owners?.get(partition) === member.id) owners.delete(partition);
        if (owners?.size === 0) this.#owners.delete(topic);
      }
    }
  }

  #remove(id: string): void {
    const member = this.#members.get(id)!;
    this.#disown(member);
    this.#members.delete(id);
    if (member.instanceId !== null && this.#statics.get(member.instanceId) === id) this.#statics.delete(member.instanceId);
    this.#targets.delete(id);
    this.#deadlines.delete(id);
    this.#dirt.members.add(id);
    this.#dirt.targets.add(id);
    this.#dirt.currents.add(id);
  }
}

function dueMs({ sessionAtMs, stepAtMs }: Deadlines): number {
  return Math.min(sessionAtMs, stepAtMs ?? Infinity);
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
