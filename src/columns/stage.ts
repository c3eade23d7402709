/**
 * Record batches into raw columns: one pass over each record, which copies key and value into their columns, hashes them for
 * the digest, and lets the scanner look for fields. No object per record, no native call per record.
 */
import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import { isUtf8 } from 'node:buffer';
import { isLakeError, LakeError, type LeaderEpoch, MiB, none, type Offset, type TimestampMs } from '../kernel/index.js';
import {
  batchBaseOffset,
  batchBaseSequence,
  batchBaseTimestamp,
  batchBytes,
  batchHeaderBytes,
  batchLastOffset,
  batchLeaderEpoch,
  batchMagic,
  batchProducerEpoch,
  batchProducerId,
  BatchInflater,
  isBatchCrcValid,
  isControl,
  isTransactional,
  RecordCursor,
  timestampType,
} from '../wire/index.js';
import { RecordDigest } from './digest.js';
import type { Spool, StageJob, StageResult } from './jobs.js';
import { headerFieldLevel, headerNullLevel, StagedColumns, StagedFileWriter } from './plain-writer.js';
import { ValueScanner } from './scanner.js';
import { timestampMaxMs, timestampMinMs } from './schema.js';

/** Read from a spool at a time. */
const windowBytes = 8 * MiB;
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

/** Does a `stage` job. Errors: `batch-corrupt` where a spool's framing is broken. */
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
    let window = Buffer.allocUnsafeSlow(Math.min(windowBytes, Math.max(spool.bytes, batchHeaderBytes)));
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

class Stager {
  readonly #job: StageJob;
  readonly #writer: StagedFileWriter;
  readonly #columns = new StagedColumns();
  readonly #digest = new RecordDigest();
  readonly #scanner: ValueScanner | undefined;
  readonly #aborted: AbortedTransactions;
  readonly #cursor = new RecordCursor();
  readonly #inflater = new BatchInflater();
  #rows = 0;
  #rawBytes = 0;
  #rawBatches = 0;
  #nextOffset: Offset;
  #lastLeaderEpoch: LeaderEpoch = none;
  #minTimestampMs = Number.POSITIVE_INFINITY;
  #maxTimestampMs = Number.NEGATIVE_INFINITY;

  constructor(job: StageJob, writer: StagedFileWriter) {
    this.#job = job;
    this.#writer = writer;
    this.#scanner = job.valueFormat === 'auto' || job.valueFormat === 'json' ? new ValueScanner() : undefined;
    this.#aborted = new AbortedTransactions(job.abortedTransactions);
    this.#nextOffset = job.baseOffset;
  }

  add(batch: Buffer): void {
    let lastOffset: Offset;
    try {
      const baseOffset = batchBaseOffset(batch, 0);
      lastOffset = batchLastOffset(batch, 0);
      if (lastOffset < this.#job.baseOffset || baseOffset >= this.#job.endOffset) return;
      if (!isBatchCrcValid(batch, 0) || batchMagic(batch, 0) !== 2) {
        throw new LakeError('batch-corrupt', `the batch at offset ${baseOffset} is damaged`);
      }
    } catch (error) {
      this.#addWhole(batch, error);
      return;
    }
    this.#lastLeaderEpoch = batchLeaderEpoch(batch, 0);
    this.#nextOffset = lastOffset + 1;
    if (this.#aborted.includes(batch, lastOffset) || isControl(batch, 0)) return;

    this.#columns.mark();
    this.#digest.mark();
    this.#scanner?.mark();
    try {
      this.#addRecords(batch);
    } catch (error) {
      this.#columns.rewind();
      this.#digest.rewind();
      this.#scanner?.rewind();
      this.#addWhole(batch, error);
      return;
    }
    if (this.#columns.isFull) this.#writer.writeRowGroup(this.#columns);
  }

  finish(): Omit<StageResult, 'cpuMs'> {
    this.#writer.writeRowGroup(this.#columns);
    const hasRows = this.#rows > 0;
    return {
      path: this.#job.outPath,
      rows: this.#rows,
      baseOffset: this.#job.baseOffset,
      lastOffset: this.#job.endOffset - 1,
      minTimestampMs: hasRows ? this.#minTimestampMs : undefined,
      maxTimestampMs: hasRows ? this.#maxTimestampMs : undefined,
      lastLeaderEpoch: this.#lastLeaderEpoch,
      rawBytes: this.#rawBytes,
      digest: this.#digest.toString(),
      pairs: this.#scanner?.pairs() ?? [],
      isFinite: this.#scanner?.isFinite ?? true,
      rawBatches: this.#rawBatches,
      absentColumns: this.#writer.absentColumns,
    };
  }

  #addRecords(batch: Buffer): void {
    const { baseOffset: firstOffset, endOffset } = this.#job;
    const records = this.#inflater.records(batch, 0);
    const view = new DataView(records.buffer, records.byteOffset, records.length);
    const cursor = this.#cursor;
    const columns = this.#columns;
    const digest = this.#digest;
    const scanner = this.#scanner;
    const isAppendTime = timestampTypes[timestampType(batch, 0)];
    const leaderEpoch = batchLeaderEpoch(batch, 0);
    const producerId = batchProducerId(batch, 0);
    const producerIdHigh = Number(producerId >> 32n);
    const producerIdLow = Number(BigInt.asIntN(32, producerId));
    const producerEpoch = batchProducerEpoch(batch, 0);
    const baseSequence = batchBaseSequence(batch, 0);
    let minTimestampMs = this.#minTimestampMs;
    let maxTimestampMs = this.#maxTimestampMs;
    let rows = 0;

    cursor.reset(batch, 0, records);
    while (cursor.next()) {
      const offset = cursor.offset;
      if (offset < firstOffset || offset >= endOffset) continue;
      const timestampMs = cursor.timestampMs;
      const sequence = sequenceAt(baseSequence, cursor.offsetDelta);
      digest.begin(offset, timestampMs, isAppendTime, leaderEpoch, producerIdHigh, producerIdLow, producerEpoch, sequence);
      columns.offset.append(offset);
      const clampedMs = timestampMs < timestampMinMs ? timestampMinMs : timestampMs > timestampMaxMs ? timestampMaxMs : timestampMs;
      columns.timestamp.append(clampedMs);
      if (clampedMs === timestampMs) columns.timestampRaw.appendNull();
      else columns.timestampRaw.append(timestampMs);
      if (timestampMs < minTimestampMs) minTimestampMs = timestampMs;
      if (timestampMs > maxTimestampMs) maxTimestampMs = timestampMs;
      if (sequence < 0) columns.sequence.appendNull();
      else columns.sequence.append(sequence);

      const { keyLength, valueLength } = cursor;
      if (keyLength < 0) {
        columns.key.levels.append(0);
        digest.absent();
      } else {
        const to = columns.key.begin(keyLength, 1);
        digest.copyBytes(view, cursor.keyAt, keyLength, columns.key.view, to);
      }
      if (valueLength < 0) {
        columns.value.levels.append(0);
        digest.absent();
      } else {
        const to = columns.value.begin(valueLength, 1);
        digest.copyBytes(view, cursor.valueAt, valueLength, columns.value.view, to);
        if (scanner !== undefined) scanner.scan(records, cursor.valueAt, cursor.valueAt + valueLength);
      }
      digest.word(cursor.headerCount);
      if (cursor.headerCount === 0) {
        columns.headerRepetition.append(0);
        columns.headerKey.levels.append(0);
        columns.headerKeyRaw.levels.append(0);
        columns.headerValue.levels.append(0);
      } else {
        this.#addHeaders(view);
      }
      digest.end();
      rows++;
    }

    columns.partition.append(BigInt(this.#job.partition), rows);
    columns.timestampType.append(BigInt(isAppendTime), rows);
    columns.leaderEpoch.append(BigInt(leaderEpoch), rows);
    columns.producerId.append(producerId < 0n ? null : producerId, rows);
    columns.producerEpoch.append(producerEpoch < 0 ? null : BigInt(producerEpoch), rows);
    columns.rawBatch.levels.append(0, rows);
    this.#minTimestampMs = minTimestampMs;
    this.#maxTimestampMs = maxTimestampMs;
    this.#rows += rows;
    this.#rawBytes += batchHeaderBytes + records.length;
  }

  #addHeaders(view: DataView): void {
    const cursor = this.#cursor;
    const { headerRepetition, headerKey, headerKeyRaw, headerValue } = this.#columns;
    const digest = this.#digest;
    let repetition = 0;
    while (cursor.nextHeader()) {
      headerRepetition.append(repetition);
      repetition = 1;
      const { headerKeyAt, headerKeyLength, headerValueAt, headerValueLength } = cursor;
      const isText = isUtf8(cursor.buffer.subarray(headerKeyAt, headerKeyAt + headerKeyLength));
      const there = isText ? headerKey : headerKeyRaw;
      const to = there.begin(headerKeyLength, headerFieldLevel);
      digest.copyBytes(view, headerKeyAt, headerKeyLength, there.view, to);
      (isText ? headerKeyRaw : headerKey).levels.append(headerNullLevel);
      if (headerValueLength < 0) {
        headerValue.levels.append(headerNullLevel);
        digest.absent();
      } else {
        const valueTo = headerValue.begin(headerValueLength, headerFieldLevel);
        digest.copyBytes(view, headerValueAt, headerValueLength, headerValue.view, valueTo);
      }
    }
  }

  /** Keeps a batch that cannot be decoded as one row of its bytes, so that nothing is lost and nothing is held up. */
  #addWhole(batch: Buffer, error: unknown): void {
    if (!isLakeError(error)) throw error;
    const columns = this.#columns;
    const offset = this.#offsetOfDamaged(batch);
    const timestampMs = timestampOfDamaged(batch);
    this.#digest.beginRawBatch(offset);
    columns.offset.append(offset);
    columns.timestamp.append(timestampMs);
    columns.timestampRaw.appendNull();
    columns.sequence.appendNull();
    for (const bytes of [columns.key, columns.value, columns.headerKey, columns.headerKeyRaw, columns.headerValue]) bytes.levels.append(0);
    columns.headerRepetition.append(0);
    const view = new DataView(batch.buffer, batch.byteOffset, batch.length);
    const to = columns.rawBatch.begin(batch.length, 1);
    this.#digest.copyBytes(view, 0, batch.length, columns.rawBatch.view, to);
    this.#digest.end();
    columns.partition.append(BigInt(this.#job.partition), 1);
    for (const constant of [columns.timestampType, columns.leaderEpoch, columns.producerId, columns.producerEpoch])
      constant.append(null, 1);
    this.#minTimestampMs = Math.min(this.#minTimestampMs, timestampMs);
    this.#maxTimestampMs = Math.max(this.#maxTimestampMs, timestampMs);
    this.#rows++;
    this.#rawBatches++;
    this.#rawBytes += batch.length;
    if (columns.isFull) this.#writer.writeRowGroup(columns);
  }

  /** What its header says, as far as that fits the range; else the next offset. Later batches come after it. */
  #offsetOfDamaged(batch: Buffer): Offset {
    const { baseOffset: first, endOffset } = this.#job;
    let said: Offset = first;
    let lastSaid: Offset = first;
    try {
      said = batchBaseOffset(batch, 0);
      lastSaid = batchLastOffset(batch, 0);
    } catch (error) {
      if (!isLakeError(error, 'record-invalid')) throw error;
    }
    const offset = Math.min(Math.max(said, this.#nextOffset, first), endOffset - 1);
    this.#nextOffset = Math.max(offset + 1, lastSaid < endOffset ? lastSaid + 1 : 0);
    return offset;
  }
}

/** The base timestamp where it can be one, so that the row is found in time; −1 otherwise. */
function timestampOfDamaged(batch: Buffer): TimestampMs {
  try {
    const timestampMs = batchBaseTimestamp(batch, 0);
    return timestampMs >= timestampMinMs && timestampMs <= timestampMaxMs ? timestampMs : none;
  } catch (error) {
    if (!isLakeError(error, 'record-invalid')) throw error;
    return none;
  }
}
