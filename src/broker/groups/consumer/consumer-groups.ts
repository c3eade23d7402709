/**
 * All consumer groups of the new protocol of this broker: gives each the time, has its changes written to `__consumer_offsets`
 * before a member hears of them, and fences members that are silent for too long.
 */
import type { Clock } from '../../../kernel/index.js';
import type { Logger } from '../../../telemetry/index.js';
import { kafkaErrors } from '../../../wire/index.js';
import { runAfter } from '../../deadline.js';
import type { KeyValue } from '../group-log.js';
import { ConsumerGroup, type ConsumerGroupSettings, type MemberAnswer, type MemberHeartbeat } from './consumer-group.js';
import { joinEpoch } from './consumer-member.js';
import { encodeChange, encodeGone } from './consumer-records.js';
import type { Dirt, GroupChange, GroupGone } from './group-changes.js';
import { type Refusal, refusal } from './refusal.js';
import { SavedConsumerGroups } from './saved-groups.js';
import type { TopicView } from './subscriptions.js';

export interface ConsumerGroupsPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: ConsumerGroupSettings;
  readonly topics: TopicView;
  readonly append: (group: string, records: readonly KeyValue[]) => Promise<void>;
  /**
   * Makes the id free for a consumer group: an empty classic group ends. Says why it cannot be one: a classic group has members, or
   * there are too many groups, or what the group was is not known.
   */
  readonly makeRoom: (id: string) => Refusal | undefined;
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
    for (const [id, saved] of this.#saved.all()) this.#create(id).restore(saved, this.#ports.clock.monotonicMs());
    for (const watched of this.#groups.values()) this.#watch(watched);
    this.#saved = new SavedConsumerGroups();
  }

  /** Errors: as the group's, 69 where there is none, 15 where what changed cannot be written. */
  async heartbeat(groupId: string, request: MemberHeartbeat): Promise<MemberAnswer | Refusal> {
    let group = this.group(groupId);
    if (group === undefined) {
      if (request.memberEpoch !== joinEpoch) return refusal('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`);
      const refused = this.#ports.makeRoom(groupId);
      if (refused !== undefined) return refused;
      group = this.#create(groupId);
    }
    const answer = group.heartbeat(request, this.#ports.clock.monotonicMs());
    return (await this.#keep(group)) ?? answer;
  }

  /** Whether a member may commit now: 0, 25, 113; `undefined` where there is no consumer group of that id. */
  mayCommit(groupId: string, memberId: string, memberEpoch: number): number | undefined {
    const group = this.group(groupId);
    if (group === undefined) return undefined;
    if (memberEpoch < 0 && group.memberCount === 0) return kafkaErrors.NONE;
    return checkMember(group, memberId, memberEpoch);
  }

  /** Whether offsets may be fetched: 0, 25, 113. Who names no member is an administrator. */
  mayFetch(groupId: string, memberId: string | null, memberEpoch: number): number {
    const group = this.group(groupId);
    if (group === undefined || memberId === null || memberId === '' || memberEpoch < 0) return kafkaErrors.NONE;
    return checkMember(group, memberId, memberEpoch);
  }

  /** Ends a group without members, in memory at once. Errors: those of the log. */
  async forget(id: string): Promise<void> {
    const watched = this.#groups.get(id);
    if (watched === undefined) return;
    watched.stopTimer();
    this.#groups.delete(id);
    const ends = watched.group.changesOf(watched.group.takeDirt()).filter((change) => 'id' in change);
    await this.#ports.append(id, [...ends.map((change) => encodeChange(id, change)), ...encodeGone(id)]);
  }

  /** Stops every timer. */
  close(): void {
    for (const { stopTimer } of this.#groups.values()) stopTimer();
    this.#groups.clear();
  }

  #create(id: string): ConsumerGroup {
    const group = new ConsumerGroup(id, this.#ports.settings, this.#ports.topics);
    this.#groups.set(id, { group, stopTimer: () => undefined, dueMs: Infinity });
    return group;
  }

  /** Writes what has changed, and looks when a member is due. */
  async #keep(group: ConsumerGroup): Promise<Refusal | undefined> {
    const watched = this.#groups.get(group.id);
    if (watched?.group === group) this.#watch(watched);
    const dirt = group.takeDirt();
    if (dirt.isNone) return undefined;
    try {
      await this.#write(group, dirt);
      return undefined;
    } catch (error) {
      group.returnDirt(dirt);
      this.#ports.logger.warn('a consumer group cannot be saved', { group: group.id, error });
      return refusal('COORDINATOR_NOT_AVAILABLE', 'The group cannot be saved.');
    }
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
    const late = group.expire(this.#ports.clock.monotonicMs());
    for (const member of late) this.#ports.logger.info('a member of a consumer group is fenced: it was late', { group: group.id, member });
    void this.#keep(group);
  }
}

function checkMember(group: ConsumerGroup, memberId: string, memberEpoch: number): number {
  const member = group.member(memberId);
  if (member === undefined) return kafkaErrors.UNKNOWN_MEMBER_ID;
  return member.epoch === memberEpoch ? kafkaErrors.NONE : kafkaErrors.STALE_MEMBER_EPOCH;
}
