/**
 * The file `append-times` beside a partition's segments: when its records were appended, so that the log can be asked as of a time. It is
 * not fsynced with each span: what a crash took of it is made up at start from the log's end and the time of the last write.
 *
 * | bytes | of the file                                |
 * |-------|--------------------------------------------|
 * | 4     | `ATIM`                                     |
 * | 4     | version, 1                                 |
 *
 * | bytes | of each span, big endian                   |
 * |-------|--------------------------------------------|
 * | 4     | CRC-32C of the other 24                    |
 * | 8     | time of its first append, ms               |
 * | 8     | time of its last append, ms                |
 * | 8     | end offset                                 |
 */
import { crc32c } from '@node-rs/crc32';
import { type Disk, invariant, LakeError, type Offset, secondMs, type TimestampMs, writeWholeSync } from '../kernel/index.js';
import { type AppendSpan, isWithin, type Spans, spansMax, thinSpans } from './append-spans.js';
import { readFileIfThereSync, replaceFileSync } from './durable-file.js';

const headerBytes = 8;
const spanBytes = 28;
const header = Buffer.from([0x41, 0x54, 0x49, 0x4d, 0, 0, 0, 1]);
/** Spans beyond those that were left when it was thinned last: at one a second, an hour and more. */
const spansAddedMax = 4096;
/** How much later than its file says an append may have been: the system's file clock ticks coarsely, and copies keep whole seconds. */
const fileClockMs = 2 * secondMs;

export function encodeSpans(spans: readonly AppendSpan[]): Buffer {
  const bytes = Buffer.alloc(headerBytes + spans.length * spanBytes);
  header.copy(bytes);
  spans.forEach((span, index) => encodeSpan(span).copy(bytes, headerBytes + index * spanBytes));
  return bytes;
}

function encodeSpan({ firstMs, lastMs, endOffset }: AppendSpan): Buffer {
  const bytes = Buffer.alloc(spanBytes);
  bytes.writeBigInt64BE(BigInt(firstMs), 4);
  bytes.writeBigInt64BE(BigInt(lastMs), 12);
  bytes.writeBigInt64BE(BigInt(endOffset), 20);
  bytes.writeUInt32BE(crc32c(bytes.subarray(4)), 0);
  return bytes;
}

function decodeSpan(bytes: Buffer, at: number): AppendSpan | undefined {
  if (bytes.readUInt32BE(at) !== crc32c(bytes.subarray(at + 4, at + spanBytes))) return undefined;
  const [firstMs, lastMs, endOffset] = [4, 12, 20].map((field) => Number(bytes.readBigInt64BE(at + field))) as [number, number, number];
  return { firstMs, lastMs, endOffset };
}

/** Spans up to the first that is damaged or does not follow; none where the file is none. */
export function decodeSpans(bytes: Buffer): AppendSpan[] {
  const spans: AppendSpan[] = [];
  if (!bytes.subarray(0, headerBytes).equals(header)) return spans;
  for (let at = headerBytes; at + spanBytes <= bytes.length; at += spanBytes) {
    const span = decodeSpan(bytes, at);
    const before = spans.at(-1);
    if (span === undefined || span.lastMs < span.firstMs) break;
    if (before !== undefined && (span.firstMs <= before.lastMs || span.endOffset < before.endOffset)) break;
    spans.push(span);
  }
  return spans;
}

/** The first spans of a file that was read, and later ones: each is decoded where it is looked at. */
class FileSpans implements Spans {
  readonly length: number;
  readonly #bytes: Buffer;
  readonly #count: number;
  readonly #later: readonly AppendSpan[];

  constructor(bytes: Buffer, count: number, later: readonly AppendSpan[]) {
    this.#bytes = bytes;
    this.#count = count;
    this.#later = later;
    this.length = count + later.length;
  }

  at(index: number): AppendSpan | undefined {
    const at = index < 0 ? this.length + index : index;
    if (at >= this.#count) return this.#later[at - this.#count];
    const place = headerBytes + at * spanBytes;
    const span = at < 0 || place + spanBytes > this.#bytes.length ? undefined : decodeSpan(this.#bytes, place);
    if (at >= 0 && span === undefined)
      throw new LakeError('log-damaged', 'a file of append times is damaged', {
        hint: 'Restart the broker: what the file lost is then known less finely.',
      });
    return span;
  }
}

/** What is known of a log that ends at an offset now, and before that of nothing. */
export function spansFrom(atMs: TimestampMs, endOffset: Offset): AppendSpan[] {
  return [{ firstMs: atMs, lastMs: atMs, endOffset }];
}

/**
 * Spans as a start finds them, made to end where the log does: what lies above it was cut, and for what has no span it is only known that
 * it came after the last one and not after `lastWriteMs`.
 */
function fitted(found: readonly AppendSpan[], endOffset: Offset, lastWriteMs: TimestampMs): AppendSpan[] {
  const spans = found.filter((span, index) => span.endOffset <= endOffset || (found[index - 1]?.endOffset ?? endOffset) < endOffset);
  const last = spans.pop();
  if (last === undefined) return spansFrom(lastWriteMs, endOffset);
  // It may have been cut in its middle.
  spans.push({ ...last, endOffset: Math.min(last.endOffset, endOffset) });
  if (last.endOffset < endOffset) {
    const firstMs = last.lastMs + 1;
    spans.push({ firstMs, lastMs: Math.max(firstMs, lastWriteMs), endOffset });
  }
  return spans;
}

export interface AppendTimesPorts {
  readonly disk: Disk;
  /** Durable when it resolves. */
  readonly replaceFile: (path: string, bytes: Uint8Array) => Promise<void>;
}

export class AppendTimes {
  readonly #path: string;
  readonly #ports: AppendTimesPorts;
  /** Spans in the file. */
  #count: number;
  /** When it was thinned last. */
  #countThinned: number;
  #sinceMs: TimestampMs;
  /** The one that appends still come to. */
  #open: AppendSpan | undefined;
  /** While the file is replaced: what will be written behind it. */
  #held: AppendSpan[] | undefined;
  /** No append counts as earlier: what was said of a time stays true when the clock is set back. */
  #floorMs: TimestampMs;
  #replacements = 0;

  private constructor(path: string, spans: readonly AppendSpan[], ports: AppendTimesPorts) {
    const [since, last] = [spans[0], spans.at(-1)];
    invariant(since !== undefined && last !== undefined, 'a log is known from some time on', { path });
    this.#sinceMs = since.lastMs;
    this.#path = path;
    this.#ports = ports;
    this.#count = this.#countThinned = spans.length;
    this.#floorMs = last.lastMs + 1;
  }

  /** At start, for a log whose end is settled. Replaces the file where it does not fit the log. Errors: the system's. */
  static open(
    path: string,
    log: { readonly endOffset: Offset; readonly lastWriteMs: TimestampMs; readonly nowMs: TimestampMs },
    ports: AppendTimesPorts,
  ): AppendTimes {
    const bytes = readFileIfThereSync(ports.disk, path);
    const found = bytes === undefined ? [] : decodeSpans(bytes);
    const spans = fitted(found, log.endOffset, Math.min(log.lastWriteMs + fileClockMs, log.nowMs));
    const isAsFound = bytes !== undefined && bytes.length === headerBytes + found.length * spanBytes && spans.length === found.length;
    if (!isAsFound || spans.at(-1)?.endOffset !== found.at(-1)?.endOffset) replaceFileSync(ports.disk, path, encodeSpans(spans));
    return new AppendTimes(path, spans, ports);
  }

  /** Of earlier times nothing is known. */
  get sinceMs(): TimestampMs {
    return this.#sinceMs;
  }

  /** The time that an append now has. */
  #timeOf(nowMs: TimestampMs): TimestampMs {
    return Math.max(Math.floor(nowMs), this.#floorMs, this.#open?.lastMs ?? 0);
  }

  /** Something was appended; the log ends at `endOffset` now. */
  note(nowMs: TimestampMs, endOffset: Offset): void {
    const atMs = this.#timeOf(nowMs);
    const open = this.#open;
    // One that cannot be written goes on: what is known becomes less fine, not wrong.
    const goesOn = open !== undefined && (isWithin(open, atMs) || !this.#settle());
    this.#open = { firstMs: goesOn ? open.firstMs : atMs, lastMs: atMs, endOffset };
  }

  /** Ends the open span and writes it. False where it could not be written, and stays open. */
  #settle(): boolean {
    const open = this.#open;
    if (open === undefined) return true;
    if (this.#held === undefined) {
      try {
        this.#write(open);
      } catch {
        return false;
      }
    } else {
      this.#held.push(open);
    }
    this.#open = undefined;
    this.#floorMs = Math.max(this.#floorMs, open.lastMs + 1);
    return true;
  }

  #write(span: AppendSpan): void {
    const { disk } = this.#ports;
    const fd = disk.openSync(this.#path, 'r+');
    try {
      writeWholeSync(disk, fd, encodeSpan(span), headerBytes + this.#count * spanBytes);
    } finally {
      disk.closeSync(fd);
    }
    this.#count++;
  }

  /** All spans, the open one among them. Errors: the system's, and `log-damaged` where one is looked at. */
  async spans(): Promise<Spans> {
    for (;;) {
      const replacements = this.#replacements;
      const [count, later] = [this.#count, [...(this.#held ?? []), ...(this.#open === undefined ? [] : [this.#open])]];
      const bytes = await this.#ports.disk.readFile(this.#path);
      // A file that was replaced meanwhile is another one.
      if (replacements !== this.#replacements) continue;
      return new FileSpans(bytes, count, later);
    }
  }

  /**
   * The latest time of which all is known: nothing that comes counts as earlier than the present moment. A span ends there, so that what is
   * said of the time now can be said as finely later.
   */
  settledMs(nowMs: TimestampMs): TimestampMs {
    this.#settle();
    this.#floorMs = this.#timeOf(nowMs);
    return this.#floorMs - 1;
  }

  /** Ends a span that no append has come to for a second, and thins the file where it has become long. */
  async maintain(nowMs: TimestampMs, logStartOffset: Offset): Promise<void> {
    if (this.#open !== undefined && !isWithin(this.#open, this.#timeOf(nowMs))) this.#settle();
    if (this.#count - this.#countThinned < spansAddedMax && this.#count <= spansMax + spansAddedMax) return;
    this.#held = [];
    try {
      const spans = thinSpans(decodeSpans(await this.#ports.disk.readFile(this.#path)), nowMs, logStartOffset);
      await this.#ports.replaceFile(this.#path, encodeSpans(spans));
      this.#count = this.#countThinned = spans.length;
      this.#sinceMs = spans[0]?.lastMs ?? this.#sinceMs;
    } finally {
      this.#replacements++;
      const held = this.#held.splice(0);
      this.#held = undefined;
      this.#writeHeld(held);
    }
  }

  #writeHeld(spans: readonly AppendSpan[]): void {
    for (const span of spans) {
      try {
        this.#write(span);
      } catch {
        // As in `note`: those that could not be written go on as one.
        const last = this.#open ?? (spans.at(-1) as AppendSpan);
        this.#open = { firstMs: span.firstMs, lastMs: last.lastMs, endOffset: last.endOffset };
        return;
      }
    }
  }

  /** Before a clean stop. */
  close(): void {
    this.#settle();
  }
}
