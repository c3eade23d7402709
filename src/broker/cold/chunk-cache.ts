/**
 * Hydrated cold data on local disk: files of whole record batches, each with the positions of its batches in memory. It is
 * a cache: bounded, empty after a start, and free to be deleted at any time. Room is set aside before a chunk is fetched, and is
 * made by dropping what nobody is about to read, least recently read first: where there is none, the fetch has to wait.
 */
import { join } from 'node:path';
import {
  type Disk,
  type DiskFile,
  firstIndex,
  invariant,
  KiB,
  LakeError,
  MiB,
  type Offset,
  type PartitionId,
  systemDisk,
  type TopicId,
  writeAll,
} from '../../kernel/index.js';
import type { LogRead } from '../../log/index.js';
import { batchBaseOffset, batchLastOffset, walkBatches } from '../../wire/index.js';

/** A read of a chunk, and what of it is left behind the read. */
export interface ChunkRead extends Pick<LogRead, 'chunks' | 'bytes'> {
  readonly nextOffset: Offset;
  readonly chunkNextOffset: Offset;
  readonly chunkLeftBytes: number;
}

/** What a chunk holds: whole batches from one offset up to another, exclusive. */
export interface ChunkRange {
  readonly partitionKey: string;
  readonly fromOffset: Offset;
  readonly nextOffset: Offset;
  readonly bytes: number;
}

/**
 * Of what was written last, so much stays in memory, of all chunks together, until it has been read: whoever waits for a part reads it
 * at once, and need not read back what has just been written. Four readers' parts of 1 MiB, and as many on their way.
 */
const freshBytesMax = 8 * MiB;
/** Of small parts there may lie more in memory than they are. */
const freshPartBytesMin = 64 * KiB;
/** A part that so many reads have passed over is not waited for: it makes room. */
const freshReadsMax = 64;

/** A part of a chunk that is also in memory. */
interface FreshPart {
  readonly chunk: Chunk;
  readonly position: number;
  readonly bytes: Buffer;
  /** Reads there had been when it was written. */
  readonly writtenAt: number;
}

/** Room for a chunk, given back with what was not used of it. */
export interface ChunkRoom {
  bytes: number;
}

interface Chunk {
  readonly partitionKey: string;
  readonly path: string;
  readonly file: DiskFile;
  /** Base offset and position of each batch, ascending. */
  readonly baseOffsets: Offset[];
  readonly positions: number[];
  nextOffset: Offset;
  bytes: number;
  users: number;
  isWritten: boolean;
  isDropped: boolean;
  lastReadAt: number;
}

export interface ChunkCacheOptions {
  readonly dir: string;
  readonly maxBytes: number;
  readonly disk?: Disk;
}

export class ChunkCache {
  readonly #options: ChunkCacheOptions;
  readonly #disk: Disk;
  readonly #chunks = new Map<string, Chunk[]>();
  #bytes = 0;
  #reservedBytes = 0;
  #fresh: FreshPart[] = [];
  #files = 0;
  /** Counts reads; orders chunks by their last one. */
  #reads = 0;

  private constructor(options: ChunkCacheOptions) {
    this.#options = options;
    this.#disk = options.disk ?? systemDisk;
  }

  /** Empties the directory: what it held belongs to an earlier run, whose index is gone. */
  static async open(options: ChunkCacheOptions): Promise<ChunkCache> {
    const cache = new ChunkCache(options);
    await cache.#disk.rm(options.dir, { recursive: true, force: true });
    await cache.#disk.mkdir(options.dir, { recursive: true });
    return cache;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get maxBytes(): number {
    return this.#options.maxBytes;
  }

  /**
   * Sets room aside, dropping chunks that are not awaited where it must; `undefined` where those that are leave none.
   * An empty cache always has room.
   */
  reserve(bytes: number, isAwaited: (chunk: ChunkRange) => boolean): ChunkRoom | undefined {
    while (this.#bytes + this.#reservedBytes + bytes > this.#options.maxBytes && this.#bytes + this.#reservedBytes > 0) {
      let oldest: Chunk | undefined;
      for (const chunk of this.#all()) {
        if (chunk.isWritten && (oldest === undefined || chunk.lastReadAt < oldest.lastReadAt) && !isAwaited(rangeOf(chunk))) oldest = chunk;
      }
      if (oldest === undefined) return undefined;
      this.#drop(oldest);
    }
    this.#reservedBytes += bytes;
    return { bytes };
  }

  /** Bytes set aside, and of the chunks that are awaited. */
  awaitedBytes(isAwaited: (chunk: ChunkRange) => boolean): number {
    let bytes = this.#reservedBytes;
    for (const chunk of this.#all()) if (!chunk.isWritten || isAwaited(rangeOf(chunk))) bytes += chunk.bytes;
    return bytes;
  }

  /** Gives back what a chunk did not need. */
  release(room: ChunkRoom): void {
    this.#reservedBytes -= room.bytes;
    room.bytes = 0;
  }

  /** The chunk that covers an offset. */
  find(topicId: TopicId, partition: PartitionId, offset: Offset): ChunkRange | undefined {
    const chunk = this.#find(partitionKey(topicId, partition), offset);
    return chunk === undefined ? undefined : rangeOf(chunk);
  }

  has(topicId: TopicId, partition: PartitionId, offset: Offset): boolean {
    return this.#find(partitionKey(topicId, partition), offset) !== undefined;
  }

  /**
   * Whole batches from the one that covers `offset`, up to `maxBytes` and below `endOffset`; the first also where it is
   * larger, if `isMinOneBatch`. `undefined`: not in the cache.
   */
  async read(
    topicId: TopicId,
    partition: PartitionId,
    offset: Offset,
    maxBytes: number,
    options: { readonly isMinOneBatch: boolean; readonly endOffset: Offset },
  ): Promise<ChunkRead | undefined> {
    const chunk = this.#find(partitionKey(topicId, partition), offset);
    if (chunk === undefined) return undefined;
    const first = coveringBatch(chunk, offset);
    let after = first;
    const start = chunk.positions[first]!;
    const count = chunk.positions.length;
    while (after < count && chunk.baseOffsets[after]! < options.endOffset) {
      const end = chunk.positions[after + 1] ?? chunk.bytes;
      if (end - start > maxBytes && !(after === first && options.isMinOneBatch)) break;
      after++;
    }
    chunk.lastReadAt = ++this.#reads;
    const end = chunk.positions[after] ?? chunk.bytes;
    const nextOffset = after === first ? offset : (chunk.baseOffsets[after] ?? chunk.nextOffset);
    const left = { chunkNextOffset: chunk.nextOffset, chunkLeftBytes: chunk.bytes - end };
    if (end === start) return { chunks: [], bytes: 0, nextOffset, ...left };
    const fresh = this.#takeFresh(chunk, start, end);
    if (fresh !== undefined) return { chunks: [fresh], bytes: fresh.length, nextOffset, ...left };
    chunk.users++;
    try {
      const bytes = Buffer.allocUnsafeSlow(end - start);
      await readWhole(chunk, bytes, start);
      return { chunks: [bytes], bytes: bytes.length, nextOffset, ...left };
    } finally {
      chunk.users--;
      this.#closeIfUnused(chunk);
    }
  }

  /** A new chunk in room set aside, readable part by part as it is written. What is larger than the room is taken all the same. */
  async write(topicId: TopicId, partition: PartitionId, room: ChunkRoom): Promise<ChunkWriter> {
    const key = partitionKey(topicId, partition);
    const path = join(this.#options.dir, `${key}-${this.#files++}.chunk`);
    const chunk: Chunk = {
      partitionKey: key,
      path,
      file: await this.#disk.open(path, 'wx+'),
      baseOffsets: [],
      positions: [],
      nextOffset: -1,
      bytes: 0,
      users: 1,
      isWritten: false,
      isDropped: false,
      lastReadAt: ++this.#reads,
    };
    let isListed = false;
    return {
      append: async (batches) => {
        if (chunk.isDropped) throw new LakeError('cancelled', `the chunk ${path} was dropped while it was written`);
        const position = chunk.bytes;
        await writeAll(chunk.file, batches, position);
        let nextOffset = chunk.nextOffset;
        const end = walkBatches(batches, (at) => {
          const base = batchBaseOffset(batches, at);
          if (base < nextOffset)
            throw new LakeError('cold-corrupt', `hydrated batches overlap at offset ${base}`, { facts: { base, nextOffset } });
          chunk.baseOffsets.push(base);
          chunk.positions.push(position + at);
          nextOffset = batchLastOffset(batches, at) + 1;
        });
        if (end !== batches.length) throw new LakeError('cold-corrupt', 'a hydrated part does not end with a whole batch');
        chunk.nextOffset = nextOffset;
        const fromRoom = Math.min(room.bytes, batches.length);
        room.bytes -= fromRoom;
        this.#reservedBytes -= fromRoom;
        chunk.bytes += batches.length;
        if (!chunk.isDropped) {
          this.#bytes += batches.length;
          this.#keepFresh(chunk, position, batches);
        }
        if (!isListed && chunk.bytes > 0 && !chunk.isDropped) {
          isListed = true;
          this.#list(chunk);
        }
      },
      close: () => {
        chunk.users--;
        chunk.isWritten = true;
        this.release(room);
        if (chunk.bytes === 0) this.#drop(chunk);
        else this.#closeIfUnused(chunk);
      },
    };
  }

  /** Drops every chunk of a topic, or all. */
  drop(topicId?: TopicId): void {
    for (const [key, chunks] of this.#chunks) {
      if (topicId !== undefined && !key.startsWith(`${topicId}-`)) continue;
      for (const chunk of chunks) this.#drop(chunk);
    }
  }

  async close(): Promise<void> {
    this.drop();
    await this.#disk.rm(this.#options.dir, { recursive: true, force: true });
  }

  /** What came first is read first, and stays. */
  #keepFresh(chunk: Chunk, position: number, bytes: Buffer): void {
    const since = this.#reads - freshReadsMax;
    this.#fresh = this.#fresh.filter(({ writtenAt }) => writtenAt >= since);
    const kept = this.#fresh.reduce((sum, part) => sum + part.bytes.length, 0);
    if (bytes.length < freshPartBytesMin || kept + bytes.length > freshBytesMax) return;
    this.#fresh.push({ chunk, position, bytes, writtenAt: this.#reads });
  }

  /** What is in memory of a range, if one part has all of it; a part that is read to its end goes. */
  #takeFresh(chunk: Chunk, start: number, end: number): Buffer | undefined {
    const part = this.#fresh.find(({ chunk: of, position, bytes }) => of === chunk && position <= start && end <= position + bytes.length);
    if (part === undefined) return undefined;
    if (end === part.position + part.bytes.length) this.#fresh = this.#fresh.filter((other) => other !== part);
    return part.bytes.subarray(start - part.position, end - part.position);
  }

  #find(key: string, offset: Offset): Chunk | undefined {
    return this.#chunks.get(key)?.find((chunk) => chunk.baseOffsets[0]! <= offset && offset < chunk.nextOffset);
  }

  #list(chunk: Chunk): void {
    const chunks = this.#chunks.get(chunk.partitionKey);
    if (chunks === undefined) this.#chunks.set(chunk.partitionKey, [chunk]);
    else chunks.push(chunk);
  }

  *#all(): Generator<Chunk, void, undefined> {
    for (const chunks of this.#chunks.values()) yield* chunks;
  }

  /** Out of the index at once; its disk is given back when the last reader has closed it. */
  #drop(chunk: Chunk): void {
    if (!chunk.isDropped) {
      chunk.isDropped = true;
      this.#fresh = this.#fresh.filter((part) => part.chunk !== chunk);
      this.#bytes -= chunk.bytes;
      const left = this.#chunks.get(chunk.partitionKey)?.filter((other) => other !== chunk) ?? [];
      if (left.length === 0) this.#chunks.delete(chunk.partitionKey);
      else this.#chunks.set(chunk.partitionKey, left);
    }
    this.#closeIfUnused(chunk);
  }

  #closeIfUnused(chunk: Chunk): void {
    if (!chunk.isDropped || chunk.users > 0) return;
    void chunk.file.close().then(
      () => this.#disk.rm(chunk.path, { force: true }),
      () => undefined,
    );
  }
}

export interface ChunkWriter {
  /** Appends whole batches in offset order. Errors: `cold-corrupt`, `cancelled` when the chunk was dropped meanwhile. */
  append(batches: Buffer): Promise<void>;
  close(): void;
}

function rangeOf(chunk: Chunk): ChunkRange {
  const { partitionKey, baseOffsets, nextOffset, bytes } = chunk;
  return { partitionKey, fromOffset: baseOffsets[0] ?? nextOffset, nextOffset, bytes };
}

/** How chunks, hydrations and places name a partition. */
export function partitionKey(topicId: TopicId, partition: PartitionId): string {
  return `${topicId}-${partition}`;
}

/** Index of the batch that covers `offset`: the last that begins at or below it. */
function coveringBatch({ baseOffsets }: Chunk, offset: Offset): number {
  return Math.max(0, firstIndex(baseOffsets.length, (index) => baseOffsets[index]! > offset) - 1);
}

async function readWhole(chunk: Chunk, into: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await chunk.file.read(into, done, into.length - done, position + done);
    invariant(bytesRead > 0, 'a chunk holds what its index says', { path: chunk.path, position });
    done += bytesRead;
  }
}
