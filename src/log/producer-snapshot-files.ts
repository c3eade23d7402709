/**
 * The producer snapshots of one partition on disk, and how far they speak for producers whose batches are gone: a start reads the newest
 * that is not above the log's end, and replays the batches behind it. Segments may go only below a snapshot that is on disk, and that the
 * log reaches whatever happens; else a start would know older sequences, and refuse what comes next or take a batch twice.
 */
import { join } from 'node:path';
import { type Disk, isLakeError, none, type Offset } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';
import type { Flusher } from './flush-pool.js';
import { offsetFile, offsetOfFile, suffixes } from './log-files.js';
import { decodeProducerSnapshot, ProducerSnapshotEncoding, type ProducerSnapshotEntry, type SnapshotEntries } from './producer-snapshot.js';

export interface ProducerSnapshot {
  /** Of everything below it. */
  readonly offset: Offset;
  readonly entries: SnapshotEntries;
}

export class ProducerSnapshotFiles {
  readonly #directory: string;
  readonly #disk: Disk;
  #savedTo: Offset = none;

  constructor(directory: string, disk: Disk) {
    this.#directory = directory;
    this.#disk = disk;
  }

  /** Offset of the newest snapshot that is on disk, −1 where there is none. */
  get savedTo(): Offset {
    return this.#savedTo;
  }

  /** At start: the newest of a log that ends at `endOffset`; what is of no use any more is removed. `keeps` are the bases of its segments. */
  loadSync(endOffset: Offset, keeps: ReadonlySet<Offset>, logger: Logger): readonly ProducerSnapshotEntry[] {
    let loaded: readonly ProducerSnapshotEntry[] | undefined;
    for (const offset of offsetsOf(this.#disk.readdirSync(this.#directory)).sort((a, b) => b - a)) {
      const path = this.#path(offset);
      if (offset <= endOffset && loaded === undefined) {
        try {
          loaded = decodeProducerSnapshot(this.#disk.readFileSync(path), path);
          this.#savedTo = offset;
          continue;
        } catch (error) {
          if (!isLakeError(error, 'log-damaged')) throw error;
          logger.warn('passed over a producer snapshot', { path });
        }
      }
      // Above the end, damaged, or neither a segment's own nor the newest.
      if (offset > endOffset || loaded === undefined || !keeps.has(offset)) this.#disk.rmSync(path, { force: true });
    }
    return loaded ?? [];
  }

  /** Resolves when it is on disk. Errors: `log-offline`, `disk-full`. */
  async save({ offset, entries }: ProducerSnapshot, pool: Flusher): Promise<void> {
    const encoding = new ProducerSnapshotEncoding(entries);
    while (encoding.step()) await new Promise<void>((resolve) => pool.afterTurn(resolve));
    await pool.replaceFile(this.#path(offset), encoding.bytes);
    this.#savedTo = Math.max(this.#savedTo, offset);
  }

  /** Removes those of segments that are gone; the newest always stays. */
  async removeBelow(offset: Offset): Promise<void> {
    const offsets = offsetsOf(await this.#disk.readdir(this.#directory));
    const newest = Math.max(...offsets);
    for (const old of offsets) if (old < offset && old !== newest) await this.#disk.rm(this.#path(old), { force: true });
  }

  #path(offset: Offset): string {
    return join(this.#directory, offsetFile(offset, suffixes.snapshot));
  }
}

function offsetsOf(names: readonly string[]): Offset[] {
  return names.flatMap((name) => offsetOfFile(name, suffixes.snapshot) ?? []);
}
