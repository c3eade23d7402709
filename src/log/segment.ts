/**
 * One segment: a file of batches, its two sparse indexes, and the few numbers that let a reader skip it. Indexes of segments
 * that are still written live in memory; of all others they are read when asked for, and rebuilt from the batches where
 * the file is missing or not plausible.
 */
import { join } from 'node:path';
import { isErrno, type Disk, MiB, none, type Offset, type TimestampMs, toLakeError } from '../kernel/index.js';
import { type Logger, silentLogger } from '../telemetry/index.js';
import { batchBytes, batchLastOffset, batchMaxTimestamp } from '../wire/index.js';
import { type BatchVisitor, farWindowBytes, nearWindowBytes, type WalkEnd, type WalkOptions, walkSegment } from './batch-walk.js';
import type { CompactedGroup } from './compact-segments.js';
import type { LogConfig } from './hot-log.js';
import type { IndexBytes } from './index-check.js';
import { offsetFile, suffixes } from './log-files.js';
import { damagedAt, type OpenFiles, SegmentFile } from './segment-file.js';
import { SegmentIndexes } from './segment-indexes.js';

/** Indexes of segments no longer written, kept in memory in all: 32 MiB are those of about 6 GiB of segments. */
export const indexCacheBytes = 32 * MiB;
const relativeOffsetMax = 0x7fffffff;

/** Bounds the memory of indexes that can be read again. */
export class IndexCache {
  readonly #limitBytes: number;
  readonly #segments = new Map<Segment, number>();
  #bytes = 0;

  constructor(limitBytes = indexCacheBytes) {
    this.#limitBytes = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  keep(segment: Segment, bytes: number): void {
    this.forget(segment);
    this.#segments.set(segment, bytes);
    this.#bytes += bytes;
    for (const oldest of this.#segments.keys()) {
      if (this.#bytes <= this.#limitBytes || oldest === segment) return;
      this.forget(oldest);
      oldest.dropIndexes();
    }
  }

  forget(segment: Segment): void {
    this.#bytes -= this.#segments.get(segment) ?? 0;
    this.#segments.delete(segment);
  }
}

/** What the segments of all partitions share. */
export interface SegmentPorts {
  readonly openFiles: OpenFiles;
  readonly indexCache: IndexCache;
  /** Default: silent. */
  readonly logger?: Logger;
}

export interface SegmentOptions {
  readonly nowMs: TimestampMs;
  readonly indexIntervalBytes: number;
}

/** What `Segment.walk` leaves to the caller. */
export type SegmentWalk = Pick<WalkOptions, 'from' | 'windowBytes'> &
  Partial<Pick<WalkOptions, 'until' | 'isCrcChecked' | 'follows' | 'endOffset'>>;

/** Position, bytes, last offset and largest timestamp of a batch. */
type NotedBatch = readonly [position: number, bytes: number, lastOffset: Offset, maxTimestampMs: TimestampMs];

export class Segment {
  readonly directory: string;
  readonly baseOffset: Offset;
  readonly file: SegmentFile;
  nextOffset: Offset;
  /** Of any record; −1 where no record has a timestamp above −1. */
  maxTimestampMs: TimestampMs = none;
  /** Last offset of the first batch that has it. */
  maxTimestampOffset: Offset = none;
  firstAppendMs: TimestampMs = none;
  lastAppendMs: TimestampMs;
  /** Whether bytes were written that no flush has covered; the file is held open for as long. */
  isDirty = false;
  /**
   * Every offset from here on, below its end, is in a batch: said at start of the segment that was written last, whose end nothing else
   * tells. Of others, and by default, nothing is known: compaction leaves gaps.
   */
  unbrokenFrom: Offset = Number.POSITIVE_INFINITY;
  readonly #cache: IndexCache;
  readonly #disk: Disk;
  readonly #logger: Logger;
  /** `index.interval.bytes`, which may change while the segment is written. */
  indexIntervalBytes: number;
  #indexes: SegmentIndexes | undefined;
  #areIndexesSaved = true;
  #isGone = false;
  /** While the indexes are being written. */
  #saving: Promise<void> | undefined;
  #isSealed = false;
  /** Since `verify` began. */
  #notedMeanwhile: NotedBatch[] | undefined;
  #loading: Promise<SegmentIndexes> | undefined;

  constructor(directory: string, baseOffset: Offset, file: SegmentFile, ports: SegmentPorts, options: SegmentOptions) {
    this.directory = directory;
    this.baseOffset = baseOffset;
    this.nextOffset = baseOffset;
    this.file = file;
    this.lastAppendMs = options.nowMs;
    this.#cache = ports.indexCache;
    this.#disk = ports.openFiles.disk;
    this.#logger = ports.logger ?? silentLogger;
    this.indexIntervalBytes = options.indexIntervalBytes;
  }

  /** Makes an empty segment and its file. */
  static createSync(directory: string, baseOffset: Offset, ports: SegmentPorts, options: SegmentOptions): Segment {
    const file = SegmentFile.createSync(join(directory, offsetFile(baseOffset, suffixes.log)), ports.openFiles);
    const segment = new Segment(directory, baseOffset, file, ports, options);
    segment.#take(new SegmentIndexes(baseOffset), false);
    return segment;
  }

  /** A segment that compaction has put in the place of others, whose file is on disk; its indexes are not saved yet. */
  static compacted(directory: string, compacted: CompactedGroup, ports: SegmentPorts, options: SegmentOptions): Segment {
    const { baseOffset, nextOffset, offsetIndex, timeIndex, bytes } = compacted;
    const file = new SegmentFile(join(directory, offsetFile(baseOffset, suffixes.log)), bytes, ports.openFiles);
    const segment = new Segment(directory, baseOffset, file, ports, options);
    const indexes = new SegmentIndexes(baseOffset, { offsets: Buffer.from(offsetIndex), times: Buffer.from(timeIndex) });
    indexes.nextOffset = nextOffset;
    segment.#take(indexes, false);
    segment.seal();
    return segment;
  }

  get bytes(): number {
    return this.file.bytes;
  }

  /** Its files are removed, or another segment's by now; reads under way go on. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Whether a batch of that size and last offset belongs into a new segment. An empty segment takes any that its offsets allow. */
  mustRollFor(bytes: number, lastOffset: Offset, nowMs: TimestampMs, config: LogConfig): boolean {
    if (this.bytes === 0) return false;
    return (
      this.bytes + bytes > config.segmentBytes ||
      lastOffset - this.baseOffset > relativeOffsetMax ||
      this.isOlderThan(config.segmentMs, nowMs) ||
      this.#indexes?.isFull() === true
    );
  }

  isOlderThan(segmentMs: number, nowMs: TimestampMs): boolean {
    return segmentMs >= 0 && this.bytes > 0 && this.firstAppendMs >= 0 && nowMs - this.firstAppendMs >= segmentMs;
  }

  /** Notes a batch that lies at `position` now. */
  note(position: number, bytes: number, lastOffset: Offset, maxTimestampMs: TimestampMs, nowMs: TimestampMs): void {
    const indexes = this.#indexes as SegmentIndexes;
    indexes.note(position, bytes, lastOffset, maxTimestampMs, this.indexIntervalBytes);
    this.#notedMeanwhile?.push([position, bytes, lastOffset, maxTimestampMs]);
    this.#areIndexesSaved = false;
    this.nextOffset = indexes.nextOffset;
    this.maxTimestampMs = indexes.maxTimestampMs;
    this.maxTimestampOffset = indexes.maxTimestampOffset;
    if (this.firstAppendMs < 0) this.firstAppendMs = nowMs;
    this.lastAppendMs = nowMs;
  }

  #take(indexes: SegmentIndexes, areSaved: boolean): void {
    this.#indexes = indexes;
    this.#areIndexesSaved = areSaved;
    this.nextOffset = indexes.nextOffset;
    this.maxTimestampMs = indexes.maxTimestampMs;
    this.maxTimestampOffset = indexes.maxTimestampOffset;
  }

  /** Nothing is appended any more: the indexes may leave memory once they are saved. */
  seal(): void {
    this.#isSealed = true;
    this.#indexes?.finish();
    this.#restIndexes();
  }

  /**
   * Writes the indexes beside the segment, each whole or not at all, where they say more than their files. The offset index goes last:
   * at the next start only batches behind its last entry are read, so that the time index must know of all before that.
   */
  async saveIndexes(replaceFile: (path: string, bytes: Uint8Array) => Promise<void>): Promise<void> {
    const indexes = this.#indexes;
    if (indexes === undefined || this.#areIndexesSaved || this.#isGone) return;
    indexes.finish();
    this.#areIndexesSaved = true;
    const saving = (async () => {
      await replaceFile(this.#path(suffixes.timeIndex), indexes.times.bytes);
      await replaceFile(this.#path(suffixes.index), indexes.offsets.bytes);
    })();
    this.#saving = saving;
    try {
      await saving;
    } catch (error) {
      this.#areIndexesSaved = false;
      throw error;
    } finally {
      this.#saving = undefined;
    }
    this.#restIndexes();
  }

  #restIndexes(): void {
    if (this.#isSealed && this.#areIndexesSaved && this.#indexes !== undefined) this.#cache.keep(this, this.#indexes.bytes);
  }

  dropIndexes(): void {
    if (this.#isSealed && this.#areIndexesSaved) this.#indexes = undefined;
  }

  /** The indexes, read or rebuilt where they are not in memory. The caller holds the file. */
  async indexes(): Promise<SegmentIndexes> {
    if (this.#indexes !== undefined) return this.#indexes;
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #load(): Promise<SegmentIndexes> {
    let indexes = new SegmentIndexes(this.baseOffset, await this.#readFiles());
    indexes.nextOffset = this.nextOffset;
    const isRight =
      !this.#isGone &&
      indexes.offsets.isPlausible(this.bytes) &&
      indexes.times.isPlausible(this.nextOffset) &&
      indexes.maxTimestampMs === this.maxTimestampMs;
    // Of a segment that was replaced the files are those of another one by now.
    if (!isRight) {
      const rebuilt = await this.#walkAll(false, this.nextOffset);
      if (rebuilt.end.fault !== undefined) throw damagedAt(this.file.path, rebuilt.end.position, rebuilt.end.fault);
      indexes = rebuilt.indexes;
      indexes.finish();
    }
    this.#take(indexes, isRight);
    this.#restIndexes();
    return indexes;
  }

  async #readFiles(): Promise<Partial<IndexBytes>> {
    const offsets = await readIndex(this.#disk, this.#logger, this.#path(suffixes.index));
    const times = await readIndex(this.#disk, this.#logger, this.#path(suffixes.timeIndex));
    return { ...(offsets === undefined ? {} : { offsets }), ...(times === undefined ? {} : { times }) };
  }

  /** Its index files as they are on disk, where they are to agree with it: not while they are written, or there is none to be. */
  async savedIndexes(): Promise<IndexBytes | 'missing' | undefined> {
    const areSaved = (): boolean => this.#isSealed && this.#areIndexesSaved && this.#saving === undefined && !this.#isGone;
    if (!areSaved() || this.bytes === 0) return undefined;
    const { offsets, times } = await this.#readFiles();
    if (!areSaved()) return undefined;
    return offsets === undefined || times === undefined ? 'missing' : { offsets, times };
  }

  /** Visits batches as `walkSegment` does, from `from` to its end as it is now; below `endOffset`, its own by default. The caller holds the file. */
  walk(options: SegmentWalk, visit: BatchVisitor): Promise<WalkEnd> {
    const { unbrokenFrom, nextOffset: endOffset, bytes: to } = this;
    const before = options.from === 0 ? { follows: this.baseOffset } : { fromOffset: this.baseOffset };
    return walkSegment(this.file, { to, endOffset, unbrokenFrom, ...before, ...options }, visit);
  }

  async #walkAll(isCrcChecked: boolean, endOffset: Offset): Promise<{ readonly indexes: SegmentIndexes; readonly end: WalkEnd }> {
    const indexes = new SegmentIndexes(this.baseOffset);
    const end = await this.walk({ from: 0, windowBytes: farWindowBytes, isCrcChecked, endOffset }, (window, at, position) => {
      const bytes = batchBytes(window, at);
      indexes.note(position, bytes, batchLastOffset(window, at), batchMaxTimestamp(window, at), this.indexIntervalBytes);
      return true;
    });
    return { indexes, end };
  }

  /**
   * Reads every batch that it has now. Where all are whole the indexes are made anew, of them and of what is appended meanwhile. The caller
   * holds the file, and waits for its end before the next.
   */
  async verify(): Promise<WalkEnd> {
    const appended: NotedBatch[] = [];
    this.#notedMeanwhile = appended;
    try {
      const { indexes, end } = await this.#walkAll(true, this.nextOffset);
      if (end.fault !== undefined || this.#isGone) return end;
      for (const batch of appended) indexes.note(...batch, this.indexIntervalBytes);
      if (indexes.nextOffset !== this.nextOffset) return { ...end, fault: `it ends at ${indexes.nextOffset}, not at ${this.nextOffset}` };
      if (this.#isSealed) indexes.finish();
      this.#take(indexes, false);
      return end;
    } finally {
      this.#notedMeanwhile = undefined;
    }
  }

  /** At start: reads every batch, and takes in everything before the first fault. The next segment begins at `endOffset`, where there is one. */
  async rebuild(endOffset?: Offset): Promise<WalkEnd> {
    const { indexes, end } = await this.#walkAll(true, endOffset ?? Number.POSITIVE_INFINITY);
    this.#take(indexes, false);
    return end;
  }

  /**
   * At start: takes the indexes from disk and finds the end behind their last entry. False where they are not plausible or do
   * not lead to the file's end; then `rebuild` tells why. The next segment begins at `endOffset`, where there is one.
   */
  async openIndexed(endOffset: Offset = Number.POSITIVE_INFINITY): Promise<boolean> {
    const read = this.bytes === 0 ? {} : await this.#readFiles();
    const indexes = new SegmentIndexes(this.baseOffset, read);
    // The offset index is written last, and is not there after a kill before that.
    const isThere = read.offsets !== undefined && indexes.times.count > 0;
    if (this.bytes > 0 && !(isThere && indexes.offsets.isPlausible(this.bytes))) return false;
    const savedMs = indexes.maxTimestampMs;
    const { lastPosition } = indexes.offsets;
    let leadsRight = true;
    const end = await this.walk({ from: lastPosition, windowBytes: nearWindowBytes, endOffset }, (window, at, position) => {
      if (position > 0 && position === lastPosition) leadsRight = batchLastOffset(window, at) === indexes.offsets.lastOffset;
      indexes.pass(batchBytes(window, at), batchLastOffset(window, at), batchMaxTimestamp(window, at));
      return true;
    });
    if (end.fault !== undefined || !leadsRight || !indexes.times.isPlausible(indexes.nextOffset)) return false;
    const isSaved = savedMs === indexes.maxTimestampMs;
    // A time that the index does not know is believed with its checksum: saved, a wrong one would outlive what is damaged.
    if (!isSaved && (await this.#isDamagedFrom(lastPosition, endOffset))) return false;
    this.#take(indexes, isSaved);
    return true;
  }

  async #isDamagedFrom(from: number, endOffset: Offset): Promise<boolean> {
    const { fault } = await this.walk({ from, windowBytes: nearWindowBytes, isCrcChecked: true, endOffset }, () => true);
    return fault !== undefined;
  }

  /** At start: no index file of it is believed, which may have been made of damaged batches. It is rebuilt next. */
  forgetIndexesSync(): void {
    for (const suffix of [suffixes.index, suffixes.timeIndex]) this.#disk.rmSync(this.#path(suffix), { force: true });
  }

  /**
   * Position of the first batch whose last offset is `offset` or more; the segment's end where there is none. Errors: `log-damaged`, also
   * where only the index is: an entry that names a later batch leads behind some that nobody would miss.
   */
  async locate(offset: Offset): Promise<number> {
    const entry = (await this.indexes()).offsets.lookup(offset);
    let misled: string | undefined;
    const end = await this.walk({ from: entry?.position ?? 0, windowBytes: nearWindowBytes }, (window, at, position) => {
      const lastOffset = batchLastOffset(window, at);
      if (position !== entry?.position || lastOffset === entry.lastOffset) return lastOffset < offset;
      misled = `its index has offset ${entry.lastOffset} there; the batch ends at offset ${lastOffset}`;
      return false;
    });
    const fault = end.fault ?? misled;
    if (fault !== undefined) throw damagedAt(this.file.path, end.position, fault);
    return end.position;
  }

  /** At start: makes a flush of everything from `offset` on mean something, whatever became of earlier ones. */
  async writeAgain(offset: Offset): Promise<void> {
    await this.file.writeAgain(offset <= this.baseOffset ? 0 : await this.locate(offset));
  }

  /**
   * Before the files are replaced: indexes are neither saved nor read any more. The caller holds the file, so that who reads the
   * segment until another one takes its place, or goes on behind that, reads what it was.
   */
  async beginReplacement(): Promise<void> {
    this.#isGone = true;
    this.#cache.forget(this);
    await this.#saving?.catch(() => undefined);
  }

  /** Removes the files: renamed first, so that a kill midway leaves nothing that looks like a segment. */
  async remove(): Promise<void> {
    this.#isGone = true;
    this.#cache.forget(this);
    this.file.giveUp();
    // Indexes that are just being saved would come back after their removal. Their failure is the saver's.
    await this.#saving?.catch(() => undefined);
    const paths = [suffixes.log, suffixes.index, suffixes.timeIndex].map((suffix) => this.#path(suffix));
    for (const path of paths) await renameIfThere(this.#disk, path);
    for (const path of paths) await this.#disk.rm(`${path}${suffixes.deleted}`, { force: true });
  }

  #path(suffix: string): string {
    return join(this.directory, offsetFile(this.baseOffset, suffix));
  }
}

/** `undefined` also where it cannot be read: the index is made anew from the segment, in a new file. */
async function readIndex(disk: Disk, logger: Logger, path: string): Promise<Buffer | undefined> {
  try {
    return await disk.readFile(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT'))
      logger.warn('an index file cannot be read and is made anew', { path, error: toLakeError(error).message });
    return undefined;
  }
}

async function renameIfThere(disk: Disk, path: string): Promise<void> {
  try {
    await disk.rename(path, `${path}${suffixes.deleted}`);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
