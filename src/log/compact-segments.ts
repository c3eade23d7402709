/**
 * One pass of compaction over a partition's sealed segments (Kafka's Cleaner): the dirty ones say which offset is each key's last, then
 * every segment up to there is written anew beside its old one. Synchronous: it runs in a thread of its own, or in a simulation.
 *
 * What comes out of a group of segments keeps the group's range of offsets: its name is that of the first, and its last batch stays, if need
 * be without records. So segments follow on one another without holes, as everything that opens or reads a log expects.
 */
import { join } from 'node:path';
import { type Disk, LakeError, MiB, type Offset, secondMs, type TimestampMs, writeWholeSync } from '../kernel/index.js';
import {
  batchBytes,
  batchHeaderBytes,
  batchLastOffset,
  batchMaxTimestamp,
  batchProducerId,
  batchRecords,
  isBatchCrcValid,
  isControl,
  RecordCursor,
} from '../wire/index.js';
import { endFault, headerFault } from './batch-walk.js';
import { compactBatch } from './compact-batch.js';
import { groupSegments } from './compaction-plan.js';
import { fsyncDirectorySync } from './durable-file.js';
import { KeyOffsets } from './key-offsets.js';
import { offsetFile, suffixes } from './log-files.js';
import { damagedAt } from './segment-file.js';
import { SegmentIndexes } from './segment-indexes.js';

/** A segment that is not written any more. */
export interface SealedSegment {
  readonly baseOffset: Offset;
  readonly nextOffset: Offset;
  readonly bytes: number;
  readonly lastAppendMs: TimestampMs;
  /** Open for as long as the pass takes. */
  readonly fd: number;
}

export interface CompactionJob {
  readonly directory: string;
  /** From the oldest on, one after the other, up to where compaction may go. */
  readonly segments: readonly SealedSegment[];
  /** Below it each key is there once. */
  readonly firstDirtyOffset: Offset;
  readonly nowMs: TimestampMs;
  readonly deleteRetentionMs: number;
  readonly segmentBytes: number;
  readonly indexIntervalBytes: number;
  /** Memory of the table of keys. */
  readonly keyTableBytes: number;
  /** Last offset of each producer that is still known: its batch stays, for the sequence. */
  readonly producers: ReadonlyMap<bigint, Offset>;
}

/** Segments that became one. Its file is on disk beside theirs, and nothing is replaced yet. */
export interface CompactedGroup {
  /** How many of the job's segments, in their order. */
  readonly segments: number;
  readonly baseOffset: Offset;
  readonly nextOffset: Offset;
  readonly bytes: number;
  readonly offsetIndex: Uint8Array;
  readonly timeIndex: Uint8Array;
  /** False: all stayed as it was in one segment, and there is no file. */
  readonly isChanged: boolean;
  readonly keptRecords: number;
  readonly droppedRecords: number;
}

export interface CompactionResult {
  /** Everything below is compacted once the groups are in place; below the end of the job where the table of keys was too small. */
  readonly cleanOffset: Offset;
  readonly keys: number;
}

/** Hears of bytes read or written, and takes the time that they may take. */
export type Pace = (bytes: number) => void;

const readBytes = MiB;
const writeBytes = MiB;
/** Positions in an index have 32 bits. */
const segmentBytesMax = 0x7fffffff;

/** Hands over each group when its file is durable. Errors: `log-damaged`, those of a batch that cannot be read, and the system's. */
export function compactSegments(disk: Disk, job: CompactionJob, pace: Pace, onGroup: (group: CompactedGroup) => void): CompactionResult {
  const { keys, cleanOffset } = lastOffsets(disk, job, pace);
  const touched = job.segments.filter((segment) => segment.baseOffset < cleanOffset);
  let first = 0;
  for (const count of groupSegments(touched, job.segmentBytes)) {
    onGroup(writeGroup(disk, job, touched.slice(first, first + count), keys, cleanOffset, pace));
    first += count;
  }
  return { cleanOffset, keys: keys.count };
}

/** Reads the dirty segments until their end, or until there is no room for another key. */
function lastOffsets(disk: Disk, job: CompactionJob, pace: Pace): { readonly keys: KeyOffsets; readonly cleanOffset: Offset } {
  const endOffset = job.segments.at(-1)?.nextOffset ?? job.firstDirtyOffset;
  const keys = new KeyOffsets(job.keyTableBytes, endOffset - job.firstDirtyOffset);
  const cursor = new RecordCursor();
  for (const segment of job.segments) {
    if (segment.nextOffset <= job.firstDirtyOffset) continue;
    let fullAt: Offset | undefined;
    eachBatch(disk, job.directory, segment, pace, (batch) => {
      if (isControl(batch, 0) || batchLastOffset(batch, 0) < job.firstDirtyOffset) return true;
      cursor.reset(batch, 0, batchRecords(batch, 0));
      while (cursor.next()) {
        if (cursor.keyLength < 0 || cursor.offset < job.firstDirtyOffset) continue;
        if (keys.put(cursor.buffer.subarray(cursor.keyAt, cursor.keyAt + cursor.keyLength), cursor.offset)) continue;
        fullAt = cursor.offset;
        return false;
      }
      return true;
    });
    if (fullAt !== undefined) return { keys, cleanOffset: fullAt };
  }
  return { keys, cleanOffset: endOffset };
}

function writeGroup(
  disk: Disk,
  job: CompactionJob,
  segments: readonly SealedSegment[],
  keys: KeyOffsets,
  cleanOffset: Offset,
  pace: Pace,
): CompactedGroup {
  const { baseOffset } = segments[0] as SealedSegment;
  const { nextOffset } = segments.at(-1) as SealedSegment;
  const path = join(job.directory, offsetFile(baseOffset, suffixes.log) + suffixes.cleaned);
  const indexes = new SegmentIndexes(baseOffset);
  const output = new Output(disk, path, pace);
  let keptRecords = 0;
  let droppedRecords = 0;
  let isChanged = segments.length > 1;
  try {
    for (const segment of segments) {
      eachBatch(disk, job.directory, segment, pace, (batch) => {
        const lastOffset = batchLastOffset(batch, 0);
        const isProducersLast = job.producers.get(batchProducerId(batch, 0)) === lastOffset;
        const rules = { ...job, mustStay: isProducersLast || lastOffset + 1 === nextOffset };
        const compacted = compactBatch(batch, rules, (cursor, isTombstoneKept) => {
          if (cursor.offset >= cleanOffset) return true;
          // Records without a key are from before the topic was compacted, and nothing could ever replace them (as in Kafka).
          if (cursor.keyLength < 0) return false;
          const last = keys.get(cursor.buffer.subarray(cursor.keyAt, cursor.keyAt + cursor.keyLength));
          return cursor.offset >= last && (cursor.valueLength >= 0 || isTombstoneKept);
        });
        keptRecords += compacted.keptRecords;
        droppedRecords += compacted.droppedRecords;
        if (compacted.batch !== batch) isChanged = true;
        if (compacted.batch === undefined) return true;
        indexes.note(output.bytes, compacted.batch.length, lastOffset, batchMaxTimestamp(compacted.batch, 0), job.indexIntervalBytes);
        output.add(compacted.batch);
        return true;
      });
    }
    if (isChanged) output.finish((segments.at(-1) as SealedSegment).lastAppendMs);
  } finally {
    output.close();
  }
  if (isChanged) fsyncDirectorySync(disk, job.directory);
  else disk.rmSync(path, { force: true });
  indexes.finish();
  return {
    segments: segments.length,
    baseOffset,
    nextOffset,
    bytes: output.bytes,
    offsetIndex: Uint8Array.from(indexes.offsets.bytes),
    timeIndex: Uint8Array.from(indexes.times.bytes),
    isChanged,
    keptRecords,
    droppedRecords,
  };
}

/** The file that a group becomes, gathered into large writes. */
class Output {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #pace: Pace;
  readonly #fd: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #written = 0;

  constructor(disk: Disk, path: string, pace: Pace) {
    this.#disk = disk;
    this.#path = path;
    this.#pace = pace;
    this.#fd = disk.openSync(path, 'w', 0o644);
  }

  get bytes(): number {
    return this.#written + this.#pendingBytes;
  }

  add(batch: Buffer): void {
    if (this.bytes + batch.length > segmentBytesMax) {
      throw new LakeError('log-damaged', `${this.#path} would be larger than ${segmentBytesMax} bytes`, {
        hint: 'Its batches take more room when they are compressed anew; set a smaller segment.bytes.',
        facts: { path: this.#path },
      });
    }
    this.#pending.push(batch);
    this.#pendingBytes += batch.length;
    if (this.#pendingBytes >= writeBytes) this.#write();
  }

  #write(): void {
    const bytes = this.#pending.length === 1 ? (this.#pending[0] as Buffer) : Buffer.concat(this.#pending);
    writeWholeSync(this.#disk, this.#fd, bytes, this.#written);
    this.#written += bytes.length;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#pace(bytes.length);
  }

  /** Its time of change is what a start takes for the last append: retention counts from there, not from each compaction anew (as in Kafka). */
  finish(lastAppendMs: TimestampMs): void {
    this.#write();
    this.#disk.futimesSync(this.#fd, lastAppendMs / secondMs, lastAppendMs / secondMs);
    this.#disk.fsyncSync(this.#fd);
  }

  close(): void {
    this.#disk.closeSync(this.#fd);
  }
}

/** Shows each batch of a segment, checked, in a buffer that is its own; false ends it. Errors: `log-damaged`. */
function eachBatch(disk: Disk, directory: string, segment: SealedSegment, pace: Pace, visit: (batch: Buffer) => boolean): void {
  const path = join(directory, offsetFile(segment.baseOffset, suffixes.log));
  let position = 0;
  let expectedOffset = segment.baseOffset;
  let window = Buffer.alloc(0);
  let at = 0;
  const read = (bytes: number): void => {
    const fresh = Buffer.allocUnsafe(Math.min(bytes, segment.bytes - position));
    for (let filled = 0; filled < fresh.length; ) {
      const count = disk.readSync(segment.fd, fresh, filled, fresh.length - filled, position + filled);
      if (count === 0) throw damagedAt(path, position + filled, 'the file ends');
      filled += count;
    }
    pace(fresh.length);
    window = fresh;
    at = 0;
  };
  while (position < segment.bytes) {
    if (at + batchHeaderBytes > window.length) read(readBytes);
    if (window.length - at < batchHeaderBytes) throw damagedAt(path, position, 'a batch header is cut off');
    // A damaged offset would be sound for ever in what is written.
    const fault = headerFault(window, at, expectedOffset) ?? endFault(window, at, segment.nextOffset);
    if (fault !== undefined) throw damagedAt(path, position, fault);
    const bytes = batchBytes(window, at);
    if (bytes > segment.bytes - position) throw damagedAt(path, position, `a batch of ${bytes} bytes is cut off`);
    if (at + bytes > window.length) read(Math.max(readBytes, bytes));
    const batch = window.subarray(at, at + bytes);
    if (!isBatchCrcValid(batch, 0)) throw damagedAt(path, position, 'the CRC does not match');
    expectedOffset = batchLastOffset(batch, 0) + 1;
    if (!visit(batch)) return;
    position += bytes;
    at += bytes;
  }
}
