/**
 * Any struct of Thrift's compact protocol as a tree that can be changed and written again: what nobody looked at is written as it
 * was read. For Parquet footers of which only some row groups and columns are kept.
 * Source: Apache Thrift, "Thrift Compact protocol encoding".
 */
import { LakeError } from '../kernel/index.js';

const type = {
  boolTrue: 1,
  boolFalse: 2,
  byte: 3,
  i16: 4,
  i32: 5,
  i64: 6,
  double: 7,
  binary: 8,
  list: 9,
  set: 10,
  map: 11,
  struct: 12,
} as const;

/** Numbers beyond 2^53 are none that a footer has. Doubles and single bytes stay as bytes. */
export type ThriftValue = number | boolean | Uint8Array | ThriftList | ThriftFields;

export interface ThriftList {
  readonly itemType: number;
  readonly items: readonly ThriftValue[];
}

export interface ThriftField {
  readonly type: number;
  readonly value: ThriftValue;
}

/** Fields by id, in the order they were read. */
export type ThriftFields = ReadonlyMap<number, ThriftField>;

/** Structs and lists within each other; a footer has six levels. */
const depthMax = 16;

/**
 * Reads the struct that begins at 0. Binaries are views of `bytes`. `onStruct` is told of each struct as it is read, with its own
 * bytes, the inner ones first. Errors: `cold-corrupt`.
 */
export function readThriftTree(bytes: Uint8Array, onStruct?: (fields: ThriftFields, own: Uint8Array) => void): ThriftFields {
  return new Reader(bytes, onStruct).struct(0);
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #onStruct: ((fields: ThriftFields, own: Uint8Array) => void) | undefined;
  #at = 0;

  constructor(bytes: Uint8Array, onStruct?: (fields: ThriftFields, own: Uint8Array) => void) {
    this.#bytes = bytes;
    this.#onStruct = onStruct;
  }

  struct(depth: number): ThriftFields {
    if (depth > depthMax) throw unreadable(this.#at, 'is nested too deep');
    const fields = new Map<number, ThriftField>();
    const start = this.#at;
    let id = 0;
    for (;;) {
      const header = this.#byte();
      if (header === 0) {
        this.#onStruct?.(fields, this.#bytes.subarray(start, this.#at));
        return fields;
      }
      const delta = header >> 4;
      id = delta === 0 ? this.#zigzag() : id + delta;
      const fieldType = header & 0x0f;
      const isFlag = fieldType === type.boolTrue || fieldType === type.boolFalse;
      fields.set(
        id,
        isFlag ? { type: type.boolTrue, value: fieldType === type.boolTrue } : { type: fieldType, value: this.#value(fieldType, depth) },
      );
    }
  }

  #value(valueType: number, depth: number): ThriftValue {
    switch (valueType) {
      case type.byte:
        return this.#take(1);
      case type.i16:
      case type.i32:
      case type.i64:
        return this.#zigzag();
      case type.double:
        return this.#take(8);
      case type.binary:
        return this.#take(this.#varint());
      case type.list:
      case type.set:
        return this.#list(depth + 1);
      case type.struct:
        return this.struct(depth + 1);
      default:
        throw unreadable(this.#at, `has a field of type ${valueType}`);
    }
  }

  #list(depth: number): ThriftList {
    const header = this.#byte();
    const count = header >> 4 === 15 ? this.#varint() : header >> 4;
    const itemType = header & 0x0f;
    // Every item has a byte at least.
    if (count > this.#bytes.length - this.#at) throw unreadable(this.#at, `has a list of ${count} items`);
    const items: ThriftValue[] = [];
    for (let at = 0; at < count; at++) {
      items.push(itemType === type.boolTrue || itemType === type.boolFalse ? this.#byte() === 1 : this.#value(itemType, depth));
    }
    return { itemType, items };
  }

  #take(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw unreadable(this.#at, 'is cut off');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  #zigzag(): number {
    const value = this.#varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) throw unreadable(this.#at, 'has a number above 2^53');
        return value;
      }
      if (scale > 2 ** 56) throw unreadable(this.#at, 'has a number that is too long');
    }
  }

  #byte(): number {
    if (this.#at >= this.#bytes.length) throw unreadable(this.#at, 'is cut off');
    return this.#bytes[this.#at++] as number;
  }
}

function unreadable(at: number, what: string): LakeError {
  return new LakeError('cold-corrupt', `a Parquet footer ${what} at ${at}`);
}

/** The bytes of a struct. */
export function writeThriftTree(fields: ThriftFields): Buffer {
  const writer = new Writer();
  writer.struct(fields);
  return writer.written;
}

/** First room for what is written; it doubles as often as it must. */
const firstBytes = 4096;
/** Of a number in the longest form, with the field's header before it. */
const numberBytesMax = 16;

class Writer {
  #bytes = Buffer.allocUnsafe(firstBytes);
  #at = 0;

  get written(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  struct(fields: ThriftFields): void {
    let last = 0;
    for (const [id, field] of [...fields].sort(([a], [b]) => a - b)) {
      const fieldType = typeof field.value === 'boolean' ? (field.value ? type.boolTrue : type.boolFalse) : field.type;
      const delta = id - last;
      this.#makeRoom(numberBytesMax);
      if (delta > 0 && delta <= 15) this.#bytes[this.#at++] = (delta << 4) | fieldType;
      else {
        this.#bytes[this.#at++] = fieldType;
        this.#zigzag(id);
      }
      last = id;
      if (typeof field.value !== 'boolean') this.#value(field.type, field.value);
    }
    this.#makeRoom(1);
    this.#bytes[this.#at++] = 0;
  }

  #value(valueType: number, value: ThriftValue): void {
    this.#makeRoom(numberBytesMax);
    if (typeof value === 'number') this.#zigzag(value);
    else if (typeof value === 'boolean') this.#bytes[this.#at++] = value ? 1 : 2;
    else if (value instanceof Uint8Array) {
      if (valueType === type.binary) this.#varint(value.length);
      this.#makeRoom(value.length);
      this.#bytes.set(value, this.#at);
      this.#at += value.length;
    } else if (value instanceof Map) this.struct(value as ThriftFields);
    else {
      const { itemType, items } = value as ThriftList;
      if (items.length < 15) this.#bytes[this.#at++] = (items.length << 4) | itemType;
      else {
        this.#bytes[this.#at++] = 0xf0 | itemType;
        this.#varint(items.length);
      }
      for (const item of items) this.#value(itemType, item);
    }
  }

  #zigzag(value: number): void {
    this.#varint(value < 0 ? -(value + 1) * 2 + 1 : value * 2);
  }

  /** The caller has made room. */
  #varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at++] = rest;
  }

  #makeRoom(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

export function numberOf(fields: ThriftFields | undefined, id: number): number | undefined {
  const value = fields?.get(id)?.value;
  return typeof value === 'number' ? value : undefined;
}

export function bytesOf(fields: ThriftFields | undefined, id: number): Uint8Array | undefined {
  const value = fields?.get(id)?.value;
  return value instanceof Uint8Array ? value : undefined;
}

export function fieldsOf(fields: ThriftFields | undefined, id: number): ThriftFields | undefined {
  const value = fields?.get(id)?.value;
  return value instanceof Map ? (value as ThriftFields) : undefined;
}

/** The structs of a list; none where there is no such list. */
export function structsOf(fields: ThriftFields | undefined, id: number): readonly ThriftFields[] {
  const value = fields?.get(id)?.value;
  if (value === undefined || typeof value !== 'object' || !('items' in value)) return [];
  return value.items.filter((item): item is ThriftFields => item instanceof Map);
}
