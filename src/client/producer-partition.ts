/**
 * One partition's side of a producer: the batch that is being filled, the batches that wait, and those under way. Batches leave
 * in order. At first, and after a failure, none leaves until all under way have come back, and then one at a time until one
 * succeeds, so that an idempotent producer's retry is never overtaken (KIP-98): a broker takes whatever sequence it sees first of a
 * producer, so where the first batch is to be sent again, one behind it must not have been there before.
 */
import { LakeError, type TimestampMs } from '../kernel/index.js';
import {
  batchAt,
  batchLastOffsetDelta,
  type CompressionCodec,
  computeBatchCrc,
  RecordBatchWriter,
  type RecordHeader,
} from '../wire/index.js';

export interface Delivery {
  readonly partition: number;
  /** −1 with acks=0, and where the broker had the batch already and no longer knows where. */
  readonly offset: number;
}

export type BatchOutcome = { readonly baseOffset: number } | { readonly error: LakeError };

export interface OutgoingBatch {
  readonly bytes: Buffer;
  /** By the monotonic clock. */
  readonly deadlineMs: number;
  readonly settle: (outcome: BatchOutcome) => void;
}

/** A batch with its place among its partition's. */
interface Placed extends OutgoingBatch {
  readonly order: number;
  /** −1 until an idempotent producer has sent it. */
  baseSequence: number;
  /** Sent without an answer: it may have been appended. */
  isOutcomeUnknown: boolean;
}

export type PlacedBatch = Readonly<Placed>;

export interface ProducerIdentity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
}

interface RecordWaiter {
  readonly delta: number;
  readonly resolve: (delivery: Delivery) => void;
  readonly reject: (error: LakeError) => void;
}

export interface SealedBatch {
  readonly bytes: Buffer;
  /** Somebody waits for every record of it, so a failure is known to whom it concerns. */
  readonly isWatched: boolean;
  readonly settleRecords: (outcome: BatchOutcome) => void;
}

/** Sequences wrap to 0 after 2^31 − 1. */
const sequenceMask = 0x7fffffff;

export class ProducerPartition {
  readonly topic: string;
  readonly partition: number;
  /** When the batch being filled was begun, by the monotonic clock. */
  openedMs = 0;
  /** Failures in a row. */
  failures = 0;
  /** After a failure: no batch leaves before, by the monotonic clock. */
  resumeMs = 0;
  /** Why nothing more can be sent: what became of an earlier batch is not known, so its sequence cannot be continued. */
  broken: LakeError | undefined;
  readonly #writer: RecordBatchWriter;
  readonly #ready: Placed[] = [];
  #underWay = 0;
  #recordWaiters: RecordWaiter[] = [];
  #lastOrder = 0;
  /** The broker has had a batch of ours. */
  #isKnown = false;
  #nextSequence = 0;
  /** After a batch was given up: the sequence it leaves free, at which those after it (in `order`) go on. */
  #gap: { readonly order: number; readonly sequence: number } | undefined;

  constructor(topic: string, partition: number, initialBytes: number) {
    this.topic = topic;
    this.partition = partition;
    this.#writer = new RecordBatchWriter(initialBytes);
  }

  /** Bytes of the batch being filled; 0 where it is empty. */
  get openBytes(): number {
    return this.#writer.count === 0 ? 0 : this.#writer.bytes;
  }

  get hasReady(): boolean {
    return this.#ready.length > 0;
  }

  /** An earlier batch failed: those behind it are refused for their sequence, and will be sent again. */
  get isRecovering(): boolean {
    return this.failures > 0 || this.#gap !== undefined;
  }

  append(timestampMs: TimestampMs, key: Uint8Array | null, value: Uint8Array | null, headers?: readonly RecordHeader[]): void {
    this.#writer.append(timestampMs, key, value, headers);
  }

  /** Resolves for the record appended last. */
  delivered(): Promise<Delivery> {
    return new Promise((resolve, reject) => {
      this.#recordWaiters.push({ delta: this.#writer.count - 1, resolve, reject });
    });
  }

  /** Ends the batch being filled, which is not empty, and hands it over with those who wait for its records. */
  seal(compression: CompressionCodec): SealedBatch {
    const waiters = this.#recordWaiters;
    const isWatched = waiters.length === this.#writer.count;
    this.#recordWaiters = [];
    return {
      bytes: this.#writer.finish({ compression }),
      isWatched,
      settleRecords: (outcome) => {
        for (const { delta, resolve, reject } of waiters) {
          if ('error' in outcome) reject(outcome.error);
          else resolve({ partition: this.partition, offset: outcome.baseOffset < 0 ? -1 : outcome.baseOffset + delta });
        }
      },
    };
  }

  /** Puts a batch at the end of those that wait to leave. */
  enqueue(batch: OutgoingBatch): void {
    this.#ready.push({ ...batch, order: ++this.#lastOrder, baseSequence: -1, isOutcomeUnknown: false });
  }

  /** Whether a batch may leave now. */
  canSend(nowMs: number): boolean {
    if (this.#ready.length === 0 || nowMs < this.resumeMs) return false;
    return (this.#isKnown && !this.isRecovering) || this.#underWay === 0;
  }

  /** The oldest waiting batch, stamped where the producer has an identity; `canSend` has said yes. */
  take(identity: ProducerIdentity | undefined): PlacedBatch {
    const gap = this.#gap;
    if (gap !== undefined && (this.#ready[0] as Placed).order > gap.order) {
      // The broker refused what was sent after the batch that is missing: all of it is numbered anew.
      this.#nextSequence = gap.sequence;
      this.#gap = undefined;
      for (const batch of this.#ready) {
        batch.baseSequence = -1;
        batch.isOutcomeUnknown = false;
      }
    }
    const batch = this.#ready.shift() as Placed;
    this.#underWay++;
    if (identity !== undefined && batch.baseSequence < 0) {
      batch.baseSequence = this.#nextSequence;
      this.#nextSequence = (this.#nextSequence + batchLastOffsetDelta(batch.bytes, 0) + 1) & sequenceMask;
      batch.bytes.writeBigInt64BE(identity.producerId, batchAt.producerId);
      batch.bytes.writeInt16BE(identity.producerEpoch, batchAt.producerEpoch);
      batch.bytes.writeInt32BE(batch.baseSequence, batchAt.baseSequence);
      batch.bytes.writeUInt32BE(computeBatchCrc(batch.bytes, 0), batchAt.crc);
    }
    return batch;
  }

  /** A batch is appended or, with acks=0, gone. */
  succeed(batch: PlacedBatch, baseOffset: number): void {
    this.#underWay--;
    this.#isKnown = true;
    this.failures = 0;
    batch.settle({ baseOffset });
  }

  /** A batch will be sent again, in its old place. */
  sendAgain(batch: PlacedBatch, isOutcomeUnknown: boolean, resumeMs: number): void {
    this.#underWay--;
    this.failures++;
    this.resumeMs = resumeMs;
    const after = this.#ready.findIndex((other) => other.order > batch.order);
    const again: Placed = { ...batch, isOutcomeUnknown: batch.isOutcomeUnknown || isOutcomeUnknown };
    this.#ready.splice(after < 0 ? this.#ready.length : after, 0, again);
  }

  /** A batch under way is given up. */
  giveUp(batch: PlacedBatch, error: LakeError, isOutcomeUnknown: boolean): void {
    this.#underWay--;
    this.#abandon({ ...batch, isOutcomeUnknown: batch.isOutcomeUnknown || isOutcomeUnknown }, error);
  }

  /** Gives up what waits and is past its deadline; everything, where the partition is broken. */
  expire(nowMs: number, expired: (batch: OutgoingBatch) => LakeError): void {
    while (this.#ready.length > 0) {
      const first = this.#ready[0] as Placed;
      if (this.broken === undefined && first.deadlineMs > nowMs) return;
      this.#ready.shift();
      if (this.broken === undefined) this.#abandon(first, expired(first));
      else first.settle({ error: this.broken });
    }
  }

  #abandon(batch: PlacedBatch, error: LakeError): void {
    if (batch.baseSequence >= 0) {
      if (batch.isOutcomeUnknown) {
        this.broken ??= new LakeError(
          'peer-gone',
          `what became of a batch to ${this.topic}-${this.partition} is not known: ${error.message}`,
          {
            hint: 'Open a new producer.',
            retriable: false,
            cause: error,
          },
        );
      } else if (this.#gap === undefined || this.#gap.order > batch.order) {
        this.#gap = { order: batch.order, sequence: batch.baseSequence };
      }
    }
    batch.settle({ error });
  }
}
