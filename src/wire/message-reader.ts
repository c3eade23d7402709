/**
 * A cursor over the bytes of one message. Every read checks its bounds and throws `message-invalid`; nothing is allocated for a
 * length or count before the bytes behind it are known to be there.
 */
import type { TopicId } from '../kernel/index.js';
import { LakeError, idFromBytes, topicId, zeroTopicId } from '../kernel/index.js';

/** Kafka's own limit on a string, in bytes, in both encodings. */
export const stringBytesMax = 32767;

/**
 * Array elements a single message may hold. A wire byte can become an object of some hundred bytes, so bytes alone do not bound
 * memory: 2^20 elements of at most ~256 B are a quarter GiB at the very worst, and ten times what 100,000 partitions need.
 */
const arrayElementsMax = 1 << 20;

const twoTo32 = 0x1_0000_0000;

export class MessageReader {
  private readonly buffer: Buffer;
  private readonly end: number;
  private elementsLeft = arrayElementsMax;
  /** Position of the next byte. */
  at: number;
  /** What is being read, for messages: `FetchRequest v12`. */
  what: string;
  private readonly isSaturating: boolean;

  /** `isSaturating`: numbers beyond ±(2^53−1) are taken as the bound, otherwise refused. */
  constructor(buffer: Buffer, at: number, what: string, isSaturating = false) {
    this.buffer = buffer;
    this.isSaturating = isSaturating;
    this.at = at;
    this.end = buffer.length;
    this.what = what;
  }

  bool(): boolean {
    return this.buffer[this.take(1)] !== 0;
  }

  int8(): number {
    return this.buffer.readInt8(this.take(1));
  }

  int16(): number {
    return this.buffer.readInt16BE(this.take(2));
  }

  uint16(): number {
    return this.buffer.readUInt16BE(this.take(2));
  }

  int32(): number {
    return this.buffer.readInt32BE(this.take(4));
  }

  /** A number within ±(2^53−1); one beyond is `message-invalid`, or that bound. */
  int64(): number {
    const at = this.take(8);
    const value = this.buffer.readInt32BE(at) * twoTo32 + this.buffer.readUInt32BE(at + 4);
    if (Number.isSafeInteger(value)) return value;
    if (!this.isSaturating) this.fail('a 64-bit number is beyond ±(2^53−1)');
    return value > 0 ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER;
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.take(8));
  }

  producerId(): bigint {
    return this.buffer.readBigInt64BE(this.take(8));
  }

  uuid(): TopicId {
    const at = this.take(16);
    const { buffer } = this;
    if (
      buffer.readUInt32BE(at) === 0 &&
      buffer.readUInt32BE(at + 4) === 0 &&
      buffer.readUInt32BE(at + 8) === 0 &&
      buffer.readUInt32BE(at + 12) === 0
    ) {
      return zeroTopicId;
    }
    return topicId(idFromBytes(buffer.subarray(at, at + 16)));
  }

  /** Unsigned LEB128 of at most 32 bits. */
  uvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.buffer[this.take(1)] as number;
      if (shift === 28 && byte > 0x0f) this.fail('a varint is longer than 32 bits');
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value >>> 0;
  }

  /** Length 0 where it is a null; the value is one more than the length otherwise (compact encoding). */
  private compactLength(): number {
    return this.uvarint() - 1;
  }

  string(): string | null {
    return this.text(this.int16());
  }

  compactString(): string | null {
    return this.text(this.compactLength());
  }

  /** A view into the frame. */
  bytes(): Buffer | null {
    return this.view(this.int32());
  }

  compactBytes(): Buffer | null {
    return this.view(this.compactLength());
  }

  /** The count of an array, −1 for null; refused when fewer bytes are left than `elementBytesMin` for each. */
  count(elementBytesMin: number): number {
    return this.bounded(this.int32(), elementBytesMin);
  }

  compactCount(elementBytesMin: number): number {
    return this.bounded(this.compactLength(), elementBytesMin);
  }

  /** The end of a tagged field whose size comes next. */
  tagEnd(): number {
    const size = this.uvarint();
    if (size > this.end - this.at) this.fail('a tagged field is longer than the message');
    return this.at + size;
  }

  /** Goes on behind a tagged field: over one that is not known, or over what a later version appended to one that is. */
  leaveTag(end: number): void {
    if (this.at > end) this.fail('a tagged field is longer than its size says');
    this.at = end;
  }

  /** Skips a whole tag section. */
  skipTags(): void {
    for (let left = this.uvarint(); left > 0; left--) {
      this.uvarint();
      this.leaveTag(this.tagEnd());
    }
  }

  /** Whether a struct that may be null is there: an int8 says so, negative for null. */
  isPresent(): boolean {
    return this.int8() >= 0;
  }

  present<T>(value: T | null, name: string): T {
    if (value === null) this.fail(`${name} is null`);
    return value;
  }

  fail(problem: string): never {
    throw new LakeError('message-invalid', `${this.what}: ${problem}, before byte ${this.at} of ${this.end}.`, {
      hint: 'Check that what connects here speaks the Kafka protocol.',
    });
  }

  private take(bytes: number): number {
    const { at } = this;
    if (bytes > this.end - at) this.fail('it ends too early');
    this.at = at + bytes;
    return at;
  }

  private text(length: number): string | null {
    if (length < 0) return length === -1 ? null : this.fail('a string has a negative length');
    if (length > stringBytesMax) this.fail(`a string is longer than ${stringBytesMax} bytes`);
    const at = this.take(length);
    return this.buffer.toString('utf8', at, at + length);
  }

  private view(length: number): Buffer | null {
    if (length < 0) return length === -1 ? null : this.fail('a byte field has a negative length');
    const at = this.take(length);
    return this.buffer.subarray(at, at + length);
  }

  private bounded(count: number, elementBytesMin: number): number {
    if (count < -1) this.fail('an array has a negative count');
    if (count * elementBytesMin > this.end - this.at) this.fail('an array has a higher count than bytes are left');
    if (count > this.elementsLeft) this.fail(`it has more than ${arrayElementsMax} array elements`);
    if (count > 0) this.elementsLeft -= count;
    return count;
  }
}
