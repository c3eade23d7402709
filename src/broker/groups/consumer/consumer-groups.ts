/**
 * All consumer groups of the new protocol of this broker: gives each the time, has its changes written to `__consumer_offsets`
 * before a member hears of them, and fences members that are silent for too long.
 */
import type { Clock, PartitionId, TopicId } from '../../../kernel/index.js';
import type { Logger } from '../../../telemetry/index.js';
import { kafkaErrors } from '../../../wire/index.js';
import { runAfter } from '../../deadline.js';
import type { SavedGroup } from '../saved-group.js';
import type { KeyValue } from '../group-log.js';
import { type JoinAnswer, joinFailure, type JoinRequest, type MemberIdentity, type SyncAnswer } from '../member.js';
import { isHeldSince } from './assignment-epochs.js';
import { heartbeatAsClassic, isClassic, joinAsClassic, memberNamed, syncAsClassic, type SyncOfClassic } from './classic-members.js';
import { ConsumerGroup, type ConsumerGroupSettings, type MemberAnswer, type MemberHeartbeat } from './consumer-group.js';
import { joinEpoch } from './consumer-member.js';
import { encodeChange, encodeGone } from './consumer-records.js';
import type { Dirt, GroupChange, GroupGone } from './group-changes.js';
import { asClassic, type Heritage } from './conversion.js';
import { isRefusal, type Refusal, refusal } from './refusal.js';
import { SavedConsumerGroups } from './saved-groups.js';
import type { TopicView } from './subscriptions.js';

export interface ConsumerGroupsPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settingsOf: (group: string) => ConsumerGroupSettings;
  readonly topics: TopicView;
  readonly append: (group: string, records: readonly KeyValue[]) => Promise<void>;
  /** Whether a group without members of the new protocol becomes a classic one. */
  readonly mayDowngrade: (members: number) => boolean;
  /**
   * What a new consumer group of the id takes over, if anything. Says why there cannot be one: a classic group has members and cannot
   * be upgraded, or there are too many groups, or what the group was is not known.
   */
  readonly inherit: (id: string) => Refusal | Heritage | undefined;
  /** Ends a classic group, if there is one of the id. */
  readonly endClassic: (id: string) => void;
  /** Goes on with a group as a classic one; resolves when it is written. */
  readonly downgrade: (saved: SavedGroup, isRebalanced: boolean) => Promise<void>;
  readonly freshId: () => string;
}

/** Who wants to commit positions, as its request says. */
export interface CommitterClaim {
  readonly groupId: string;
  readonly memberId: string;
  readonly memberEpoch: number;
  /** Whether the request's version knows of members with epochs. */
  readonly isEpochKnown: boolean;
}

/** A group that is in memory no more. */
export interface EndedGroup {
  readonly group: ConsumerGroup;
  /** What was not saved of it. */
  readonly dirt: Dirt;
  /** What says in the log that it, and each member that it has or had since it was saved, is no more. */
  readonly ends: readonly KeyValue[];
}

interface Watched {
  readonly group: ConsumerGroup;
  stopTimer: () => void;
  dueMs: number;
}

export class ConsumerGroups {
  readonly #ports: ConsumerGroupsPorts;
  readonly #groups = new Map<string, Watched>();
  #saved = new SavedConsumerGroups();

  constructor(ports: ConsumerGroupsPorts) {
    this.#ports = ports;
  }

  get count(): number {
    return this.#groups.size;
  }

  *all(): Generator<ConsumerGroup, void, undefined> {
    for (const { group } of this.#groups.values()) yield group;
  }

  group(id: string): ConsumerGroup | undefined {
    return this.#groups.get(id)?.group;
  }

  /** Takes a record while the log is replayed. */
  take(group: string, change: GroupChange | GroupGone): void {
    this.#saved.take(group, change);
  }

  /** After the last record. */
  finishLoad(): void {
    for (const [id, saved] of this.#saved.all()) this.#create(id).restore(saved, this.#nowMs);
    for (const watched of this.#groups.values()) this.#watch(watched);
    this.#saved = new SavedConsumerGroups();
  }

  /** Errors: as the group's, 69 where there is none, 15 where what changed cannot be written. */
  async heartbeat(groupId: string, request: MemberHeartbeat): Promise<MemberAnswer | Refusal> {
    const group = this.group(groupId);
    if (group === undefined) return this.#joinFirst(groupId, request);
    const answer = group.heartbeat(request, this.#nowMs);
    return (await this.#keep(group)) ?? answer;
  }

  /** Nothing has happened where the first member is refused. */
  async #joinFirst(groupId: string, request: MemberHeartbeat): Promise<MemberAnswer | Refusal> {
    if (request.memberEpoch !== joinEpoch) return refusal('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`);
    const heritage = this.#ports.inherit(groupId);
    if (heritage !== undefined && isRefusal(heritage)) return heritage;
    const group = new ConsumerGroup(groupId, this.#ports.settingsOf(groupId), this.#ports.topics);
    if (heritage !== undefined) group.adoptClassic(heritage.generation, heritage.members, this.#nowMs);
    const answer = group.heartbeat(request, this.#nowMs);
    if (isRefusal(answer)) return answer;
    this.#ports.endClassic(groupId);
    this.#groups.set(groupId, { group, stopTimer: () => undefined, dueMs: Infinity });
    return (await this.#keep(group)) ?? answer;
  }

  /** A group that members of the classic protocol may join and be in. */
  mixed(groupId: string): ConsumerGroup | undefined {
    const group = this.group(groupId);
    return group !== undefined && group.memberCount > 0 ? group : undefined;
  }

  /** Errors: as `joinAsClassic`, and 15 where what changed cannot be written. */
  async joinClassic(group: ConsumerGroup, request: JoinRequest): Promise<JoinAnswer> {
    const { freshId, topics } = this.#ports;
    const isLast = this.#isLastWith(group, request.instanceId);
    const answer = joinAsClassic(group, request, { freshId, topics, isLast, nowMs: this.#nowMs });
    const refused = await this.#keep(group);
    return refused === undefined ? answer : joinFailure(refused.errorCode, answer.memberId);
  }

  /** Errors: as `heartbeatAsClassic`. */
  heartbeatClassic(group: ConsumerGroup, identity: MemberIdentity, generationId: number): number {
    const errorCode = heartbeatAsClassic(group, identity, generationId, this.#nowMs);
    this.#watchGroup(group);
    return errorCode;
  }

  /** Errors: as `syncAsClassic`. */
  syncClassic(group: ConsumerGroup, request: SyncOfClassic): SyncAnswer {
    const answer = syncAsClassic(group, request, this.#ports.topics, this.#nowMs);
    this.#watchGroup(group);
    return answer;
  }

  /**
   * Removes members together, those of the new protocol too: tools do not know what a member speaks. Who names an instance only may be an
   * administrator. Errors, by member: 25, 82, 15.
   */
  async leave(group: ConsumerGroup, identities: readonly MemberIdentity[]): Promise<readonly number[]> {
    const found = identities.map((identity) => memberNamed(group, identity));
    const gone = found.flatMap((member) => (typeof member === 'number' ? [] : [member.id]));
    group.fence(...gone);
    const code = gone.length === 0 ? kafkaErrors.NONE : ((await this.#keep(group))?.errorCode ?? kafkaErrors.NONE);
    return found.map((member) => (typeof member === 'number' ? member : code));
  }

  /**
   * Whether a member may commit positions of these partitions now, by a request that knows of epochs or not: 0, 25, 35, 113 (22 for one of
   * the classic protocol); `undefined` where there is no consumer group of that id. An epoch that has passed is good where it has had each
   * of them since then (KIP-1251).
   */
  mayCommit(
    { groupId, memberId, memberEpoch, isEpochKnown }: CommitterClaim,
    partitions: readonly (readonly [TopicId, PartitionId])[],
  ): number | undefined {
    const group = this.group(groupId);
    if (group === undefined) return undefined;
    if (memberEpoch < 0 && group.memberCount === 0) return kafkaErrors.NONE;
    const member = group.member(memberId);
    if (!isEpochKnown && member?.classic === null) return kafkaErrors.UNSUPPORTED_VERSION;
    const code = checkMember(group, memberId, memberEpoch);
    if (code === kafkaErrors.NONE || member === undefined || memberEpoch > member.epoch) return code;
    const isGood = partitions.every(([topic, partition]) => isHeldSince(member.assignedAt, topic, partition, memberEpoch));
    return isGood ? kafkaErrors.NONE : code;
  }

  /** Whether offsets may be fetched: 0, 25, 113. Who names no member is an administrator. */
  mayFetch(groupId: string, memberId: string | null, memberEpoch: number): number {
    const group = this.group(groupId);
    if (group === undefined || (memberId === null && memberEpoch < 0)) return kafkaErrors.NONE;
    return checkMember(group, memberId ?? '', memberEpoch);
  }

  /** Ends a group, in memory at once. Errors: those of the log. */
  async forget(id: string): Promise<void> {
    const ended = this.end(id);
    if (ended !== undefined) await this.#ports.append(id, ended.ends);
  }

  /** Takes a group out of memory, if there is one, before anybody can join it again; its ends are to be written. */
  end(id: string): EndedGroup | undefined {
    const watched = this.#groups.get(id);
    if (watched === undefined) return undefined;
    watched.stopTimer();
    this.#groups.delete(id);
    return endOf(watched.group);
  }

  /** Goes on with a group without members, the end of which could not be written. */
  resume({ group, dirt }: EndedGroup): void {
    group.returnDirt(dirt);
    this.#groups.set(group.id, { group, stopTimer: () => undefined, dueMs: Infinity });
  }

  /** Stops every timer. */
  close(): void {
    for (const { stopTimer } of this.#groups.values()) stopTimer();
    this.#groups.clear();
  }

  #create(id: string): ConsumerGroup {
    const group = new ConsumerGroup(id, this.#ports.settingsOf(id), this.#ports.topics);
    this.#groups.set(id, { group, stopTimer: () => undefined, dueMs: Infinity });
    return group;
  }

  /** Writes what has changed, and looks when a member is due. */
  async #keep(group: ConsumerGroup): Promise<Refusal | undefined> {
    this.#watchGroup(group);
    if (this.#isToDowngrade(group)) return this.#downgrade(group);
    const dirt = group.takeDirt();
    if (dirt.isNone) return undefined;
    try {
      await this.#write(group, dirt);
      return undefined;
    } catch (error) {
      group.returnDirt(dirt);
      return this.#notSaved(group, error);
    }
  }

  #notSaved(group: ConsumerGroup, error: unknown): Refusal {
    this.#ports.logger.warn('a consumer group cannot be saved', { group: group.id, error });
    return refusal('COORDINATOR_NOT_AVAILABLE', 'The group cannot be saved.');
  }

  #isToDowngrade(group: ConsumerGroup): boolean {
    for (const member of group.members) if (!isClassic(member)) return false;
    return group.memberCount > 0 && this.#ports.mayDowngrade(group.memberCount);
  }

  /** Whether only the static member of that instance speaks the new protocol, and the group may end with it. */
  #isLastWith(group: ConsumerGroup, instanceId: string | null): boolean {
    const last = instanceId === null ? undefined : group.staticMember(instanceId);
    if (last === undefined) return false;
    for (const member of group.members) if (member !== last && !isClassic(member)) return false;
    return this.#ports.mayDowngrade(group.memberCount);
  }

  async #downgrade(group: ConsumerGroup): Promise<Refusal | undefined> {
    const isRebalanced = group.isAssignmentDue;
    const classic = asClassic(group, this.#ports.topics);
    this.#ports.logger.info('a consumer group goes on as a classic group', { group: group.id });
    try {
      await Promise.all([this.forget(group.id), this.#ports.downgrade(classic, isRebalanced)]);
      return undefined;
    } catch (error) {
      return this.#notSaved(group, error);
    }
  }

  get #nowMs(): number {
    return this.#ports.clock.monotonicMs();
  }

  #watchGroup(group: ConsumerGroup): void {
    const watched = this.#groups.get(group.id);
    if (watched?.group === group) this.#watch(watched);
  }

  #write(group: ConsumerGroup, dirt: Dirt): Promise<void> {
    const records = group.changesOf(dirt).map((change) => encodeChange(group.id, change));
    return this.#ports.append(group.id, records);
  }

  /** One timer a group, for whoever is due first; it is not put off with every heartbeat, but looks again when it rings. */
  #watch(watched: Watched): void {
    const { clock } = this.#ports;
    const dueMs = watched.group.nextDueMs;
    if (dueMs === undefined || dueMs >= watched.dueMs) return;
    watched.stopTimer();
    watched.dueMs = dueMs;
    watched.stopTimer = runAfter(clock, dueMs - clock.monotonicMs(), () => {
      watched.dueMs = Infinity;
      this.#expire(watched.group);
    });
  }

  #expire(group: ConsumerGroup): void {
    const late = group.expire(this.#nowMs);
    for (const member of late) this.#ports.logger.info('a member of a consumer group is fenced: it was late', { group: group.id, member });
    void this.#keep(group);
  }
}

function checkMember(group: ConsumerGroup, memberId: string, memberEpoch: number): number {
  const member = group.member(memberId);
  if (member === undefined) return kafkaErrors.UNKNOWN_MEMBER_ID;
  if (member.epoch === memberEpoch) return kafkaErrors.NONE;
  return isClassic(member) ? kafkaErrors.ILLEGAL_GENERATION : kafkaErrors.STALE_MEMBER_EPOCH;
}

function endOf(group: ConsumerGroup): EndedGroup {
  const dirt = group.takeDirt();
  const ids = new Set([...dirt.members, ...dirt.targets, ...dirt.currents, ...[...group.members].map(({ id }) => id)]);
  const ends = [...ids].flatMap((id): GroupChange[] => [
    { kind: 'current', id, member: null },
    { kind: 'target', id, partitions: null },
    { kind: 'member', id, member: null },
  ]);
  return { group, dirt, ends: [...ends.map((change) => encodeChange(group.id, change)), ...encodeGone(group.id)] };
}
