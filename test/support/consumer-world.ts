// A consumer group of the new protocol with clients that behave as real ones do, whose answers get lost, who fall silent and die.
import { createHash } from 'node:crypto';
import { ConsumerGroup, type MemberAnswer, type MemberHeartbeat } from '../../src/broker/groups/consumer/consumer-group.js';
import { encodeChange } from '../../src/broker/groups/consumer/consumer-records.js';
import {
  eachPartition,
  hasPartition,
  noPartitions,
  type PartitionSets,
  partitionSetsOf,
} from '../../src/broker/groups/consumer/partitions.js';
import { isRefusal } from '../../src/broker/groups/consumer/refusal.js';
import { SavedConsumerGroups } from '../../src/broker/groups/consumer/saved-groups.js';
import type { TopicView } from '../../src/broker/groups/consumer/subscriptions.js';
import { decodeGroupRecord } from '../../src/broker/groups/group-records.js';
import { type TopicId, topicId } from '../../src/kernel/index.js';

export const sessionMs = 45_000;
export const rebalanceMs = 60_000;
const idBytes = 16;

/** Topics that come, go and grow. */
export class FakeTopics implements TopicView {
  readonly partitions = new Map<string, number>();
  revision = 0;

  id(name: string): TopicId {
    const bytes =
      name.length > idBytes ? createHash('sha256').update(name).digest().subarray(0, idBytes) : Buffer.from(name.padEnd(idBytes, '.'));
    return topicId(bytes.toString('base64url'));
  }

  set(name: string, partitions: number): void {
    this.partitions.set(name, partitions);
    this.revision++;
  }

  drop(name: string): void {
    this.partitions.delete(name);
    this.revision++;
  }

  topic(name: string): ReturnType<TopicView['topic']> {
    const partitions = this.partitions.get(name);
    return partitions === undefined ? undefined : { id: this.id(name), partitions };
  }

  nameOf(id: TopicId): string | undefined {
    return [...this.partitions.keys()].find((name) => this.id(name) === id);
  }

  names(): Iterable<string> {
    return this.partitions.keys();
  }
}

/** As the Java client: says everything when it joins, then only what it owns; gives up before it takes. */
export class FakeClient {
  readonly id: string;
  topicNames: readonly string[];
  readonly topicRegex: string;
  epoch = 0;
  owned: PartitionSets = noPartitions;
  /** What it was told to have. */
  told: PartitionSets = noPartitions;
  isNewSubscription = false;
  /** An answer was lost: it says everything again, to be told everything. */
  isUnsure = false;

  constructor(id: string, topicNames: readonly string[], topicRegex = '') {
    this.id = id;
    this.topicNames = topicNames;
    this.topicRegex = topicRegex;
  }

  request(): MemberHeartbeat {
    const isAll = this.epoch === 0 || this.isUnsure;
    return heartbeat(this.id, this.epoch, {
      rebalanceTimeoutMs: isAll ? rebalanceMs : -1,
      topicNames: isAll || this.isNewSubscription ? this.topicNames : null,
      topicRegex: isAll ? this.topicRegex : null,
      owned: this.owned,
    });
  }

  hear(answer: MemberAnswer): void {
    this.epoch = answer.memberEpoch;
    this.isNewSubscription = false;
    this.isUnsure = false;
    if (answer.assignment !== null) this.told = answer.assignment;
  }

  /** It said what it owns and does not know what came of that: what it has not taken up yet may be another's by now. */
  miss(): void {
    this.isUnsure = true;
    this.told = this.owned;
  }

  abandon(): void {
    this.epoch = 0;
    this.owned = noPartitions;
    this.told = noPartitions;
  }

  /** Lets go of what it is no longer to have. */
  giveUp(): void {
    this.owned = partitionSetsOf(
      [...this.owned].map(([topic, partitions]) => ({
        topicId: topic,
        partitions: [...partitions].filter((partition) => hasPartition(this.told, topic, partition)),
      })),
    );
  }

  takeUp(): void {
    this.giveUp();
    this.owned = this.told;
  }
}

export function heartbeat(memberId: string, memberEpoch: number, over: Partial<MemberHeartbeat> = {}): MemberHeartbeat {
  return {
    memberId,
    memberEpoch,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: memberEpoch === 0 ? rebalanceMs : -1,
    clientId: 'client',
    clientHost: '/127.0.0.1',
    topicNames: null,
    topicRegex: null,
    serverAssignor: null,
    classic: null,
    owned: memberEpoch === 0 ? noPartitions : null,
    ...over,
  };
}

/** The group, its log, and the clients that are alive. */
export class ConsumerWorld {
  readonly topics = new FakeTopics();
  readonly clients = new Map<string, FakeClient>();
  group: ConsumerGroup;
  nowMs = 0;
  readonly #saved: { readonly key: Buffer; readonly value: Buffer | null }[] = [];
  readonly #assignors: readonly ('uniform' | 'range')[];
  readonly #assignmentIntervalMs: number;

  constructor(assignors: readonly ('uniform' | 'range')[] = ['uniform', 'range'], assignmentIntervalMs = 0) {
    this.#assignors = assignors;
    this.#assignmentIntervalMs = assignmentIntervalMs;
    this.group = this.#fresh();
  }

  #fresh(): ConsumerGroup {
    const settings = {
      sessionTimeoutMs: sessionMs,
      assignmentIntervalMs: this.#assignmentIntervalMs,
      maxSize: 100,
      assignors: this.#assignors,
    };
    return new ConsumerGroup('g', settings, this.topics);
  }

  /** One heartbeat; the answer may be lost. */
  beat(client: FakeClient, isAnswerLost = false): void {
    const answer = this.group.heartbeat(client.request(), this.nowMs);
    this.save();
    if (isAnswerLost) client.miss();
    else if (isRefusal(answer)) client.abandon();
    else client.hear(answer);
  }

  leave(client: FakeClient): void {
    this.clients.delete(client.id);
    this.group.heartbeat(heartbeat(client.id, -1), this.nowMs);
    this.save();
  }

  /** Time goes by; whoever was silent is fenced. */
  pass(ms: number): void {
    this.nowMs += ms;
    this.group.expire(this.nowMs);
    this.save();
  }

  save(): void {
    for (const change of this.group.changesOf(this.group.takeDirt())) this.#saved.push(encodeChange('g', change));
  }

  /** The group as another run of the broker finds it. */
  restart(): void {
    const saved = new SavedConsumerGroups();
    for (const { key, value } of this.#saved) {
      const record = decodeGroupRecord(key, value);
      if (record?.kind === 'consumer-group') saved.take(record.group, record.change);
    }
    this.group = this.#fresh();
    for (const [, found] of saved.all()) this.group.restore(found, this.nowMs);
  }

  /** Clients that the group still knows at the epoch they think they have: who was fenced has not heard of it yet. */
  *current(): Generator<FakeClient, void, undefined> {
    for (const client of this.clients.values()) {
      const member = this.group.member(client.id);
      if (client.epoch > 0 && member !== undefined && (member.epoch === client.epoch || member.previousEpoch === client.epoch))
        yield client;
    }
  }

  /** Partitions that two clients use at once: there must be none. */
  *doublyOwned(): Generator<string, void, undefined> {
    const owners = new Map<string, string>();
    for (const client of this.current()) {
      for (const [topic, partition] of eachPartition(client.owned)) {
        const key = `${topic}-${partition}`;
        const other = owners.get(key);
        if (other !== undefined) yield `${key} of ${other} and ${client.id}`;
        owners.set(key, client.id);
      }
    }
  }
}
