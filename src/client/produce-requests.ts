/**
 * Gets a producer's sealed batches to the broker: several requests at a time, at most one batch of each partition in one, the partition
 * served longest ago first. What fails and may be tried again goes back to its partition until the batch's deadline.
 */
import { backoffMs, type BackoffPolicy, type Clock, isLakeError, LakeError, MiB, type Random, toLakeError } from '../kernel/index.js';
import { initProducerIdApi, kafkaErrors, produceApi, type ProduceResponsePartition } from '../wire/index.js';
import { Alarm } from './alarm.js';
import type { ConnectionSlot } from './bootstrap.js';
import type { KafkaConnection } from './connection.js';
import { brokerError } from './kafka-error.js';
import type { PlacedBatch, ProducerIdentity, ProducerPartition } from './producer-partition.js';

export interface ProduceRequestsOptions {
  /** Closed by whoever gives it. */
  readonly slot: ConnectionSlot;
  readonly clock: Clock;
  readonly random: Random;
  readonly acks: -1 | 0 | 1;
  readonly isIdempotent: boolean;
  /** Requests under way; at most 5, as a broker remembers five batches of an idempotent producer. */
  readonly requestsMax: number;
  /** What batches that expire were given, in ms. */
  readonly deliveryTimeoutMs: number;
}

/** Of one produce request: well below a broker's 100 MiB. */
const requestBytesMax = 8 * MiB;
/** What a broker may take to put a batch on disk. */
const produceTimeoutMs = 30_000;
const retryBackoff: BackoffPolicy = { firstMs: 50, maxMs: 1_000, tries: Number.POSITIVE_INFINITY };

/** Codes after which it is not known whether the batch was appended: a flush fails after the append, and a start may find the batch. */
const unknownOutcomes: ReadonlySet<number> = new Set([
  kafkaErrors.UNKNOWN_SERVER_ERROR,
  kafkaErrors.KAFKA_STORAGE_ERROR,
  kafkaErrors.REQUEST_TIMED_OUT,
  kafkaErrors.NETWORK_EXCEPTION,
  kafkaErrors.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
]);

/** A batch that leaves, and whose it is. */
interface Leaving {
  readonly partition: ProducerPartition;
  readonly batch: PlacedBatch;
}

export class ProduceRequests {
  readonly #options: ProduceRequestsOptions;
  /** Partitions with batches that wait to leave, the one served longest ago first. */
  readonly #ready = new Set<ProducerPartition>();
  /** For partitions that pause after a failure. */
  readonly #alarm: Alarm;
  #identity: ProducerIdentity | undefined;
  #underWay = 0;
  #connectFailures = 0;
  #isConnecting = false;
  #isClosed = false;

  constructor(options: ProduceRequestsOptions) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock, () => this.#pump());
  }

  /** The partition has batches that wait. */
  send(partition: ProducerPartition): void {
    this.#ready.add(partition);
    this.#pump();
  }

  /** Nothing is tried again from now on. */
  close(): void {
    this.#isClosed = true;
    this.#alarm.stop();
  }

  /** Sends as many requests as may be under way. */
  #pump(): void {
    while (this.#ready.size > 0 && this.#underWay < this.#options.requestsMax) {
      const nowMs = this.#options.clock.monotonicMs();
      this.#expire(nowMs);
      const connection = this.#options.slot.open;
      if (connection === undefined || (this.#options.isIdempotent && this.#identity === undefined)) {
        this.#connect();
        return;
      }
      const batches = this.#collect(nowMs);
      if (batches.length === 0) return;
      this.#underWay++;
      void this.#exchange(connection, batches).finally(() => {
        this.#underWay--;
        this.#pump();
      });
    }
  }

  #expire(nowMs: number): void {
    for (const partition of this.#ready) {
      partition.expire(
        nowMs,
        (batch) =>
          new LakeError(
            'timeout',
            `a batch to ${partition.topic}-${partition.partition} was not acknowledged within ${this.#options.deliveryTimeoutMs} ms`,
            {
              facts: { topic: partition.topic, partition: partition.partition, bytes: batch.bytes.length },
            },
          ),
      );
      if (!partition.hasReady) this.#ready.delete(partition);
    }
  }

  /** At most one batch of each partition, as Kafka's brokers demand. */
  #collect(nowMs: number): Leaving[] {
    const batches: Leaving[] = [];
    let bytes = 0;
    // A list of its own: a partition that is put back at the end has had its turn.
    const waiting = Array.from(this.#ready);
    for (const partition of waiting) {
      if (bytes >= requestBytesMax) break;
      if (!partition.canSend(nowMs)) {
        if (partition.resumeMs > nowMs) this.#alarm.setFor(partition.resumeMs);
        continue;
      }
      const batch = partition.take(this.#identity);
      bytes += batch.bytes.length;
      batches.push({ partition, batch });
      this.#ready.delete(partition);
      if (partition.hasReady) this.#ready.add(partition);
    }
    return batches;
  }

  async #exchange(connection: KafkaConnection, batches: readonly Leaving[]): Promise<void> {
    const byTopic = new Map<string, { readonly index: number; readonly records: Buffer }[]>();
    for (const { partition, batch } of batches) {
      const data = { index: partition.partition, records: batch.bytes };
      const list = byTopic.get(partition.topic);
      if (list === undefined) byTopic.set(partition.topic, [data]);
      else list.push(data);
    }
    const body = {
      transactionalId: null,
      acks: this.#options.acks,
      timeoutMs: produceTimeoutMs,
      topicData: [...byTopic].map(([name, partitionData]) => ({ name, partitionData })),
    };
    try {
      if (this.#options.acks === 0) {
        await connection.sendOnly(produceApi, body);
        for (const { partition, batch } of batches) partition.succeed(batch, -1);
        return;
      }
      const answer = await connection.request(produceApi, body, { timeoutMs: produceTimeoutMs + 5_000 });
      const answers = new Map(
        answer.responses.flatMap((topic) => topic.partitionResponses.map((one) => [`${topic.name}-${one.index}`, one])),
      );
      for (const { partition, batch } of batches)
        this.#conclude(partition, batch, answers.get(`${partition.topic}-${partition.partition}`));
    } catch (error) {
      const failure = toLakeError(error);
      for (const { partition, batch } of batches) this.#fail(partition, batch, failure, true);
    }
  }

  #conclude(partition: ProducerPartition, batch: PlacedBatch, answer: ProduceResponsePartition | undefined): void {
    const code = answer?.errorCode ?? kafkaErrors.UNKNOWN_SERVER_ERROR;
    if (code === 0 || code === kafkaErrors.DUPLICATE_SEQUENCE_NUMBER) {
      partition.succeed(batch, code === 0 ? (answer?.baseOffset ?? -1) : -1);
      return;
    }
    const where = `${partition.topic}-${partition.partition}`;
    const error = brokerError(code, `producing to ${where}`, answer?.errorMessage, {
      topic: partition.topic,
      partition: partition.partition,
    });
    // Behind a batch that failed, the broker misses a sequence: it will have it when this one comes again.
    const isBehind = code === kafkaErrors.OUT_OF_ORDER_SEQUENCE_NUMBER && partition.isRecovering;
    this.#fail(
      partition,
      batch,
      isBehind ? new LakeError(error.code, error.message, { retriable: true, facts: error.facts }) : error,
      unknownOutcomes.has(code),
    );
  }

  #fail(partition: ProducerPartition, batch: PlacedBatch, error: LakeError, isOutcomeUnknown: boolean): void {
    const nowMs = this.#options.clock.monotonicMs();
    const waitMs = backoffMs(retryBackoff, Math.min(partition.failures + 1, 16), this.#options.random);
    if (error.retriable && nowMs + waitMs < batch.deadlineMs && !this.#isClosed) {
      partition.sendAgain(batch, isOutcomeUnknown, nowMs + waitMs);
      this.#ready.add(partition);
      this.#alarm.setFor(nowMs + waitMs);
    } else {
      partition.giveUp(batch, error, isOutcomeUnknown);
      if (partition.broken !== undefined) this.#expire(nowMs);
    }
  }

  #connect(): void {
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    const attempt = async (): Promise<void> => {
      try {
        const connection = await this.#options.slot.get();
        if (this.#options.isIdempotent) this.#identity ??= await initProducerId(connection);
        this.#connectFailures = 0;
      } catch (error) {
        this.#connectFailures++;
        if (isLakeError(error) && !error.retriable) this.#expireAll(error);
        else await this.#options.clock.sleep(backoffMs(retryBackoff, Math.min(this.#connectFailures, 16), this.#options.random));
      } finally {
        this.#isConnecting = false;
      }
      this.#pump();
    };
    void attempt();
  }

  /** No connection will ever do (closed, or a version that is not spoken): nothing that waits can be delivered. */
  #expireAll(error: LakeError): void {
    for (const partition of this.#ready) partition.expire(Number.POSITIVE_INFINITY, () => error);
    this.#ready.clear();
  }
}

async function initProducerId(connection: KafkaConnection): Promise<ProducerIdentity> {
  const answer = await connection.request(initProducerIdApi, { transactionalId: null, transactionTimeoutMs: 60_000 });
  if (answer.errorCode !== 0) throw brokerError(answer.errorCode, 'asking for a producer id');
  return { producerId: answer.producerId, producerEpoch: answer.producerEpoch };
}
