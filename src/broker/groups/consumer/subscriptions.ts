/** Which topics the members of a group subscribe to, by name and by expression, as the topics are now. */
import { createHash } from 'node:crypto';
import { isLakeError, type PartitionId, type TopicId } from '../../../kernel/index.js';
import type { ConsumerMember } from './consumer-member.js';
import { PatternTopics } from './pattern-topics.js';
import { type Refusal, refusal } from './refusal.js';
import { TopicPattern } from './topic-pattern.js';

/** The topics there are. */
export interface TopicView {
  /** Another one whenever a topic came, went or grew. */
  readonly revision: number;
  topic(name: string): { readonly id: TopicId; readonly partitions: number } | undefined;
  names(): Iterable<string>;
  nameOf(id: TopicId): string | undefined;
}

type Subscription = Pick<ConsumerMember, 'topicNames' | 'topicRegex'>;

/** Of searching for topics of expressions, at a time (`PatternWalk.work`): some 10 ms, in which ten thousand names are looked at several times. */
const searchWorkMax = 1_000_000;

export class Subscriptions {
  readonly #topics: TopicView;
  /** Expressions in use, in the order in which their topics are searched for next: the last one searched for, or a new one, is at the end. */
  readonly #patterns = new Map<string, PatternTopics>();
  /** Equal subscriptions share one set, good for one version. */
  #sets = new Map<string, ReadonlySet<TopicId>>();
  #partitionCounts = new Map<TopicId, number>();
  #revision = -1;
  #version = 0;

  constructor(topics: TopicView) {
    this.#topics = topics;
  }

  /** Another one whenever `topicsOf` may say something else than before. */
  get version(): number {
    return this.#version;
  }

  /** Whether the topics of all expressions are known, if not as the topics are now. Those of others are none so far. */
  get isResolved(): boolean {
    for (const { names } of this.#patterns.values()) if (names === undefined) return false;
    return true;
  }

  /** Why an expression cannot be subscribed to. */
  refuse(regex: string): Refusal | undefined {
    try {
      if (!this.#patterns.has(regex)) this.#patterns.set(regex, new PatternTopics(new TopicPattern(regex)));
      return undefined;
    } catch (error) {
      if (!isLakeError(error)) throw error;
      return refusal('INVALID_REGULAR_EXPRESSION', `SubscribedTopicRegex \`${regex}\` is not a valid regular expression: ${error.message}`);
    }
  }

  /** Follows the topics: those of expressions with so much work at a time. */
  follow(): void {
    if (this.#revision !== this.#topics.revision) this.#changed();
    let left = searchWorkMax;
    for (const [regex, pattern] of this.#patterns) {
      if (left <= 0) return;
      if (pattern.revision === this.#topics.revision) continue;
      const before = pattern.revision;
      // To the end, where it is met again.
      this.#patterns.delete(regex);
      this.#patterns.set(regex, pattern);
      left -= pattern.searchOn(this.#topics, left);
      if (pattern.revision !== before) this.#changed();
    }
  }

  #changed(): void {
    this.#revision = this.#topics.revision;
    this.#version++;
    this.#sets = new Map();
    this.#partitionCounts = new Map();
  }

  /** Of topics there are. An expression's are known once `follow` has found them. */
  topicsOf(subscription: Subscription): ReadonlySet<TopicId> {
    if (this.#revision !== this.#topics.revision) this.#changed();
    const key = `${subscription.topicRegex}\n${subscription.topicNames.join(',')}`;
    let topics = this.#sets.get(key);
    if (topics === undefined) this.#sets.set(key, (topics = this.#resolve(subscription)));
    return topics;
  }

  /** 0 for a topic that nobody was found to subscribe to. */
  partitionCount(topic: TopicId): PartitionId {
    return this.#partitionCounts.get(topic) ?? 0;
  }

  /** Keeps the expressions that members subscribe to, and only those. One that cannot be used any more selects nothing. */
  use(members: Iterable<Subscription>): void {
    const used = new Set<string>();
    for (const { topicRegex } of members) if (topicRegex !== '') used.add(topicRegex);
    for (const topicRegex of this.#patterns.keys()) if (!used.has(topicRegex)) this.#patterns.delete(topicRegex);
    for (const topicRegex of used) this.refuse(topicRegex);
    this.#changed();
  }

  /** These topics were a member's before the broker was started: its expression has selected them, and does until its own are found. */
  remember({ topicRegex }: Subscription, topics: Iterable<TopicId>): void {
    const pattern = this.#patterns.get(topicRegex);
    for (const topic of topics) {
      const name = this.#topics.nameOf(topic);
      if (name !== undefined) pattern?.remembered.add(name);
    }
    this.#changed();
  }

  /**
   * Another text whenever a topic that a member subscribes to came, went or grew, and whenever an expression selects others than before,
   * though a member may have subscribed to them already: 16 hexadecimal digits, none where there is no topic.
   */
  hash(members: Iterable<Subscription>): string {
    const all = new Set<TopicId>();
    const seen = new Set<ReadonlySet<TopicId>>();
    const regexes = new Set<string>();
    for (const member of members) {
      if (member.topicRegex !== '') regexes.add(member.topicRegex);
      const topics = this.topicsOf(member);
      if (seen.has(topics)) continue;
      seen.add(topics);
      for (const topic of topics) all.add(topic);
    }
    if (all.size === 0) return '';
    const sorted = [...all].toSorted();
    const text = sorted.map((topic) => `${topic}:${this.partitionCount(topic)}`);
    for (const topicRegex of [...regexes].toSorted()) {
      const selected = this.topicsOf({ topicNames: [], topicRegex });
      text.push(topicRegex, ...sorted.filter((topic) => selected.has(topic)));
    }
    return createHash('sha256').update(text.join('\n')).digest('hex').slice(0, 16);
  }

  #resolve({ topicNames, topicRegex }: Subscription): ReadonlySet<TopicId> {
    const found = new Set<TopicId>();
    const add = (name: string): void => {
      const topic = this.#topics.topic(name);
      if (topic === undefined) return;
      found.add(topic.id);
      this.#partitionCounts.set(topic.id, topic.partitions);
    };
    for (const name of topicNames) add(name);
    const pattern = this.#patterns.get(topicRegex);
    for (const name of pattern?.names ?? pattern?.remembered ?? []) add(name);
    return found;
  }
}
