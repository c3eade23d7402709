/**
 * Arrow IPC stream: a schema, record batches, an end. DuckDB's types as Arrow's: whole numbers as they are, HUGEINT as decimal(38, 0),
 * timestamps in microseconds (with a zone: UTC), lists, structs and maps nested; what Arrow has no type for is text as in JSON.
 */
import {
  type DuckDBArrayType,
  DuckDBBlobValue,
  type DuckDBDataChunk,
  DuckDBDateValue,
  DuckDBDecimalValue,
  type DuckDBDecimalType,
  type DuckDBListType,
  type DuckDBMapType,
  type DuckDBStructType,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBValue,
} from '@duckdb/node-api';
import * as arrow from 'apache-arrow';
import { answerValue } from '../values.js';
import { type AnswerWriter, pieceBytes, type WriterColumns } from './format.js';

/** Rows looked at before the size of what was gathered is: each may be as large as a record. */
const rowsAtOnce = 64;
/** Most rows of a record batch. */
const batchRowsMax = 64 * 1024;

/** Takes what the writer of the package hands over at once, instead of keeping it for an asynchronous reader. */
class Taken extends arrow.AsyncByteQueue {
  #parts: Uint8Array[] = [];

  override write(value: Parameters<arrow.AsyncByteQueue['write']>[0]): void {
    // Buffers of a batch are this module's own and are not used again.
    const bytes = value instanceof Uint8Array ? value : new Uint8Array(value as ArrayBuffer);
    if (bytes.byteLength > 0) this.#parts.push(bytes);
  }

  take(): readonly Uint8Array[] {
    if (this.#parts.length === 0) return [];
    const joined = Buffer.concat(this.#parts);
    this.#parts = [];
    return [joined];
  }
}

export class ArrowWriter implements AnswerWriter {
  readonly #taken = new Taken();
  readonly #writer = new arrow.RecordBatchStreamWriter({ autoDestroy: false });
  readonly #schema: arrow.Schema;
  readonly #columns: readonly Gatherer[];
  #rows = 0;

  constructor({ names, types }: WriterColumns) {
    this.#columns = types.map(gathererOf);
    this.#schema = new arrow.Schema(names.map((name, at) => new arrow.Field(name, (this.#columns[at] as Gatherer).type, true)));
    this.#writer.reset(this.#taken, this.#schema);
  }

  add(chunk: DuckDBDataChunk): readonly Uint8Array[] {
    const columns = this.#columns.map((_, at) => chunk.getColumnValues(at));
    for (let from = 0; from < chunk.rowCount; from += rowsAtOnce) {
      const end = Math.min(chunk.rowCount, from + rowsAtOnce);
      let bytes = 0;
      for (const [at, column] of this.#columns.entries()) {
        const values = columns[at] ?? [];
        for (let row = from; row < end; row++) column.append(values[row] ?? null);
        bytes += column.bytes;
      }
      this.#rows += end - from;
      if (bytes >= 4 * pieceBytes || this.#rows >= batchRowsMax) this.#cut();
    }
    return this.#taken.take();
  }

  end(): readonly Uint8Array[] {
    if (this.#rows > 0) this.#cut();
    this.#writer.close();
    return this.#taken.take();
  }

  #cut(): void {
    const children = this.#columns.map((column) => column.finish());
    const type = new arrow.Struct(this.#schema.fields);
    const batch = arrow.makeData({ type, length: this.#rows, nullCount: 0, children });
    this.#writer.write(new arrow.RecordBatch(this.#schema, batch));
    this.#rows = 0;
  }
}

/** Gathers the values of one column, or of what is nested in one, for a record batch. */
interface Gatherer {
  readonly type: arrow.DataType;
  /** About what has been gathered. */
  readonly bytes: number;
  append(value: DuckDBValue): void;
  /** Hands over what was gathered and begins anew. */
  finish(): arrow.Data;
}

/** Which rows are there: a bit each. */
class Validity {
  #bits = new Uint8Array(256);
  length = 0;
  nullCount = 0;

  append(isThere: boolean): void {
    const at = this.length++;
    if (at >> 3 >= this.#bits.length) this.#bits = grown(this.#bits, 0);
    if (isThere) this.#bits[at >> 3] = (this.#bits[at >> 3] ?? 0) | (1 << (at & 7));
    else this.nullCount++;
  }

  finish(): { readonly length: number; readonly nullCount: number; readonly nullBitmap: Uint8Array } {
    const { length, nullCount } = this;
    const nullBitmap = nullCount === 0 ? new Uint8Array(0) : this.#bits.slice(0, (length + 7) >> 3);
    this.#bits.fill(0);
    this.length = 0;
    this.nullCount = 0;
    return { length, nullCount, nullBitmap };
  }
}

type Numbers =
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** The same with room for twice as many. */
function grown<A extends Numbers>(items: A, least: number): A {
  const larger = new (items.constructor as new (length: number) => A)(Math.max(items.length * 2, least));
  (larger as Uint8Array).set(items as Uint8Array);
  return larger;
}

/** Where each value ends among the items of all; the first begins at 0. */
class Offsets {
  #ends = new Int32Array(257);
  #length = 0;

  append(end: number): void {
    if (++this.#length >= this.#ends.length) this.#ends = grown(this.#ends, 0);
    this.#ends[this.#length] = end;
  }

  finish(): Int32Array {
    const ends = this.#ends.slice(0, this.#length + 1);
    this.#length = 0;
    return ends;
  }
}

/** Values that all take the same number of items: numbers, times, and 128 bits as two. */
class FixedGatherer<A extends Numbers> implements Gatherer {
  readonly type: arrow.DataType;
  readonly #validity = new Validity();
  readonly #write: (items: A, at: number, value: DuckDBValue & {}) => void;
  readonly #itemsPerValue: number;
  #items: A;

  constructor(type: arrow.DataType, items: A, write: (items: A, at: number, value: DuckDBValue & {}) => void, itemsPerValue = 1) {
    this.type = type;
    this.#items = items;
    this.#write = write;
    this.#itemsPerValue = itemsPerValue;
  }

  get bytes(): number {
    return this.#validity.length * this.#itemsPerValue * this.#items.BYTES_PER_ELEMENT;
  }

  append(value: DuckDBValue): void {
    const at = this.#validity.length * this.#itemsPerValue;
    if (at + this.#itemsPerValue > this.#items.length) this.#items = grown(this.#items, 256);
    this.#validity.append(value !== null);
    if (value !== null) this.#write(this.#items, at, value);
  }

  finish(): arrow.Data {
    const { length, ...nulls } = this.#validity.finish();
    const items = this.#items.slice(0, length * this.#itemsPerValue);
    // Two halves of 64 bits are what the package wants as four of 32.
    const data = this.#itemsPerValue === 2 ? new Uint32Array(items.buffer, items.byteOffset, items.byteLength / 4) : items;
    // What is null here must not show an earlier value.
    if (this.#items instanceof BigInt64Array || this.#items instanceof BigUint64Array) this.#items.fill(0n);
    else this.#items.fill(0);
    return arrow.makeData({ type: this.type as arrow.Int, length, ...nulls, data: data as Int32Array });
  }
}

class BooleanGatherer implements Gatherer {
  readonly type = new arrow.Bool();
  readonly #validity = new Validity();
  readonly #values = new Validity();

  get bytes(): number {
    return this.#validity.length / 4;
  }

  append(value: DuckDBValue): void {
    this.#validity.append(value !== null);
    this.#values.append(value === true);
  }

  finish(): arrow.Data {
    const { length, ...nulls } = this.#validity.finish();
    const values = this.#values.finish();
    const data = values.nullCount === 0 ? new Uint8Array((length + 7) >> 3).fill(0xff) : values.nullBitmap;
    return arrow.makeData({ type: this.type, length, ...nulls, data });
  }
}

/** Text and bytes. */
class BytesGatherer implements Gatherer {
  readonly type: arrow.Utf8 | arrow.Binary;
  readonly #validity = new Validity();
  readonly #bytesOf: (value: DuckDBValue & {}) => string | Uint8Array;
  readonly #offsets = new Offsets();
  #data = Buffer.alloc(16 * 1024);
  #length = 0;

  constructor(type: arrow.Utf8 | arrow.Binary, bytesOf: (value: DuckDBValue & {}) => string | Uint8Array) {
    this.type = type;
    this.#bytesOf = bytesOf;
  }

  get bytes(): number {
    return this.#length + this.#validity.length * 4;
  }

  append(value: DuckDBValue): void {
    if (value !== null) {
      const bytes = this.#bytesOf(value);
      const most = typeof bytes === 'string' ? bytes.length * 3 : bytes.length;
      if (this.#length + most > this.#data.length) this.#grow(most);
      if (typeof bytes === 'string') this.#length += this.#data.write(bytes, this.#length);
      else {
        this.#data.set(bytes, this.#length);
        this.#length += bytes.length;
      }
    }
    this.#validity.append(value !== null);
    this.#offsets.append(this.#length);
  }

  #grow(more: number): void {
    const larger = Buffer.alloc(Math.max(this.#data.length * 2, this.#length + more));
    this.#data.copy(larger, 0, 0, this.#length);
    this.#data = larger;
  }

  finish(): arrow.Data {
    const { length, ...nulls } = this.#validity.finish();
    const data = new Uint8Array(this.#data.subarray(0, this.#length));
    this.#length = 0;
    return arrow.makeData({ type: this.type as arrow.Utf8, length, ...nulls, valueOffsets: this.#offsets.finish(), data });
  }
}

/** Lists, and maps as lists of entries. */
class ListGatherer implements Gatherer {
  readonly type: arrow.DataType;
  readonly #validity = new Validity();
  readonly #child: Gatherer;
  readonly #itemsOf: (value: DuckDBValue & {}) => readonly DuckDBValue[];
  readonly #offsets = new Offsets();
  #items = 0;

  constructor(type: arrow.DataType, child: Gatherer, itemsOf: (value: DuckDBValue & {}) => readonly DuckDBValue[]) {
    this.type = type;
    this.#child = child;
    this.#itemsOf = itemsOf;
  }

  get bytes(): number {
    return this.#child.bytes + this.#validity.length * 4;
  }

  append(value: DuckDBValue): void {
    if (value !== null) {
      for (const item of this.#itemsOf(value)) {
        this.#child.append(item);
        this.#items++;
      }
    }
    this.#validity.append(value !== null);
    this.#offsets.append(this.#items);
  }

  finish(): arrow.Data {
    const { length, ...nulls } = this.#validity.finish();
    this.#items = 0;
    const valueOffsets = this.#offsets.finish();
    return arrow.makeData({ type: this.type as arrow.List, length, ...nulls, valueOffsets, child: this.#child.finish() });
  }
}

class StructGatherer implements Gatherer {
  readonly type: arrow.Struct;
  readonly #validity = new Validity();
  readonly #children: readonly (readonly [string, Gatherer])[];

  constructor(children: readonly (readonly [string, Gatherer])[]) {
    this.#children = children;
    this.type = new arrow.Struct(children.map(([name, child]) => new arrow.Field(name, child.type, true)));
  }

  get bytes(): number {
    return this.#children.reduce((sum, [, child]) => sum + child.bytes, this.#validity.length / 8);
  }

  append(value: DuckDBValue): void {
    const entries = value === null ? undefined : (value as unknown as { entries: Readonly<Record<string, DuckDBValue>> }).entries;
    for (const [name, child] of this.#children) child.append(entries?.[name] ?? null);
    this.#validity.append(value !== null);
  }

  finish(): arrow.Data {
    const { length, ...nulls } = this.#validity.finish();
    return arrow.makeData({ type: this.type, length, ...nulls, children: this.#children.map(([, child]) => child.finish()) });
  }
}

const asNumber = (items: Int32Array | Float64Array, at: number, value: DuckDBValue & {}): void => {
  items[at] = Number(value);
};
const asBigint = (items: BigInt64Array, at: number, value: DuckDBValue & {}): void => {
  items[at] = value as bigint;
};
const low = 0xffff_ffff_ffff_ffffn;
function write128(items: BigInt64Array, at: number, value: bigint): void {
  items[at] = BigInt.asIntN(64, value & low);
  items[at + 1] = BigInt.asIntN(64, value >> 64n);
}

function fixed(type: arrow.DataType, items: Numbers): Gatherer {
  const write = items instanceof BigInt64Array || items instanceof BigUint64Array ? asBigint : asNumber;
  return new FixedGatherer(type, items as Int32Array, write as typeof asNumber);
}

/** Times are one number under a name of their own. */
function time(type: arrow.DataType, name: string): Gatherer {
  return new FixedGatherer(type, new BigInt64Array(256), (items, at, value) => {
    items[at] = (value as unknown as Readonly<Record<string, bigint>>)[name] ?? 0n;
  });
}

function gathererOf(type: DuckDBType): Gatherer {
  const { TimeUnit } = arrow;
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN:
      return new BooleanGatherer();
    case DuckDBTypeId.TINYINT:
      return fixed(new arrow.Int8(), new Int8Array(256));
    case DuckDBTypeId.SMALLINT:
      return fixed(new arrow.Int16(), new Int16Array(256));
    case DuckDBTypeId.INTEGER:
      return fixed(new arrow.Int32(), new Int32Array(256));
    case DuckDBTypeId.BIGINT:
      return fixed(new arrow.Int64(), new BigInt64Array(256));
    case DuckDBTypeId.UTINYINT:
      return fixed(new arrow.Uint8(), new Uint8Array(256));
    case DuckDBTypeId.USMALLINT:
      return fixed(new arrow.Uint16(), new Uint16Array(256));
    case DuckDBTypeId.UINTEGER:
      return fixed(new arrow.Uint32(), new Uint32Array(256));
    case DuckDBTypeId.UBIGINT:
      return fixed(new arrow.Uint64(), new BigUint64Array(256));
    case DuckDBTypeId.FLOAT:
      return fixed(new arrow.Float32(), new Float32Array(256));
    case DuckDBTypeId.DOUBLE:
      return fixed(new arrow.Float64(), new Float64Array(256));
    case DuckDBTypeId.HUGEINT:
      return new FixedGatherer(
        new arrow.Decimal(0, 38, 128),
        new BigInt64Array(512),
        (items, at, v) => write128(items, at, v as bigint),
        2,
      );
    case DuckDBTypeId.DECIMAL: {
      const { scale, width } = type as DuckDBDecimalType;
      const write = (items: BigInt64Array, at: number, v: DuckDBValue & {}): void => {
        if (v instanceof DuckDBDecimalValue) write128(items, at, v.value);
      };
      return new FixedGatherer(new arrow.Decimal(scale, width, 128), new BigInt64Array(512), write, 2);
    }
    case DuckDBTypeId.DATE:
      return new FixedGatherer(new arrow.DateDay(), new Int32Array(256), (items, at, v) => {
        if (v instanceof DuckDBDateValue) items[at] = v.days;
      });
    case DuckDBTypeId.TIME:
      return time(new arrow.TimeMicrosecond(), 'micros');
    case DuckDBTypeId.TIMESTAMP:
      return time(new arrow.Timestamp(TimeUnit.MICROSECOND, null), 'micros');
    case DuckDBTypeId.TIMESTAMP_TZ:
      return time(new arrow.Timestamp(TimeUnit.MICROSECOND, 'UTC'), 'micros');
    case DuckDBTypeId.TIMESTAMP_S:
      return time(new arrow.Timestamp(TimeUnit.SECOND, null), 'seconds');
    case DuckDBTypeId.TIMESTAMP_MS:
      return time(new arrow.Timestamp(TimeUnit.MILLISECOND, null), 'millis');
    case DuckDBTypeId.TIMESTAMP_NS:
      return time(new arrow.Timestamp(TimeUnit.NANOSECOND, null), 'nanos');
    case DuckDBTypeId.BLOB:
      return new BytesGatherer(new arrow.Binary(), (value) => (value instanceof DuckDBBlobValue ? value.bytes : new Uint8Array(0)));
    case DuckDBTypeId.LIST:
    case DuckDBTypeId.ARRAY: {
      const child = gathererOf((type as DuckDBListType | DuckDBArrayType).valueType);
      const itemsOf = (value: DuckDBValue & {}): readonly DuckDBValue[] => (value as unknown as { items: readonly DuckDBValue[] }).items;
      return new ListGatherer(new arrow.List(new arrow.Field('item', child.type, true)), child, itemsOf);
    }
    case DuckDBTypeId.STRUCT: {
      const { entryNames, entryTypes } = type as DuckDBStructType;
      return new StructGatherer(entryNames.map((name, at) => [name, gathererOf(entryTypes[at] as DuckDBType)] as const));
    }
    case DuckDBTypeId.MAP:
      return mapGatherer(type as DuckDBMapType);
    default:
      return new BytesGatherer(new arrow.Utf8(), textOf);
  }
}

function mapGatherer(type: DuckDBMapType): Gatherer {
  const entry = new StructGatherer([
    ['key', gathererOf(type.keyType)],
    ['value', gathererOf(type.valueType)],
  ]);
  const fields = entry.type.children;
  const entries = new arrow.Struct<{ key: arrow.DataType; value: arrow.DataType }>([
    new arrow.Field('key', (fields[0] as arrow.Field).type, false),
    fields[1] as arrow.Field,
  ]);
  const itemsOf = (value: DuckDBValue & {}): readonly DuckDBValue[] =>
    (value as unknown as { entries: readonly { key: DuckDBValue; value: DuckDBValue }[] }).entries.map(
      (item) => ({ entries: item }) as unknown as DuckDBValue,
    );
  return new ListGatherer(new arrow.Map_(new arrow.Field('entries', entries, false)), entry, itemsOf);
}

function textOf(value: DuckDBValue & {}): string {
  const plain = typeof value === 'string' ? value : answerValue(value);
  return typeof plain === 'string' ? plain : JSON.stringify(plain);
}
