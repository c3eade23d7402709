/**
 * Column buffers of a staging file's row group. Values are appended as bytes where they will lie in the page; nulls live in
 * runs of definition levels. `mark` and `rewind` take back what a damaged batch has left.
 */

const two32 = 2 ** 32;
/** Parquet's encodings. */
export const encodings = { plain: 0, rle: 3, rleDictionary: 8 } as const;
/** Parquet's physical types. */
export const physicalTypes = { int32: 1, int64: 2, double: 5, byteArray: 6 } as const;

/** Levels or dictionary indexes as runs of equal values. */
export class Runs {
  readonly #values: number[] = [];
  readonly #counts: number[] = [];
  #last = -1;
  #total = 0;
  #markRuns = 0;
  #markCount = 0;
  #markTotal = 0;

  /** Values in all runs. */
  get total(): number {
    return this.#total;
  }

  /** There is nothing but zeros. */
  get isAllZero(): boolean {
    return this.#values.every((value) => value === 0);
  }

  append(value: number, count = 1): void {
    const last = this.#values.length - 1;
    if (value === this.#last) this.#counts[last] = (this.#counts[last] as number) + count;
    else {
      this.#values.push(value);
      this.#counts.push(count);
      this.#last = value;
    }
    this.#total += count;
  }

  mark(): void {
    this.#markRuns = this.#values.length;
    this.#markCount = this.#counts.at(-1) ?? 0;
    this.#markTotal = this.#total;
  }

  rewind(): void {
    this.#values.length = this.#markRuns;
    this.#counts.length = this.#markRuns;
    if (this.#markRuns > 0) this.#counts[this.#markRuns - 1] = this.#markCount;
    this.#last = this.#values.at(-1) ?? -1;
    this.#total = this.#markTotal;
  }

  clear(): void {
    this.#values.length = 0;
    this.#counts.length = 0;
    this.#last = -1;
    this.#total = 0;
    this.mark();
  }

  /** Parquet's RLE hybrid with run-length runs only. */
  encode(bitWidth: number): Buffer {
    const valueBytes = Math.ceil(bitWidth / 8);
    const bytes = Buffer.allocUnsafe(this.#values.length * (5 + valueBytes));
    let at = 0;
    for (let i = 0; i < this.#values.length; i++) {
      let header = (this.#counts[i] as number) * 2;
      while (header >= 0x80) {
        bytes[at++] = (header % 0x80) | 0x80;
        header = Math.floor(header / 0x80);
      }
      bytes[at++] = header;
      let value = this.#values[i] as number;
      for (let b = 0; b < valueBytes; b++) {
        bytes[at++] = value & 0xff;
        value >>>= 8;
      }
    }
    return bytes.subarray(0, at);
  }
}

/** What the file writer needs of a column, whatever its values are. */
export interface PageSource {
  /** Length of all pages' values at present, in bytes. */
  readonly bytes: number;
  /** Definition levels of the entries; where nothing is nested, one a row. */
  readonly levels: Runs;
  /** Distinct values of a dictionary, PLAIN; undefined where values are PLAIN themselves. */
  dictionary(): { readonly bytes: Buffer; readonly count: number } | undefined;
  /** Values of the data page, in its encoding. */
  values(): Buffer;
  mark(): void;
  rewind(): void;
  clear(): void;
}

/** Bytes that grow, with a view for unaligned words. */
abstract class GrowingBytes {
  buffer: Buffer;
  view: DataView;
  at = 0;
  #markAt = 0;
  readonly levels = new Runs();

  constructor(initialBytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(initialBytes);
    this.view = new DataView(this.buffer.buffer);
  }

  get bytes(): number {
    return this.at;
  }

  makeRoom(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.at + bytes));
    this.buffer.copy(grown, 0, 0, this.at);
    this.buffer = grown;
    this.view = new DataView(grown.buffer);
  }

  dictionary(): undefined {
    return undefined;
  }

  values(): Buffer {
    return this.buffer.subarray(0, this.at);
  }

  mark(): void {
    this.#markAt = this.at;
    this.levels.mark();
  }

  rewind(): void {
    this.at = this.#markAt;
    this.levels.rewind();
  }

  clear(): void {
    this.at = 0;
    this.levels.clear();
    this.mark();
  }
}

/** INT64 values from safe integers. Definition level 1: there. */
export class LongColumn extends GrowingBytes implements PageSource {
  append(value: number): void {
    this.makeRoom(8);
    const high = Math.floor(value / two32);
    this.view.setInt32(this.at, (value - high * two32) | 0, true);
    this.view.setInt32(this.at + 4, high | 0, true);
    this.at += 8;
    this.levels.append(1);
  }

  appendNull(): void {
    this.levels.append(0);
  }
}

/** INT32 values. */
export class IntColumn extends GrowingBytes implements PageSource {
  append(value: number): void {
    this.makeRoom(4);
    this.view.setInt32(this.at, value, true);
    this.at += 4;
    this.levels.append(1);
  }

  appendNull(): void {
    this.levels.append(0);
  }
}

/** BYTE_ARRAY values: each its length and its bytes. The caller gives the definition level. */
export class BytesColumn extends GrowingBytes implements PageSource {
  /** Writes the length and makes room; answers where the bytes go. They are the caller's to write. */
  begin(length: number, level: number): number {
    this.makeRoom(4 + length);
    const at = this.at;
    this.view.setInt32(at, length, true);
    this.at = at + 4 + length;
    this.levels.append(level);
    return at + 4;
  }

  append(bytes: Uint8Array, level: number): void {
    const at = this.begin(bytes.length, level);
    this.buffer.set(bytes, at);
  }
}

/**
 * Values that stay the same over whole batches: a dictionary and runs of indexes, so that a batch costs one step and a record
 * none. INT32 or INT64.
 */
export class ConstantColumn implements PageSource {
  readonly levels = new Runs();
  readonly #indexes = new Runs();
  readonly #values: bigint[] = [];
  readonly #indexByValue = new Map<bigint, number>();
  readonly #width: 4 | 8;

  constructor(width: 4 | 8) {
    this.#width = width;
  }

  get bytes(): number {
    return 0;
  }

  append(value: bigint | null, count: number): void {
    if (count === 0) return;
    this.levels.append(value === null ? 0 : 1, count);
    if (value === null) return;
    let index = this.#indexByValue.get(value);
    if (index === undefined) {
      index = this.#values.length;
      this.#values.push(value);
      this.#indexByValue.set(value, index);
    }
    this.#indexes.append(index, count);
  }

  dictionary(): { readonly bytes: Buffer; readonly count: number } | undefined {
    if (this.#values.length === 0) return undefined;
    const bytes = Buffer.allocUnsafe(this.#values.length * this.#width);
    for (const [index, value] of this.#values.entries()) {
      if (this.#width === 8) bytes.writeBigInt64LE(value, index * 8);
      else bytes.writeInt32LE(Number(value), index * 4);
    }
    return { bytes, count: this.#values.length };
  }

  values(): Buffer {
    if (this.#values.length === 0) return Buffer.alloc(0);
    const bitWidth = Math.max(1, 32 - Math.clz32(Math.max(0, this.#values.length - 1)));
    return Buffer.concat([Buffer.from([bitWidth]), this.#indexes.encode(bitWidth)]);
  }

  mark(): void {
    this.levels.mark();
    this.#indexes.mark();
  }

  rewind(): void {
    this.levels.rewind();
    this.#indexes.rewind();
  }

  clear(): void {
    this.levels.clear();
    this.#indexes.clear();
    this.#values.length = 0;
    this.#indexByValue.clear();
  }
}
