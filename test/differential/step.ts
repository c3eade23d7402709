/**
 * What a sequence is made of: requests as plain values, with names in place of what each broker chooses itself. A step means the
 * same to both brokers, prints as one line, and still makes sense when steps before it are left out.
 *
 * | in a body            | becomes                                                        |
 * |----------------------|----------------------------------------------------------------|
 * | `$topic:a`           | the name of topic `a`, which belongs to this run alone          |
 * | `$id:a`              | the id this broker gave that topic, or one nobody has           |
 * | `$group:g`           | the name of a group of this run                                 |
 * | `$member:m`          | the member id this broker gave, or one nobody has               |
 * | `{ $pid: p }`        | the producer id this broker gave, or one nobody has             |
 * | `{ $batch: … }`      | the bytes of a record batch                                     |
 */
import { codecId, type CompressionCodec, batchAt, computeBatchCrc, encodeBatch } from '../../src/wire/index.js';

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
}

/** One request to both brokers. */
export interface Step {
  readonly api: number;
  readonly version: number;
  readonly body: unknown;
  /** Under which name the member id or producer id in the answer is kept. */
  readonly keep?: string;
  /** Which of a run's connections it goes through; those of a group of steps go at the same time. */
  readonly lane?: number;
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
  return spec.flaw === undefined ? batch : flaws[spec.flaw](batch);
}
