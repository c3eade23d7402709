/**
 * One column of one row group of a file that DuckDB wrote: its pages read, inflated and spread into arrays with one entry a
 * row. Bytes stay where they lie in the inflated page. Pages of format v1; zstd or not compressed.
 */
import type { ColumnMetaData } from 'hyparquet';
import { LakeError, MiB } from '../kernel/index.js';
import { decompress } from '../wire/index.js';
import type { Loops } from './hot-loops.js';
import { decodeDelta, decodeRuns, readPlainInts, readPlainLongs, singleRun } from './page-values.js';
import { readThriftStruct } from './thrift-compact.js';

const pageTypes = { data: 0, dictionary: 2 } as const;
const encodings = { plain: 0, plainDictionary: 2, deltaBinaryPacked: 5, deltaLengthByteArray: 6, rleDictionary: 8 } as const;
/** DuckDB closes a page at about 100 MB; a single value may be as large as a request. */
const pageBytesMax = 512 * MiB;
/** Row groups differ a little in size. */
const roomGrowth = 1.25;
const two32 = 2 ** 32;

/** One level for all entries, or one each. */
export type Levels = number | Uint8Array;

/** Entries of a list column: which row each belongs to follows from `repetition` (0 begins a row). */
export interface ListLevels {
  readonly repetition: Levels;
  readonly definition: Levels;
}

/** INT32 or INT64 values by row. */
export class IntRows {
  readonly values: Float64Array;
  /** 1 where the row has a value. */
  readonly isThere: Uint8Array;
  /** All rows are null. */
  readonly isAbsent: boolean;
  /** Exact values by row, where one is no safe integer. */
  readonly wide: BigInt64Array | undefined;

  constructor(values: Float64Array, isThere: Uint8Array, isAbsent: boolean, wide?: BigInt64Array) {
    this.values = values;
    this.isThere = isThere;
    this.isAbsent = isAbsent;
    this.wide = wide;
  }

  /** As a number, or what stands for null. */
  or(row: number, absent: number): number {
    return this.isThere[row] === 1 ? (this.values[row] as number) : absent;
  }

  /** The upper and lower 32 bits of a value, signed. */
  high(row: number): number {
    return this.wide === undefined ? Math.floor((this.values[row] as number) / two32) : Number((this.wide[row] as bigint) >> 32n);
  }

  low(row: number): number {
    return this.wide === undefined ? (this.values[row] as number) | 0 : Number(BigInt.asIntN(32, this.wide[row] as bigint));
  }
}

/** BYTE_ARRAY values by entry: where they lie in `buffer`; length −1 is null. */
export class BytesRows {
  readonly buffer: Buffer;
  readonly view: DataView;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  readonly isAbsent: boolean;

  constructor(buffer: Buffer, starts: Int32Array, lengths: Int32Array, isAbsent: boolean) {
    this.buffer = buffer;
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    this.starts = starts;
    this.lengths = lengths;
    this.isAbsent = isAbsent;
  }

  slice(entry: number): Buffer {
    const start = this.starts[entry] as number;
    return this.buffer.subarray(start, start + (this.lengths[entry] as number));
  }
}

interface Page {
  readonly isDictionary: boolean;
  readonly entries: number;
  readonly encoding: number;
  readonly bytes: Buffer;
}

interface DataPage extends Page {
  /** Index of its first entry in the column chunk. */
  readonly first: number;
  readonly repetition: Levels;
  readonly definition: Levels;
  /** Entries that have a value. */
  readonly there: number;
  readonly valuesAt: number;
}

/**
 * Arrays and buffers that one row group after the other is read into, each as large as the largest so far has needed: about 32 MiB,
 * as row groups go. Fresh memory for each would cost more than the reading. For one reader at a time.
 */
export class ColumnRooms {
  readonly #buffers = new Map<string, Buffer>();
  readonly #bytes = new Map<string, Uint8Array>();
  readonly #ints = new Map<string, Int32Array>();
  readonly #doubles = new Map<string, Float64Array>();

  buffer(name: string, bytes: number): Buffer {
    let room = this.#buffers.get(name);
    if (room === undefined || room.length < bytes) {
      room = Buffer.allocUnsafeSlow(Math.ceil(bytes * roomGrowth));
      this.#buffers.set(name, room);
    }
    return room.subarray(0, bytes);
  }

  /** Empties them for a row group of these columns; undefined is one that the file lacks. */
  begin(_columns: readonly (ColumnMetaData | undefined)[], _rows: number): void {}

  bytes(name: string, count: number): Uint8Array {
    return roomOf(this.#bytes, name, count, (length) => new Uint8Array(length));
  }

  ints(name: string, count: number): Int32Array {
    return roomOf(this.#ints, name, count, (length) => new Int32Array(length));
  }

  doubles(name: string, count: number): Float64Array {
    return roomOf(this.#doubles, name, count, (length) => new Float64Array(length));
  }

  /** A page of zstd; undefined where it inflates to anything but so many bytes. Errors: as `decompress`. */
  inflate(stored: Buffer, inflatedBytes: number): Buffer | undefined {
    const bytes = decompress('zstd', stored, inflatedBytes);
    return bytes.length === inflatedBytes ? bytes : undefined;
  }

  /** One buffer in which all pages lie, if there is one. */
  get shared(): Buffer | undefined {
    return undefined;
  }

  /** Loops that go over what lies in these rooms by address, if there are any. */
  get loops(): Loops | undefined {
    return undefined;
  }
}

/** Where a file's bytes come from: fills the buffer from a position on; false where the file ends before. */
export type ReadAt = (into: Buffer, position: number) => boolean;

/** Reads columns of one file. What it answers is valid until the same column is read again into the same rooms. */
export class ColumnChunkReader {
  readonly #path: string;
  readonly #readAt: ReadAt;
  readonly #rooms: ColumnRooms;

  constructor(path: string, readAt: ReadAt, rooms: ColumnRooms) {
    this.#path = path;
    this.#readAt = readAt;
    this.#rooms = rooms;
  }

  /** Room for what is made of columns. */
  doubles(name: string, count: number): Float64Array {
    return this.#rooms.doubles(name, count);
  }

  /** An INT32 or INT64 column of `rows` rows; absent from the file, all are null. Errors: `cold-corrupt`. */
  ints(name: string, meta: ColumnMetaData | undefined, rows: number): IntRows {
    const values = this.#rooms.doubles(name, rows);
    const isThere = this.#rooms.bytes(name, rows).fill(0);
    if (meta === undefined) return new IntRows(values, isThere, true);
    const isLong = meta.type === 'INT64';
    const { dictionary, data } = this.#pages(name, meta, rows, 0, 1);
    let wideRows: BigInt64Array | undefined;
    let isAbsent = true;
    for (const page of data) {
      if (page.there === 0) continue;
      isAbsent = false;
      const isDense = page.definition === 1;
      const into = isDense ? values.subarray(page.first, page.first + page.entries) : this.#rooms.doubles(`${name} values`, page.there);
      const wide = this.#intValues(name, page, dictionary, isLong, into);
      if (isDense && wide === undefined && wideRows === undefined) {
        isThere.fill(1, page.first, page.first + page.entries);
        continue;
      }
      if (wide !== undefined) wideRows ??= BigInt64Array.from(values.subarray(0, rows), (value) => BigInt(Math.trunc(value) || 0));
      const definition = page.definition as Uint8Array;
      for (let i = 0, next = 0; i < page.entries; i++) {
        if (!isDense && definition[i] === 0) continue;
        const row = page.first + i;
        isThere[row] = 1;
        if (!isDense) values[row] = into[next] as number;
        if (wideRows !== undefined) wideRows[row] = wide === undefined ? BigInt(into[next] as number) : (wide[next] as bigint);
        next++;
      }
    }
    return new IntRows(values, isThere, isAbsent, wideRows);
  }

  /** Decodes a page's values, as many as `into` has room for. */
  #intValues(name: string, page: DataPage, dictionary: Page | undefined, isLong: boolean, into: Float64Array): BigInt64Array | undefined {
    const { bytes, valuesAt, encoding, there } = page;
    if (encoding === encodings.deltaBinaryPacked) {
      const { loops } = this.#rooms;
      const from = bytes.byteOffset + valuesAt;
      // Damage and the few numbers that are no doubles are told apart in what follows.
      if (loops?.readDelta(from, bytes.byteOffset + bytes.length, into.byteOffset, there) === 1) return undefined;
      return decodeDelta(bytes, valuesAt, bytes.length, into, there).wide;
    }
    if (encoding === encodings.plain) {
      if (isLong) return readPlainLongs(bytes, valuesAt, into, there);
      readPlainInts(bytes, valuesAt, into, there);
      return undefined;
    }
    const indexes = this.#indexes(name, page, dictionary);
    const entries = (dictionary as Page).entries;
    const terms = this.#rooms.doubles(`${name} dictionary`, entries);
    let wideTerms: BigInt64Array | undefined;
    if (isLong) wideTerms = readPlainLongs((dictionary as Page).bytes, 0, terms, entries);
    else readPlainInts((dictionary as Page).bytes, 0, terms, entries);
    if (typeof indexes === 'number') into.fill(terms[indexes] as number, 0, there);
    else for (let i = 0; i < there; i++) into[i] = terms[indexes[i] as number] as number;
    if (wideTerms === undefined) return undefined;
    const exact = wideTerms;
    return BigInt64Array.from({ length: there }, (_, i) => exact[typeof indexes === 'number' ? indexes : (indexes[i] as number)] as bigint);
  }

  /** A BYTE_ARRAY column of `rows` rows. Errors: `cold-corrupt`. */
  bytes(name: string, meta: ColumnMetaData | undefined, rows: number): BytesRows {
    return this.#byteArrays(name, meta, rows, 0, 1).rows;
  }

  /** A field of a list's entries, with the levels that tell rows and entries apart; absent from the file, every list is null. */
  listBytes(
    name: string,
    meta: ColumnMetaData | undefined,
    rows: number,
    maxDefinition: number,
  ): { readonly rows: BytesRows; readonly levels: ListLevels } {
    return this.#byteArrays(name, meta, rows, 1, maxDefinition);
  }

  #byteArrays(
    name: string,
    meta: ColumnMetaData | undefined,
    rowCount: number,
    maxRepetition: number,
    maxDefinition: number,
  ): { rows: BytesRows; levels: ListLevels } {
    const entries = meta === undefined ? rowCount : Number(meta.num_values);
    const lengths = this.#rooms.ints(`${name} lengths`, entries).fill(-1);
    const starts = this.#rooms.ints(`${name} starts`, entries);
    const pages = meta === undefined ? undefined : this.#pages(name, meta, rowCount, maxRepetition, maxDefinition);
    const levelsOf = (which: 'repetition' | 'definition'): Levels => this.#levelsOf(name, pages?.data, entries, which);
    const levels = { repetition: levelsOf('repetition'), definition: levelsOf('definition') };
    const data = pages?.data.filter((page) => page.there > 0) ?? [];
    if (data.length === 0) return { rows: new BytesRows(noBytes, starts, lengths, true), levels };
    const hasDictionary = pages?.dictionary !== undefined && data.some((page) => isDictionaryEncoded(page));
    // Where values lie: in the dictionary, in the page, or in several of them; then they are put one after the other.
    const sources: Page[] = [...(hasDictionary ? [pages.dictionary as Page] : []), ...data.filter((page) => !isDictionaryEncoded(page))];
    const shared = this.#rooms.shared;
    const buffer = shared ?? (sources.length === 1 ? (sources[0] as Page).bytes : this.#joined(name, sources));
    let joinedAt = 0;
    // Where a source begins in the buffer; asked for in the order of the sources.
    const baseOf = ({ bytes }: Page): number => {
      joinedAt += bytes.length;
      return shared === undefined ? joinedAt - bytes.length : bytes.byteOffset;
    };
    const terms = hasDictionary ? this.#terms(name, pages.dictionary as Page, baseOf(pages.dictionary as Page)) : undefined;
    for (const page of data) {
      if (isDictionaryEncoded(page)) this.#placeTerms(name, page, pages?.dictionary, terms, maxDefinition, starts, lengths);
      else this.#placeValues(name, page, maxDefinition, baseOf(page), starts, lengths);
    }
    return { rows: new BytesRows(buffer, starts, lengths, false), levels };
  }

  /** The levels of all pages as one. */
  #levelsOf(name: string, data: readonly DataPage[] | undefined, entries: number, which: 'repetition' | 'definition'): Levels {
    if (data === undefined) return 0;
    const first = data[0]?.[which] ?? 0;
    if (data.length <= 1 || data.every((page) => page[which] === first)) return first;
    const all = this.#rooms.bytes(`${name} ${which}`, entries);
    for (const page of data) {
      const levels = page[which];
      if (typeof levels === 'number') all.fill(levels, page.first, page.first + page.entries);
      else all.set(levels, page.first);
    }
    return all;
  }

  #joined(name: string, sources: readonly Page[]): Buffer {
    const room = this.#rooms.buffer(
      `${name} joined`,
      sources.reduce((sum, { bytes }) => sum + bytes.length, 0),
    );
    let at = 0;
    for (const { bytes } of sources) {
      room.set(bytes, at);
      at += bytes.length;
    }
    return room;
  }

  /** Where the dictionary's terms lie in the buffer, in which it begins at `base`. */
  #terms(name: string, dictionary: Page, base: number): { readonly starts: Int32Array; readonly lengths: Int32Array } {
    const starts = this.#rooms.ints(`${name} term starts`, dictionary.entries);
    const lengths = this.#rooms.ints(`${name} term lengths`, dictionary.entries);
    let at = 0;
    for (let i = 0; i < dictionary.entries; i++) {
      const length = dictionary.bytes.readInt32LE(at);
      starts[i] = base + at + 4;
      lengths[i] = length;
      at += 4 + length;
      if (length < 0 || at > dictionary.bytes.length) throw this.#corrupt(`a term of ${length} bytes in column ${name}`);
    }
    return { starts, lengths };
  }

  #placeTerms(
    name: string,
    page: DataPage,
    dictionary: Page | undefined,
    terms: { readonly starts: Int32Array; readonly lengths: Int32Array } | undefined,
    maxDefinition: number,
    starts: Int32Array,
    lengths: Int32Array,
  ): void {
    const indexes = this.#indexes(name, page, dictionary);
    if (terms === undefined) throw this.#corrupt(`column ${name} has no dictionary`);
    const { definition } = page;
    const { loops } = this.#rooms;
    if (loops !== undefined && typeof indexes !== 'number') {
      const [definitions, startsAt, lengthsAt] = [
        addressOf(definition),
        starts.byteOffset + page.first * 4,
        lengths.byteOffset + page.first * 4,
      ];
      const [termStarts, termLengths] = [terms.starts.byteOffset, terms.lengths.byteOffset];
      loops.placeTerms(indexes.byteOffset, page.entries, definitions, maxDefinition, termStarts, termLengths, startsAt, lengthsAt);
      return;
    }
    for (let i = 0, next = 0; i < page.entries; i++) {
      if (typeof definition !== 'number' && definition[i] !== maxDefinition) continue;
      const index = typeof indexes === 'number' ? indexes : (indexes[next] as number);
      next++;
      starts[page.first + i] = terms.starts[index] as number;
      lengths[page.first + i] = terms.lengths[index] as number;
    }
  }

  #placeValues(name: string, page: DataPage, maxDefinition: number, base: number, starts: Int32Array, lengths: Int32Array): void {
    const { bytes, definition, there, encoding } = page;
    const isDelta = encoding === encodings.deltaLengthByteArray;
    if (!isDelta && encoding !== encodings.plain) throw this.#corrupt(`a page of encoding ${encoding} in column ${name}`);
    const { loops } = this.#rooms;
    if (loops !== undefined && isDelta) {
      const [definitions, startsAt, lengthsAt] = [
        addressOf(definition),
        starts.byteOffset + page.first * 4,
        lengths.byteOffset + page.first * 4,
      ];
      const [from, end] = [bytes.byteOffset + page.valuesAt, bytes.byteOffset + bytes.length];
      if (loops.placeDelta(from, end, page.entries, there, definitions, maxDefinition, startsAt, lengthsAt) === 0) {
        throw this.#corrupt(`values of column ${name} are cut off`);
      }
      return;
    }
    const ofDelta = isDelta ? this.#rooms.doubles(`${name} lengths`, there) : undefined;
    let at = ofDelta === undefined ? page.valuesAt : decodeDelta(bytes, page.valuesAt, bytes.length, ofDelta, there).end;
    for (let i = 0, next = 0; i < page.entries; i++) {
      if (typeof definition !== 'number' && definition[i] !== maxDefinition) continue;
      let length: number;
      if (ofDelta === undefined) {
        length = bytes.readInt32LE(at);
        at += 4;
      } else length = ofDelta[next] as number;
      next++;
      starts[page.first + i] = base + at;
      lengths[page.first + i] = length;
      if (length < 0) throw this.#corrupt(`a value of ${length} bytes in column ${name}`);
      at += length;
    }
    if (at > bytes.length) throw this.#corrupt(`column ${name} is cut off`);
  }

  /** A page's indexes into the dictionary: one for all, or one each. */
  #indexes(name: string, page: DataPage, dictionary: Page | undefined): number | Int32Array {
    if (dictionary === undefined || !isDictionaryEncoded(page))
      throw this.#corrupt(`a page of encoding ${page.encoding} in column ${name}`);
    const { bytes, valuesAt, there } = page;
    const bitWidth = bytes[valuesAt] as number;
    if (bitWidth > 32) throw this.#corrupt(`indexes of ${bitWidth} bits in column ${name}`);
    const one = singleRun(bytes, valuesAt + 1, bytes.length, bitWidth, there);
    if (one !== undefined) {
      if (one >= dictionary.entries) throw this.#corrupt(`a term ${one} of ${dictionary.entries} in column ${name}`);
      return one;
    }
    const indexes = this.#rooms.ints(`${name} indexes`, there);
    const { loops } = this.#rooms;
    if (loops !== undefined) {
      const [from, end] = [bytes.byteOffset + valuesAt + 1, bytes.byteOffset + bytes.length];
      if (loops.decodeIndexes(from, end, bitWidth, indexes.byteOffset, there, dictionary.entries) === 0) {
        throw this.#corrupt(`indexes of column ${name} are cut off, or beyond ${dictionary.entries} terms`);
      }
      return indexes;
    }
    decodeRuns(bytes, valuesAt + 1, bytes.length, bitWidth, indexes);
    for (let i = 0; i < there; i++) {
      if ((indexes[i] as number) >>> 0 >= dictionary.entries)
        throw this.#corrupt(`a term ${indexes[i]} of ${dictionary.entries} in column ${name}`);
    }
    return indexes;
  }

  /** Reads the column's bytes and inflates its pages. */
  #pages(
    name: string,
    meta: ColumnMetaData,
    rows: number,
    maxRepetition: number,
    maxDefinition: number,
  ): { readonly dictionary: Page | undefined; readonly data: readonly DataPage[] } {
    const chunk = this.#read(name, meta);
    const entries = Number(meta.num_values);
    if (maxRepetition === 0 && entries !== rows) throw this.#corrupt(`column ${name} has ${entries} of ${rows} rows`);
    let dictionary: Page | undefined;
    const data: DataPage[] = [];
    let at = 0;
    let first = 0;
    while (first < entries) {
      const header = readThriftStruct(chunk, at);
      const [pageType, inflatedBytes, storedBytes] = [1, 2, 3].map((id) => header.numbers.get(id) ?? -1) as [number, number, number];
      const isDictionary = pageType === pageTypes.dictionary;
      const body = header.structs.get(isDictionary ? 7 : 5);
      const pageEntries = body?.numbers.get(1) ?? -1;
      const encoding = body?.numbers.get(2) ?? -1;
      at = header.end + storedBytes;
      const isKnown = isDictionary || pageType === pageTypes.data;
      if (!isKnown || storedBytes < 0 || inflatedBytes < 0 || inflatedBytes > pageBytesMax || pageEntries < 0 || at > chunk.length) {
        throw this.#corrupt(`a page of column ${name} at ${header.end} is not one`);
      }
      const stored = chunk.subarray(header.end, at);
      const bytes = meta.codec === 'UNCOMPRESSED' || inflatedBytes === 0 ? stored : this.#inflate(name, stored, inflatedBytes);
      const page = { isDictionary, entries: pageEntries, encoding, bytes };
      if (isDictionary) {
        dictionary = page;
        continue;
      }
      if (first + pageEntries > entries || pageEntries === 0) throw this.#corrupt(`pages of column ${name} have too many rows`);
      data.push(this.#withLevels(name, page, first, maxRepetition, maxDefinition));
      first += pageEntries;
    }
    return { dictionary, data };
  }

  #withLevels(name: string, page: Page, first: number, maxRepetition: number, maxDefinition: number): DataPage {
    let valuesAt = 0;
    const levels = (what: string, bitWidth: number): Levels => {
      const from = valuesAt + 4;
      const end = from + page.bytes.readUInt32LE(valuesAt);
      valuesAt = end;
      if (end > page.bytes.length) throw this.#corrupt(`levels of column ${name} are cut off`);
      const one = singleRun(page.bytes, from, end, bitWidth, page.entries);
      if (one !== undefined) return one;
      const each = this.#rooms.bytes(`${name} ${what} ${first}`, page.entries);
      decodeRuns(page.bytes, from, end, bitWidth, each);
      return each;
    };
    const repetition = maxRepetition > 0 ? levels('repetition', 1) : 0;
    const definition = levels('definition', 32 - Math.clz32(maxDefinition));
    let there = definition === maxDefinition ? page.entries : 0;
    if (typeof definition !== 'number') for (let i = 0; i < page.entries; i++) if (definition[i] === maxDefinition) there++;
    return { ...page, first, repetition, definition, there, valuesAt };
  }

  #inflate(name: string, stored: Buffer, inflatedBytes: number): Buffer {
    let bytes: Buffer | undefined;
    try {
      bytes = this.#rooms.inflate(stored, inflatedBytes);
    } catch (error) {
      throw this.#corrupt(`a page of column ${name} cannot be inflated`, error);
    }
    if (bytes === undefined) throw this.#corrupt(`a page of column ${name} does not have its ${inflatedBytes} bytes`);
    return bytes;
  }

  #read(name: string, meta: ColumnMetaData): Buffer {
    if (meta.codec !== 'ZSTD' && meta.codec !== 'UNCOMPRESSED') throw this.#corrupt(`column ${name} is stored as ${meta.codec}`);
    const { from, to } = chunkRange(meta);
    const bytes = this.#rooms.buffer(name, to - from);
    if (!this.#readAt(bytes, from)) throw this.#corrupt(`column ${name} is cut off`);
    return bytes;
  }

  #corrupt(what: string, cause?: unknown): LakeError {
    return new LakeError('cold-corrupt', `${this.#path} cannot be read: ${what}`, {
      facts: { path: this.#path },
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

/** Where a column's pages lie in the file, half open. */
export function chunkRange(meta: ColumnMetaData): { readonly from: number; readonly to: number } {
  const from = Number(meta.dictionary_page_offset ?? meta.data_page_offset);
  return { from, to: from + Number(meta.total_compressed_size) };
}

function roomOf<T extends Uint8Array | Int32Array | Float64Array>(
  rooms: Map<string, T>,
  name: string,
  count: number,
  make: (length: number) => T,
): T {
  let room = rooms.get(name);
  if (room === undefined || room.length < count) {
    room = make(Math.ceil(count * roomGrowth));
    rooms.set(name, room);
  }
  return room.subarray(0, count) as T;
}

const noBytes = Buffer.alloc(0);

/** Of the level of each entry, where it is not one for all. */
function addressOf(levels: Levels): number {
  return typeof levels === 'number' ? 0 : levels.byteOffset;
}

function isDictionaryEncoded({ encoding }: Page): boolean {
  return encoding === encodings.rleDictionary || encoding === encodings.plainDictionary;
}
