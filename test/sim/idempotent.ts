/**
 * Idempotent producers, as Kafka's clients have them (KIP-98): batches with sequences, several under way at once, each sent again as it
 * was for as long as nobody has answered for it. Whatever dies meanwhile, each record is in the log once, and what is there of a producer
 * is a prefix of what it sent, in its order.
 */
import { isLakeError, LakeError } from '../../src/kernel/index.js';
import { encodeBatch, initProducerIdApi, kafkaErrors, type NewRecord, produceApi } from '../../src/wire/index.js';
import type { Seeded } from '../support/seed.js';
import type { KafkaClient } from './kafka-port.js';
import type { Chain, PartitionModel } from './model.js';
import { Violation } from './scheduler.js';
import type { World } from './world.js';

/** `max.in.flight.requests.per.connection` of an idempotent producer. */
const underWayMax = 5;
/** A batch that nobody has answered for is given up then, and its producer with it: `delivery.timeout.ms`. */
const deliveryMsMax = 45_000;
/** Of a single request. */
const requestMsMax = 10_000;
const retryMs = 150;
/** Of its rounds, in which the connection breaks. */
const breaksInRounds = 0.15;
/** It breaks within this of a round's requests: before they arrive, while the disk is waited for, or after it has answered. */
const breakMsMax = 12;

/** Says "not now": the same batch may be sent again. */
const isRetriable: ReadonlySet<number> = new Set([kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION, kafkaErrors.KAFKA_STORAGE_ERROR]);

/** As it is encoded. */
export type IdempotentBatch = Parameters<typeof encodeBatch>[0];

interface Batch {
  readonly ids: readonly number[];
  readonly sentMs: number;
  readonly bytes: Buffer;
}

type Outcome = 'acknowledged' | 'unknown' | 'out-of-order';

export interface IdempotentTarget {
  readonly name: string;
  readonly partition: number;
  readonly known: PartitionModel;
  /** Whether the topic is still the one that was meant. */
  isThere(): boolean;
  newRecord(random: Seeded): { readonly id: number; readonly record: NewRecord };
  acknowledged(ids: readonly number[], baseOffset: number, sentMs: number): void;
}

/** One producer of one partition. What it gives up ends it. */
export class IdempotentProducer {
  readonly #world: World;
  readonly #target: IdempotentTarget;
  readonly #chain: Chain;
  readonly #random: Seeded;
  #kafka: KafkaClient;
  #id: { readonly producerId: bigint; readonly producerEpoch: number } | undefined;
  #sequence = 0;
  /** Not answered for, in the order of their sequences. */
  readonly #queue: Batch[] = [];
  #isRunning = false;
  isOver = false;

  constructor(world: World, target: IdempotentTarget) {
    this.#world = world;
    this.#target = target;
    this.#chain = target.known.newChain();
    this.#kafka = world.newConnection();
    this.#random = world.scheduler.random.apart();
  }

  /** Sends so many batches behind those that are under way. Ends when all are answered for or given up. */
  async send(batches: number, random: Seeded): Promise<void> {
    if (!(await this.#begin())) return;
    for (let count = batches; count > 0; count--) this.#append(random);
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (this.#queue.length > 0 && !this.isOver) await this.#round();
    } finally {
      this.#isRunning = false;
    }
  }

  #deadline(): AbortSignal {
    const limit = new AbortController();
    this.#world.scheduler.after(requestMsMax, () => limit.abort(new LakeError('timeout', 'a client gave up')));
    return limit.signal;
  }

  async #begin(): Promise<boolean> {
    if (this.#id !== undefined || this.isOver) return !this.isOver;
    const wanted = { transactionalId: null, transactionTimeoutMs: 60_000 };
    const answer = await this.#kafka.request(initProducerIdApi, 5, wanted, this.#deadline());
    if (answer.errorCode !== 0) return false;
    this.#id ??= answer;
    return true;
  }

  #append(random: Seeded): void {
    const { known } = this.#target;
    const records: NewRecord[] = [];
    const ids: number[] = [];
    for (let count = random.whole(1, 6); count > 0; count--) {
      const { id, record } = this.#target.newRecord(random);
      known.send(id, record, this.#chain);
      records.push(record);
      ids.push(id);
    }
    const compression = random.pick(['none', 'none', 'lz4'] as const);
    const fields: IdempotentBatch = { ...this.#id, baseSequence: this.#sequence, records, compression };
    const bytes = encodeBatch(this.#world.plant.batch?.(fields) ?? fields);
    this.#sequence += records.length;
    this.#queue.push({ ids, bytes, sentMs: this.#world.scheduler.nowMs });
  }

  /** Sends what may be under way at once, and takes the answers in. */
  async #round(): Promise<void> {
    const { scheduler } = this.#world;
    const [head] = this.#queue;
    if (head === undefined) return;
    if (!this.#target.isThere() || scheduler.nowMs - head.sentMs > deliveryMsMax) {
      this.isOver = true;
      return;
    }
    const batches = this.#queue.slice(0, underWayMax);
    const limit = this.#roundLimit();
    const outcomes = await Promise.all(batches.map((batch) => this.#produce(batch, limit)));
    if (outcomes[0] === 'out-of-order') this.#outOfOrder(head);
    // In order: a batch behind one that is not answered for is sent again too, and must be known by then.
    while (outcomes[0] === 'acknowledged') {
      outcomes.shift();
      this.#queue.shift();
    }
    if (this.#queue.length > 0) await scheduler.sleep(this.#random.pick([0, retryMs]));
  }

  /** In some rounds the connection breaks: what was sent may arrive, but no answer does any more, and the next round has a new one. */
  #roundLimit(): AbortSignal {
    if (this.#random.float() >= breaksInRounds) return this.#deadline();
    const broken = new AbortController();
    this.#world.scheduler.after(this.#random.float() * breakMsMax, () => {
      this.#kafka = this.#world.newConnection();
      broken.abort(new LakeError('peer-gone', 'the connection of a producer broke'));
    });
    return broken.signal;
  }

  /**
   * Its predecessor was acknowledged with acks=all: the broker must know it, unless nothing of it is left in the log. A producer's first
   * batch has none: where it was refused for a full disk, one behind it may have come first, as in Kafka.
   */
  #outOfOrder(head: Batch): void {
    const { known } = this.#target;
    this.isOver = true;
    if (known.logStart > 0 || head.ids[0] === this.#chain.ids[0]) return;
    throw new Violation(
      'sequence-refused',
      `${known.where}: record ${head.ids[0]}, whose predecessors were acknowledged, is out of order to the broker`,
    );
  }

  async #produce(batch: Batch, limit: AbortSignal): Promise<Outcome> {
    const { name, partition, known } = this.#target;
    const topicData = [{ name, partitionData: [{ index: partition, records: batch.bytes }] }];
    let answered;
    try {
      const answer = await this.#kafka.request(produceApi, 9, { acks: -1, timeoutMs: 1_000, topicData }, limit);
      answered = answer.responses[0]?.partitionResponses[0];
    } catch (error) {
      if (!isLakeError(error)) throw error;
      return 'unknown';
    }
    if (answered === undefined || isRetriable.has(answered.errorCode)) return 'unknown';
    if (answered.errorCode === kafkaErrors.OUT_OF_ORDER_SEQUENCE_NUMBER) return 'out-of-order';
    if (answered.errorCode !== 0) {
      throw new Violation('refused', `${known.where}: an idempotent produce was answered with ${answered.errorCode}`);
    }
    this.#world.scheduler.trace('client', `${known.where}: ${batch.ids.length} records of a producer at ${answered.baseOffset}`);
    this.#target.acknowledged(batch.ids, answered.baseOffset, batch.sentMs);
    return 'acknowledged';
  }
}
