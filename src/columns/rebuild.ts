/**
 * Rows of a cold file into record batches again, for Kafka fetches. Batches need not be the ones that were produced, but every
 * field a consumer or a recovery sees is: offset, timestamp and type, key, value, headers, leader epoch, producer and sequence.
 */
import { LakeError, none, type Offset } from '../kernel/index.js';
import { batchHeaderBytes, batchLastOffset, type BatchFields, RecordBatchWriter } from '../wire/index.js';
import { ColdFileReader, type ColdRows } from './cold-rows.js';
import type { BytesRows } from './column-chunk.js';
import { enoughShare, type RebuildJob, type RebuildResult } from './batch-rebuilder.js';
import { OpenBatch } from './open-batch.js';
import { PageRooms } from './page-rooms.js';
import { sequenceAt } from './stage.js';

/** An offset delta is an int32. */
const deltaMax = 0x7fffffff;

/** Of this process: a job runs to its end before the next one begins. */
const rooms = new PageRooms();

/**
 * Takes a batch, whose bytes are valid during the call. `nextOffset` is the one after its last, `endOffset` where the job will end,
 * once that is known.
 */
export type TakeBatch = (batch: Buffer, nextOffset: Offset, endOffset: Offset | undefined) => void;

/** Rebuilds batches one after the other. Errors: `offset-out-of-range`, `cold-corrupt`, and what `take` throws. */
export function rebuild(job: RebuildJob, take: TakeBatch): RebuildResult {
  if (job.fromOffset < job.baseOffset || job.fromOffset > job.lastOffset) {
    throw new LakeError('offset-out-of-range', `offset ${job.fromOffset} is not in ${job.path} (${job.baseOffset}…${job.lastOffset})`);
  }
  const file = new ColdFileReader(job.path, rooms);
  try {
    const rebuilder = new Rebuilder(job, take);
    // The last row at or below the offset asked for, whose batch will cover it, is in the last group that begins there.
    const first = Math.max(
      0,
      file.spans.findLastIndex((span) => span.minOffset <= job.fromOffset),
    );
    for (const [index, span] of file.spans.entries()) {
      if (index < first) continue;
      const rows = file.rows(span);
      const next = file.spans[index + 1];
      rebuilder.add(rows, index === first ? Math.max(0, rows.rowAtOrBelow(job.fromOffset)) : 0, next?.minOffset);
      if (rebuilder.isFull) break;
    }
    return rebuilder.finish();
  } finally {
    file.close();
  }
}

/** Bytes that the rebuilding holds on to for the next job. */
export function keptBytes(): number {
  return rooms.memory.bytes.length;
}

class Rebuilder {
  readonly #job: RebuildJob;
  readonly #take: TakeBatch;
  /** Of the row group at hand. */
  #batch: OpenBatch | undefined;
  #bytes = 0;
  #batches = 0;
  #isFull = false;
  #firstBaseOffset: Offset = none;
  #nextOffset: Offset = none;
  #base: Offset = none;
  /** Where the job will end, once that is known. */
  #endOffset: Offset | undefined;
  /** What the records of the open batch have in common. */
  #common: BatchFields = {};

  constructor(job: RebuildJob, take: TakeBatch) {
    this.#job = job;
    this.#take = take;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** Takes in rows of a row group from `firstRow` on, until enough bytes are there; `nextOffset` is the next group's first. */
  add(rows: ColdRows, firstRow: number, nextOffset: Offset | undefined): void {
    const endOffset = nextOffset ?? this.#job.lastOffset + 1;
    if (this.#endsWith(rows, firstRow)) this.#endOffset = endOffset;
    this.#addRows(rows, firstRow);
    if (!this.#isFull && nextOffset !== undefined) this.#endGroup(nextOffset);
  }

  /** Whether it is certain beforehand that the job ends where this group does, with enough bytes. */
  #endsWith(rows: ColdRows, firstRow: number): boolean {
    const { maxBytes, maxBatchBytes } = this.#job;
    const { key, value, rawBatch, headerKey, headerKeyRaw, headerValue } = rows;
    const ofRows = [key, value, rawBatch].reduce((sum, column) => sum + bytesOf(column, firstRow), 0);
    const ofHeaders = [headerKey, headerKeyRaw, headerValue].reduce((sum, column) => sum + bytesOf(column, 0), 0);
    // Numbers around records and headers, and headers of batches: as many as there are rows, but where all rows are alike.
    const around = (rows.rows - firstRow) * 40 + headerKey.lengths.length * (rows.isHeaderless ? 0 : 10);
    const batches = rows.isUniform() ? 2 * Math.ceil((ofRows + around) / maxBatchBytes) + 1 : rows.rows;
    const bytesMax = this.#bytes + ofRows + ofHeaders + around + batches * batchHeaderBytes;
    return bytesMax < maxBytes && this.#bytes + ofRows >= maxBytes * enoughShare;
  }

  #addRows(rows: ColdRows, firstRow: number): void {
    const batch = new OpenBatch(rooms.memory, rows, this.#job.maxBatchBytes);
    this.#batch = batch;
    batch.skip(firstRow);
    let runEnd = rows.isUniform() ? rows.rows : firstRow;
    for (let row = firstRow; row < rows.rows; ) {
      this.#closeBatch((rows.offsets[row] as number) - 1);
      if (this.#begin(rows, row, batch)) return;
      if (rows.isRawBatch(row)) {
        this.#write(rows.rawBatch.slice(row));
        batch.skip(1);
        row++;
        continue;
      }
      if (row >= runEnd) runEnd = endOfRun(rows, row);
      row = batch.append(row, runEnd);
    }
  }

  /** Before the next row group takes this one's memory; also ends the job where enough bytes are there. */
  #endGroup(nextOffset: Offset): void {
    this.#closeBatch(nextOffset - 1);
    if (this.#bytes < this.#job.maxBytes * enoughShare) return;
    this.#isFull = true;
    this.#nextOffset = nextOffset;
  }

  finish(): RebuildResult {
    if (!this.#isFull) {
      this.#closeBatch(this.#job.lastOffset);
      this.#nextOffset = this.#job.lastOffset + 1;
    }
    return {
      bytes: this.#bytes,
      baseOffset: this.#firstBaseOffset,
      nextOffset: this.#nextOffset,
      batches: this.#batches,
    };
  }

  /** Opens a batch that begins with this row; true where enough bytes are written. */
  #begin(rows: ColdRows, row: number, batch: OpenBatch): boolean {
    const { maxBytes, fromOffset } = this.#job;
    const offset = rows.offsets[row] as number;
    if (this.#batches > 0 && this.#bytes >= maxBytes) {
      this.#isFull = true;
      this.#nextOffset = offset;
      return true;
    }
    if (this.#firstBaseOffset === none) this.#firstBaseOffset = Math.min(offset, fromOffset);
    // The very first batch also covers the hole before its first row, if that is where the reader stands.
    const gap = this.#batches === 0 ? Math.max(0, offset - fromOffset) : 0;
    const lead = gap <= deltaMax ? gap : 0;
    const isAppendTime = rows.timestampType(row) === 1;
    this.#base = offset - lead;
    this.#common = {
      leaderEpoch: rows.leaderEpoch(row),
      producerId: BigInt(rows.producerIdHigh(row)) * 2n ** 32n + BigInt(rows.producerIdLow(row) >>> 0),
      producerEpoch: rows.producerEpoch(row),
      baseSequence: sequenceBefore(rows.sequence(row), lead),
      timestampType: isAppendTime ? 'log-append' : 'create',
    };
    batch.open(this.#base, row, isAppendTime);
    return false;
  }

  /** Writes the open batch, which stands for every offset up to `untilOffset`. */
  #closeBatch(untilOffset: Offset): void {
    const batch = this.#batch;
    if (batch === undefined || batch.count === 0) return;
    const lastOffset = Math.min(untilOffset, this.#base + deltaMax);
    if (lastOffset < this.#base + batch.lastOffsetDelta) {
      throw new LakeError('cold-corrupt', `${this.#job.path} cannot be read: its offsets do not ascend`);
    }
    this.#write(batch.finish({ ...this.#common, baseOffset: this.#base, lastOffsetDelta: lastOffset - this.#base }));
    // A hole wider than a delta is covered by batches without records.
    for (let from = lastOffset + 1; from <= untilOffset; from += deltaMax + 1) {
      const lastOffsetDelta = Math.min(deltaMax, untilOffset - from);
      const { leaderEpoch = none } = this.#common;
      this.#write(new RecordBatchWriter().finish({ baseOffset: from, leaderEpoch, lastOffsetDelta }));
    }
  }

  #write(batch: Buffer): void {
    this.#bytes += batch.length;
    this.#batches++;
    this.#take(batch, batchLastOffset(batch, 0) + 1, this.#endOffset);
  }
}

/** The sequence number `delta` records before (the inverse of `sequenceAt`). */
function sequenceBefore(sequence: number, delta: number): number {
  if (sequence < 0) return none;
  return sequence >= delta ? sequence - delta : sequence - delta + deltaMax + 1;
}

/** Bytes of a column's values from `first` on. */
function bytesOf({ isAbsent, lengths }: BytesRows, first: number): number {
  return isAbsent ? 0 : rooms.loops.sumLengths(lengths.byteOffset + first * 4, lengths.length - first);
}

/** The row after the last one that may share a batch with this one: of one producer in sequence, one leader epoch, one type of time. */
function endOfRun(rows: ColdRows, first: number): number {
  const sequence = rows.sequence(first);
  const offset = rows.offsets[first] as number;
  let row = first + 1;
  for (; row < rows.rows; row++) {
    const delta = (rows.offsets[row] as number) - offset;
    if (
      delta > deltaMax ||
      rows.isRawBatch(row) ||
      rows.leaderEpoch(row) !== rows.leaderEpoch(first) ||
      rows.producerIdLow(row) !== rows.producerIdLow(first) ||
      rows.producerIdHigh(row) !== rows.producerIdHigh(first) ||
      rows.producerEpoch(row) !== rows.producerEpoch(first) ||
      rows.sequence(row) !== sequenceAt(sequence, delta) ||
      rows.timestampType(row) !== rows.timestampType(first)
    ) {
      break;
    }
  }
  return row;
}
