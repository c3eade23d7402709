/**
 * What is fetched of one partition and not yet committed: whole record batches in files, in pieces. A piece that is closed is
 * staged at once (see `topic-tier.ts`), so that a cut only has to put staged pieces together.
 *
 *     boundary                                              next offset to fetch
 *        │  piece (staged)  │  piece (closed)  │  piece (open)  │
 */
import { join } from 'node:path';
import type { StageResult } from '../columns/index.js';
import { type Disk, invariant, LakeError, type LeaderEpoch, type Offset, type PartitionId, UnderWay, writeAll } from '../kernel/index.js';
import { batchBaseOffset, batchLastOffset, batchLeaderEpoch, batchRecordsCount, walkBatches } from '../wire/index.js';

export interface Piece {
  readonly path: string;
  /** First offset it stands for; its first batch may begin earlier. Raised only while nothing of it is staged. */
  baseOffset: Offset;
  /** Exclusive. */
  endOffset: Offset;
  /** Of the spool file. */
  bytes: number;
  /** As the batches say, markers and aborted ones included. */
  records: number;
  /** When its first batch arrived, monotonic. */
  readonly sinceMs: number;
  readonly aborted: Map<string, AbortedTransaction>;
  isClosed: boolean;
  /** Set once staging was begun; replaced where it is tried again. */
  staging: Promise<StageResult> | undefined;
  staged: StageResult | undefined;
  /** Where the staged file will be. */
  readonly stagedPath: string;
}

export interface AbortedTransaction {
  readonly producerId: string;
  readonly firstOffset: Offset;
}

export interface FetchedRecords {
  readonly records: Buffer;
  readonly abortedTransactions: readonly { readonly producerId: bigint; readonly firstOffset: Offset }[];
}

export class PartitionSpool {
  readonly partition: PartitionId;
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #pieceBytes: number;
  #pieces: Piece[] = [];
  #nextOffset: Offset;
  #count = 0;
  /** Uncompressed bytes for each fetched byte, as the last staged piece had it. */
  #inflation = 1;
  #lastLeaderEpoch: LeaderEpoch = -1;
  readonly #removals = new UnderWay();

  /** `pieceBytes` is uncompressed, as estimated. `folder` is this spool's own; it is made by the caller and holds nothing else. */
  constructor(disk: Disk, partition: PartitionId, folder: string, pieceBytes: number, startOffset: Offset) {
    this.partition = partition;
    this.#disk = disk;
    this.#folder = folder;
    this.#pieceBytes = pieceBytes;
    this.#nextOffset = startOffset;
  }

  /** First offset to fetch. */
  get nextOffset(): Offset {
    return this.#nextOffset;
  }

  get pieces(): readonly Piece[] {
    return this.#pieces;
  }

  /** Largest leader epoch of the batches seen; −1 before the first. */
  get lastLeaderEpoch(): LeaderEpoch {
    return this.#lastLeaderEpoch;
  }

  /** Bytes on disk, spooled and staged. */
  get diskBytes(): number {
    return this.#pieces.reduce((sum, piece) => sum + piece.bytes + (piece.staged?.rawBytes ?? 0), 0);
  }

  /** Uncompressed bytes of what is not committed; estimated for pieces that are not staged yet. */
  get rawBytes(): number {
    return this.rawBytesOf(this.#pieces);
  }

  /** Mean uncompressed size of a record of what is not committed; 0 where there is none. */
  get meanRecordBytes(): number {
    const records = this.#pieces.reduce((sum, piece) => sum + piece.records, 0);
    return records === 0 ? 0 : this.rawBytes / records;
  }

  rawBytesOf(pieces: readonly Piece[]): number {
    return Math.ceil(pieces.reduce((sum, piece) => sum + (piece.staged?.rawBytes ?? piece.bytes * this.#inflation), 0));
  }

  /**
   * Appends the whole batches of a fetch and answers how many bytes they were. A truncated last batch is left for the next
   * fetch. Errors: `batch-corrupt` where batches are not in order, `disk-full`; nothing is taken over then.
   */
  async append(fetched: FetchedRecords, nowMs: number): Promise<number> {
    const { records } = fetched;
    let from = -1;
    let next = this.#nextOffset;
    let epoch = this.#lastLeaderEpoch;
    let count = 0;
    const end = walkBatches(records, (at) => {
      const last = batchLastOffset(records, at);
      // A fetch begins with the batch that covers the offset asked for; what lies wholly below it is known already.
      if (last < next && from < 0) return;
      if (last < next || (from >= 0 && batchBaseOffset(records, at) < next)) {
        throw new LakeError('batch-corrupt', `partition ${this.partition}: a batch that ends at ${last} came where ${next} was next`, {
          facts: { partition: this.partition, next, last },
        });
      }
      if (from < 0) from = at;
      next = last + 1;
      count += batchRecordsCount(records, at);
      epoch = Math.max(epoch, batchLeaderEpoch(records, at));
    });
    if (from < 0) return 0;
    const bytes = records.subarray(from, end);
    const piece = this.#openPiece(nowMs);
    await write(this.#disk, piece, bytes);
    // While it was written the piece may have been taken for a cut, or dropped: then these batches are fetched again, and what stands
    // in the file behind the piece's bytes is not part of it.
    if (piece.isClosed || this.#pieces.at(-1) !== piece) return 0;
    piece.bytes += bytes.length;
    piece.records += count;
    piece.endOffset = next;
    for (const { producerId, firstOffset } of fetched.abortedTransactions) {
      piece.aborted.set(`${producerId}:${firstOffset}`, { producerId: producerId.toString(), firstOffset });
    }
    this.#nextOffset = next;
    this.#lastLeaderEpoch = epoch;
    if (piece.bytes * this.#inflation >= this.#pieceBytes) piece.isClosed = true;
    return bytes.length;
  }

  #openPiece(nowMs: number): Piece {
    const last = this.#pieces.at(-1);
    if (last !== undefined && !last.isClosed) return last;
    const name = join(this.#folder, String(this.#count++));
    const piece: Piece = {
      path: `${name}.batches`,
      stagedPath: `${name}.parquet`,
      baseOffset: this.#nextOffset,
      endOffset: this.#nextOffset,
      bytes: 0,
      records: 0,
      sinceMs: nowMs,
      aborted: new Map(),
      isClosed: false,
      staging: undefined,
      staged: undefined,
    };
    this.#pieces.push(piece);
    return piece;
  }

  /** Closed pieces from the front, at least one, until they reach `rawBytes`; the open one is closed when it is reached. */
  take(rawBytes: number): readonly Piece[] {
    const taken: Piece[] = [];
    for (const piece of this.#pieces) {
      if (piece.endOffset === piece.baseOffset) break;
      if (taken.length > 0 && this.rawBytesOf(taken) >= rawBytes) break;
      piece.isClosed = true;
      taken.push(piece);
    }
    return taken;
  }

  /** Notes a finished staging: the raw batches are no longer needed. */
  async noteStaged(piece: Piece, result: StageResult): Promise<void> {
    invariant(result.baseOffset === piece.baseOffset && result.lastOffset === piece.endOffset - 1, 'a closed piece keeps its range', {
      base: piece.baseOffset,
      end: piece.endOffset,
      stagedBase: result.baseOffset,
      stagedLast: result.lastOffset,
    });
    piece.staged = result;
    if (piece.bytes > 0 && result.rawBytes > 0) this.#inflation = result.rawBytes / piece.bytes;
    piece.bytes = 0;
    await this.#disk.rm(piece.path, { force: true });
  }

  /**
   * Drops everything below an offset, which is the partition's boundary now. Where that falls inside a piece, everything is
   * dropped and the fetch goes on from there.
   */
  dropBelow(offset: Offset): void {
    const first = this.#pieces.findIndex((piece) => piece.endOffset > offset);
    const isClean = first < 0 ? this.#nextOffset === offset : this.#pieces[first]?.baseOffset === offset;
    const keep = isClean && first >= 0 ? first : this.#pieces.length;
    const dropped = this.#pieces.slice(0, keep);
    this.#pieces = this.#pieces.slice(keep);
    if (!isClean) this.#nextOffset = offset;
    invariant(this.#pieces.length > 0 || this.#nextOffset === offset, 'an empty spool begins at the boundary', { offset });
    for (const piece of dropped) this.#remove(piece);
  }

  /**
   * Leaves out what the log no longer has: records below an offset were deleted. A piece that was given to staging stays as it is
   * while anything of it is left.
   */
  trimBelow(offset: Offset): void {
    const first = this.#pieces.findIndex((piece) => piece.endOffset > offset);
    const dropped = first < 0 && offset >= this.#nextOffset ? this.#pieces.splice(0) : this.#pieces.splice(0, Math.max(0, first));
    this.#nextOffset = Math.max(this.#nextOffset, offset);
    const [head] = this.#pieces;
    if (head !== undefined && head.baseOffset < offset && head.staging === undefined && head.staged === undefined) head.baseOffset = offset;
    for (const piece of dropped) this.#remove(piece);
  }

  /** Drops everything; the fetch goes on from `offset`. */
  restart(offset: Offset): void {
    const dropped = this.#pieces;
    this.#pieces = [];
    this.#nextOffset = offset;
    this.#lastLeaderEpoch = -1;
    for (const piece of dropped) this.#remove(piece);
  }

  /** Resolves when the files of dropped pieces are gone. */
  settled(): Promise<void> {
    return this.#removals.settled();
  }

  /** A staging under way ends first; nobody waits for that, the files are only taking space. */
  #remove(piece: Piece): void {
    const removal = (async () => {
      await piece.staging?.catch(() => undefined);
      await this.#disk.rm(piece.path, { force: true });
      await this.#disk.rm(piece.stagedPath, { force: true });
    })();
    this.#removals.add(removal);
  }
}

/** Writes at the piece's end; what an earlier failed try left behind it is overwritten. */
async function write(disk: Disk, piece: Piece, bytes: Buffer): Promise<void> {
  try {
    const file = await disk.open(piece.path, piece.bytes === 0 ? 'w' : 'r+');
    try {
      await writeAll(file, bytes, piece.bytes);
    } finally {
      await file.close();
    }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    throw new LakeError(code === 'ENOSPC' ? 'disk-full' : 'internal', `cannot write ${piece.path}: ${code}`, {
      cause,
      retriable: true,
      hint: 'Free disk space in the data directory.',
      facts: { path: piece.path },
    });
  }
}
