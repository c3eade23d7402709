/** Which topics the members of a group subscribe to, by name and by expression, as the topics are now. */
import { createHash } from 'node:crypto';
import { isLakeError, type PartitionId, type TopicId } from '../../../kernel/index.js';
import type { ConsumerMember } from './consumer-member.js';
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

export class Subscriptions {
  readonly #topics: TopicView;
  /** Expressions in use, compiled once. */
  #patterns = new Map<string, TopicPattern>();
  /** Equal subscriptions share one set, good for one revision of the topics. */
  #sets = new Map<string, ReadonlySet<TopicId>>();
  #partitionCounts = new Map<TopicId, number>();
  #revision = -1;

  constructor(topics: TopicView) {
    this.#topics = topics;
  }

  get revision(): number {
    return this.#topics.revision;
  }

  /** Why an expression cannot be subscribed to. */
  refuse(regex: string): Refusal | undefined {
    try {
      this.#patterns.set(regex, this.#patterns.get(regex) ?? new TopicPattern(regex));
      return undefined;
    } catch (error) {
      if (!isLakeError(error)) throw error;
      return refusal('INVALID_REGULAR_EXPRESSION', `SubscribedTopicRegex \`${regex}\` is not a valid regular expression: ${error.message}`);
    }
  }

  topicsOf(subscription: Subscription): ReadonlySet<TopicId> {
    if (this.#revision !== this.#topics.revision) {
      this.#revision = this.#topics.revision;
      this.#sets = new Map();
      this.#partitionCounts = new Map();
    }
    const key = `${subscription.topicRegex}\n${subscription.topicNames.join(',')}`;
    let topics = this.#sets.get(key);
    if (topics === undefined) this.#sets.set(key, (topics = this.#resolve(subscription)));
    return topics;
  }

  /** 0 for a topic that nobody was found to subscribe to. */
  partitionCount(topic: TopicId): PartitionId {
    return this.#partitionCounts.get(topic) ?? 0;
  }

  /** Forgets what no member asks for any more. */
  prune(members: Iterable<Subscription>): void {
    const used = new Map<string, TopicPattern>();
    for (const { topicRegex } of members) {
      const pattern = this.#patterns.get(topicRegex);
      if (pattern !== undefined) used.set(topicRegex, pattern);
    }
    this.#patterns = used;
    this.#sets = new Map();
  }

  /** Another text whenever a topic that a member subscribes to came, went or grew: 16 hexadecimal digits, none where there is no topic. */
  hash(members: Iterable<Subscription>): string {
    const all = new Set<TopicId>();
    const seen = new Set<ReadonlySet<TopicId>>();
    for (const member of members) {
      const topics = this.topicsOf(member);
      if (seen.has(topics)) continue;
      seen.add(topics);
      for (const topic of topics) all.add(topic);
    }
    if (all.size === 0) return '';
    const text = [...all].map((topic) => `${topic}:${this.partitionCount(topic)}`).toSorted();
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
    if (topicRegex !== '' && this.refuse(topicRegex) === undefined) {
      const pattern = this.#patterns.get(topicRegex)!;
      for (const name of this.#topics.names()) if (pattern.matches(name)) add(name);
    }
    return found;
  }
}
