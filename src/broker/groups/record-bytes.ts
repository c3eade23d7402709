/** Writes and reads the fields of `__consumer_offsets` records, in the plain and in the compact (KIP-482) encoding. */
import { readInt64Number, writeInt64Number } from '../../wire/index.js';

export class Output {
  readonly #parts: Buffer[] = [];

  int16(value: number): this {
    const part = Buffer.allocUnsafe(2);
    part.writeInt16BE(value);
    this.#parts.push(part);
    return this;
  }

  int32(value: number): this {
    const part = Buffer.allocUnsafe(4);
    part.writeInt32BE(value);
    this.#parts.push(part);
    return this;
  }

  int64(value: number): this {
    const part = Buffer.allocUnsafe(8);
    writeInt64Number(part, value, 0);
    this.#parts.push(part);
    return this;
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1);
    const bytes = Buffer.from(value);
    this.int16(bytes.length);
    this.#parts.push(bytes);
    return this;
  }

  int8(value: number): this {
    const part = Buffer.allocUnsafe(1);
    part.writeInt8(value);
    this.#parts.push(part);
    return this;
  }

  /** As it is, without a length. */
  raw(value: Buffer): this {
    this.#parts.push(value);
    return this;
  }

  uvarint(value: number): this {
    const bytes: number[] = [];
    let left = value;
    for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
    return this.raw(Buffer.from([...bytes, left]));
  }

  compactString(value: string | null): this {
    if (value === null) return this.uvarint(0);
    const bytes = Buffer.from(value);
    return this.uvarint(bytes.length + 1).raw(bytes);
  }

  compactBytes(value: Buffer): this {
    return this.uvarint(value.length + 1).raw(value);
  }

  compactArray<T>(values: readonly T[], write: (value: T) => void): this {
    this.uvarint(values.length + 1);
    for (const value of values) write(value);
    return this;
  }

  bytes(value: Buffer): this {
    this.int32(value.length);
    this.#parts.push(value);
    return this;
  }

  done(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** Reads past the end throw a RangeError. */
export class Input {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int16(): number {
    this.#at += 2;
    return this.#bytes.readInt16BE(this.#at - 2);
  }

  int32(): number {
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  int64(): number {
    this.#at += 8;
    return readInt64Number(this.#bytes, this.#at - 8);
  }

  string(): string | null {
    const length = this.int16();
    return length < 0 ? null : this.#take(length).toString('utf8');
  }

  bytes(): Buffer {
    return Buffer.from(this.#take(Math.max(0, this.int32())));
  }

  int8(): number {
    this.#at += 1;
    return this.#bytes.readInt8(this.#at - 1);
  }

  uvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#take(1)[0]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a number is too long');
  }

  compactString(): string | null {
    const length = this.uvarint();
    return length === 0 ? null : this.#take(length - 1).toString('utf8');
  }

  compactBytes(): Buffer {
    return Buffer.from(this.#take(Math.max(0, this.uvarint() - 1)));
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  array<T>(read: () => T): T[] {
    const count = this.int32();
    const values: T[] = [];
    for (let i = 0; i < count; i++) values.push(read());
    return values;
  }

  compactArray<T>(read: () => T): T[] {
    const count = this.uvarint() - 1;
    const values: T[] = [];
    // Grows with what is read, not with what is claimed: the bytes end before a false count does.
    for (let i = 0; i < count; i++) values.push(read());
    return values;
  }

  /** A copy of so many bytes. */
  raw(length: number): Buffer {
    return Buffer.from(this.#take(length));
  }

  /** The tagged fields at the end of a struct: each is handed over with the bytes it has. */
  tags(read: (tag: number, bytes: Buffer) => void): void {
    for (let left = this.uvarint(); left > 0; left--) {
      const tag = this.uvarint();
      read(tag, this.#take(this.uvarint()));
    }
  }

  #take(length: number): Buffer {
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new RangeError('the record ends too early');
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}
