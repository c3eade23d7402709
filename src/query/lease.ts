/**
 * A query's lease: a directory of hard links to exactly the files it reads. Whatever is swept or evicted meanwhile cannot hurt
 * the query, and nothing else is within its reach.
 */
import { constants, copyFile, link } from 'node:fs/promises';
import { join } from 'node:path';
import { LakeError, type Offset, type PartitionId, Semaphore } from '../kernel/index.js';
import { blocksOf, type ColdFile } from '../lake/index.js';
import type { ReadCount } from './cold/bucket-reads.js';
import type { ColdLease, ColdReads } from './cold/cold-reads.js';
import type { ColdNeed } from './cold/need.js';
import { reformedFrom } from './format-of-then.js';
import type { PinnedPartition, PinnedTopic } from './pin.js';
import { type ScanRange, touches } from './ranges.js';
import type { TailChunk } from './tail.js';
import type { LeasedFile } from './views.js';

/** Downloads and links at once. */
const filesAtOnce = 8;
const filesQueuedMax = 1_000_000;

/** Names files of one lease and puts them there. */
export class Lease {
  /** Relative to the engine's working directory, as SQL names it. */
  readonly #name: string;
  readonly #path: string;
  readonly #turns = new Semaphore(filesAtOnce, filesQueuedMax);
  #serial = 0;

  constructor(name: string, path: string) {
    this.#name = name;
    this.#path = path;
  }

  /** `null` where the file's row groups have no row for the need. Errors: those of `ColdReads.lease`, `cold-unavailable`. */
  async addCold(
    cold: ColdReads,
    file: ColdFile,
    need: ColdNeed,
    count: ReadCount,
    signal: AbortSignal,
  ): Promise<Pick<ColdLease, 'path' | 'bytes' | 'rows'> | null> {
    return this.#turns.run(async () => {
      const local = await cold.lease(file, need, count, signal);
      if (local === null) return null;
      try {
        return { path: await this.#place(local.path, 'c'), bytes: local.bytes, rows: local.rows };
      } catch (error) {
        throw new LakeError('cold-unavailable', `the cold file ${file.key} cannot be leased: ${(error as Error).message}`, {
          hint: 'Ask again; if it stays, run thermocline doctor.',
          facts: { key: file.key },
          cause: error,
        });
      } finally {
        local.release();
      }
    }, signal);
  }

  async addChunk(path: string, signal: AbortSignal): Promise<string> {
    return this.#turns.run(() => this.#place(path, 't'), signal);
  }

  async #place(path: string, kind: string): Promise<string> {
    const name = `${kind}${this.#serial++}.parquet`;
    const target = join(this.#path, name);
    try {
      await link(path, target);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A file system without hard links, or another one than the cache's.
      if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EMLINK') throw error;
      await copyFile(path, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    }
    return `${this.#name}/${name}`;
  }
}

export interface ColdSelection {
  readonly files: readonly SelectedFile[];
  readonly prunedFiles: number;
}

export interface SelectedFile {
  readonly file: ColdFile;
  readonly pinned: PinnedPartition;
  /** Only these offsets count. */
  readonly bounds?: LeasedFile['bounds'];
  /** Rows from here on have the columns that the format of an earlier answer gives, whatever is stored. */
  readonly reformedFrom?: Offset;
}

/** The files of a pinned topic that the scans can find rows in, each with the offsets that count. `readsTyped`: typed columns are looked at. */
export function selectCold(topic: PinnedTopic, ranges: readonly ScanRange[], readsTyped: boolean): ColdSelection {
  const files: SelectedFile[] = [];
  for (const pinned of [...topic.partitions].sort((a, b) => a.partition - b.partition)) {
    for (const block of blocksOf(topic.snapshot, pinned.partition)) {
      if (block.lastOffset < pinned.startOffset || block.baseOffset >= pinned.endOffset || !touches(ranges, block)) continue;
      for (const file of block.files) {
        const isBelow = file.lastOffset < pinned.boundary;
        if (!isBelow || file.lastOffset < pinned.startOffset || file.baseOffset >= pinned.endOffset || !touches(ranges, file)) continue;
        const isWhole = file.baseOffset >= pinned.startOffset && file.lastOffset < pinned.endOffset;
        const from = readsTyped ? reformedFrom(topic, pinned, file) : undefined;
        files.push({
          file,
          pinned,
          ...(isWhole ? {} : { bounds: { from: pinned.startOffset, end: pinned.endOffset } }),
          ...(from === undefined ? {} : { reformedFrom: from }),
        });
      }
    }
  }
  return { files, prunedFiles: topic.snapshot.files.length - files.length };
}

/** The newest file of each partition, and the partitions of which others are left out. */
export function newestOfPartitions({ files, prunedFiles }: ColdSelection): {
  readonly cold: ColdSelection;
  readonly unread: ReadonlySet<PartitionId>;
} {
  const newest = new Map<PartitionId, SelectedFile>();
  const unread = new Set<PartitionId>();
  for (const one of files) {
    const { partition, baseOffset } = one.file;
    const other = newest.get(partition);
    if (other !== undefined) unread.add(partition);
    if (other === undefined || other.file.baseOffset < baseOffset) newest.set(partition, one);
  }
  return { cold: { files: [...newest.values()], prunedFiles: prunedFiles + files.length - newest.size }, unread };
}

export interface ChunkSelection {
  readonly chunks: readonly { readonly chunk: TailChunk; readonly path: string; readonly bounds?: LeasedFile['bounds'] }[];
  readonly rows: number;
  readonly bytes: number;
}

/** The chunks of one partition that the scans can find rows in. */
export function selectChunks(partition: PinnedPartition, chunks: readonly TailChunk[], ranges: readonly ScanRange[]): ChunkSelection {
  const from = Math.max(partition.boundary, partition.startOffset);
  const selected: { chunk: TailChunk; path: string; bounds?: LeasedFile['bounds'] }[] = [];
  let rows = 0;
  let bytes = 0;
  for (const chunk of chunks) {
    const first = Math.max(chunk.baseOffset, from);
    const last = Math.min(chunk.lastOffset, partition.endOffset - 1);
    if (chunk.path === undefined || last < first || !touches(ranges, chunk)) continue;
    const isWhole = chunk.baseOffset >= from && chunk.lastOffset < partition.endOffset;
    selected.push(isWhole ? { chunk, path: chunk.path } : { chunk, path: chunk.path, bounds: { from, end: partition.endOffset } });
    rows += Math.min(chunk.rows, last - first + 1);
    bytes += chunk.bytes;
  }
  return { chunks: selected, rows, bytes };
}
