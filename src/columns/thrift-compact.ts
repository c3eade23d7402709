/**
 * The little of Thrift's compact protocol that Parquet's footer and page headers need: structs of numbers, texts, lists and
 * structs. Written for the staging files; read only for the page headers of files that DuckDB wrote.
 * Source: Apache Thrift, "Thrift Compact protocol encoding".
 */
import { LakeError } from '../kernel/index.js';

const type = { boolTrue: 1, boolFalse: 2, i32: 5, i64: 6, binary: 8, list: 9, struct: 12 } as const;

/** A struct's fields in ascending order of their ids. */
export class ThriftWriter {
  #bytes: Buffer = Buffer.allocUnsafe(1024);
  #at = 0;
  #lastId = 0;
  readonly #outer: number[] = [];

  finish(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#at));
  }

  i32(id: number, value: number): void {
    this.#field(id, type.i32);
    this.#zigzag(value);
  }

  /** A safe integer. */
  i64(id: number, value: number): void {
    this.#field(id, type.i64);
    this.#zigzag(value);
  }

  bool(id: number, value: boolean): void {
    this.#field(id, value ? type.boolTrue : type.boolFalse);
  }

  text(id: number, value: string): void {
    this.bytes(id, Buffer.from(value, 'utf8'));
  }

  bytes(id: number, value: Uint8Array): void {
    this.#field(id, type.binary);
    this.#binary(value);
  }

  struct(id: number, fields: () => void): void {
    this.#field(id, type.struct);
    this.#body(fields);
  }

  structs<T>(id: number, items: readonly T[], fields: (item: T) => void): void {
    this.#listHeader(id, items.length, type.struct);
    for (const item of items) this.#body(() => fields(item));
  }

  i32s(id: number, items: readonly number[]): void {
    this.#listHeader(id, items.length, type.i32);
    for (const item of items) this.#zigzag(item);
  }

  texts(id: number, items: readonly string[]): void {
    this.#listHeader(id, items.length, type.binary);
    for (const item of items) this.#binary(Buffer.from(item, 'utf8'));
  }

  /** Ends the outermost struct. */
  end(): void {
    this.#byte(0);
  }

  #body(fields: () => void): void {
    this.#outer.push(this.#lastId);
    this.#lastId = 0;
    fields();
    this.#byte(0);
    this.#lastId = this.#outer.pop() as number;
  }

  #listHeader(id: number, count: number, itemType: number): void {
    this.#field(id, type.list);
    if (count < 15) this.#byte((count << 4) | itemType);
    else {
      this.#byte(0xf0 | itemType);
      this.#varint(count);
    }
  }

  #field(id: number, fieldType: number): void {
    const delta = id - this.#lastId;
    if (delta > 0 && delta <= 15) this.#byte((delta << 4) | fieldType);
    else {
      this.#byte(fieldType);
      this.#zigzag(id);
    }
    this.#lastId = id;
  }

  #binary(value: Uint8Array): void {
    this.#varint(value.length);
    this.#makeRoom(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  #zigzag(value: number): void {
    this.#varint(value < 0 ? -(value + 1) * 2 + 1 : value * 2);
  }

  #varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.#byte(rest);
  }

  #byte(value: number): void {
    this.#makeRoom(1);
    this.#bytes[this.#at++] = value;
  }

  #makeRoom(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}

/** Fields of a struct by id; nested structs alike; what a page header does not need is passed over. */
export interface ThriftStruct {
  readonly numbers: ReadonlyMap<number, number>;
  readonly structs: ReadonlyMap<number, ThriftStruct>;
  /** Position after the struct. */
  readonly end: number;
}

/** Structs in structs; page headers have two levels. */
const depthMax = 8;

/** Reads one struct. Errors: `cold-corrupt`. */
export function readThriftStruct(bytes: Uint8Array, start: number): ThriftStruct {
  let at = start;
  const byte = (): number => {
    if (at >= bytes.length) throw new LakeError('cold-corrupt', `a Parquet page header is cut off at ${at}`);
    return bytes[at++] as number;
  };
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const b = byte();
      value += (b & 0x7f) * scale;
      if (b < 0x80) return value;
      if (scale > 2 ** 56) throw new LakeError('cold-corrupt', `a number in a Parquet page header is too long at ${at}`);
    }
  };
  const zigzag = (): number => {
    const value = varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  };
  const read = (depth: number): ThriftStruct => {
    if (depth > depthMax) throw new LakeError('cold-corrupt', `a Parquet page header is nested too deep at ${at}`);
    const numbers = new Map<number, number>();
    const structs = new Map<number, ThriftStruct>();
    let id = 0;
    for (;;) {
      const header = byte();
      if (header === 0) return { numbers, structs, end: at };
      const delta = header >> 4;
      id = delta === 0 ? zigzag() : id + delta;
      const fieldType = header & 0x0f;
      if (fieldType === type.boolTrue || fieldType === type.boolFalse) numbers.set(id, fieldType === type.boolTrue ? 1 : 0);
      else if (fieldType >= 4 && fieldType <= 6) numbers.set(id, zigzag());
      else if (fieldType === 3) byte();
      else if (fieldType === 7) at += 8;
      else if (fieldType === type.binary) at += varint();
      else if (fieldType === type.struct) structs.set(id, read(depth + 1));
      else throw new LakeError('cold-corrupt', `a Parquet page header has a field of type ${fieldType} at ${at}`);
    }
  };
  return read(0);
}
