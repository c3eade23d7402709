/**
 * The partitions of one topic as a producer's callers see them: choose one, append to it.
 */
import { LakeError, type TimestampMs } from '../kernel/index.js';
import type { RecordHeader } from '../wire/index.js';
import { partitionOfKey } from './partitioner.js';
import type { ProducerPartition } from './producer-partition.js';

/** A topic whose partitions are known: the bulk path. Failures come out of the next `append` or of `flush`. */
export interface ProducerTopic {
  readonly name: string;
  readonly partitions: number;
  /** As Kafka's Java producer: by murmur2 of the key; without one, the same until its batch is sealed. */
  partitionOf(key: Uint8Array | null): number;
  /** Copies a record. A promise means: enough is buffered, wait for it. */
  append(
    partition: number,
    timestampMs: TimestampMs,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers?: readonly RecordHeader[],
  ): Promise<void> | undefined;
  /** As `append`, for a whole batch, which is the producer's from now on (it may be stamped in place). */
  appendBatch(partition: number, batch: Buffer): Promise<void> | undefined;
}

/** What the producer does with what is appended. */
export interface TopicSink {
  readonly append: (
    partition: ProducerPartition,
    timestampMs: TimestampMs,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers?: readonly RecordHeader[],
  ) => Promise<void> | undefined;
  readonly appendBatch: (partition: ProducerPartition, batch: Buffer) => Promise<void> | undefined;
}

/** Partitions by number, over the producer that buffers and sends. */
export class OpenTopic implements ProducerTopic {
  readonly name: string;
  readonly #all: readonly ProducerPartition[];
  readonly #sink: TopicSink;
  #sticky = 0;

  constructor(name: string, all: readonly ProducerPartition[], sink: TopicSink) {
    this.name = name;
    this.#all = all;
    this.#sink = sink;
  }

  get partitions(): number {
    return this.#all.length;
  }

  /** Errors: `partition-unknown`. */
  at(partition: number): ProducerPartition {
    const found = this.#all[partition];
    if (found === undefined) {
      throw new LakeError('partition-unknown', `${this.name} has ${this.#all.length} partitions, no partition ${partition}`, {
        facts: { topic: this.name, partition },
      });
    }
    return found;
  }

  partitionOf(key: Uint8Array | null): number {
    if (key !== null) return partitionOfKey(key, this.#all.length);
    if (this.at(this.#sticky).openBytes === 0) this.#sticky = (this.#sticky + 1) % this.#all.length;
    return this.#sticky;
  }

  append(
    partition: number,
    timestampMs: TimestampMs,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers?: readonly RecordHeader[],
  ): Promise<void> | undefined {
    return this.#sink.append(this.at(partition), timestampMs, key, value, headers);
  }

  appendBatch(partition: number, batch: Buffer): Promise<void> | undefined {
    return this.#sink.appendBatch(this.at(partition), batch);
  }
}
