/**
 * What each idempotent producer wrote last, so that a retry is answered and not appended again (KIP-98, and Kafka's
 * ProducerStateEntry and ProducerAppendInfo). Check and note are two synchronous calls around the write: nothing may be
 * awaited between them.
 */
import { LakeError, none, type Offset, type TimestampMs } from '../kernel/index.js';
import { batchAt, batchBaseSequence, batchLastOffsetDelta, batchMaxTimestamp, batchProducerEpoch } from '../wire/index.js';
import type { AppendResult } from './hot-log.js';
import type { ProducerSnapshotEntry, SnapshotEntries } from './producer-snapshot.js';

/** Batches a producer may have under way, and so may send again (`max.in.flight.requests.per.connection`). */
const batchesKept = 5;
/** Producers a partition remembers: 100,000 × about 300 bytes = 30 MB. Beyond it the longest silent are forgotten. */
const producersMax = 100_000;
/** How many are forgotten at once, so that the search for them is not paid for each new producer. */
const producersForgottenAtOnce = producersMax / 100;

const sequenceMax = 0x7fffffff;
const two32 = 2 ** 32;

/** A producer id as a map key: exact, and a number where it can be one. */
type ProducerKey = number | bigint;

/** Fields of a kept batch, side by side in one flat array. */
const fields = { firstSequence: 0, lastSequence: 1, firstOffset: 2, lastOffset: 3, maxTimestampMs: 4 } as const;
const fieldCount = 5;

class ProducerState {
  epoch: number;
  /** When it was last heard of, by the broker's clock: records may bear any timestamp. */
  lastMs: TimestampMs;
  /** A ring: the newest batch is at `newest`. */
  readonly batches = new Float64Array(batchesKept * fieldCount);
  count = 0;
  newest = batchesKept - 1;

  constructor(epoch: number, lastMs: TimestampMs) {
    this.epoch = epoch;
    this.lastMs = lastMs;
  }

  /** A field of the batch that is `age` before the newest. */
  field(age: number, field: number): number {
    return this.batches[((this.newest - age + batchesKept) % batchesKept) * fieldCount + field] as number;
  }

  push(firstSequence: number, lastSequence: number, firstOffset: Offset, lastOffset: Offset, maxTimestampMs: TimestampMs): void {
    this.newest = (this.newest + 1) % batchesKept;
    const at = this.newest * fieldCount;
    this.batches[at + fields.firstSequence] = firstSequence;
    this.batches[at + fields.lastSequence] = lastSequence;
    this.batches[at + fields.firstOffset] = firstOffset;
    this.batches[at + fields.lastOffset] = lastOffset;
    this.batches[at + fields.maxTimestampMs] = maxTimestampMs;
    if (this.count < batchesKept) this.count++;
  }
}

/** Sequences run from 0 to 2^31 − 1 and begin again at 0. */
export function advanceSequence(sequence: number, by: number): number {
  return by > sequenceMax - sequence ? by - (sequenceMax - sequence) - 1 : sequence + by;
}

/** The producer id of a batch; −1 where it has none. */
function producerKey(buf: Buffer, at: number): ProducerKey {
  const value = buf.readInt32BE(at + batchAt.producerId) * two32 + buf.readUInt32BE(at + batchAt.producerId + 4);
  return Number.isSafeInteger(value) ? value : buf.readBigInt64BE(at + batchAt.producerId);
}

/** Of a producer with an id, but no epoch. Its batches may come in any order, as in Kafka. */
const noEpoch = -1;

export class ProducerStates {
  readonly #states = new Map<ProducerKey, ProducerState>();
  readonly #expirationMs: number;
  /** The batch that `check` found to be there already. */
  duplicate: Pick<AppendResult, 'baseOffset' | 'lastOffset' | 'maxTimestampMs'> = {
    baseOffset: none,
    lastOffset: none,
    maxTimestampMs: none,
  };

  constructor(expirationMs: number) {
    this.#expirationMs = expirationMs;
  }

  get count(): number {
    return this.#states.size;
  }

  /**
   * Whether the batch may be appended. False: it is there already, and is `duplicate`.
   * Errors: `producer-epoch-invalid`, `sequence-out-of-order`.
   */
  check(buf: Buffer, at: number): boolean {
    const key = producerKey(buf, at);
    if (key === -1) return true;
    const state = this.#states.get(key);
    if (state === undefined) return true;
    const epoch = batchProducerEpoch(buf, at);
    const first = batchBaseSequence(buf, at);
    if (epoch < state.epoch) throw fenced(key, epoch, state.epoch);
    if (epoch > state.epoch) {
      if (first !== 0 && state.epoch !== noEpoch) throw outOfOrder(key, epoch, first, 0);
      return true;
    }
    const last = advanceSequence(first, batchLastOffsetDelta(buf, at));
    for (let age = 0; age < state.count; age++) {
      if (state.field(age, fields.firstSequence) === first && state.field(age, fields.lastSequence) === last) {
        this.duplicate = {
          baseOffset: state.field(age, fields.firstOffset),
          lastOffset: state.field(age, fields.lastOffset),
          maxTimestampMs: state.field(age, fields.maxTimestampMs),
        };
        return false;
      }
    }
    if (state.count === 0 || epoch === noEpoch) return true;
    const expected = advanceSequence(state.field(0, fields.lastSequence), 1);
    if (first !== expected) throw outOfOrder(key, epoch, first, expected);
    return true;
  }

  /** Notes a batch that is in the log now, its base offset patched. Also replays batches found by recovery. */
  note(buf: Buffer, at: number, lastOffset: Offset, nowMs: TimestampMs): void {
    const key = producerKey(buf, at);
    if (key === -1) return;
    const epoch = batchProducerEpoch(buf, at);
    const first = batchBaseSequence(buf, at);
    const delta = batchLastOffsetDelta(buf, at);
    const state = this.#stateFor(key, epoch, nowMs);
    if (first >= 0) state.push(first, advanceSequence(first, delta), lastOffset - delta, lastOffset, batchMaxTimestamp(buf, at));
    state.lastMs = nowMs;
  }

  #stateFor(key: ProducerKey, epoch: number, nowMs: TimestampMs): ProducerState {
    let state = this.#states.get(key);
    if (state === undefined) {
      if (this.#states.size >= producersMax) this.#forgetLongestSilent();
      state = new ProducerState(epoch, nowMs);
      this.#states.set(key, state);
    } else if (state.epoch !== epoch) {
      state.epoch = epoch;
      state.count = 0;
    }
    return state;
  }

  /** Forgets producers that were silent for `producer.id.expiration.ms`. */
  expire(nowMs: TimestampMs): void {
    for (const [key, state] of this.#states) if (nowMs - state.lastMs >= this.#expirationMs) this.#states.delete(key);
  }

  #forgetLongestSilent(): void {
    const bySilence = [...this.#states].sort((a, b) => a[1].lastMs - b[1].lastMs);
    for (const [key] of bySilence.slice(0, producersForgottenAtOnce)) this.#states.delete(key);
  }

  /** Last offset of each producer's newest batch: compaction leaves these batches there. */
  lastOffsets(): Map<bigint, Offset> {
    const offsets = new Map<bigint, Offset>();
    for (const [key, state] of this.#states) if (state.count > 0) offsets.set(BigInt(key), state.field(0, fields.lastOffset));
    return offsets;
  }

  /** Each producer with its newest batch. */
  latest(): ProducerSnapshotEntry[] {
    return [...this.#states].map(([key, state]) => entryOf(key, state, 0));
  }

  /**
   * All that a start must know, as it is now: each producer with the batches that it may send again, in their order. Who reads Kafka's
   * format expects one entry a producer, and keeps the last, which is the newest.
   */
  toSnapshot(): SnapshotEntries {
    return new CapturedProducers(this.#states);
  }

  /** Begins from a snapshot; what was known before is forgotten. */
  load(entries: readonly ProducerSnapshotEntry[], nowMs: TimestampMs): void {
    this.#states.clear();
    for (const entry of entries) {
      const asNumber = Number(entry.producerId);
      const state = this.#stateFor(Number.isSafeInteger(asNumber) ? asNumber : entry.producerId, entry.producerEpoch, entry.timestampMs);
      state.lastMs = entry.timestampMs;
      if (entry.lastSequence < 0) continue;
      const first = entry.lastSequence - entry.offsetDelta;
      const firstSequence = first >= 0 ? first : first + sequenceMax + 1;
      // Of the newest batch that is when it came: an entry has one time.
      state.push(firstSequence, entry.lastSequence, entry.lastOffset - entry.offsetDelta, entry.lastOffset, entry.timestampMs);
    }
    this.expire(nowMs);
  }
}

/** What is copied of a producer: its epoch, when it was heard of, its ring of batches, and where in it how many are. */
const captured = { epoch: 0, lastMs: 1, count: 2, newest: 3, batches: 4 } as const;
const capturedLength = captured.batches + batchesKept * fieldCount;

/**
 * Producers as they were: copied as flat numbers, which takes milliseconds of a hundred thousand, and made into entries by who asks for
 * them, in its own time.
 */
class CapturedProducers implements SnapshotEntries {
  readonly length: number;
  readonly #keys: ProducerKey[];
  readonly #numbers: Float64Array;

  constructor(states: ReadonlyMap<ProducerKey, ProducerState>) {
    this.#keys = [...states.keys()];
    this.#numbers = new Float64Array(this.#keys.length * capturedLength);
    let length = 0;
    let at = 0;
    for (const state of states.values()) {
      this.#numbers[at + captured.epoch] = state.epoch;
      this.#numbers[at + captured.lastMs] = state.lastMs;
      this.#numbers[at + captured.count] = state.count;
      this.#numbers[at + captured.newest] = state.newest;
      this.#numbers.set(state.batches, at + captured.batches);
      at += capturedLength;
      length += Math.max(1, state.count);
    }
    this.length = length;
  }

  *[Symbol.iterator](): Iterator<ProducerSnapshotEntry> {
    const numbers = this.#numbers;
    const state = new ProducerState(0, 0);
    for (const [index, key] of this.#keys.entries()) {
      const at = index * capturedLength;
      state.epoch = numbers[at + captured.epoch] as number;
      state.lastMs = numbers[at + captured.lastMs] as number;
      state.count = numbers[at + captured.count] as number;
      state.newest = numbers[at + captured.newest] as number;
      state.batches.set(numbers.subarray(at + captured.batches, at + capturedLength));
      for (let age = state.count - 1; age > 0; age--) yield entryOf(key, state, age);
      yield entryOf(key, state, 0);
    }
  }
}

/** The newest batch's entry bears when the producer was last heard of, an older one's its largest timestamp. */
function entryOf(key: ProducerKey, state: ProducerState, age: number): ProducerSnapshotEntry {
  const hasBatch = state.count > 0;
  return {
    producerId: BigInt(key),
    producerEpoch: state.epoch,
    lastSequence: hasBatch ? state.field(age, fields.lastSequence) : -1,
    lastOffset: hasBatch ? state.field(age, fields.lastOffset) : -1,
    offsetDelta: hasBatch ? state.field(age, fields.lastOffset) - state.field(age, fields.firstOffset) : 0,
    timestampMs: age === 0 ? state.lastMs : state.field(age, fields.maxTimestampMs),
  };
}

function fenced(key: ProducerKey, epoch: number, current: number): LakeError {
  return new LakeError('producer-epoch-invalid', `producer ${key} wrote in epoch ${epoch}, but epoch ${current} has begun`, {
    hint: 'Stop the older instance of the producer.',
    facts: { producerId: key, epoch, current },
  });
}

function outOfOrder(key: ProducerKey, epoch: number, sequence: number, expected: number): LakeError {
  return new LakeError('sequence-out-of-order', `producer ${key} in epoch ${epoch} sent sequence ${sequence} where ${expected} was due`, {
    hint: 'Let the producer ask for a new producer id; records before this one were lost or are still under way.',
    facts: { producerId: key, epoch, sequence, expected },
  });
}
