/**
 * The last record of a key without an engine: of each partition the chunks of the tail and the cold files that may hold the key, the
 * newest first, until one has it. Which cold files may hold it their key filters say, so most often one file is read, and of it the keys
 * and one row group. Where it would be much more, an engine is asked, which keeps nobody waiting.
 */
import { type KeyedRow, lastRowOfKey, ReadAllowance, timestampMaxMs, timestampMinMs } from '../../columns/index.js';
import { isLakeError, LakeError, MiB, type Offset, Semaphore } from '../../kernel/index.js';
import { blobText } from '../blob-mark.js';
import type { ColdNeed } from '../cold/need.js';
import { selectChunks, type SelectedFile } from '../lease.js';
import type { PinnedPartition, PinnedTopic } from '../pin.js';
import type { ScanRange } from '../ranges.js';
import { recordLine } from '../records.js';
import type { RunContext } from '../run-context.js';
import type { StagedTails } from '../staged-tails.js';
import { recordsNeed } from '../views.js';
import type { NarrowedSelection } from './keyed-files.js';

/** Inflated, of one lookup: a row group aims at 16 MiB of records, with typed columns beside them. Takes about 30 ms of this process. */
const readBytesMax = 32 * MiB;
/** Cold files that are fetched at once. */
const filesAtOnce = 8;

/** Where a key may be: a local file, or a cold one that is fetched first. */
interface Place {
  readonly bounds: { readonly from: Offset; readonly end: Offset };
  readonly bytes: number;
  readonly rows: number;
  readonly at: { readonly chunk: string } | { readonly cold: SelectedFile };
}

export interface KeyWithin {
  readonly key: Buffer;
  readonly topic: PinnedTopic;
  readonly ranges: readonly ScanRange[];
  /** Cold files that may hold the key. */
  readonly cold: NarrowedSelection;
}

export class LastRecord {
  readonly #run: RunContext;
  readonly #tails: StagedTails;
  readonly #asked: KeyWithin;
  readonly #need: ColdNeed;
  readonly #allowance = new ReadAllowance(readBytesMax);
  readonly #turns = new Semaphore(filesAtOnce, Number.POSITIVE_INFINITY);
  #isTooMuch = false;

  constructor(run: RunContext, tails: StagedTails, asked: KeyWithin) {
    this.#run = run;
    this.#tails = tails;
    this.#asked = asked;
    this.#need = recordsNeed(asked.ranges);
  }

  /**
   * Its line, empty where no record has the key; `undefined` where an engine has to be asked. What is within reach is counted as an engine's
   * is. Errors: those of cold reads, `cold-corrupt`, `cold-unavailable`.
   */
  async line(maxScanBytes: number): Promise<string | undefined> {
    const { topic, cold } = this.#asked;
    // Without filters most of the newest files would be read for nothing.
    if (cold.unfiltered > 0) return undefined;
    const before = { ...this.#run.record.stats };
    const found = await Promise.all(topic.partitions.map((partition) => this.#lastOf(partition)));
    const { stats } = this.#run.record;
    if (this.#isTooMuch || stats.cold_bytes + stats.hot_bytes > maxScanBytes) {
      Object.assign(stats, before);
      return undefined;
    }
    stats.pruned_files += cold.prunedFiles + cold.files.length - stats.cold_files;
    const rows = found.filter((row) => row !== undefined).sort(byLast);
    stats.rows = Math.min(1, rows.length);
    return rows[0] === undefined ? '' : this.#lineOf(rows[0]);
  }

  async #lastOf(partition: PinnedPartition): Promise<KeyedRow | undefined> {
    for (const place of this.#placesOf(partition)) {
      const row = await this.#turns.run(() => this.#search(place), this.#run.signal);
      if (this.#isTooMuch || row === 'too-large') {
        this.#isTooMuch = true;
        return undefined;
      }
      if (row !== undefined) return row;
    }
    return undefined;
  }

  /** The newest first. */
  #placesOf(partition: PinnedPartition): Place[] {
    const { topic, ranges, cold } = this.#asked;
    const all = { from: partition.startOffset, end: partition.endOffset };
    const { chunks } = selectChunks(partition, this.#tails.chunksOf(topic, partition.partition), ranges);
    const hot = chunks.map(({ chunk: { bytes, rows }, path, bounds = all }): Place => ({ bounds, bytes, rows, at: { chunk: path } }));
    const files = cold.files.filter(({ file }) => file.partition === partition.partition);
    const places = files.map(
      (one): Place => ({ bounds: one.bounds ?? all, bytes: one.file.bytes, rows: one.file.rows, at: { cold: one } }),
    );
    return [...places.sort((a, b) => baseOf(a) - baseOf(b)), ...hot].reverse();
  }

  async #search({ at, bounds, bytes, rows }: Place): Promise<KeyedRow | 'too-large' | undefined> {
    const { stats } = this.#run.record;
    const question = { key: this.#asked.key, ...bounds };
    if ('chunk' in at) {
      stats.hot_rows += rows;
      stats.hot_bytes += bytes;
      return lastRowOfKey(at.chunk, question, this.#allowance);
    }
    const { file } = at.cold;
    const count = { requests: 0, bytes: 0 };
    const lease = await this.#run.ports.cold.lease(file, this.#need, count, this.#run.signal);
    stats.requests += count.requests;
    stats.read_bytes += count.bytes;
    if (lease === null) return undefined;
    try {
      stats.cold_files++;
      stats.cold_rows += rows;
      stats.cold_bytes += lease.bytes;
      return lastRowOfKey(lease.path, question, this.#allowance);
    } catch (error) {
      if (isLakeError(error)) throw error;
      throw new LakeError('cold-unavailable', `the cold file ${file.key} cannot be read: ${(error as Error).message}`, {
        hint: 'Ask again; if it stays, run thermocline doctor.',
        facts: { key: file.key },
        cause: error,
      });
    } finally {
      lease.release();
    }
  }

  #lineOf({ partition, offset, timestampMs, value, headers }: KeyedRow): string {
    const text = (bytes: Buffer | null): string | null => (bytes === null ? null : blobText(bytes));
    const wire = headers.map((header) => ({ key: text(header.key), key_raw: null, value: text(header.value) }));
    return `${recordLine([partition, offset, timestampMs, blobText(this.#asked.key), text(value), wire])}\n`;
  }
}

function baseOf({ at }: Place): Offset {
  return 'cold' in at ? at.cold.file.baseOffset : 0;
}

/** As the view's column of times has them, by partition where they are alike. */
function byLast(a: KeyedRow, b: KeyedRow): number {
  return shownMs(b) - shownMs(a) || b.partition - a.partition;
}

function shownMs({ timestampMs }: KeyedRow): number {
  return Math.min(Math.max(timestampMs, timestampMinMs), timestampMaxMs);
}
