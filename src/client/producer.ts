/**
 * Produces records and whole batches. Records are copied into one batch a partition, sealed by size or age, and sent
 * (`produce-requests.ts`); what is buffered is bounded, and whoever appends is told to wait. Retries have one budget: the delivery timeout
 * of the batch.
 */
import {
  type BackoffPolicy,
  type Clock,
  invariant,
  KiB,
  LakeError,
  MiB,
  type Random,
  retry,
  systemClock,
  systemRandom,
  type TimestampMs,
} from '../kernel/index.js';
import { batchBytes, batchHeaderBytes, type CompressionCodec, kafkaErrors, metadataApi, type RecordHeader } from '../wire/index.js';
import { Alarm } from './alarm.js';
import { type ClientOptions, ConnectionSlot } from './bootstrap.js';
import { brokerError } from './kafka-error.js';
import { ProduceRequests } from './produce-requests.js';
import { type BatchOutcome, type Delivery, ProducerPartition } from './producer-partition.js';
import { OpenTopic, type ProducerTopic } from './producer-topic.js';

export type { Delivery } from './producer-partition.js';
export type { ProducerTopic } from './producer-topic.js';

export interface ProducerOptions extends ClientOptions {
  /** −1 (all: on disk), 1 (appended) or 0 (not even answered); default −1. */
  readonly acks?: -1 | 0 | 1;
  /** Default none. */
  readonly compression?: CompressionCodec;
  /** A retry is appended once (KIP-98); needs acks=−1, where it is the default. */
  readonly idempotent?: boolean;
  /** A batch is sealed at this size, uncompressed; default 512 KiB. */
  readonly batchBytes?: number;
  /** A batch is sealed at this age; default 5. */
  readonly lingerMs?: number;
  /** What may be buffered and under way; default 64 MiB. */
  readonly bufferBytes?: number;
  /** Produce requests under way; default and most 5, as a broker remembers five batches of an idempotent producer. */
  readonly requestsInFlight?: number;
  /** From sealing to giving up; default 120000. */
  readonly deliveryTimeoutMs?: number;
  /** Lets the broker create an unknown topic, if it is configured so; default true. */
  readonly createTopics?: boolean;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface ProducerRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers?: readonly RecordHeader[] | undefined;
  /** Default: now. */
  readonly timestampMs?: TimestampMs | undefined;
  /** Default: by the key, or one partition after the other. */
  readonly partition?: number | undefined;
}

export interface Producer {
  /** Errors: `topic-unknown`, `peer-gone`, `timeout`. */
  topic(name: string): Promise<ProducerTopic>;
  /** Resolves when the record is acknowledged. */
  send(topic: string, record: ProducerRecord): Promise<Delivery>;
  /** Resolves when the batch is acknowledged; the batch is the producer's from now on. */
  sendBatch(topic: string, partition: number, batch: Buffer): Promise<Delivery>;
  /** Resolves when nothing is buffered or under way. Throws the first failure of a batch that nobody waited for. */
  flush(): Promise<void>;
  /** Flushes and ends. Throws as `flush` does. */
  close(): Promise<void>;
}

const requestsInFlightMax = 5;
/** A record's own numbers, generously. */
const recordOverheadBytes = 64;
/** A topic that is just being created is unknown for a moment. */
const metadataBackoff: BackoffPolicy = { firstMs: 50, maxMs: 500, tries: 8 };

/** A promise that is opened from outside. */
class Latch {
  readonly opened: Promise<void>;
  open: () => void = () => {};

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}

/** Connects when first used. Errors: `config-invalid-value`. */
export function openProducer(options: ProducerOptions): Producer {
  return new KafkaProducer(options);
}

class KafkaProducer implements Producer {
  readonly #options: Required<
    Pick<ProducerOptions, 'compression' | 'batchBytes' | 'lingerMs' | 'bufferBytes' | 'deliveryTimeoutMs' | 'createTopics'>
  >;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #slot: ConnectionSlot;
  readonly #topics = new Map<string, Promise<ProducerTopic>>();
  /** Partitions with a batch being filled. */
  readonly #open = new Set<ProducerPartition>();
  /** For the age of batches that are being filled. */
  readonly #alarm: Alarm;
  readonly #requests: ProduceRequests;
  #bufferedBytes = 0;
  #batches = 0;
  #isClosed = false;
  #failure: LakeError | undefined;
  #room: Latch | undefined;
  #drained: Latch | undefined;

  constructor(options: ProducerOptions) {
    const { acks = -1, requestsInFlight = requestsInFlightMax, idempotent: isIdempotent = acks === -1 } = options;
    this.#options = {
      compression: options.compression ?? 'none',
      batchBytes: options.batchBytes ?? 512 * KiB,
      lingerMs: options.lingerMs ?? 5,
      bufferBytes: options.bufferBytes ?? 64 * MiB,
      deliveryTimeoutMs: options.deliveryTimeoutMs ?? 120_000,
      createTopics: options.createTopics ?? true,
    };
    if (isIdempotent && acks !== -1) {
      throw new LakeError('config-invalid-value', `an idempotent producer needs acks=-1, not ${acks}`, {
        hint: 'Set acks to -1, or idempotent to false.',
      });
    }
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#slot = new ConnectionSlot(options);
    this.#alarm = new Alarm(this.#clock, () => this.#sealAged());
    this.#requests = new ProduceRequests({
      slot: this.#slot,
      clock: this.#clock,
      random: this.#random,
      acks,
      isIdempotent,
      requestsMax: Math.max(1, Math.min(requestsInFlight, requestsInFlightMax)),
      deliveryTimeoutMs: this.#options.deliveryTimeoutMs,
    });
  }

  topic(name: string): Promise<ProducerTopic> {
    let found = this.#topics.get(name);
    if (found === undefined) {
      found = this.#lookUp(name);
      this.#topics.set(name, found);
      found.catch(() => this.#topics.delete(name));
    }
    return found;
  }

  async send(topicName: string, record: ProducerRecord): Promise<Delivery> {
    const topic = (await this.topic(topicName)) as OpenTopic;
    while (this.#room !== undefined) await this.#room.opened;
    const partition = topic.at(record.partition ?? topic.partitionOf(record.key));
    this.#append(partition, record.timestampMs ?? this.#clock.nowMs(), record.key, record.value, record.headers);
    const delivered = partition.delivered();
    if (partition.openBytes >= this.#options.batchBytes) this.#seal(partition);
    return delivered;
  }

  async sendBatch(topicName: string, partition: number, batch: Buffer): Promise<Delivery> {
    const topic = (await this.topic(topicName)) as OpenTopic;
    while (this.#room !== undefined) await this.#room.opened;
    return new Promise((resolve, reject) => {
      this.#enqueueBatch(topic.at(partition), batch, true, (outcome) => {
        if ('error' in outcome) reject(outcome.error);
        else resolve({ partition, offset: outcome.baseOffset });
      });
    });
  }

  async flush(): Promise<void> {
    for (const partition of this.#open) this.#seal(partition);
    if (this.#batches > 0) {
      this.#drained ??= new Latch();
      await this.#drained.opened;
    }
    this.#throwFailure();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    try {
      await this.flush();
    } finally {
      this.#isClosed = true;
      this.#alarm.stop();
      this.#requests.close();
      this.#slot.close();
    }
  }

  async #lookUp(name: string): Promise<ProducerTopic> {
    const partitions = await retry(
      async () => {
        const connection = await this.#slot.get();
        const answer = await connection.request(metadataApi, { topics: [{ name }], allowAutoTopicCreation: this.#options.createTopics });
        if (answer.brokers.length > 1) {
          throw new LakeError('unsupported', `the cluster has ${answer.brokers.length} brokers`, {
            hint: 'Produce to a cluster of one broker.',
          });
        }
        const topic = answer.topics[0];
        const code = topic?.errorCode ?? kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
        if (code === kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION) {
          throw new LakeError('topic-unknown', `there is no topic ${name}`, {
            hint: `Create it: thermocline topic create ${name}.`,
            facts: { topic: name },
            retriable: this.#options.createTopics,
          });
        }
        if (code !== 0) throw brokerError(code, `asking for topic ${name}`, null, { topic: name });
        return topic?.partitions.length ?? 0;
      },
      metadataBackoff,
      { clock: this.#clock, random: this.#random },
    );
    // Batches grow into their buffers: a topic of many partitions costs nothing until it is written to.
    const all = Array.from({ length: partitions }, (_, partition) => new ProducerPartition(name, partition, 4 * KiB));
    return new OpenTopic(name, all, {
      append: (partition, ...record) => {
        this.#throwFailure();
        this.#append(partition, ...record);
        if (partition.openBytes >= this.#options.batchBytes) this.#seal(partition);
        return this.#room?.opened;
      },
      appendBatch: (partition, batch) => {
        this.#throwFailure();
        this.#enqueueBatch(partition, batch, false, () => {});
        return this.#room?.opened;
      },
    });
  }

  #throwFailure(): void {
    const failure = this.#failure;
    if (failure === undefined) return;
    this.#failure = undefined;
    throw failure;
  }

  #append(
    partition: ProducerPartition,
    timestampMs: TimestampMs,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers?: readonly RecordHeader[],
  ): void {
    this.#assertUsable(partition);
    const before = partition.openBytes;
    const bytes = (key?.length ?? 0) + (value?.length ?? 0) + recordOverheadBytes;
    if (before > 0 && before + bytes > this.#options.batchBytes) {
      this.#seal(partition);
      this.#append(partition, timestampMs, key, value, headers);
      return;
    }
    partition.append(timestampMs, key, value, headers);
    this.#buffer(partition.openBytes - before);
    if (before === 0) {
      partition.openedMs = this.#clock.monotonicMs();
      this.#open.add(partition);
      this.#alarm.setFor(partition.openedMs + this.#options.lingerMs);
    }
  }

  #assertUsable(partition: ProducerPartition): void {
    if (this.#isClosed) throw new LakeError('cancelled', 'the producer is closed');
    if (partition.broken !== undefined) throw partition.broken;
    if (this.#bufferedBytes > 2 * this.#options.bufferBytes) {
      throw new LakeError('overloaded', `${this.#bufferedBytes} bytes are buffered for ${this.#slot.bootstrap}`, {
        hint: 'Wait for the promise that append gives.',
      });
    }
  }

  #seal(partition: ProducerPartition): void {
    this.#open.delete(partition);
    const { openBytes } = partition;
    const { bytes, isWatched, settleRecords } = partition.seal(this.#options.compression);
    this.#buffer(bytes.length - openBytes);
    this.#enqueue(partition, bytes, isWatched, settleRecords);
  }

  #enqueueBatch(partition: ProducerPartition, bytes: Buffer, isWatched: boolean, settle: (outcome: BatchOutcome) => void): void {
    this.#assertUsable(partition);
    invariant(bytes.length >= batchHeaderBytes && batchBytes(bytes, 0) === bytes.length, 'exactly one batch is sent', {
      bytes: bytes.length,
    });
    // What was appended before leaves before.
    if (partition.openBytes > 0) this.#seal(partition);
    this.#buffer(bytes.length);
    this.#enqueue(partition, bytes, isWatched, settle);
  }

  #enqueue(partition: ProducerPartition, bytes: Buffer, isWatched: boolean, settle: (outcome: BatchOutcome) => void): void {
    this.#batches++;
    partition.enqueue({
      bytes,
      deadlineMs: this.#clock.monotonicMs() + this.#options.deliveryTimeoutMs,
      settle: (outcome) => {
        this.#batches--;
        this.#buffer(-bytes.length);
        if ('error' in outcome && !isWatched) this.#failure ??= outcome.error;
        settle(outcome);
        if (this.#batches === 0) {
          this.#drained?.open();
          this.#drained = undefined;
        }
      },
    });
    this.#requests.send(partition);
  }

  #buffer(bytes: number): void {
    this.#bufferedBytes += bytes;
    if (this.#bufferedBytes > this.#options.bufferBytes) {
      this.#room ??= new Latch();
      this.#alarm.setFor(this.#clock.monotonicMs());
    } else if (this.#room !== undefined) {
      this.#room.open();
      this.#room = undefined;
    }
  }

  #sealAged(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const partition of this.#open) {
      const dueMs = partition.openedMs + this.#options.lingerMs;
      // Timers may fire a fraction early. When the buffer is full, waiting for more would wait for ever.
      if (dueMs <= nowMs + 1 || this.#room !== undefined) this.#seal(partition);
      else this.#alarm.setFor(dueMs);
    }
  }
}
