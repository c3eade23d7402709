/** The indexes of one segment together with the numbers that grow beside them, batch by batch; the rules are Kafka's. */
import { none, type Offset, type TimestampMs } from '../kernel/index.js';
import { OffsetIndex, TimeIndex } from './sparse-index.js';

export class SegmentIndexes {
  readonly offsets: OffsetIndex;
  readonly times: TimeIndex;
  nextOffset: Offset;
  /** Largest of any record; −1 where none has one above. */
  maxTimestampMs: TimestampMs = none;
  /** Last offset of the first batch that has it. */
  maxTimestampOffset: Offset = none;
  #bytesSinceEntry = 0;

  constructor(baseOffset: Offset, bytes: { readonly offsets?: Buffer; readonly times?: Buffer } = {}) {
    this.offsets = new OffsetIndex(baseOffset, bytes.offsets);
    this.times = new TimeIndex(baseOffset, bytes.times);
    this.nextOffset = baseOffset;
    if (this.times.count > 0) {
      this.maxTimestampMs = this.times.lastTimestamp;
      this.maxTimestampOffset = this.times.lastOffset;
    }
  }

  get bytes(): number {
    return this.offsets.bytes.length + this.times.bytes.length;
  }

  isFull(): boolean {
    return this.offsets.isFull() || this.times.isFull();
  }

  /** Notes a batch at `position`. True where that added an entry. */
  note(position: number, bytes: number, lastOffset: Offset, maxTimestampMs: TimestampMs, intervalBytes: number): boolean {
    if (maxTimestampMs > this.maxTimestampMs) {
      this.maxTimestampMs = maxTimestampMs;
      this.maxTimestampOffset = lastOffset;
    }
    const isEntryDue = this.#bytesSinceEntry > intervalBytes;
    if (isEntryDue) {
      this.offsets.append(lastOffset, position);
      this.finish();
      this.#bytesSinceEntry = 0;
    }
    this.#bytesSinceEntry += bytes;
    this.nextOffset = lastOffset + 1;
    return isEntryDue;
  }

  /** Notes a batch that the entries know of already, or that was written behind the last of them. */
  pass(bytes: number, lastOffset: Offset, maxTimestampMs: TimestampMs): void {
    this.note(0, bytes, lastOffset, maxTimestampMs, Number.POSITIVE_INFINITY);
  }

  /** Gives the time index its last word. */
  finish(): void {
    if (this.maxTimestampOffset >= 0) this.times.appendIfLarger(this.maxTimestampMs, this.maxTimestampOffset);
  }
}
