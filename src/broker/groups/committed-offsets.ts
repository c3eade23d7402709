/**
 * The positions that groups have committed. `__consumer_offsets` has them durably; memory has them once they are there, and no longer than
 * their topic is. What is deleted while a commit is on its way to the log comes behind it there, and is not seen again: not in memory, and
 * not after a restart.
 */
import type { NotedGroup, NotedOffset } from '../../control/index.js';
import type { Clock, PartitionId, Random, TimestampMs } from '../../kernel/index.js';
import { CommitsUnderWay, isOneOf, type IsPosition, type OffsetPlace } from './commits-under-way.js';
import type { GroupLog, KeyValue } from './group-log.js';
import { type CommittedOffset, encodeOffsetKey, encodeOffsetValue, type OffsetKey } from './group-records.js';

/** Committed offsets handed out at a time: with the longest metadata some 5 MB. */
const offsetsPerPart = 1_000;

export interface OffsetToCommit extends Omit<CommittedOffset, 'committedMs'>, OffsetPlace {}

export interface CommittedOffsetsPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: GroupLog;
  /** When the topic that is there now was created; `undefined` where there is no such partition. */
  readonly createdMs: (topic: string, partition: PartitionId) => TimestampMs | undefined;
}

type OffsetsByTopic = Map<string, Map<PartitionId, CommittedOffset>>;

export class CommittedOffsets {
  readonly #ports: CommittedOffsetsPorts;
  readonly #offsets = new Map<string, OffsetsByTopic>();
  readonly #committing = new CommitsUnderWay();
  /** Changes since the start. */
  #changes = 0;
  readonly #runId: string;

  constructor(ports: CommittedOffsetsPorts) {
    this.#ports = ports;
    this.#runId = ports.random.uuid();
  }

  /** Another one whenever what is committed has changed, and in each run. */
  get revision(): string {
    return `${this.#runId}:${this.#changes}`;
  }

  /** Groups that have committed something. */
  get groupCount(): number {
    return this.#offsets.size;
  }

  groupIds(): Iterable<string> {
    return this.#offsets.keys();
  }

  /** Whether a group has committed something. */
  has(groupId: string): boolean {
    return this.#offsets.has(groupId);
  }

  get(groupId: string, topic: string, partition: PartitionId): CommittedOffset | undefined {
    return this.#offsets.get(groupId)?.get(topic)?.get(partition);
  }

  /** Everything a group has committed: topic → partition → position. */
  ofGroup(groupId: string): ReadonlyMap<string, ReadonlyMap<PartitionId, CommittedOffset>> {
    return this.#offsets.get(groupId) ?? new Map<string, Map<PartitionId, CommittedOffset>>();
  }

  /** What a group is committing: not to be seen yet, nor old. */
  underWay(groupId: string): readonly OffsetPlace[] {
    return this.#committing.places(groupId);
  }

  /**
   * Everything that all groups have committed, in parts of at most 1,000 offsets; what changes between two parts may be in
   * them or not.
   */
  *inParts(): Generator<NotedGroup[], void, undefined> {
    let part: { readonly group: string; readonly offsets: NotedOffset[] }[] = [];
    let count = 0;
    for (const [group, topics] of this.#offsets) {
      let offsets: NotedOffset[] = [];
      part.push({ group, offsets });
      for (const [topic, partitions] of topics) {
        for (const [partition, committed] of partitions) {
          if (count === offsetsPerPart) {
            yield part;
            offsets = [];
            part = [{ group, offsets }];
            count = 0;
          }
          offsets.push({ topic, partition, ...committed });
          count++;
        }
      }
    }
    if (count > 0) yield part;
  }

  /** Takes a record of the log as it is replayed; null: deleted. */
  take({ group, topic, partition }: OffsetKey, value: CommittedOffset | null): void {
    if (value !== null && this.#isCurrent(topic, partition, value.committedMs)) this.#put(group, topic, partition, value);
    else this.#remove(group, topic, partition);
  }

  /** Writes positions of a group that is known (see the coordinator's `commit`); they are seen once durable. Errors: those of the log. */
  async commit(groupId: string, offsets: readonly OffsetToCommit[]): Promise<void> {
    if (offsets.length === 0) return;
    const nowMs = this.#ports.clock.nowMs();
    // Never older than its topic, whatever the clock does: by that a start tells it from what is left of a former topic.
    const dated = offsets.map((entry) => ({
      ...entry,
      committedMs: Math.max(nowMs, this.#ports.createdMs(entry.topic, entry.partition) ?? nowMs),
    }));
    const records: KeyValue[] = dated.map((entry) => ({
      key: encodeOffsetKey({ group: groupId, topic: entry.topic, partition: entry.partition }),
      value: encodeOffsetValue(entry),
    }));
    const isVoid = await this.#committing.append(groupId, dated, () => this.#ports.log.append(groupId, records));
    for (const { topic, partition, offset, leaderEpoch, metadata, committedMs, expireMs } of dated) {
      // A topic that was deleted meanwhile took its positions along.
      if (this.#isCurrent(topic, partition, committedMs) && !isVoid(topic, partition))
        this.#put(groupId, topic, partition, {
          offset,
          leaderEpoch,
          metadata,
          committedMs,
          ...(expireMs === undefined ? {} : { expireMs }),
        });
    }
  }

  /** Forgets positions of a group; gone from the log too when this resolves. Errors: those of the log, and then they are as they were. */
  async forget(groupId: string, places: readonly OffsetPlace[]): Promise<void> {
    const known = places.filter(({ topic, partition }) => this.get(groupId, topic, partition) !== undefined);
    await this.#forget(groupId, known, isOneOf(places));
  }

  /** As `forget` all that a group has, in one batch with `more` of its records. */
  async forgetAll(groupId: string, more: readonly KeyValue[]): Promise<void> {
    await this.#forget(groupId, placesIn(this.ofGroup(groupId)), () => true, more);
  }

  /** Forgets all positions in a deleted topic, in memory at once and in the log. */
  async topicDeleted(topic: string): Promise<void> {
    const groupIds = new Set(this.#committing.groupIds());
    for (const [groupId, topics] of this.#offsets) if (topics.has(topic)) groupIds.add(groupId);
    // All before the first wait: what is committed to another topic of the name comes after them.
    const forgotten = [...groupIds].map((groupId) => {
      const offsets = this.#offsets.get(groupId)?.get(topic);
      return this.#forget(groupId, offsets === undefined ? [] : placesIn([[topic, offsets]]), (name) => name === topic);
    });
    await Promise.all(forgotten);
  }

  /** Forgets what of a group is known, and what of it is on its way to the log. */
  async #forget(groupId: string, known: readonly OffsetPlace[], isForgotten: IsPosition, more: readonly KeyValue[] = []): Promise<void> {
    const places = [...known, ...this.underWay(groupId).filter(({ topic, partition }) => isForgotten(topic, partition))];
    if (places.length + more.length === 0) return;
    const taken = known.map(({ topic, partition }) => ({ topic, partition, was: this.get(groupId, topic, partition)! }));
    for (const { topic, partition } of taken) this.#remove(groupId, topic, partition);
    const ends = places.map(({ topic, partition }) => ({ key: encodeOffsetKey({ group: groupId, topic, partition }), value: null }));
    // Behind the records of what is on its way.
    const written = this.#ports.log.append(groupId, [...ends, ...more]);
    this.#committing.deleted(groupId, isForgotten, written);
    try {
      await written;
    } catch (error) {
      for (const { topic, partition, was } of taken) {
        const isCurrent = this.#isCurrent(topic, partition, was.committedMs) && this.get(groupId, topic, partition) === undefined;
        if (isCurrent) this.#put(groupId, topic, partition, was);
      }
      throw error;
    }
  }

  /** Whether an offset committed then can belong to the topic as it is now, not to a deleted one of the same name. */
  #isCurrent(topic: string, partition: PartitionId, committedMs: TimestampMs): boolean {
    const createdMs = this.#ports.createdMs(topic, partition);
    return createdMs !== undefined && committedMs >= createdMs;
  }

  #put(groupId: string, topic: string, partition: PartitionId, offset: CommittedOffset): void {
    let topics = this.#offsets.get(groupId);
    if (topics === undefined) this.#offsets.set(groupId, (topics = new Map()));
    let partitions = topics.get(topic);
    if (partitions === undefined) topics.set(topic, (partitions = new Map()));
    partitions.set(partition, offset);
    this.#changes++;
  }

  #remove(group: string, topic: string, partition: PartitionId): void {
    this.#changes++;
    const topics = this.#offsets.get(group);
    const partitions = topics?.get(topic);
    partitions?.delete(partition);
    if (partitions?.size === 0) topics?.delete(topic);
    if (topics?.size === 0) this.#offsets.delete(group);
  }
}

function placesIn(offsets: Iterable<readonly [string, ReadonlyMap<PartitionId, CommittedOffset>]>): OffsetPlace[] {
  return [...offsets].flatMap(([topic, partitions]) => [...partitions.keys()].map((partition) => ({ topic, partition })));
}
