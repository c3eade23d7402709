/**
 * Hydrated cold data on local disk: files of whole record batches, each with the positions of its batches in memory. It is
 * a cache: bounded, least recently read first out, empty after a start, and free to be deleted at any time.
 */
import { join } from 'node:path';
import {
  type Disk,
  type DiskFile,
  invariant,
  LakeError,
  type Offset,
  type PartitionId,
  systemDisk,
  type TopicId,
} from '../../kernel/index.js';
import type { LogRead } from '../../log/index.js';
import { batchBaseOffset, batchLastOffset, walkBatches } from '../../wire/index.js';

/** A read of a chunk, and where the chunk ends, so that a reader near its end can ask for the next. */
export interface ChunkRead extends LogRead {
  readonly nextOffset: Offset;
  readonly chunkNextOffset: Offset;
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
    const chunkNextOffset = chunk.nextOffset;
    if (end === start) return { chunks: [], bytes: 0, nextOffset, chunkNextOffset };
    chunk.users++;
    try {
      const bytes = Buffer.allocUnsafeSlow(end - start);
      await readWhole(chunk, bytes, start);
      return { chunks: [bytes], bytes: bytes.length, nextOffset, chunkNextOffset };
    } finally {
      chunk.users--;
      this.#closeIfUnused(chunk);
    }
  }

  /** A new chunk, readable part by part as it is written. */
  async write(topicId: TopicId, partition: PartitionId): Promise<ChunkWriter> {
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
      isDropped: false,
      lastReadAt: ++this.#reads,
    };
    let isListed = false;
    return {
      append: async (batches) => {
        this.#makeRoom(batches.length, chunk);
        if (chunk.isDropped) throw new LakeError('cancelled', `the chunk ${path} was dropped while it was written`);
        const position = chunk.bytes;
        await writeWhole(chunk, batches, position);
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
        chunk.bytes += batches.length;
        this.#bytes += batches.length;
        if (!isListed && chunk.bytes > 0 && !chunk.isDropped) {
          isListed = true;
          this.#list(chunk);
        }
      },
      close: () => {
        chunk.users--;
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

  #find(key: string, offset: Offset): Chunk | undefined {
    return this.#chunks.get(key)?.find((chunk) => chunk.baseOffsets[0]! <= offset && offset < chunk.nextOffset);
  }

  #list(chunk: Chunk): void {
    const chunks = this.#chunks.get(chunk.partitionKey);
    if (chunks === undefined) this.#chunks.set(chunk.partitionKey, [chunk]);
    else chunks.push(chunk);
  }

  #makeRoom(bytes: number, writing: Chunk): void {
    while (this.#bytes + bytes > this.#options.maxBytes) {
      let oldest: Chunk | undefined;
      for (const chunks of this.#chunks.values()) {
        for (const chunk of chunks) {
          if (chunk !== writing && (oldest === undefined || chunk.lastReadAt < oldest.lastReadAt)) oldest = chunk;
        }
      }
      if (oldest === undefined) return;
      this.#drop(oldest);
    }
  }

  /** Out of the index at once; its disk is given back when the last reader has closed it. */
  #drop(chunk: Chunk): void {
    if (!chunk.isDropped) {
      chunk.isDropped = true;
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

function partitionKey(topicId: TopicId, partition: PartitionId): string {
  return `${topicId}-${partition}`;
}

/** Index of the batch that covers `offset`: the last that begins at or below it. */
function coveringBatch(chunk: Chunk, offset: Offset): number {
  let low = 0;
  let high = chunk.baseOffsets.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (chunk.baseOffsets[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

async function readWhole(chunk: Chunk, into: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await chunk.file.read(into, done, into.length - done, position + done);
    invariant(bytesRead > 0, 'a chunk holds what its index says', { path: chunk.path, position });
    done += bytesRead;
  }
}

async function writeWhole(chunk: Chunk, bytes: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await chunk.file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
