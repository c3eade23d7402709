/**
 * Columns of a staging file's row group that are filled a batch at a time: constants, and batches that are kept whole. Their nulls
 * live in runs of definition levels.
 */

/** Parquet's encodings. */
export const encodings = { plain: 0, rle: 3, rleDictionary: 8 } as const;
/** Parquet's physical types. */
export const physicalTypes = { int32: 1, int64: 2, double: 5, byteArray: 6 } as const;

/** Definition levels of a page's entries; where nothing is nested, one a row. */
export interface PageLevels {
  /** Entries. */
  readonly total: number;
  /** There is nothing but zeros. */
  readonly isAllZero: boolean;
  /** In Parquet's RLE / bit-packed hybrid. */
  encode(bitWidth: number): Buffer;
}

/** Levels or dictionary indexes as runs of equal values. */
class Runs implements PageLevels {
  readonly #values: number[] = [];
  readonly #counts: number[] = [];
  #last = -1;
  #total = 0;

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

  clear(): void {
    this.#values.length = 0;
    this.#counts.length = 0;
    this.#last = -1;
    this.#total = 0;
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
  readonly levels: PageLevels;
  /** Distinct values of a dictionary, PLAIN; undefined where values are PLAIN themselves. */
  dictionary(): { readonly bytes: Buffer; readonly count: number } | undefined;
  /** Values of the data page, in its encoding. */
  values(): Buffer;
}

/** BYTE_ARRAY values: each its length and its bytes. */
export class BytesColumn implements PageSource {
  readonly levels = new Runs();
  #buffer: Buffer;
  #at = 0;

  constructor(initialBytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(initialBytes);
  }

  /** Length of all values with their lengths. */
  get bytes(): number {
    return this.#at;
  }

  append(value: Uint8Array): void {
    const end = this.#at + 4 + value.length;
    if (end > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, end));
      this.#buffer.copy(grown, 0, 0, this.#at);
      this.#buffer = grown;
    }
    this.#buffer.writeInt32LE(value.length, this.#at);
    this.#buffer.set(value, this.#at + 4);
    this.#at = end;
    this.levels.append(1);
  }

  dictionary(): undefined {
    return undefined;
  }

  values(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  clear(): void {
    this.#at = 0;
    this.levels.clear();
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

  clear(): void {
    this.levels.clear();
    this.#indexes.clear();
    this.#values.length = 0;
    this.#indexByValue.clear();
  }
}
