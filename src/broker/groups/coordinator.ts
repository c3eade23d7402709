/**
 * The coordinator of all groups of this broker: which there are, of which protocol, and how long they and their positions stay. Memory
 * holds the latest state; `__consumer_offsets` holds it durably and is replayed at start.
 */
import type { Clock, PartitionId, Random, TimestampMs, TopicId } from '../../kernel/index.js';
import type { Logger } from '../../telemetry/index.js';
import { kafkaErrors } from '../../wire/index.js';
import { ConsumerGroups } from './consumer/consumer-groups.js';
import type { ConsumerGroupSettings } from './consumer/consumer-group.js';
import { consumerProtocolType } from './consumer/consumer-protocol.js';
import { type Heritage, heritageOf } from './consumer/conversion.js';
import { type Refusal, refusal } from './consumer/refusal.js';
import type { TopicView } from './consumer/subscriptions.js';
import { classicRule, expiredOffsets, type ExpiryRule } from './expiry.js';
import { CommittedOffsets, type OffsetToCommit } from './committed-offsets.js';
import { isOneOf } from './commits-under-way.js';
import { Group, type GroupSettings } from './group.js';
import type { SavedGroup } from './saved-group.js';
import { groupStateNames } from './group-state.js';
import type { GroupLog } from './group-log.js';
import { encodeGroupKey, encodeGroupValue, type GroupRecord } from './group-records.js';

/** Groups kept in memory, with or without members: about 1 KiB each beside their offsets. */
const groupsMaxByDefault = 100_000;

/** Groups looked at by `expire` before others have a turn: below a millisecond. */
const groupsPerTurn = 100;

export interface CoordinatorPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly settings: GroupSettings;
  readonly consumerSettingsOf: (group: string) => ConsumerGroupSettings;
  readonly topics: TopicView;
  /** 100,000 where it is not said. */
  readonly groupsMax?: number;
  /** Whether groups with members may change their protocol. */
  readonly migration: { readonly mayUpgrade: boolean; readonly mayDowngrade: boolean };
  readonly log: GroupLog;
  /** When the topic that is there now was created; `undefined` where there is no such partition. */
  readonly createdMs: (topic: string, partition: PartitionId) => TimestampMs | undefined;
}

/** A group as it is listed. */
export interface ListedGroup {
  readonly groupId: string;
  readonly type: 'classic' | 'consumer';
  /** As Kafka spells it: `Empty`, `Stable`, … */
  readonly state: string;
  /** Empty where nobody has joined yet. */
  readonly protocolType: string;
}

export class GroupCoordinator {
  /** The groups of the new protocol (KIP-848); an id is a classic group or one of these, never both. */
  readonly consumers: ConsumerGroups;
  readonly offsets: CommittedOffsets;
  readonly #ports: CoordinatorPorts;
  readonly #groups = new Map<string, Group>();

  constructor(ports: CoordinatorPorts) {
    this.#ports = ports;
    this.offsets = new CommittedOffsets(ports);
    this.consumers = new ConsumerGroups({
      clock: ports.clock,
      logger: ports.logger,
      settingsOf: ports.consumerSettingsOf,
      topics: ports.topics,
      append: (group, records) => ports.log.append(group, records),
      mayDowngrade: (members) => ports.migration.mayDowngrade && members <= ports.settings.maxSize,
      inherit: (id) => this.#inheritance(id),
      endClassic: (id) => this.#endClassic(id),
      downgrade: (saved, isRebalanced) => this.#takeDowngraded(saved, isRebalanced),
      freshId: () => ports.random.uuid(),
    });
  }

  /** Whether all that was committed is known: false where a part of the log cannot be read. */
  get isWhole(): boolean {
    return this.#ports.log.isWhole;
  }

  /** Groups that have members now. */
  get activeCount(): number {
    let count = 0;
    for (const group of this.#groups.values()) if (group.memberCount > 0) count++;
    for (const group of this.consumers.all()) if (group.memberCount > 0) count++;
    return count;
  }

  /** Rebuilds groups and offsets from the log. To be called once, before any request. */
  async load(): Promise<void> {
    const saved = new Map<string, SavedGroup>();
    await this.#ports.log.replay((record) => this.#take(record, saved));
    for (const [id, group] of saved) this.#create(id).restore(group);
    this.consumers.finishLoad();
    for (const id of this.offsets.groupIds()) this.#remember(id);
    this.#ports.logger.info('consumer groups are loaded', {
      groups: this.#groups.size + this.consumers.count,
      withOffsets: this.offsets.groupCount,
    });
  }

  group(id: string): Group | undefined {
    return this.#groups.get(id);
  }

  /** Whether what the group is and has committed is known: false where its part of the log cannot be read. */
  isServed(id: string): boolean {
    return this.#ports.log.isServed(id);
  }

  /** `undefined` where there are too many groups already, the group is not served, or it is a consumer group with members (KIP-848). */
  groupOrNew(id: string): Group | undefined {
    if (!this.isServed(id)) return undefined;
    const known = this.#groups.get(id);
    if (known !== undefined) return known;
    const consumers = this.consumers.group(id);
    if (consumers !== undefined && consumers.memberCount > 0) return undefined;
    if (!this.#hasRoom()) return undefined;
    if (consumers !== undefined) void this.consumers.forget(id).catch((error: unknown) => this.#warnUnsaved(id, error));
    return this.#create(id);
  }

  #hasRoom(): boolean {
    const { groupsMax = groupsMaxByDefault } = this.#ports;
    const isFull = (): boolean => this.#groups.size + this.consumers.count >= groupsMax;
    if (isFull()) this.#sweep();
    return !isFull();
  }

  #inheritance(id: string): Refusal | Heritage | undefined {
    if (!this.isServed(id)) return refusal('COORDINATOR_NOT_AVAILABLE', 'What the group was is not known.');
    const { settings, migration, topics, consumerSettingsOf } = this.#ports;
    const classic = this.#groups.get(id);
    if (classic === undefined) return this.#hasRoom() ? undefined : refusal('COORDINATOR_NOT_AVAILABLE', 'There are too many groups.');
    if (classic.memberCount === 0) return undefined;
    const mayUpgrade = migration.mayUpgrade && classic.memberCount <= Math.min(settings.maxSize, consumerSettingsOf(id).maxSize);
    // Kafka answers who waits in the classic group before it finds that the group cannot be upgraded.
    if (mayUpgrade && classic.protocolType === consumerProtocolType) classic.answerHeld(kafkaErrors.REBALANCE_IN_PROGRESS);
    const heritage = mayUpgrade ? heritageOf(classic, topics) : undefined;
    return heritage ?? refusal('GROUP_ID_NOT_FOUND', `Group ${id} is not a consumer group.`);
  }

  #endClassic(id: string): void {
    const classic = this.#groups.get(id);
    if (classic === undefined) return;
    this.#groups.delete(id);
    classic.close(kafkaErrors.REBALANCE_IN_PROGRESS);
    // Its end lies before whatever the consumer group writes.
    void this.#ports.log.append(id, [{ key: encodeGroupKey(id), value: null }]).catch((error: unknown) => this.#warnUnsaved(id, error));
  }

  async #takeDowngraded(saved: SavedGroup, isRebalanced: boolean): Promise<void> {
    const group = this.#create(saved.groupId);
    group.restore(saved);
    const written = this.#save(group);
    if (isRebalanced) group.rebalance();
    await written;
  }

  /** Writes a group's positions. Asked for none that may be, the group is there all the same, as in Kafka. Errors: those of the log. */
  async commit(groupId: string, offsets: readonly OffsetToCommit[]): Promise<void> {
    this.#remember(groupId);
    await this.offsets.commit(groupId, offsets);
  }

  /** Who commits is a group from then on, whatever becomes of its offsets. */
  #remember(groupId: string): void {
    if (!this.#isThere(groupId) && this.#hasRoom()) this.#create(groupId);
  }

  #isThere(groupId: string): boolean {
    return this.#groups.has(groupId) || this.consumers.group(groupId) !== undefined;
  }

  /** A group that has members or has committed something, or had members and is remembered; `undefined` where there is none. */
  listed(groupId: string): ListedGroup | undefined {
    const group = this.#groups.get(groupId);
    if (group !== undefined) {
      return { groupId, type: 'classic', state: groupStateNames[group.state], protocolType: group.protocolType ?? '' };
    }
    const consumers = this.consumers.group(groupId);
    if (consumers !== undefined) return { groupId, type: 'consumer', state: consumers.state, protocolType: 'consumer' };
    return this.offsets.has(groupId) ? { groupId, type: 'classic', state: groupStateNames.empty, protocolType: '' } : undefined;
  }

  /** Every group that `listed` knows. */
  *all(): Generator<ListedGroup, void, undefined> {
    const ofConsumers = [...this.consumers.all()].map(({ id }) => id);
    for (const groupId of new Set([...this.#groups.keys(), ...ofConsumers, ...this.offsets.groupIds()])) yield this.listed(groupId)!;
  }

  /**
   * Forgets a group that has no members, and all that it committed; gone from the log too when this resolves. Who joins meanwhile is in
   * another group of the id. Errors: those of the log, and then it is as it was, unless there is another one by then.
   */
  async delete(groupId: string): Promise<void> {
    const classic = this.#groups.get(groupId);
    const consumers = this.consumers.end(groupId);
    this.#groups.delete(groupId);
    const ends = classic === undefined ? [] : [{ key: encodeGroupKey(groupId), value: null }];
    try {
      await this.offsets.forgetAll(groupId, [...ends, ...(consumers?.ends ?? [])]);
      classic?.close(kafkaErrors.UNKNOWN_MEMBER_ID);
    } catch (error) {
      if (!this.#isThere(groupId)) {
        if (classic !== undefined) this.#groups.set(groupId, classic);
        if (consumers !== undefined) this.consumers.resume(consumers);
      }
      throw error;
    }
  }

  /**
   * Forgets offsets that were kept for `retentionMs` (KIP-211), and groups that have neither members nor offsets then: one group after
   * the other, so that others are answered meanwhile. Resolves to how many. Errors: those of the log.
   */
  async expire(retentionMs: number, signal: AbortSignal): Promise<{ readonly offsets: number; readonly groups: number }> {
    const gone = { offsets: 0, groups: 0 };
    let seen = 0;
    // Groups come and go meanwhile.
    const before = [...this.all()];
    for (const { groupId } of before) {
      if (signal.aborted) break;
      if (++seen % groupsPerTurn === 0) await this.#ports.clock.sleep(0, signal).catch(() => undefined);
      await this.#expireGroup(groupId, retentionMs, gone);
    }
    return gone;
  }

  async #expireGroup(groupId: string, retentionMs: number, gone: { offsets: number; groups: number }): Promise<void> {
    const known = this.isServed(groupId) ? this.listed(groupId) : undefined;
    const rule = this.#expiryRule(groupId);
    if (known === undefined || rule === undefined) return;
    const offsets = this.offsets.ofGroup(groupId);
    const renewed = this.offsets.underWay(groupId);
    const isRenewed = isOneOf(renewed);
    const expired = expiredOffsets(offsets, rule, this.#ports.clock.nowMs(), retentionMs).filter(
      ({ topic, partition }) => !isRenewed(topic, partition),
    );
    let kept = -expired.length;
    for (const partitions of offsets.values()) kept += partitions.size;
    gone.offsets += expired.length;
    if (kept + renewed.length === 0 && known.state === groupStateNames.empty) {
      gone.groups++;
      await this.delete(groupId);
    } else await this.offsets.forget(groupId, expired);
  }

  #expiryRule(groupId: string): ExpiryRule | undefined {
    const consumers = this.consumers.group(groupId);
    if (consumers !== undefined) return { sinceMs: ({ committedMs }) => committedMs, isConsumed: this.consumedBy(groupId) };
    return classicRule(this.#groups.get(groupId), this.consumedBy(groupId));
  }

  /** Which topics a group consumes now: every one where a member's subscription cannot be read, or its topics are not found yet. */
  consumedBy(groupId: string): (topic: string) => boolean {
    const consumers = this.consumers.group(groupId);
    if (consumers === undefined) return (topic) => this.#groups.get(groupId)?.consumes(topic) === true;
    // A search takes its time: one for all topics, and none where there is no topic to ask for.
    let isSubscribedTo: ((topic: TopicId) => boolean) | undefined;
    return (topic) => {
      const id = this.#ports.topics.topic(topic)?.id;
      return id !== undefined && (isSubscribedTo ??= consumers.subscribedTo())(id);
    };
  }

  /** Ends every timer and answers every held request. */
  close(): void {
    for (const group of this.#groups.values()) group.close(kafkaErrors.COORDINATOR_NOT_AVAILABLE);
    this.#groups.clear();
    this.consumers.close();
  }

  #create(id: string): Group {
    const { clock, random, settings } = this.#ports;
    const group = new Group(id, { clock, random, settings, save: (changed) => this.#save(changed) });
    this.#groups.set(id, group);
    return group;
  }

  async #save(group: Group): Promise<void> {
    const value = encodeGroupValue(group.snapshot());
    try {
      await this.#ports.log.append(group.id, [{ key: encodeGroupKey(group.id), value }]);
    } catch (error) {
      this.#warnUnsaved(group.id, error);
      throw error;
    }
  }

  #warnUnsaved(group: string, error: unknown): void {
    this.#ports.logger.warn('a consumer group cannot be saved', { group, error });
  }

  /** Forgets groups that have neither members nor offsets before the next check of retention does. */
  #sweep(): void {
    for (const { groupId, state } of this.all()) {
      const hasOffsets = this.offsets.has(groupId) || this.offsets.underWay(groupId).length > 0;
      if (state === groupStateNames.empty && !hasOffsets) this.#end(groupId);
    }
  }

  #end(groupId: string): void {
    void this.delete(groupId).catch((error: unknown) => this.#warnUnsaved(groupId, error));
  }

  #take(record: GroupRecord, saved: Map<string, SavedGroup>): void {
    if (record.kind === 'group') {
      if (record.value === null) saved.delete(record.group);
      else saved.set(record.group, record.value);
      return;
    }
    if (record.kind === 'consumer-group') {
      this.consumers.take(record.group, record.change);
      return;
    }
    this.offsets.take(record.key, record.value);
  }
}
