/**
 * Reads the uncompressed files that DuckDB writes when a cold file is read back: PLAIN and dictionary pages of format v1, row
 * group by row group, into arrays with one entry a row. Bytes stay where they are in the page.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { ColumnChunk, FileMetaData } from 'hyparquet';
import { LakeError } from '../kernel/index.js';
import { readFooter } from './parquet-footer.js';
import { readThriftStruct } from './thrift-compact.js';

const pageTypes = { data: 0, dictionary: 2 } as const;
const plainEncoding = 0;
const dictionaryEncodings: readonly number[] = [2, 8];
const two32 = 2 ** 32;
/** Row groups differ a little in size. */
const roomGrowth = 1.25;

/** INT32 or INT64 values by row; int64 as two words, so that nothing is rounded and no bigint is made. */
export class IntRows {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly isThere: Uint8Array;

  constructor(rows: number) {
    this.low = new Int32Array(rows);
    this.high = new Int32Array(rows);
    this.isThere = new Uint8Array(rows);
  }

  /** As a number: exact for int32 and for safe integers. */
  at(row: number): number {
    return (this.high[row] as number) * two32 + ((this.low[row] as number) >>> 0);
  }

  /** As a number, or what stands for null. */
  or(row: number, absent: number): number {
    return this.isThere[row] === 1 ? this.at(row) : absent;
  }
}

/** BYTE_ARRAY values by entry: where they lie in `buffer`; length −1 is null. */
export class BytesRows {
  readonly buffer: Buffer;
  readonly view: DataView;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;

  constructor(buffer: Buffer, entries: number) {
    this.buffer = buffer;
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    this.starts = new Int32Array(entries);
    this.lengths = new Int32Array(entries).fill(-1);
  }

  slice(entry: number): Buffer {
    const start = this.starts[entry] as number;
    return this.buffer.subarray(start, start + (this.lengths[entry] as number));
  }
}

/** Entries of a list column: which row each belongs to follows from `repetition` (0 begins a row). */
export interface ListLevels {
  readonly repetition: Uint8Array;
  readonly definition: Uint8Array;
}

interface Chunk {
  readonly bytes: Buffer;
  readonly entries: number;
  readonly isLong: boolean;
}

/** What a row group's arrays point to is valid until the same column of another row group is read. */
export class PlainFile {
  readonly #path: string;
  readonly #file: number;
  readonly #footer: FileMetaData;
  /** Room for a column's pages, used again for each row group: fresh memory for each would cost more than the reading. */
  readonly #rooms = new Map<string, Buffer>();

  /** Errors: `cold-corrupt`. */
  constructor(path: string) {
    this.#path = path;
    this.#footer = readFooter(path);
    this.#file = openSync(path, 'r');
  }

  get rowGroups(): number {
    return this.#footer.row_groups.length;
  }

  rows(group: number): number {
    return Number(this.#footer.row_groups[group]?.num_rows);
  }

  close(): void {
    closeSync(this.#file);
  }

  ints(group: number, name: string): IntRows {
    const chunk = this.#chunk(group, name);
    const rows = new IntRows(chunk.entries);
    const width = chunk.isLong ? 8 : 4;
    let dictionary: Buffer | undefined;
    this.#pages(chunk, 1, (page) => {
      if (page.isDictionary) {
        dictionary = page.values;
        return;
      }
      const indexes = page.indexes;
      const source = indexes === undefined ? page.values : (dictionary as Buffer);
      let next = 0;
      for (let i = 0; i < page.entries; i++) {
        if (page.definition[i] === 0) continue;
        const at = (indexes === undefined ? next : (indexes[next] as number)) * width;
        next++;
        const row = page.first + i;
        const low = source.readInt32LE(at);
        rows.low[row] = low;
        rows.high[row] = chunk.isLong ? source.readInt32LE(at + 4) : low >> 31;
        rows.isThere[row] = 1;
      }
    });
    return rows;
  }

  bytes(group: number, name: string): BytesRows {
    return this.#byteArrays(group, name, 1).rows;
  }

  /** A field of a list's entries, with the levels that tell rows and entries apart. */
  listBytes(group: number, name: string, maxDefinition: number): { readonly rows: BytesRows; readonly levels: ListLevels } {
    return this.#byteArrays(group, name, maxDefinition);
  }

  #byteArrays(group: number, name: string, maxDefinition: number): { rows: BytesRows; levels: ListLevels } {
    const chunk = this.#chunk(group, name);
    const rows = new BytesRows(chunk.bytes, chunk.entries);
    const levels = { repetition: new Uint8Array(chunk.entries), definition: new Uint8Array(chunk.entries) };
    let dictionary: { starts: Int32Array; lengths: Int32Array } | undefined;
    this.#pages(chunk, maxDefinition, (page) => {
      if (page.isDictionary) {
        dictionary = { starts: new Int32Array(page.entries), lengths: new Int32Array(page.entries) };
        walkByteArrays(chunk.bytes, page, page.entries, dictionary.starts, dictionary.lengths);
        return;
      }
      levels.definition.set(page.definition, page.first);
      levels.repetition.set(page.repetition, page.first);
      let at = page.valuesAt;
      let next = 0;
      for (let i = 0; i < page.entries; i++) {
        if (page.definition[i] !== maxDefinition) continue;
        const row = page.first + i;
        if (page.indexes === undefined) {
          const length = chunk.bytes.readInt32LE(at);
          if (length < 0 || at + 4 + length > page.end) throw this.#corrupt(`a value of ${length} bytes`);
          rows.starts[row] = at + 4;
          rows.lengths[row] = length;
          at += 4 + length;
        } else {
          const index = page.indexes[next] as number;
          rows.starts[row] = dictionary?.starts[index] as number;
          rows.lengths[row] = dictionary?.lengths[index] as number;
        }
        next++;
      }
    });
    return { rows, levels };
  }

  #chunk(group: number, name: string): Chunk {
    const column = this.#footer.row_groups[group]?.columns.find((chunk: ColumnChunk) => chunk.meta_data?.path_in_schema.join('.') === name);
    const meta = column?.meta_data;
    if (meta === undefined || meta.codec !== 'UNCOMPRESSED') throw this.#corrupt(`no plain column ${name}`);
    const at = Number(meta.dictionary_page_offset ?? meta.data_page_offset);
    const bytes = this.#room(name, Number(meta.total_compressed_size));
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(this.#file, bytes, done, bytes.length - done, at + done);
      if (read === 0) throw this.#corrupt(`column ${name} is cut off`);
      done += read;
    }
    return { bytes, entries: Number(meta.num_values), isLong: meta.type === 'INT64' };
  }

  #room(name: string, bytes: number): Buffer {
    let room = this.#rooms.get(name);
    if (room === undefined || room.length < bytes) {
      room = Buffer.allocUnsafeSlow(Math.ceil(bytes * roomGrowth));
      this.#rooms.set(name, room);
    }
    return room.subarray(0, bytes);
  }

  #pages(chunk: Chunk, maxDefinition: number, onPage: (page: Page) => void): void {
    let at = 0;
    let first = 0;
    while (first < chunk.entries) {
      const header = readThriftStruct(chunk.bytes, at);
      const pageType = header.numbers.get(1);
      const start = header.end;
      const end = start + (header.numbers.get(2) ?? 0);
      const body = header.structs.get(pageType === pageTypes.dictionary ? 7 : 5);
      const entries = body?.numbers.get(1);
      const encoding = body?.numbers.get(2) ?? -1;
      if (entries === undefined || end > chunk.bytes.length) throw this.#corrupt(`a page at ${at} is not one`);
      if (pageType === pageTypes.dictionary) {
        onPage({
          isDictionary: true,
          entries,
          first: 0,
          valuesAt: start,
          end,
          values: chunk.bytes.subarray(start, end),
          definition: none,
          repetition: none,
          indexes: undefined,
        });
      } else {
        let valuesAt = start;
        const levels = (bitWidth: number): Uint8Array => {
          const bytes = chunk.bytes.readUInt32LE(valuesAt);
          const out = new Uint8Array(entries);
          decodeRuns(chunk.bytes, valuesAt + 4, valuesAt + 4 + bytes, bitWidth, out);
          valuesAt += 4 + bytes;
          return out;
        };
        const repetition = maxDefinition > 1 ? levels(1) : new Uint8Array(entries);
        const definition = levels(32 - Math.clz32(maxDefinition));
        let indexes: Int32Array | undefined;
        if (dictionaryEncodings.includes(encoding)) {
          const there = definition.reduce((sum, level) => sum + (level === maxDefinition ? 1 : 0), 0);
          indexes = new Int32Array(there);
          if (there > 0) decodeRuns(chunk.bytes, valuesAt + 1, end, chunk.bytes[valuesAt] as number, indexes);
        } else if (encoding !== plainEncoding) throw this.#corrupt(`a page of encoding ${encoding}`);
        onPage({
          isDictionary: false,
          entries,
          first,
          valuesAt,
          end,
          values: chunk.bytes.subarray(valuesAt, end),
          definition,
          repetition,
          indexes,
        });
        first += entries;
      }
      at = end;
    }
  }

  #corrupt(what: string): LakeError {
    return new LakeError('cold-corrupt', `the read-back file ${this.#path} cannot be read: ${what}`, { facts: { path: this.#path } });
  }
}

interface Page {
  readonly isDictionary: boolean;
  readonly entries: number;
  /** Index of its first entry in the column chunk. */
  readonly first: number;
  readonly valuesAt: number;
  readonly end: number;
  readonly values: Buffer;
  readonly definition: Uint8Array;
  readonly repetition: Uint8Array;
  readonly indexes: Int32Array | undefined;
}

const none = new Uint8Array(0);

function walkByteArrays(bytes: Buffer, page: Page, count: number, starts: Int32Array, lengths: Int32Array): void {
  let at = page.valuesAt;
  for (let i = 0; i < count; i++) {
    const length = bytes.readInt32LE(at);
    starts[i] = at + 4;
    lengths[i] = length;
    at += 4 + length;
  }
}

/** Parquet's RLE / bit-packed hybrid, as many values as `out` has room for. */
function decodeRuns(bytes: Buffer, from: number, end: number, bitWidth: number, out: Uint8Array | Int32Array): void {
  let at = from;
  let filled = 0;
  const valueBytes = Math.ceil(bitWidth / 8);
  while (filled < out.length && at < end) {
    let header = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const b = bytes[at++] as number;
      header += (b & 0x7f) * scale;
      if (b < 0x80) break;
    }
    if (header % 2 === 0) {
      let value = 0;
      for (let i = 0; i < valueBytes; i++) value |= (bytes[at + i] as number) << (8 * i);
      at += valueBytes;
      const runEnd = Math.min(out.length, filled + header / 2);
      out.fill(value, filled, runEnd);
      filled = runEnd;
    } else {
      const count = ((header - 1) / 2) * 8;
      const mask = bitWidth === 32 ? -1 : (1 << bitWidth) - 1;
      const runEnd = Math.min(out.length, filled + count);
      for (let bit = 0; filled < runEnd; filled++, bit += bitWidth) {
        let value = 0;
        for (let taken = 0; taken < bitWidth; ) {
          const shift = (bit + taken) & 7;
          value |= ((bytes[at + ((bit + taken) >> 3)] as number) >> shift) << taken;
          taken += 8 - shift;
        }
        out[filled] = value & mask;
      }
      at += (count * bitWidth) / 8;
    }
  }
  if (filled < out.length) throw new LakeError('cold-corrupt', 'levels or indexes of a page are cut off');
}
