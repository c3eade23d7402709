/**
 * Rows of a cold file into record batches again, for Kafka fetches. Batches need not be the ones that were produced, but every
 * field a consumer or a recovery sees is: offset, timestamp and type, key, value, headers, leader epoch, producer and sequence.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { LakeError, none, type Offset, type TimestampMs } from '../kernel/index.js';
import { RecordBatchWriter, type RecordHeader } from '../wire/index.js';
import { ColdFileReader, type ColdRows } from './cold-rows.js';
import { ColumnRooms } from './column-chunk.js';
import type { RebuildJob, RebuildResult } from './jobs.js';
import { sequenceAt } from './stage.js';

/** An offset delta is an int32. */
const deltaMax = 0x7fffffff;
/** Numbers around a record's bytes, at most. */
const recordOverheadBytes = 40;

/**
 * At the end of a row group a job ends once it has this share of its bytes, so that the next one need not inflate the same group
 * again: row groups are of about 16 MiB.
 */
const alignedShare = 1 / 4;

/** Of this process: a job runs to its end before the next one begins. */
const rooms = new ColumnRooms();

/** Does a `rebuild` job. Errors: `offset-out-of-range`, `cold-corrupt`. */
export function rebuild(job: RebuildJob): Omit<RebuildResult, 'cpuMs'> {
  if (job.fromOffset < job.baseOffset || job.fromOffset > job.lastOffset) {
    throw new LakeError('offset-out-of-range', `offset ${job.fromOffset} is not in ${job.path} (${job.baseOffset}…${job.lastOffset})`);
  }
  const file = new ColdFileReader(job.path, rooms);
  try {
    const rebuilder = new Rebuilder(job);
    try {
      // The last row at or below the offset asked for, whose batch will cover it, is in the last group that begins there.
      const first = Math.max(
        0,
        file.spans.findLastIndex((span) => span.minOffset <= job.fromOffset),
      );
      for (const [index, span] of file.spans.entries()) {
        if (index < first) continue;
        const rows = file.rows(span);
        rebuilder.add(rows, index === first ? Math.max(0, rows.rowAtOrBelow(job.fromOffset)) : 0);
        const next = file.spans[index + 1];
        if (next !== undefined) rebuilder.endGroup(next.minOffset);
        if (rebuilder.isFull) break;
      }
      return rebuilder.finish();
    } finally {
      rebuilder.close();
    }
  } finally {
    file.close();
  }
}

class Rebuilder {
  readonly #job: RebuildJob;
  readonly #file: number;
  readonly #writer = new RecordBatchWriter();
  #bytes = 0;
  #batches = 0;
  #isFull = false;
  #firstBaseOffset: Offset = none;
  #nextOffset: Offset = none;
  #base: Offset = none;
  #leaderEpoch = none;
  #producerIdHigh = none;
  #producerIdLow = none;
  #producerEpoch = none;
  #baseSequence = none;
  #timestampType = 0;
  #firstTimestampMs = 0;

  constructor(job: RebuildJob) {
    this.#job = job;
    this.#file = openSync(job.outPath, 'w', 0o600);
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  close(): void {
    closeSync(this.#file);
  }

  /** Takes in rows from `firstRow` on, until enough bytes are written. */
  add(rows: ColdRows, firstRow: number): void {
    const isUniform = rows.isUniform();
    const count = rows.rows;
    let entry = 0;
    for (let row = 0; row < firstRow; row++) entry = rows.headersEnd(entry);
    for (let row = firstRow; row < count && !this.#isFull; row++) {
      this.#addRow(rows, row, entry, isUniform);
      if (!isUniform) entry = rows.headersEnd(entry);
    }
  }

  /** Ends here where enough bytes are there. */
  endGroup(nextOffset: Offset): void {
    if (this.#isFull || this.#bytes + this.#writer.bytes < this.#job.maxBytes * alignedShare) return;
    this.#closeBatch(nextOffset - 1);
    this.#isFull = true;
    this.#nextOffset = nextOffset;
  }

  finish(): Omit<RebuildResult, 'cpuMs'> {
    if (!this.#isFull) {
      this.#closeBatch(this.#job.lastOffset);
      this.#nextOffset = this.#job.lastOffset + 1;
    }
    return {
      path: this.#job.outPath,
      bytes: this.#bytes,
      baseOffset: this.#firstBaseOffset,
      nextOffset: this.#nextOffset,
      batches: this.#batches,
    };
  }

  #addRow(rows: ColdRows, row: number, entry: number, isUniform: boolean): void {
    const offset = rows.offsets[row] as number;
    const timestampMs = rows.timestampsMs[row] as number;
    const { key, value } = rows;
    const keyBytes = key.lengths[row] as number;
    const valueBytes = value.lengths[row] as number;
    if (this.#writer.count > 0 && this.#beginsBatch(rows, row, offset, timestampMs, keyBytes + valueBytes, isUniform)) {
      this.#closeBatch(offset - 1);
    }
    if (this.#writer.count === 0) {
      if (this.#batches > 0 && this.#bytes >= this.#job.maxBytes) {
        this.#isFull = true;
        this.#nextOffset = offset;
        return;
      }
      if (this.#firstBaseOffset === none) this.#firstBaseOffset = Math.min(offset, this.#job.fromOffset);
      if (rows.isRawBatch(row)) {
        this.#write(rows.rawBatch.slice(row));
        return;
      }
      this.#openBatch(rows, row, offset);
    }
    this.#writer.appendSlices(
      timestampMs,
      key,
      key.starts[row] as number,
      keyBytes,
      value,
      value.starts[row] as number,
      valueBytes,
      isUniform || !rows.isHeader(entry) ? undefined : headersOf(rows, entry),
      offset - this.#base,
    );
  }

  #openBatch(rows: ColdRows, row: number, offset: Offset): void {
    // The very first batch also covers the hole before its first row, if that is where the reader stands.
    const gap = this.#batches === 0 ? Math.max(0, offset - this.#job.fromOffset) : 0;
    const lead = gap <= deltaMax ? gap : 0;
    this.#base = offset - lead;
    this.#leaderEpoch = rows.leaderEpoch(row);
    this.#producerIdHigh = rows.producerIdHigh(row);
    this.#producerIdLow = rows.producerIdLow(row);
    this.#producerEpoch = rows.producerEpoch(row);
    this.#baseSequence = sequenceBefore(rows.sequence(row), lead);
    this.#timestampType = rows.timestampType(row);
    this.#firstTimestampMs = rows.timestampsMs[row] as number;
  }

  /** Whether the row cannot go into the batch that is open; `isUniform` rows differ in nothing but these numbers. */
  #beginsBatch(rows: ColdRows, row: number, offset: Offset, timestampMs: TimestampMs, bytes: number, isUniform: boolean): boolean {
    const delta = offset - this.#base;
    if (
      this.#writer.bytes + bytes + recordOverheadBytes > this.#job.maxBatchBytes ||
      delta > deltaMax ||
      (this.#timestampType === 1 && timestampMs !== this.#firstTimestampMs) ||
      !Number.isSafeInteger(timestampMs - this.#firstTimestampMs)
    ) {
      return true;
    }
    if (isUniform) return false;
    return (
      rows.isRawBatch(row) ||
      rows.leaderEpoch(row) !== this.#leaderEpoch ||
      rows.producerIdLow(row) !== this.#producerIdLow ||
      rows.producerIdHigh(row) !== this.#producerIdHigh ||
      rows.producerEpoch(row) !== this.#producerEpoch ||
      rows.sequence(row) !== sequenceAt(this.#baseSequence, delta) ||
      rows.timestampType(row) !== this.#timestampType
    );
  }

  /** Writes the open batch, which stands for every offset up to `untilOffset`. */
  #closeBatch(untilOffset: Offset): void {
    if (this.#writer.count === 0) return;
    const lastOffset = Math.min(untilOffset, this.#base + deltaMax);
    const epochAndOffset = { leaderEpoch: this.#leaderEpoch, baseOffset: this.#base, lastOffsetDelta: lastOffset - this.#base };
    this.#write(
      this.#writer.finishInPlace({
        ...epochAndOffset,
        producerId: BigInt(this.#producerIdHigh) * 2n ** 32n + BigInt(this.#producerIdLow >>> 0),
        producerEpoch: this.#producerEpoch,
        baseSequence: this.#baseSequence,
        timestampType: this.#timestampType === 1 ? 'log-append' : 'create',
      }),
    );
    // A hole wider than a delta is covered by batches without records.
    for (let from = lastOffset + 1; from <= untilOffset; from += deltaMax + 1) {
      const lastOffsetDelta = Math.min(deltaMax, untilOffset - from);
      this.#write(this.#writer.finish({ baseOffset: from, leaderEpoch: this.#leaderEpoch, lastOffsetDelta }));
    }
  }

  #write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#file, bytes, done, bytes.length - done);
    this.#bytes += bytes.length;
    this.#batches++;
  }
}

/** The sequence number `delta` records before (the inverse of `sequenceAt`). */
function sequenceBefore(sequence: number, delta: number): number {
  if (sequence < 0) return none;
  return sequence >= delta ? sequence - delta : sequence - delta + deltaMax + 1;
}

function headersOf(rows: ColdRows, entry: number): RecordHeader[] {
  const headers: RecordHeader[] = [];
  for (let i = entry; i < rows.headersEnd(entry); i++) {
    const keys = rows.headerKeyRows(i);
    if ((keys.lengths[i] as number) < 0) throw new LakeError('cold-corrupt', 'a header of a cold file has no key');
    headers.push({ key: keys.slice(i), value: (rows.headerValue.lengths[i] as number) < 0 ? null : rows.headerValue.slice(i) });
  }
  return headers;
}
