/**
 * Record batches into raw columns. A batch is looked at here; its records are taken by the loops (`loops/stage-records.ts`), which
 * copy key and value into their columns, hash them for the digest and look for fields. A batch without a whole record in it, or with
 * more headers in one than the columns hold, is kept as it is.
 */
import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import { isLakeError, LakeError, type LeaderEpoch, none, type Offset, type TimestampMs } from '../kernel/index.js';
import {
  batchBaseOffset,
  batchBaseSequence,
  batchBaseTimestamp,
  batchBytes,
  batchHeaderBytes,
  batchLastOffset,
  batchLastOffsetDelta,
  batchLeaderEpoch,
  batchMagic,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  batchRecordsCount,
  isBatchCrcValid,
  isControl,
  isTransactional,
  timestampType,
} from '../wire/index.js';
import { batchWindow, placeRecords } from './batch-room.js';
import { RecordDigest, reservePiece } from './digest.js';
import { loops } from './hot-loops.js';
import type { Spool, StageJob, StageResult } from './jobs.js';
import { StagedFileWriter } from './plain-writer.js';
import { ValueScanner } from './scanner.js';
import { timestampMaxMs, timestampMinMs } from './schema.js';
import { StagedColumns } from './staged-columns.js';

const sequenceMax = 0x7fffffff;
/** `_timestamp_type` as Kafka's attributes bit has it. */
const timestampTypes = { 'create': 0, 'log-append': 1 } as const;
/** Bytes before a batch's length counts. */
const lengthOverhead = 12;

/** A record's sequence number (KIP-98): counts on from the batch's, and begins again at 0 after 2^31 − 1. */
export function sequenceAt(baseSequence: number, offsetDelta: number): number {
  if (baseSequence < 0) return none;
  const sequence = baseSequence + offsetDelta;
  return sequence > sequenceMax ? sequence - sequenceMax - 1 : sequence;
}

/** Batches of aborted transactions, told by the fetch answers (KIP-98): from a first offset to the abort marker. */
class AbortedTransactions {
  readonly #pending: { readonly producerId: bigint; readonly firstOffset: Offset }[];
  readonly #open = new Set<bigint>();

  constructor(transactions: StageJob['abortedTransactions']) {
    this.#pending = transactions
      .map(({ producerId, firstOffset }) => ({ producerId: BigInt(producerId), firstOffset }))
      .sort((a, b) => b.firstOffset - a.firstOffset);
  }

  /** Whether the records of this batch were aborted. */
  includes(batch: Buffer, lastOffset: Offset): boolean {
    if (!isTransactional(batch, 0)) return false;
    for (let next = this.#pending.at(-1); next !== undefined && next.firstOffset <= lastOffset; next = this.#pending.at(-1)) {
      this.#open.add(next.producerId);
      this.#pending.pop();
    }
    const producerId = batchProducerId(batch, 0);
    if (!this.#open.has(producerId)) return false;
    // A control batch ends the producer's transaction.
    if (isControl(batch, 0)) this.#open.delete(producerId);
    return true;
  }
}

/** Does a `stage` job. Errors: `batch-corrupt` where a spool's framing is broken, or a batch is not what was appended. */
export function stage(job: StageJob): Omit<StageResult, 'cpuMs'> {
  const writer = new StagedFileWriter(job.outPath);
  try {
    const stager = new Stager(job, writer);
    for (const spool of job.spools) readBatches(spool, (batch) => stager.add(batch));
    const result = stager.finish();
    writer.finish();
    return result;
  } catch (error) {
    writer.abandon();
    rmSync(job.outPath, { force: true });
    throw error;
  }
}

/** Calls back with each batch of a spool, which lies in a buffer that is used again. */
function readBatches(spool: Spool, onBatch: (batch: Buffer) => void): void {
  const file = openSync(spool.path, 'r');
  try {
    let window = batchWindow();
    let filled = 0;
    let readAt = 0;
    for (;;) {
      while (filled < window.length && readAt < spool.bytes) {
        const bytes = readSync(file, window, filled, Math.min(window.length - filled, spool.bytes - readAt), readAt);
        if (bytes === 0) throw framing(spool, readAt, `the file ends before its ${spool.bytes} bytes`);
        filled += bytes;
        readAt += bytes;
      }
      let at = 0;
      let needed = 0;
      while (at + lengthOverhead <= filled) {
        const bytes = batchBytes(window, at);
        if (bytes < batchHeaderBytes) throw framing(spool, readAt - filled + at, `a batch says it has ${bytes} bytes`);
        needed = bytes;
        if (at + bytes > filled) break;
        onBatch(window.subarray(at, at + bytes));
        at += bytes;
        needed = 0;
      }
      window.copyWithin(0, at, filled);
      filled -= at;
      if (readAt >= spool.bytes) {
        if (filled > 0) throw framing(spool, readAt - filled, 'the last batch is cut off');
        return;
      }
      if (needed > window.length) {
        if (needed > spool.bytes) throw framing(spool, readAt - filled, `a batch says it has ${needed} bytes`);
        const wider = Buffer.allocUnsafeSlow(needed);
        window.copy(wider, 0, 0, filled);
        window = wider;
      }
    }
  } finally {
    closeSync(file);
  }
}

function framing(spool: Spool, at: number, what: string): LakeError {
  return new LakeError('batch-corrupt', `${spool.path} at ${at}: ${what}`, { facts: { path: spool.path, at } });
}

/** What a batch says of its offsets. Errors: `batch-corrupt`. */
function offsetsOf(batch: Buffer): { readonly baseOffset: Offset; readonly lastOffset: Offset } {
  try {
    return { baseOffset: batchBaseOffset(batch, 0), lastOffset: batchLastOffset(batch, 0) };
  } catch (error) {
    if (!isLakeError(error, 'record-invalid')) throw error;
    throw new LakeError('batch-corrupt', `the offsets of a batch are damaged: ${error.message}`, { cause: error });
  }
}

class Stager {
  readonly #job: StageJob;
  readonly #writer: StagedFileWriter;
  readonly #columns = new StagedColumns();
  readonly #digest = new RecordDigest();
  readonly #scanner: ValueScanner | undefined;
  readonly #aborted: AbortedTransactions;
  #rows = 0;
  #rawBytes = 0;
  #rawBatches = 0;
  #nextOffset: Offset;
  #lastLeaderEpoch: LeaderEpoch = none;

  constructor(job: StageJob, writer: StagedFileWriter) {
    this.#job = job;
    this.#writer = writer;
    const isScanning = job.valueFormat === 'auto' || job.valueFormat === 'json';
    this.#scanner = isScanning ? new ValueScanner() : undefined;
    this.#aborted = new AbortedTransactions(job.abortedTransactions);
    this.#nextOffset = job.baseOffset;
    // All regions are reserved before batches are read, so that the window stays where it is.
    reservePiece();
    batchWindow();
    loops.openStage(BigInt(job.baseOffset), BigInt(job.endOffset), BigInt(timestampMinMs), BigInt(timestampMaxMs), isScanning);
  }

  add(batch: Buffer): void {
    const { baseOffset, lastOffset } = offsetsOf(batch);
    if (lastOffset < this.#job.baseOffset || baseOffset >= this.#job.endOffset) return;
    // Not one that the table cannot hold: its bytes are not those that were appended.
    const fault = batchMagic(batch, 0) !== 2 ? 'it is not of format v2' : isBatchCrcValid(batch, 0) ? undefined : 'its CRC does not match';
    if (fault !== undefined) {
      throw new LakeError('batch-corrupt', `the batch at offset ${baseOffset} is damaged: ${fault}`, { facts: { baseOffset } });
    }
    this.#lastLeaderEpoch = batchLeaderEpoch(batch, 0);
    if (!this.#aborted.includes(batch, lastOffset) && !isControl(batch, 0)) {
      try {
        this.#beginRecords(batch);
      } catch (error) {
        this.#addWhole(batch, error);
        return;
      }
      this.#takeRecords(batch);
    }
    this.#nextOffset = lastOffset + 1;
  }

  finish(): Omit<StageResult, 'cpuMs'> {
    this.#writer.writeRowGroup(this.#columns);
    const hasRows = this.#rows > 0;
    return {
      path: this.#job.outPath,
      rows: this.#rows,
      baseOffset: this.#job.baseOffset,
      lastOffset: this.#job.endOffset - 1,
      minTimestampMs: hasRows ? Number(loops.stagedTimestampMin()) : undefined,
      maxTimestampMs: hasRows ? Number(loops.stagedTimestampMax()) : undefined,
      lastLeaderEpoch: this.#lastLeaderEpoch,
      rawBytes: this.#rawBytes,
      digest: this.#digest.toString(),
      pairs: this.#scanner?.pairs() ?? [],
      isFinite: this.#scanner?.isFinite ?? true,
      rawBatches: this.#rawBatches,
      absentColumns: this.#writer.absentColumns,
    };
  }

  /** Inflates and checks all records before one is taken. Errors: those of a batch that cannot be decoded. */
  #beginRecords(batch: Buffer): void {
    const { at, end } = placeRecords(batch);
    const hasAppendTime = timestampType(batch, 0) === 'log-append';
    const isWhole = loops.beginBatch(
      at,
      end,
      batchRecordsCount(batch, 0),
      batchLastOffsetDelta(batch, 0),
      BigInt(batchBaseOffset(batch, 0)),
      BigInt(hasAppendTime ? batchMaxTimestamp(batch, 0) : batchBaseTimestamp(batch, 0)),
      hasAppendTime,
      batchLeaderEpoch(batch, 0),
      batchProducerId(batch, 0),
      batchProducerEpoch(batch, 0),
      batchBaseSequence(batch, 0),
    );
    if (isWhole === 0) throw new LakeError('record-invalid', `a record of the batch at offset ${batchBaseOffset(batch, 0)} is damaged`);
    this.#rawBytes += batchHeaderBytes + end - at;
  }

  #takeRecords(batch: Buffer): void {
    const columns = this.#columns;
    const producerId = batchProducerId(batch, 0);
    const producerEpoch = batchProducerEpoch(batch, 0);
    const constants = [
      [columns.partition, BigInt(this.#job.partition)],
      [columns.timestampType, BigInt(timestampTypes[timestampType(batch, 0)])],
      [columns.leaderEpoch, BigInt(batchLeaderEpoch(batch, 0))],
      [columns.producerId, producerId < 0n ? null : producerId],
      [columns.producerEpoch, producerEpoch < 0 ? null : BigInt(producerEpoch)],
    ] as const;
    for (let isTaken = false; !isTaken; ) {
      const before = columns.rows;
      loops.setStagedDigest(this.#digest.sum);
      isTaken = loops.takeRecords() !== 0;
      const rows = columns.rows - before;
      this.#digest.advance(loops.stagedDigest(), rows);
      for (const [column, value] of constants) column.append(value, rows);
      columns.rawBatch.levels.append(0, rows);
      this.#rows += rows;
      if (columns.isFull || !isTaken) this.#writer.writeRowGroup(columns);
    }
  }

  /** Keeps a batch that cannot be decoded as one row of its bytes, so that nothing is lost and nothing is held up. */
  #addWhole(batch: Buffer, error: unknown): void {
    if (!isLakeError(error)) throw error;
    const columns = this.#columns;
    if (columns.isFull) this.#writer.writeRowGroup(columns);
    const offset = this.#offsetOfUndecodable(batch);
    const timestampMs = timestampOfUndecodable(batch);
    this.#digest.beginRawBatch(offset);
    this.#digest.bytes(batch, 0, batch.length);
    this.#digest.end();
    loops.takeEmptyRow(BigInt(offset), BigInt(timestampMs));
    columns.rawBatch.append(batch);
    columns.partition.append(BigInt(this.#job.partition), 1);
    for (const constant of [columns.timestampType, columns.leaderEpoch, columns.producerId, columns.producerEpoch])
      constant.append(null, 1);
    this.#rows++;
    this.#rawBatches++;
    this.#rawBytes += batch.length;
    if (columns.isFull) this.#writer.writeRowGroup(columns);
  }

  /** What its header says, as far as that fits the range. Later batches come after it. */
  #offsetOfUndecodable(batch: Buffer): Offset {
    const { baseOffset: first, endOffset } = this.#job;
    const { baseOffset, lastOffset } = offsetsOf(batch);
    const offset = Math.min(Math.max(baseOffset, this.#nextOffset, first), endOffset - 1);
    this.#nextOffset = Math.max(offset + 1, lastOffset < endOffset ? lastOffset + 1 : 0);
    return offset;
  }
}

/** The base timestamp where it can be one, so that the row is found in time; −1 otherwise. */
function timestampOfUndecodable(batch: Buffer): TimestampMs {
  try {
    const timestampMs = batchBaseTimestamp(batch, 0);
    return timestampMs >= timestampMinMs && timestampMs <= timestampMaxMs ? timestampMs : none;
  } catch (error) {
    if (!isLakeError(error, 'record-invalid')) throw error;
    return none;
  }
}
