/**
 * The hot tail as chunk files: raw columns of a run of offsets, fetched from the broker and staged by the same code as the
 * daemon's. Chunks are kept in a bounded cache, extended by the next query, and dropped when the boundary has passed them.
 *
 *     fetched ──stage──► raw columns ──encode, behind the queries──► typed columns       (either) ──► replaced or dropped
 *
 * The last, small chunks of a partition are staged anew together with what follows them, so that a partition has about
 * log₂(records ÷ records per query) chunks however often it is asked about.
 */
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ColumnPair, ColumnWorkers, Spool, StageResult, TypedColumn, ValueFormat } from '../columns/index.js';
import type { LogReader } from '../client/index.js';
import {
  LakeError,
  type LeaderEpoch,
  MiB,
  Mutex,
  type Offset,
  type PartitionId,
  type Random,
  type TimestampMs,
  type TopicId,
  type TopicName,
} from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import { batchLastOffset, kafkaErrors, walkBatches } from '../wire/index.js';
import { encodeChunk, sealedBytes } from './tail-encode.js';

/** Raw bytes of a chunk at most: bounds what a stage job holds, and how much is staged anew to extend it. */
const chunkBytesMax = 64 * MiB;
const fetchBytesMax = 8 * MiB;
const fetchWaitMs = 500;
/** Below this, computing typed columns at each query costs less than another file is worth. */
const encodeBytesMinDefault = MiB;

export interface TailPartition {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partition: PartitionId;
  readonly leaderEpoch: LeaderEpoch;
  /** Chunks of before a compaction have records that are gone. */
  readonly compactedOffset: Offset;
  readonly valueFormat: ValueFormat;
}

export interface TailChunk {
  readonly partition: PartitionId;
  readonly baseOffset: Offset;
  /** Inclusive. */
  readonly lastOffset: Offset;
  readonly rows: number;
  /** Undefined where no row is left. */
  readonly path: string | undefined;
  /** Of the file. */
  readonly bytes: number;
  /** Of the record batches as fetched. */
  readonly fetchedBytes: number;
  readonly minTimestampMs: TimestampMs;
  readonly maxTimestampMs: TimestampMs;
  readonly pairs: readonly ColumnPair[];
  /** The file's columns once it is encoded. Without them the file has the raw columns only. */
  readonly typedColumns?: readonly TypedColumn[];
  /** Of a file that is still raw: what an encode job needs to know. */
  readonly staged?: StageResult;
}

/** What one query may still fetch or find in the cache, over all its partitions. */
export class TailBudget {
  readonly #limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Errors: `query-too-large`. */
  take(bytes: number, of: TailPartition): void {
    this.#usedBytes += bytes;
    if (this.#usedBytes > this.#limitBytes) throw tailTooLarge(`${of.topic}-${of.partition}`, this.#usedBytes, this.#limitBytes);
  }
}

/** The hot part of a query is above `query.tail.max.bytes`. */
export function tailTooLarge(what: string, bytes: number, limitBytes: number, lagRecords?: number): LakeError {
  return new LakeError(
    'query-too-large',
    `the hot part of ${what} has at least ${bytes} bytes${lagRecords === undefined ? '' : ` (${lagRecords} records not yet in the table)`}; query.tail.max.bytes is ${limitBytes}`,
    {
      hint: 'Narrow the query by _timestamp or _partition_id, flush the topic to the table (thermocline tier flush), or raise query.tail.max.bytes.',
      facts: { bytes, limitBytes, lagRecords },
    },
  );
}

interface Entry {
  readonly of: TailPartition;
  readonly turn: Mutex;
  /** In order of offsets, without overlap; there may be holes. */
  chunks: TailChunk[];
  /** Replaced, but a query may still be about to link them. */
  replaced: TailChunk[];
  holders: number;
}

export interface TailLease {
  /** In order of offsets, covering the range asked for. */
  readonly chunks: readonly TailChunk[];
  /** Chunks that were there already. */
  readonly cacheHits: number;
  /** Rows fetched and staged for this lease: those that no chunk held, and with them those of small chunks that became one with them. */
  readonly stagedRows: number;
  /** Lets the cache drop the files. Link them before. */
  release(): void;
}

export class TailCache {
  readonly #reader: LogReader;
  readonly #workers: ColumnWorkers;
  readonly #directory: string;
  readonly #bytesMax: number;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #encodeBytesMin: number;
  /** In order of last use. */
  readonly #entries = new Map<string, Entry>();
  /** Chunks whose encoding failed: they stay raw. */
  readonly #unencodable = new WeakSet<TailChunk>();
  readonly #closed = new AbortController();
  #isEncoding = false;
  #encoding: Promise<void> = Promise.resolve();

  private constructor(options: TailCacheOptions) {
    this.#reader = options.reader;
    this.#workers = options.workers;
    this.#directory = options.directory;
    this.#bytesMax = options.bytesMax;
    this.#random = options.random;
    this.#logger = options.logger;
    this.#encodeBytesMin = options.encodeBytesMin ?? encodeBytesMinDefault;
  }

  /** Begins empty: what an earlier process left is removed. */
  static async open(options: TailCacheOptions): Promise<TailCache> {
    await rm(options.directory, { recursive: true, force: true });
    await mkdir(options.directory, { recursive: true });
    return new TailCache(options);
  }

  /** Of all files, also of those that are only kept for a query that may be about to link them. */
  get bytes(): number {
    let bytes = 0;
    for (const entry of this.#entries.values()) for (const chunk of [...entry.chunks, ...entry.replaced]) bytes += chunk.bytes;
    return bytes;
  }

  get chunks(): number {
    let count = 0;
    for (const entry of this.#entries.values()) count += entry.chunks.length;
    return count;
  }

  get encodedChunks(): number {
    let count = 0;
    for (const entry of this.#entries.values()) count += entry.chunks.filter((chunk) => chunk.typedColumns !== undefined).length;
    return count;
  }

  /** Starts a column worker, by staging nothing. Errors: those of the column workers, `cancelled`. */
  async warmUp(signal: AbortSignal): Promise<void> {
    const outPath = join(this.#directory, 'warm-up.parquet');
    const nothing = { spools: [], partition: 0, baseOffset: 0, endOffset: 0, abortedTransactions: [] };
    await this.#workers.run({ kind: 'stage', ...nothing, valueFormat: 'auto', outPath }, signal);
    await rm(outPath, { force: true });
  }

  /** Pairs seen in the chunks of a topic that are at hand. */
  knownPairs(topicId: TopicId): readonly ColumnPair[] {
    return [...this.#entries.values()]
      .filter((entry) => entry.of.topicId === topicId)
      .flatMap((entry) => entry.chunks.flatMap((chunk) => chunk.pairs));
  }

  /**
   * Chunks that cover [from, end) of a partition; `end` at most the last stable offset. Errors: `query-too-large`,
   * `peer-refused`, those of the log reader and of the column workers, `cancelled`.
   */
  async lease(of: TailPartition, from: Offset, end: Offset, budget: TailBudget, signal: AbortSignal): Promise<TailLease> {
    const entry = this.#entryOf(of);
    entry.holders++;
    try {
      const { cacheHits, stagedRows } = await entry.turn.run(() => this.#extend(entry, from, end, budget, signal), signal);
      const chunks = entry.chunks.filter((chunk) => chunk.lastOffset >= from && chunk.baseOffset < end);
      let isReleased = false;
      return {
        chunks,
        cacheHits,
        stagedRows,
        release: () => {
          if (isReleased) return;
          isReleased = true;
          this.#leave(entry);
          this.#encodeBehind();
        },
      };
    } catch (error) {
      this.#leave(entry);
      throw error;
    }
  }

  #leave(entry: Entry): void {
    entry.holders--;
    // Failing to remove a cache file costs nothing but its bytes until the next start.
    const cleanUp = async (): Promise<void> => {
      if (entry.holders === 0) await removeFiles(entry.replaced.splice(0));
      await this.#evict();
    };
    cleanUp().catch(() => undefined);
  }

  /** Drops what is in the table now, and what is of topics that are gone. */
  async drop(isNeeded: (of: TailPartition, chunk: TailChunk) => boolean): Promise<void> {
    for (const [key, entry] of this.#entries) {
      if (entry.holders > 0) continue;
      const gone = entry.chunks.filter((chunk) => !isNeeded(entry.of, chunk));
      entry.chunks = entry.chunks.filter((chunk) => !gone.includes(chunk));
      if (entry.chunks.length === 0) this.#entries.delete(key);
      await removeFiles(gone);
    }
  }

  #entryOf(of: TailPartition): Entry {
    const key = `${of.topicId}/${of.partition}/${of.leaderEpoch}/${of.compactedOffset}/${of.valueFormat}`;
    const entry = this.#entries.get(key) ?? { of, turn: new Mutex(), chunks: [], replaced: [], holders: 0 };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry;
  }

  async #extend(
    entry: Entry,
    from: Offset,
    end: Offset,
    budget: TailBudget,
    signal: AbortSignal,
  ): Promise<Pick<TailLease, 'cacheHits' | 'stagedRows'>> {
    let cacheHits = 0;
    let stagedRows = 0;
    let at = from;
    for (const chunk of entry.chunks.filter((chunk) => chunk.lastOffset >= from && chunk.baseOffset < end)) {
      if (chunk.baseOffset > at) stagedRows += await this.#stageRange(entry, at, chunk.baseOffset, budget, signal);
      budget.take(chunk.fetchedBytes, entry.of);
      cacheHits++;
      at = chunk.lastOffset + 1;
    }
    if (at < end) stagedRows += await this.#stageRange(entry, mergeFrom(entry.chunks, at, end, from), end, budget, signal);
    return { cacheHits, stagedRows };
  }

  /** Stages [from, end) in chunks; those there already that lie within are replaced. Resolves with the rows. */
  async #stageRange(entry: Entry, from: Offset, end: Offset, budget: TailBudget, signal: AbortSignal): Promise<number> {
    let rows = 0;
    let at = from;
    while (at < end) {
      const chunk = await this.#stageChunk(entry.of, at, end, budget, signal);
      const replaced = entry.chunks.filter((old) => old.baseOffset >= chunk.baseOffset && old.lastOffset <= chunk.lastOffset);
      entry.chunks = [...entry.chunks.filter((old) => !replaced.includes(old)), chunk].sort((a, b) => a.baseOffset - b.baseOffset);
      entry.replaced.push(...replaced);
      rows += chunk.rows;
      at = chunk.lastOffset + 1;
    }
    return rows;
  }

  async #stageChunk(of: TailPartition, from: Offset, end: Offset, budget: TailBudget, signal: AbortSignal): Promise<TailChunk> {
    const name = this.#random.uuid();
    const spoolPath = join(this.#directory, `${name}.spool`);
    const path = join(this.#directory, `${name}.parquet`);
    try {
      const { spool, endOffset, aborted } = await this.#fetchSpool(of, from, end, spoolPath, budget, signal);
      const staged = await this.#workers.run(
        {
          kind: 'stage',
          spools: [spool],
          partition: of.partition,
          baseOffset: from,
          endOffset,
          abortedTransactions: aborted,
          valueFormat: of.valueFormat,
          outPath: path,
        },
        signal,
      );
      const hasRows = staged.rows > 0;
      const bytes = hasRows ? await sealedBytes(path) : 0;
      if (!hasRows) await rm(path, { force: true });
      return {
        partition: of.partition,
        baseOffset: from,
        lastOffset: endOffset - 1,
        rows: staged.rows,
        path: hasRows ? path : undefined,
        bytes,
        fetchedBytes: spool.bytes,
        minTimestampMs: staged.minTimestampMs ?? 0,
        maxTimestampMs: staged.maxTimestampMs ?? 0,
        pairs: staged.pairs,
        ...(hasRows ? { staged } : {}),
      };
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await rm(spoolPath, { force: true });
    }
  }

  /** Fetches whole batches from the one that covers `from`, up to `end` or about a chunk's size, into one file. */
  async #fetchSpool(
    of: TailPartition,
    from: Offset,
    end: Offset,
    path: string,
    budget: TailBudget,
    signal: AbortSignal,
  ): Promise<{
    readonly spool: Spool;
    readonly endOffset: Offset;
    readonly aborted: { readonly producerId: string; readonly firstOffset: Offset }[];
  }> {
    const file = await open(path, 'wx');
    const aborted = new Map<string, { readonly producerId: string; readonly firstOffset: Offset }>();
    let bytes = 0;
    let at = from;
    try {
      while (at < end && bytes < chunkBytesMax) {
        signal.throwIfAborted();
        const [answer] = await this.#reader.fetch([{ topicId: of.topicId, partition: of.partition, offset: at, maxBytes: fetchBytesMax }], {
          maxWaitMs: fetchWaitMs,
          minBytes: 1,
          maxBytes: fetchBytesMax,
          isolation: 'committed',
          signal,
        });
        if (answer === undefined || answer.errorCode !== 0) throw fetchRefused(of, at, answer?.errorCode);
        for (const { producerId, firstOffset } of answer.abortedTransactions) {
          aborted.set(`${producerId}@${firstOffset}`, { producerId: producerId.toString(), firstOffset });
        }
        let nextOffset = at;
        const wholeBytes = walkBatches(answer.records, (position) => {
          nextOffset = batchLastOffset(answer.records, position) + 1;
          return nextOffset < end;
        });
        if (nextOffset <= at) continue;
        budget.take(wholeBytes, of);
        await file.write(answer.records, 0, wholeBytes);
        bytes += wholeBytes;
        at = nextOffset;
      }
    } finally {
      await file.close();
    }
    return { spool: { path, bytes }, endOffset: Math.min(at, end), aborted: [...aborted.values()] };
  }

  /** Encodes what is worth it, one chunk after the other; does nothing where that is under way. */
  #encodeBehind(): void {
    if (this.#isEncoding || this.#closed.signal.aborted) return;
    this.#isEncoding = true;
    this.#encoding = this.#encodeAll();
  }

  async #encodeAll(): Promise<void> {
    try {
      for (let next = this.#nextToEncode(); next !== undefined; next = this.#nextToEncode()) await this.#encode(next.entry, next.chunk);
    } finally {
      this.#isEncoding = false;
    }
  }

  /** Of the partitions asked about last, the largest chunk. */
  #nextToEncode(): { readonly entry: Entry; readonly chunk: TailChunk } | undefined {
    if (this.#closed.signal.aborted) return undefined;
    for (const entry of [...this.#entries.values()].reverse()) {
      const chunks = entry.chunks.filter(
        (chunk) => chunk.bytes >= this.#encodeBytesMin && !this.#unencodable.has(chunk) && chunk.staged !== undefined,
      );
      if (chunks.length > 0) return { entry, chunk: chunks.reduce((largest, chunk) => (chunk.bytes > largest.bytes ? chunk : largest)) };
    }
    return undefined;
  }

  /** Queries that have the raw file go on with it; later ones find the encoded one in its place. */
  async #encode(entry: Entry, chunk: TailChunk): Promise<void> {
    // Keeps the raw file where it is.
    entry.holders++;
    const path = join(this.#directory, `${this.#random.uuid()}.parquet`);
    try {
      const encoded = await encodeChunk(this.#workers, chunk, entry.of.valueFormat, path, this.#closed.signal);
      if (entry.chunks.includes(chunk)) {
        entry.chunks = entry.chunks.map((old) => (old === chunk ? encoded : old));
        entry.replaced.push(chunk);
      } else {
        await removeFiles([encoded]);
      }
    } catch (error) {
      this.#unencodable.add(chunk);
      await rm(path, { force: true });
      if (!this.#closed.signal.aborted) {
        const { topic, partition } = entry.of;
        this.#logger.warn('a chunk of the tail stays raw: queries of it are slower', { topic, partition, error: (error as Error).message });
      }
    } finally {
      this.#leave(entry);
    }
  }

  async #evict(): Promise<void> {
    let bytes = this.bytes;
    for (const [key, entry] of this.#entries) {
      if (bytes <= this.#bytesMax) return;
      if (entry.holders > 0) continue;
      this.#entries.delete(key);
      for (const chunk of entry.chunks) bytes -= chunk.bytes;
      await removeFiles(entry.chunks);
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#encoding;
    this.#entries.clear();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

export interface TailCacheOptions {
  readonly reader: LogReader;
  readonly workers: ColumnWorkers;
  /** Owned by the cache alone. */
  readonly directory: string;
  readonly bytesMax: number;
  readonly random: Random;
  readonly logger: Logger;
  /** Smaller chunk files stay raw; default 1 MiB. */
  readonly encodeBytesMin?: number;
}

/**
 * Where staging begins, so that the chunks at the end that hold no more records than what comes now become one with it; not
 * below `floor`, where the log may no longer be hot.
 */
export function mergeFrom(chunks: readonly TailChunk[], at: Offset, end: Offset, floor: Offset): Offset {
  let from = at;
  for (const chunk of [...chunks].reverse()) {
    if (chunk.lastOffset + 1 > from) continue;
    const isAdjacent = chunk.lastOffset + 1 === from && chunk.baseOffset >= floor;
    const isSmall = from - chunk.baseOffset <= end - from && chunk.fetchedBytes < chunkBytesMax / 2;
    if (!isAdjacent || !isSmall) break;
    from = chunk.baseOffset;
  }
  return from;
}

function fetchRefused(of: TailPartition, offset: Offset, errorCode: number | undefined): LakeError {
  if (errorCode === kafkaErrors.OFFSET_OUT_OF_RANGE) {
    return new LakeError('token-gone', `records of ${of.topic}-${of.partition} from offset ${offset} on were deleted during the query`, {
      hint: 'Ask again without as_of: the answer then begins at the new log start.',
      facts: { topic: of.topic, partition: of.partition, offset },
      retriable: true,
    });
  }
  return new LakeError(
    'peer-refused',
    `fetch of ${of.topic}-${of.partition} at offset ${offset} answered error code ${errorCode ?? 'none'}`,
    {
      hint: 'Ask again; if it stays, look at the broker.',
      facts: { topic: of.topic, partition: of.partition, offset, errorCode },
      retriable: true,
    },
  );
}

async function removeFiles(chunks: readonly TailChunk[]): Promise<void> {
  for (const chunk of chunks) if (chunk.path !== undefined) await rm(chunk.path, { force: true });
}
