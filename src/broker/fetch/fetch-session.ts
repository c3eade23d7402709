/**
 * A fetch session (KIP-227): what one client fetches from, and what it was last told of each partition. The client says only what is
 * other than before, and is told only of partitions that have something new.
 */
import type { Offset, TopicId } from '../../kernel/index.js';
import { type FetchRequest, type FetchRequestPartition, kafkaErrors } from '../../wire/index.js';
import type { FetchPartition, PartitionAnswer } from './fetch-round.js';

/** An epoch that no session has: the fetch is on its own. */
export const finalEpoch = -1;
/** That of the fetch which asks for a session. */
export const initialEpoch = 0;
const epochMax = 0x7fffffff;

interface SessionPartition extends FetchPartition {
  readonly key: string;
  asked: FetchRequestPartition;
  /** What the client was told last; −1 where it was told nothing, or of an error. */
  highWatermark: Offset;
  logStartOffset: Offset;
}

/** What of a session's answer is told: one for each partition, in the order of the answers. */
export interface Told {
  readonly partition: FetchPartition;
  readonly answer: PartitionAnswer;
}

export class FetchSession {
  readonly id: number;
  /** Topics go by id (from Fetch v13 on) or by name, for as long as the session is. */
  readonly usesTopicIds: boolean;
  readonly createdMs: number;
  usedMs: number;
  /** Of the next fetch. */
  epoch = nextEpoch(initialEpoch);
  /** In the order in which they are read: who was given records goes behind those who were not. */
  readonly #partitions = new Map<string, SessionPartition>();
  /** Of them, in their order; made anew where that has changed. */
  #inOrder: readonly SessionPartition[] | undefined;

  constructor(id: number, usesTopicIds: boolean, nowMs: number) {
    this.id = id;
    this.usesTopicIds = usesTopicIds;
    this.createdMs = nowMs;
    this.usedMs = nowMs;
  }

  get size(): number {
    return this.#partitions.size;
  }

  /** Takes up what a client was told by the fetch that begins the session. */
  begin(told: readonly Told[]): void {
    for (const { partition, answer } of told) {
      const { highWatermark, logStartOffset } = answer;
      const key = keyOf(partition, partition.asked.partition);
      this.#partitions.set(key, { ...partition, key, highWatermark, logStartOffset });
    }
  }

  /** What a fetch says anew, and what it no longer asks for. */
  update({ topics, forgottenTopicsData }: Pick<FetchRequest, 'topics' | 'forgottenTopicsData'>): void {
    const sizeBefore = this.#partitions.size;
    for (const { topic, topicId, partitions } of topics) {
      for (const asked of partitions) {
        const key = keyOf({ topic, topicId }, asked.partition);
        const there = this.#partitions.get(key);
        if (there !== undefined) there.asked = asked;
        else this.#partitions.set(key, { topic, topicId, knownAs: undefined, asked, key, highWatermark: -1, logStartOffset: -1 });
      }
    }
    if (this.#partitions.size !== sizeBefore) this.#inOrder = undefined;
    for (const { partitions, ...topic } of forgottenTopicsData) {
      for (const partition of partitions) if (this.#partitions.delete(keyOf(topic, partition))) this.#inOrder = undefined;
    }
  }

  /** As they are asked for now. A later fetch may change what is asked of them: by then the answer to this one is of no more use. */
  get inOrder(): readonly FetchPartition[] {
    this.#inOrder ??= [...this.#partitions.values()];
    return this.#inOrder;
  }

  /** Those of the answers to all partitions, in their order, that say something new; notes that they are told. */
  news(answers: readonly PartitionAnswer[]): readonly Told[] {
    const told: Told[] = [];
    const inOrder = this.#inOrder ?? [];
    for (let at = 0; at < inOrder.length; at++) {
      const partition = inOrder[at]!;
      const answer = answers[at]!;
      const hasRecords = answer.records.length > 0;
      const isFailed = answer.errorCode !== kafkaErrors.NONE;
      const isOther = partition.highWatermark !== answer.highWatermark || partition.logStartOffset !== answer.logStartOffset;
      // Told again when the error has gone.
      partition.highWatermark = isFailed ? -1 : answer.highWatermark;
      partition.logStartOffset = answer.logStartOffset;
      if (hasRecords || isFailed || isOther || answer.divergingEpoch !== undefined) told.push({ partition, answer });
      if (hasRecords) this.#goLast(partition);
    }
    return told;
  }

  #goLast(partition: SessionPartition): void {
    this.#partitions.delete(partition.key);
    this.#partitions.set(partition.key, partition);
    this.#inOrder = undefined;
  }
}

/** Of the fetch that follows one of this epoch. */
export function nextEpoch(epoch: number): number {
  return epoch === epochMax ? 1 : epoch + 1;
}

/** Topics that go by name have the id of none, and those that go by id no name. No topic's name has a slash. */
export function keyOf({ topic, topicId }: { readonly topic: string; readonly topicId: TopicId }, partition: number): string {
  return `${topicId}/${topic}/${partition}`;
}
