/**
 * What a sequence is made of: requests as plain values, with names in place of what each broker chooses itself. A step means the
 * same to both brokers, prints as one line, and still makes sense when steps before it are left out.
 *
 * | in a body            | becomes                                                        |
 * |----------------------|----------------------------------------------------------------|
 * | `$topic:a`           | the name of topic `a`, which belongs to this run alone          |
 * | `$id:a`              | the id this broker gave that topic, or one nobody has           |
 * | `$group:g`           | the name of a group of this run                                 |
 * | `$member:g/m`        | the member id this broker gave there, or one nobody has         |
 * | `$joined:g/m`        | the same, or none                                               |
 * | `$time:n`            | the time n ms after the begin of the run                        |
 * | `$bytes:x`           | the bytes of a text                                             |
 * | `{ $generation: m }` | the generation that member last joined, or −1                   |
 * | `{ $epoch: m }`      | the epoch that member was last told (KIP-848), or 0             |
 * | `{ $owned: m }`      | the partitions it was last given (KIP-848), or none             |
 * | `{ $session: s }`    | the fetch session of that name, or none                         |
 * | `{ $sessionEpoch: }` | the epoch of its next fetch                                     |
 * | `{ $subscription: }` | the bytes of a consumer's subscription to topics                |
 * | `{ $assignment: }`   | the bytes of a consumer's assignment                            |
 * | `{ $pid: p }`        | the producer id this broker gave, or one nobody has             |
 * | `{ $batch: … }`      | the bytes of a record batch                                     |
 * | `{ $messages: … }`   | a message set of the formats before batches (magic 0 and 1)     |
 */
import { crc32 } from '@node-rs/crc32';
import {
  attributeBits,
  batchAt,
  batchHeaderBytes,
  codecId,
  type CompressionCodec,
  computeBatchCrc,
  encodeBatch,
  RecordCursor,
} from '../../src/wire/index.js';

export interface RecordSpec {
  /** Milliseconds from the begin of the run; −1 stands for no timestamp. */
  readonly at: number | 'none';
  readonly key: string | null;
  readonly value: string | null;
}

/** What is wrong with a batch, beside its numbers. */
export type BatchFlaw =
  | 'crc'
  | 'magic-0'
  | 'magic-1'
  | 'magic-3'
  | 'cut'
  | 'trailing'
  | 'twice'
  | 'count-more'
  | 'count-less'
  | 'count-none'
  | 'delta'
  | 'base-offset'
  | 'control'
  | 'codec-5'
  | 'garbage'
  | 'length-more';

export interface BatchSpec {
  readonly records: readonly RecordSpec[];
  readonly compression: CompressionCodec;
  /** Name of a producer id; undefined for none. */
  readonly producer?: string;
  readonly epoch?: number;
  readonly sequence?: number;
  readonly flaw?: BatchFlaw;
  /** Bits that are not as they were: `at` counts bytes around the batch's end; sealed, the checksum is right all the same. */
  readonly flip?: { readonly at: number; readonly mask: number; readonly isSealed: boolean };
}

/** A message set of the formats before record batches. */
export interface MessagesSpec {
  readonly magic: number;
  readonly records: readonly RecordSpec[];
}

/** One request to both brokers. */
export interface Step {
  readonly api: number;
  readonly version: number;
  readonly body: unknown;
  /** Under which name what the answer says of a member, a producer or a fetch session is kept. */
  readonly keep?: string;
  /** Which of a run's connections it goes through; 0 where nothing is said. */
  readonly lane?: number;
  /** The client's name; `differ` where nothing is said. */
  readonly client?: string;
  /** Its answer may wait for what others do: the next steps do not wait for it. */
  readonly mayBeHeld?: true;
}

/** Applies a change to a finished batch and makes its checksum right again. */
function changed(batch: Buffer, change: (batch: Buffer) => void): Buffer {
  change(batch);
  batch.writeUInt32BE(computeBatchCrc(batch, 0), batchAt.crc);
  return batch;
}

const flaws: Readonly<Record<BatchFlaw, (batch: Buffer) => Buffer>> = {
  crc: (batch) => {
    batch.writeUInt32BE((batch.readUInt32BE(batchAt.crc) ^ 1) >>> 0, batchAt.crc);
    return batch;
  },
  'magic-0': (batch) => {
    batch.writeInt8(0, batchAt.magic);
    return batch;
  },
  'magic-1': (batch) => {
    batch.writeInt8(1, batchAt.magic);
    return batch;
  },
  'magic-3': (batch) => {
    batch.writeInt8(3, batchAt.magic);
    return batch;
  },
  cut: (batch) => batch.subarray(0, batch.length - 3),
  trailing: (batch) => Buffer.concat([batch, Buffer.from([0, 0, 0])]),
  twice: (batch) => Buffer.concat([batch, batch]),
  'count-more': (batch) => changed(batch, (b) => b.writeInt32BE(b.readInt32BE(batchAt.recordsCount) + 1, batchAt.recordsCount)),
  'count-less': (batch) => changed(batch, (b) => b.writeInt32BE(b.readInt32BE(batchAt.recordsCount) - 1, batchAt.recordsCount)),
  'count-none': (batch) => changed(batch, (b) => b.writeInt32BE(-1, batchAt.recordsCount)),
  delta: (batch) => changed(batch, (b) => b.writeInt32BE(b.readInt32BE(batchAt.lastOffsetDelta) + 1, batchAt.lastOffsetDelta)),
  'base-offset': (batch) => changed(batch, (b) => b.writeInt32BE(7, batchAt.baseOffset + 4)),
  control: (batch) => changed(batch, (b) => b.writeInt16BE(b.readInt16BE(batchAt.attributes) | 32, batchAt.attributes)),
  'codec-5': (batch) => changed(batch, (b) => b.writeInt16BE(5, batchAt.attributes)),
  garbage: (batch) =>
    changed(batch, (b) => {
      b.fill(0xff, batchAt.records);
    }),
  'length-more': (batch) => {
    batch.writeInt32BE(batch.readInt32BE(batchAt.length) + 5, batchAt.length);
    return batch;
  },
};

export const batchFlaws = Object.keys(flaws) as readonly BatchFlaw[];

/** The bytes of a batch. `producerId` is what the producer's name stands for at this broker. */
export function batchBytesOf(spec: BatchSpec, producerId: bigint, runMs: number): Buffer {
  if (codecId(spec.compression) > 0 && spec.records.length === 0) throw new Error('a batch without records is not compressed');
  const batch = encodeBatch({
    compression: spec.compression,
    producerId,
    producerEpoch: spec.epoch ?? -1,
    baseSequence: spec.sequence ?? -1,
    records: spec.records.map(({ at, key, value }) => ({
      timestampMs: at === 'none' ? -1 : runMs + at,
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
    })),
  });
  const flawed = spec.flaw === undefined ? batch : flaws[spec.flaw](batch);
  return spec.flip === undefined ? flawed : flipped(flawed, spec.flip);
}

function flipped(batch: Buffer, { at, mask, isSealed }: NonNullable<BatchSpec['flip']>): Buffer {
  // Of compressed bytes Kafka reads as many as records need, we read all of them first: which of two things is wrong differs then.
  const isHeaderOnly = isSealed && (batch.readInt16BE(batchAt.attributes) & attributeBits.codec) !== 0;
  const byte = at % (isHeaderOnly ? batchHeaderBytes : batch.length);
  batch.writeUInt8(batch.readUInt8(byte) ^ mask, byte);
  const hasWholeLength = batch.readInt32BE(batchAt.length) === batch.length - batchAt.leaderEpoch;
  if (!isSealed || !hasWholeLength) return batch;
  // Kafka takes any length below 0 for none; we take −1 only, as librdkafka does: its consumers would stop at such a record. And it takes
  // times that are further from now than there are whole numbers in JavaScript.
  const isRefusedByDesign = !isSafeAt(batch, batchAt.baseTimestamp) || (!isHeaderOnly && hasLengthBelowNone(batch));
  if (isRefusedByDesign) batch.writeUInt8(batch.readUInt8(byte) ^ mask, byte);
  return changed(batch, () => undefined);
}

function isSafeAt(batch: Buffer, at: number): boolean {
  return Number.isSafeInteger(Number(batch.readBigInt64BE(at)));
}

function hasLengthBelowNone(batch: Buffer): boolean {
  const cursor = new RecordCursor();
  try {
    cursor.reset(batch, 0, batch.subarray(batchHeaderBytes));
    while (cursor.next()) continue;
    return false;
  } catch (error) {
    return error instanceof Error && /^a (key|value|header value) of -\d+ bytes/.test(error.message);
  }
}

/**
 * A message set: offset (8), size (4), CRC-32 (4) of what follows, magic (1), attributes (1), from magic 1 on timestamp (8), then key and
 * value with their lengths (4).
 */
export function messageSetBytesOf({ magic, records }: MessagesSpec, runMs: number): Buffer {
  return Buffer.concat(
    records.map(({ at, key, value }, offset) => {
      const sized = (text: string | null): Buffer[] => {
        const length = Buffer.alloc(4);
        length.writeInt32BE(text === null ? -1 : Buffer.byteLength(text));
        return text === null ? [length] : [length, Buffer.from(text)];
      };
      const timestamp = Buffer.alloc(8);
      timestamp.writeBigInt64BE(at === 'none' ? -1n : BigInt(runMs + at));
      const message = Buffer.concat([Buffer.from([magic, 0]), ...(magic > 0 ? [timestamp] : []), ...sized(key), ...sized(value)]);
      const head = Buffer.alloc(16);
      head.writeBigInt64BE(BigInt(offset));
      head.writeInt32BE(message.length + 4, 8);
      head.writeUInt32BE(crc32(message), 12);
      return Buffer.concat([head, message]);
    }),
  );
}

interface ConsumerTopic {
  readonly topic: string;
  readonly partitions?: readonly number[];
}

/** What consumers say to each other through the coordinator, version 0: topics, in an assignment with their partitions; no user data. */
export function consumerProtocolBytes(topics: readonly ConsumerTopic[]): Buffer {
  const parts: Buffer[] = [];
  const push = (bytes: 2 | 4, value: number): void => {
    const part = Buffer.alloc(bytes);
    part.writeIntBE(value, 0, bytes);
    parts.push(part);
  };
  push(2, 0);
  push(4, topics.length);
  for (const { topic, partitions } of topics) {
    push(2, Buffer.byteLength(topic));
    parts.push(Buffer.from(topic));
    if (partitions === undefined) continue;
    push(4, partitions.length);
    for (const partition of partitions) push(4, partition);
  }
  push(4, -1);
  return Buffer.concat(parts);
}
