/**
 * Writes one frame as a list of chunks: everything small goes straight into a pooled buffer, record batches become chunks of their
 * own, so that fetched segments are never copied (give the chunks to one `writev`).
 */
import { KiB, LakeError, isTopicId } from '../kernel/index.js';
import { stringBytesMax } from './message-reader.js';

/** Consecutive frames share slabs of this size; a frame that needs more gets a buffer of its own. */
const slabBytes = 64 * KiB;
/** A slab with less than this left is not begun with. */
const slabRestBytesMin = 1 * KiB;
/** The size prefix is a positive int32. */
const frameBytesMax = 0x7fffffff;

const twoTo32 = 0x1_0000_0000;

let slab = Buffer.allocUnsafeSlow(slabBytes);
let slabUsed = 0;

export class MessageWriter {
  private buffer: Buffer;
  private start: number;
  private at: number;
  private readonly chunks: Buffer[] = [];
  private bytesInChunks = 0;
  private readonly what: string;

  /** Begins a frame; its size prefix is filled in by `finish`. Nothing may be awaited, nor another frame begun, before that. */
  constructor(what: string) {
    this.what = what;
    if (slabBytes - slabUsed < slabRestBytesMin) {
      slab = Buffer.allocUnsafeSlow(slabBytes);
      slabUsed = 0;
    }
    this.buffer = slab;
    this.start = slabUsed;
    this.at = slabUsed + 4;
  }

  /** The chunks of the frame, in order, the first beginning with the size of all that follows it. */
  finish(): Buffer[] {
    this.flush();
    const size = this.bytesInChunks - 4;
    if (size > frameBytesMax) this.fail('it is longer than a frame can be');
    this.chunks[0]?.writeInt32BE(size, 0);
    return this.chunks;
  }

  bool(value: boolean): void {
    this.byte(value ? 1 : 0);
  }

  int8(value: number, name: string): void {
    if ((value << 24) >> 24 !== value) this.failRange(name, value);
    this.byte(value & 0xff);
  }

  int16(value: number, name: string): void {
    if ((value << 16) >> 16 !== value) this.failRange(name, value);
    this.reserve(2);
    this.buffer[this.at++] = value >> 8;
    this.buffer[this.at++] = value;
  }

  uint16(value: number, name: string): void {
    if ((value & 0xffff) !== value) this.failRange(name, value);
    this.raw16(value);
  }

  int32(value: number, name: string): void {
    if ((value | 0) !== value) this.failRange(name, value);
    this.raw32(value);
  }

  int64(value: number, name: string): void {
    if (!Number.isSafeInteger(value)) this.failRange(name, value);
    this.raw32(Math.floor(value / twoTo32));
    this.raw32(value);
  }

  float64(value: number): void {
    this.reserve(8);
    this.at = this.buffer.writeDoubleBE(value, this.at);
  }

  producerId(value: bigint, name: string): void {
    if (BigInt.asIntN(64, value) !== value) this.failRange(name, value);
    this.reserve(8);
    this.at = this.buffer.writeBigInt64BE(value, this.at);
  }

  uuid(value: string, name: string): void {
    if (!isTopicId(value)) this.fail(`${name} is not an id of 22 characters`);
    this.reserve(16);
    this.at += this.buffer.write(value, this.at, 16, 'base64url');
  }

  uvarint(value: number): void {
    this.reserve(5);
    let rest = value;
    while (rest > 0x7f) {
      this.buffer[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.buffer[this.at++] = rest;
  }

  string(value: string | null, name: string): void {
    if (value === null) return this.raw16(-1);
    const length = this.textLength(value, name);
    this.raw16(length);
    this.text(value, length);
  }

  compactString(value: string | null, name: string): void {
    if (value === null) return this.byte(0);
    const length = this.textLength(value, name);
    this.uvarint(length + 1);
    this.text(value, length);
  }

  bytes(value: Buffer | null): void {
    this.raw32(value === null ? -1 : value.length);
    if (value !== null) this.copy(value);
  }

  compactBytes(value: Buffer | null): void {
    this.uvarint(value === null ? 0 : value.length + 1);
    if (value !== null) this.copy(value);
  }

  records(value: Buffer | readonly Buffer[] | null): void {
    this.raw32(value === null ? -1 : recordsLength(value));
    if (value !== null) this.attach(value);
  }

  compactRecords(value: Buffer | readonly Buffer[] | null): void {
    this.uvarint(value === null ? 0 : recordsLength(value) + 1);
    if (value !== null) this.attach(value);
  }

  /** The count of an array, −1 for null. */
  count(count: number): void {
    this.raw32(count);
  }

  compactCount(count: number): void {
    this.uvarint(count + 1);
  }

  /** Begins a tagged field; the result goes to `closeTag`, which fills in its size. */
  openTag(tag: number): number {
    this.uvarint(tag);
    this.byte(0);
    return this.at - this.start;
  }

  closeTag(mark: number): void {
    const from = this.start + mark;
    const size = this.at - from;
    if (size < 0x80) {
      this.buffer[from - 1] = size;
      return;
    }
    const more = size < 0x4000 ? 1 : size < 0x20_0000 ? 2 : size < 0x1000_0000 ? 3 : 4;
    this.reserve(more);
    const moved = this.start + mark;
    this.buffer.copyWithin(moved + more, moved, this.at);
    this.at = moved - 1;
    this.uvarint(size);
    this.at += size;
  }

  /** Before a struct that may be null: 1 where it is there, −1 for null. */
  isPresent(value: boolean): void {
    this.byte(value ? 1 : 0xff);
  }

  present<T>(value: T | null, name: string): T {
    if (value === null) this.fail(`${name} is null, which this version has no way to say`);
    return value;
  }

  /** Refuses a value that the version has no field for. */
  failAbsent(name: string): never {
    return this.fail(`${name} is set, but this version has no such field`);
  }

  private failRange(name: string, value: number | bigint): never {
    return this.fail(`${name} is ${String(value)}, which does not fit`);
  }

  private fail(problem: string): never {
    throw new LakeError('message-invalid', `${this.what}: ${problem}.`);
  }

  private byte(value: number): void {
    this.reserve(1);
    this.buffer[this.at++] = value;
  }

  private raw16(value: number): void {
    this.reserve(2);
    this.buffer[this.at++] = value >> 8;
    this.buffer[this.at++] = value;
  }

  private raw32(value: number): void {
    this.reserve(4);
    const { buffer, at } = this;
    buffer[at] = value >> 24;
    buffer[at + 1] = value >> 16;
    buffer[at + 2] = value >> 8;
    buffer[at + 3] = value;
    this.at = at + 4;
  }

  private textLength(value: string, name: string): number {
    const length = Buffer.byteLength(value);
    if (length > stringBytesMax) this.fail(`${name} is longer than ${stringBytesMax} bytes`);
    return length;
  }

  private text(value: string, length: number): void {
    this.reserve(length);
    this.at += this.buffer.write(value, this.at, length, 'utf8');
  }

  private copy(value: Buffer): void {
    this.reserve(value.length);
    this.buffer.set(value, this.at);
    this.at += value.length;
  }

  private attach(value: Buffer | readonly Buffer[]): void {
    this.flush();
    if (Buffer.isBuffer(value)) this.chunk(value);
    else for (const part of value) this.chunk(part);
  }

  private chunk(part: Buffer): void {
    if (part.length === 0) return;
    this.chunks.push(part);
    this.bytesInChunks += part.length;
  }

  private flush(): void {
    this.chunk(this.buffer.subarray(this.start, this.at));
    this.start = this.at;
    if (this.buffer === slab) slabUsed = this.at;
  }

  /** Makes room: when the buffer is full, what is not yet a chunk moves to a larger one. */
  private reserve(bytes: number): void {
    if (bytes <= this.buffer.length - this.at) return;
    const open = this.at - this.start;
    const larger = Buffer.allocUnsafeSlow(Math.max(slabBytes, 2 * (open + bytes)));
    this.buffer.copy(larger, 0, this.start, this.at);
    this.buffer = larger;
    this.start = 0;
    this.at = open;
  }
}

function recordsLength(value: Buffer | readonly Buffer[]): number {
  if (Buffer.isBuffer(value)) return value.length;
  let length = 0;
  for (const part of value) length += part.length;
  return length;
}
