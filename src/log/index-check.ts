/**
 * Compares the index files of a segment with its batches, as these are read one after the other: each entry must be what the batches say,
 * which is more than that it leads somewhere, and a time index must have the largest time of all. How dense entries are is not compared:
 * that follows a configuration which may have been another one when they were written.
 */
import { none, type Offset, type TimestampMs } from '../kernel/index.js';
import { readInt64Number } from '../wire/index.js';
import { offsetEntryBytes, timeEntryBytes } from './sparse-index.js';

export interface IndexBytes {
  readonly offsets: Buffer;
  readonly times: Buffer;
}

export class IndexCheck {
  readonly #baseOffset: Offset;
  readonly #offsets: Buffer;
  readonly #times: Buffer;
  #offsetsAt = 0;
  #timesAt = 0;
  #maxTimestampMs: TimestampMs = none;
  /** What disagreed first. */
  #fault: string | undefined;

  constructor(baseOffset: Offset, { offsets, times }: IndexBytes) {
    this.#baseOffset = baseOffset;
    this.#offsets = offsets;
    this.#times = times;
  }

  /** The next batch, which lies at `position`. */
  note(position: number, lastOffset: Offset, maxTimestampMs: TimestampMs): void {
    if (this.#fault !== undefined) return;
    this.#noteOffset(position, lastOffset);
    this.#noteTime(lastOffset, maxTimestampMs);
  }

  #noteOffset(position: number, lastOffset: Offset): void {
    if (this.#offsetsAt + offsetEntryBytes > this.#offsets.length) return;
    const named = this.#offsets.readInt32BE(this.#offsetsAt + 4);
    if (named > position) return;
    const offset = this.#offsets.readInt32BE(this.#offsetsAt) + this.#baseOffset;
    if (named === position && offset === lastOffset) this.#offsetsAt += offsetEntryBytes;
    else this.#fault = `its offset index has offset ${offset} at ${named}; the batch at ${position} ends at offset ${lastOffset}`;
  }

  #noteTime(lastOffset: Offset, maxTimestampMs: TimestampMs): void {
    const isLarger = maxTimestampMs > this.#maxTimestampMs;
    if (isLarger) this.#maxTimestampMs = maxTimestampMs;
    if (this.#timesAt + timeEntryBytes > this.#times.length) return;
    const offset = this.#times.readInt32BE(this.#timesAt + 8) + this.#baseOffset;
    if (offset > lastOffset) return;
    const isRight = isLarger && offset === lastOffset && this.#isTimeAt(this.#timesAt, maxTimestampMs);
    if (isRight) this.#timesAt += timeEntryBytes;
    else this.#fault = `its time index has another largest time at offset ${offset} than the batches`;
  }

  /** Not by its number, which may be none in an entry that is damaged. */
  #isTimeAt(at: number, timestampMs: TimestampMs): boolean {
    return this.#times.readBigInt64BE(at) === BigInt(timestampMs);
  }

  /** Behind the last batch of the segment. */
  end(): string | undefined {
    if (this.#fault !== undefined) return this.#fault;
    if (this.#offsetsAt !== this.#offsets.length) return 'its offset index goes on behind its last batch';
    if (this.#timesAt !== this.#times.length) return 'its time index goes on behind its last batch';
    const lastMs = this.#timesAt === 0 ? none : readInt64Number(this.#times, this.#timesAt - timeEntryBytes);
    return lastMs === this.#maxTimestampMs ? undefined : 'its time index lacks the largest time of its batches';
  }
}
