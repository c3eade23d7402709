/**
 * Rows of a cold file into record batches again, for Kafka fetches. Batches need not be the ones that were produced, but every
 * field a consumer or a recovery sees is: offset, timestamp and type, key, value, headers, leader epoch, producer and sequence.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { invariant, LakeError, none, type Offset } from '../kernel/index.js';
import { RecordBatchWriter, type RecordHeader } from '../wire/index.js';
import type { ColumnEngine } from './engine.js';
import type { RebuildJob, RebuildResult } from './jobs.js';
import { readFooter, rowGroupSpans } from './parquet-footer.js';
import { type ReadRows, readBack } from './read-back.js';
import { baseColumns, quoteText, readSchemaMap } from './schema.js';
import { sequenceAt } from './stage.js';

/** An offset delta is an int32. */
const deltaMax = 0x7fffffff;
/** Numbers around a record's bytes, at most. */
const recordOverheadBytes = 40;

/** Does a `rebuild` job. Errors: `offset-out-of-range`, `cold-corrupt`. */
export async function rebuild(job: RebuildJob, engine: ColumnEngine): Promise<Omit<RebuildResult, 'cpuMs'>> {
  if (job.fromOffset < job.baseOffset || job.fromOffset > job.lastOffset) {
    throw new LakeError('offset-out-of-range', `offset ${job.fromOffset} is not in ${job.path} (${job.baseOffset}…${job.lastOffset})`);
  }
  const firstOffset = await rowCovering(job, engine);
  const spans = rowGroupSpans(job.path, readFooter(job.path)).filter((span) => span.maxOffset >= firstOffset);
  const rebuilder = new Rebuilder(job);
  try {
    for (const span of spans) {
      const where = `_offset BETWEEN ${Math.max(firstOffset, span.minOffset)} AND ${span.maxOffset}`;
      await readBack(job.path, engine, { where }, (rows) => rebuilder.add(rows));
      if (rebuilder.isFull) break;
    }
    return rebuilder.finish();
  } finally {
    rebuilder.close();
  }
}

/** The last row at or below the offset asked for, whose batch will cover it; the offset itself where there is none. */
async function rowCovering(job: RebuildJob, engine: ColumnEngine): Promise<Offset> {
  const from = `read_parquet(${quoteText(job.path)}, schema=${readSchemaMap(baseColumns)})`;
  try {
    const sql = `SELECT max(_offset) FROM ${from} WHERE _offset <= ${job.fromOffset}`;
    const reader = await engine.withConnection((connection) => connection.runAndReadAll(sql));
    const found = reader.getRows()[0]?.[0];
    return typeof found === 'bigint' ? Number(found) : job.fromOffset;
  } catch (error) {
    throw new LakeError('cold-corrupt', `${job.path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
      facts: { path: job.path },
    });
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
  #producerId = -1n;
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

  /** Takes in rows; false once enough bytes are written. */
  add(rows: ReadRows): boolean {
    let entry = 0;
    for (let row = 0; row < rows.rows && !this.#isFull; row++) {
      this.#addRow(rows, row, entry);
      entry = rows.headersEnd(entry);
    }
    return !this.#isFull;
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

  #addRow(rows: ReadRows, row: number, entry: number): void {
    const offset = rows.offset(row);
    if (this.#writer.count > 0 && this.#beginsBatch(rows, row, offset)) {
      this.#closeBatch(offset - 1);
    }
    if (this.#writer.count === 0 && this.#batches > 0 && this.#bytes >= this.#job.maxBytes) {
      this.#isFull = true;
      this.#nextOffset = offset;
      return;
    }
    if (this.#firstBaseOffset === none) this.#firstBaseOffset = Math.min(offset, this.#job.fromOffset);
    if (rows.isRawBatch(row)) {
      this.#write(rows.rawBatch.slice(row));
      return;
    }
    if (this.#writer.count === 0) this.#openBatch(rows, row, offset);
    const { key, value } = rows;
    this.#writer.appendSlices(
      rows.timestampMs(row),
      key.buffer,
      key.starts[row] as number,
      key.lengths[row] as number,
      value.buffer,
      value.starts[row] as number,
      value.lengths[row] as number,
      rows.isHeader(entry) ? headersOf(rows, entry) : undefined,
      offset - this.#base,
    );
  }

  #openBatch(rows: ReadRows, row: number, offset: Offset): void {
    // The very first batch also covers the hole before its first row, if that is where the reader stands.
    const gap = this.#batches === 0 ? Math.max(0, offset - this.#job.fromOffset) : 0;
    const lead = gap <= deltaMax ? gap : 0;
    this.#base = offset - lead;
    this.#leaderEpoch = rows.leaderEpoch(row);
    this.#producerId = BigInt(rows.producerIdHigh(row)) * 2n ** 32n + BigInt(rows.producerIdLow(row) >>> 0);
    this.#producerEpoch = rows.producerEpoch(row);
    this.#baseSequence = sequenceBefore(rows.sequence(row), lead);
    this.#timestampType = rows.timestampType(row);
    this.#firstTimestampMs = rows.timestampMs(row);
  }

  /** Whether the row cannot go into the batch that is open. */
  #beginsBatch(rows: ReadRows, row: number, offset: Offset): boolean {
    const delta = offset - this.#base;
    const timestampMs = rows.timestampMs(row);
    const bytes = Math.max(0, rows.key.lengths[row] as number) + Math.max(0, rows.value.lengths[row] as number) + recordOverheadBytes;
    return (
      this.#writer.bytes + bytes > this.#job.maxBatchBytes ||
      delta > deltaMax ||
      rows.isRawBatch(row) ||
      rows.leaderEpoch(row) !== this.#leaderEpoch ||
      rows.producerIdLow(row) !== Number(BigInt.asIntN(32, this.#producerId)) ||
      rows.producerIdHigh(row) !== Number(this.#producerId >> 32n) ||
      rows.producerEpoch(row) !== this.#producerEpoch ||
      rows.sequence(row) !== sequenceAt(this.#baseSequence, delta) ||
      rows.timestampType(row) !== this.#timestampType ||
      (this.#timestampType === 1 && timestampMs !== this.#firstTimestampMs) ||
      !Number.isSafeInteger(timestampMs - this.#firstTimestampMs)
    );
  }

  /** Writes the open batch, which stands for every offset up to `untilOffset`. */
  #closeBatch(untilOffset: Offset): void {
    if (this.#writer.count === 0) return;
    const lastOffset = Math.min(untilOffset, this.#base + deltaMax);
    const epochAndOffset = { leaderEpoch: this.#leaderEpoch, baseOffset: this.#base, lastOffsetDelta: lastOffset - this.#base };
    this.#write(
      this.#writer.finish({
        ...epochAndOffset,
        compression: 'none',
        producerId: this.#producerId,
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

function headersOf(rows: ReadRows, entry: number): RecordHeader[] {
  const headers: RecordHeader[] = [];
  for (let i = entry; i < rows.headersEnd(entry); i++) {
    const keys = rows.headerKeyRows(i);
    invariant((keys.lengths[i] as number) >= 0, 'a header has a key');
    headers.push({ key: keys.slice(i), value: (rows.headerValue.lengths[i] as number) < 0 ? null : rows.headerValue.slice(i) });
  }
  return headers;
}
