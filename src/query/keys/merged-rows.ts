/**
 * The last row of each key and partition of many cold files in one Parquet file on the local disk: what `latest(topic)` needs of a table up
 * to some offset of each partition, whatever becomes of its files. It is made of the last rows of the files, as far as they are kept, and
 * then of itself and the files that have come since. Gone with the service.
 *
 * A log start that has moved needs no new one: where the last row of a key lies below it, the others do too.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { quoteName, type TypedColumn } from '../../columns/index.js';
import { isLakeError, MiB, type Offset, type PartitionId, sum, type TopicId } from '../../kernel/index.js';
import type { ColdFile } from '../../lake/index.js';
import type { ColdReads } from '../cold/cold-reads.js';
import type { EngineSession } from '../engine.js';
import { Lease } from '../lease.js';
import type { PinnedTopic } from '../pin.js';
import { fullScan } from '../ranges.js';
import type { BuildKind, WantedFile } from './builds-behind.js';
import { type LastRows, readRows, rowsAsParquet, rowsPerKeyMin, storedColumns } from './last-rows.js';

/** Fewer files that have come since are read beside it. */
const newFilesMinDefault = 8;
/** Read to make one: of larger files the last rows are kept first. */
const inputBytesMax = 256 * MiB;

interface Span {
  /** Of the first file. */
  readonly from: Offset;
  /** Exclusive: of the last. */
  readonly end: Offset;
}

export interface MergedFile {
  readonly path: string;
  readonly bytes: number;
  readonly spans: ReadonlyMap<PartitionId, Span>;
}

/** A topic whose keys are too many, as it was when it had so many files. */
interface Unworthy {
  readonly files: number;
}

interface Wish {
  readonly topicId: TopicId;
  readonly files: readonly ColdFile[];
}

export interface MergedRowsOptions {
  readonly directory: string;
  readonly bytesMax: number;
  readonly cold: ColdReads;
  readonly lastRows: LastRows;
  /** Default 8. */
  readonly newFilesMin?: number | undefined;
}

export class MergedRows implements BuildKind {
  readonly failure = 'the last rows of the keys of a topic could not be put together; latest(topic) reads more files';
  readonly filesPerRun = 1;
  readonly rowsPerRun = Number.POSITIVE_INFINITY;
  readonly hasRoom = true;
  readonly #options: MergedRowsOptions;
  /** Least recently used first. */
  readonly #kept = new Map<TopicId, MergedFile | Unworthy>();
  /** By the file that stands for all in the queue. */
  readonly #wishes = new WeakMap<ColdFile, Wish>();
  #serial = 0;

  private constructor(options: MergedRowsOptions) {
    this.#options = options;
  }

  static async open(options: MergedRowsOptions): Promise<MergedRows> {
    await rm(options.directory, { recursive: true, force: true });
    await mkdir(options.directory, { recursive: true });
    return new MergedRows(options);
  }

  get bytes(): number {
    return sum([...this.#kept.values()].map((kept) => ('path' in kept ? kept.bytes : 0)));
  }

  has(): boolean {
    return false;
  }

  /** What there is of a topic, where none of it came after what the topic is pinned to. */
  of({ state, partitions }: PinnedTopic): MergedFile | undefined {
    const kept = this.#kept.get(state.id);
    if (kept === undefined || !('path' in kept)) return undefined;
    const ends = new Map(partitions.map(({ partition, endOffset }) => [partition, endOffset]));
    if ([...kept.spans].some(([partition, { end }]) => (ends.get(partition) ?? 0) < end)) return undefined;
    this.#kept.delete(state.id);
    this.#kept.set(state.id, kept);
    return kept;
  }

  /**
   * Of all files of a topic, in order: the one to be wanted of the builds, where it is worth while. `left`: those that have to be read
   * beside what there is, and their bytes or those of what is kept of them.
   */
  wish(topicId: TopicId, files: readonly ColdFile[], left: { readonly files: number; readonly bytes: number }): ColdFile | undefined {
    const kept = this.#kept.get(topicId);
    const [first] = files;
    const isWorthWhile = kept === undefined || 'path' in kept || files.length >= 2 * kept.files;
    const ofBytes = left.bytes + (kept !== undefined && 'path' in kept ? kept.bytes : 0);
    const { newFilesMin = newFilesMinDefault } = this.#options;
    if (first === undefined || !isWorthWhile || left.files < newFilesMin || ofBytes > inputBytesMax) return undefined;
    this.#wishes.set(first, { topicId, files });
    return first;
  }

  pathOf(topicId: TopicId): string | undefined {
    const kept = this.#kept.get(topicId);
    return kept !== undefined && 'path' in kept ? kept.path : undefined;
  }

  async forget(topicId: TopicId): Promise<void> {
    const kept = this.#kept.get(topicId);
    this.#kept.delete(topicId);
    if (kept !== undefined && 'path' in kept) await rm(kept.path, { force: true });
  }

  async build(session: EngineSession, wanted: readonly WantedFile[], signal: AbortSignal): Promise<void> {
    for (const { file, columns } of wanted) {
      const wish = this.#wishes.get(file);
      if (wish !== undefined) await this.#merge(session, wish, columns, signal);
    }
  }

  async #merge(session: EngineSession, { topicId, files }: Wish, typed: readonly TypedColumn[], signal: AbortSignal): Promise<void> {
    const before = this.#kept.get(topicId);
    const merged = before !== undefined && 'path' in before ? before : undefined;
    const columns = storedColumns(files, typed);
    const lease = new Lease(session.lease, session.leasePath);
    const need = { ranges: [fullScan], columns: new Set(columns.map(({ fieldId }) => fieldId)) };
    const paths = merged === undefined ? [] : [await lease.addChunk(merged.path, signal)];
    for (const file of files) {
      if (file.keys === null || (merged !== undefined && isWithin(merged, file))) continue;
      const kept = await this.#options.lastRows.of(file);
      if (typeof kept === 'object') paths.push(await lease.addChunk(kept.path, signal));
      else {
        const leased = await lease.addCold(this.#options.cold, file, need, { requests: 0, bytes: 0 }, signal);
        if (leased !== null) paths.push(leased.path);
      }
    }
    if (paths.length === 0) return;
    const spans = spansOf(files);
    const source = `${readRows(paths, columns)} WHERE _key IS NOT NULL${merged === undefined ? '' : aboveStarts(merged, spans)}`;
    const rowsMax = Math.floor(sum(files.map(({ rows }) => rows)) / rowsPerKeyMin);
    const sql =
      `WITH ends AS MATERIALIZED (SELECT _partition_id AS p, max(_offset) AS o FROM ${source} GROUP BY _key, _partition_id) ` +
      `SELECT ${columns.map(({ name }) => quoteName(name)).join(', ')} FROM ${source} ` +
      `AND (SELECT count(*) FROM ends) <= ${rowsMax} AND (_partition_id, _offset) IN (SELECT p, o FROM ends)`;
    const bytes = await rowsAsParquet(session, sql, columns).catch((error: unknown) => {
      // It would be too large.
      if (isLakeError(error, 'query-too-large')) return undefined;
      throw error;
    });
    await this.#keep(topicId, bytes === undefined ? { files: files.length } : { bytes, spans });
  }

  async #keep(topicId: TopicId, made: Unworthy | { readonly bytes: Buffer; readonly spans: MergedFile['spans'] }): Promise<void> {
    let kept: MergedFile | Unworthy;
    if ('files' in made) kept = made;
    else {
      const path = join(this.#options.directory, `${this.#serial++}.parquet`);
      await writeFile(path, made.bytes, { mode: 0o444 });
      kept = { path, bytes: made.bytes.length, spans: made.spans };
    }
    await this.forget(topicId);
    this.#kept.set(topicId, kept);
    for (const oldest of this.#kept.keys()) {
      if (this.bytes <= this.#options.bytesMax || oldest === topicId) return;
      await this.forget(oldest);
    }
  }
}

/** Whether all rows of a file that count are in what is merged. */
export function isWithin({ spans }: Pick<MergedFile, 'spans'>, { partition, baseOffset, lastOffset }: ColdFile): boolean {
  const span = spans.get(partition);
  return span !== undefined && baseOffset >= span.from && lastOffset < span.end;
}

function spansOf(files: readonly ColdFile[]): Map<PartitionId, Span> {
  const spans = new Map<PartitionId, Span>();
  for (const { partition, baseOffset, lastOffset } of files) {
    const { from, end } = spans.get(partition) ?? { from: baseOffset, end: lastOffset + 1 };
    spans.set(partition, { from: Math.min(from, baseOffset), end: Math.max(end, lastOffset + 1) });
  }
  return spans;
}

/** Leaves out rows of files that are gone. */
function aboveStarts(merged: MergedFile, spans: ReadonlyMap<PartitionId, Span>): string {
  const isMoved = ([partition, { from }]: readonly [PartitionId, Span]): boolean => (spans.get(partition)?.from ?? Infinity) > from;
  if (![...merged.spans].some(isMoved)) return '';
  return ` AND _offset >= CASE _partition_id ${[...spans].map(([partition, { from }]) => `WHEN ${partition} THEN ${from} `).join('')}END`;
}
