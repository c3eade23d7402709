/**
 * The compiled loops of `loops/`, loaded once a process, and the memory they work in. A WebAssembly module sees one memory,
 * which grows and never shrinks; so each user reserves a region of it once, as large as it may ever need. What is reserved
 * and not yet written takes address space only. A process whose regions have become large is replaced (`workers.ts`).
 */
import { existsSync, readFileSync } from 'node:fs';
import { invariant } from '../kernel/index.js';

/** Addresses are unsigned: those above 2^31 come back negative, and take a `>>> 0`. A boolean is 0 or 1. */
export interface Loops {
  // loops/unpack.ts
  /** Unpacks `count` values of `bitWidth` bits at `at` into words at `to`. */
  unpack(at: number, bitWidth: number, to: number, count: number): void;

  // loops/places.ts, loops/records.ts
  /** Places the values of a page, false where it is damaged; see `loops/places.ts`. */
  placeDelta(
    at: number,
    end: number,
    entries: number,
    there: number,
    definitions: number,
    definition: number,
    starts: number,
    lengths: number,
  ): number;
  /** Places terms of a dictionary; see `loops/places.ts`. */
  placeTerms(
    indexes: number,
    entries: number,
    definitions: number,
    definition: number,
    termStarts: number,
    termLengths: number,
    starts: number,
    lengths: number,
  ): void;
  /** Bytes of so many values in all; see `loops/places.ts`. */
  sumLengths(lengths: number, count: number): number;
  /** Decodes indexes into a dictionary, 0 where they are damaged; see `loops/runs.ts`. */
  decodeIndexes(at: number, end: number, bitWidth: number, to: number, count: number, terms: number): number;
  /** Passes over the headers of so many rows; see `loops/records.ts`. */
  skipHeaders(batch: number, columns: number, rows: number): void;
  /** Appends rows to an open batch and answers the row after the last; see `loops/records.ts`. */
  writeRecords(batch: number, columns: number, row: number, endRow: number): number;

  // loops/lz4.ts
  /** Inflates one block; answers where it ends, 0 where it is damaged. Touches 32 bytes behind `limit`. */
  lz4Block(from: number, end: number, start: number, to: number, limit: number): number;

  // loops/digest.ts
  beginRecord(
    offset: number,
    timestampMs: number,
    timestampType: number,
    leaderEpoch: number,
    producerIdHigh: number,
    producerIdLow: number,
    producerEpoch: number,
    sequence: number,
  ): void;
  beginRawBatch(offset: number): void;
  mixNumber(number: number): void;
  mixBytes(at: number, bytes: number): void;
  appendRecord(sum: bigint): bigint;

  // loops/delta.ts
  /** Integers as doubles: 0 where they are damaged, 2 where one is beyond ±(2^53 − 1), else 1. */
  readDelta(at: number, end: number, out: number, count: number): number;

  // loops/digest-rows.ts
  openRows(
    columns: number,
    partition: number,
    previousOffset: number,
    lastOffset: number,
    timestampMinMs: number,
    timestampMaxMs: number,
  ): void;
  /** 0 where a row is not as it must be. */
  digestRows(sum: bigint, from: number, to: number): number;
  digestedRows(): bigint;
  lastDigestedOffset(): number;

  // loops/levels.ts
  /** Packs levels, a byte each; answers where they end. */
  packLevels(at: number, count: number, bitWidth: number, to: number): number;

  // loops/staged-columns.ts
  columnsBytes(): number;
  packedLevelsBytesMax(): number;
  openColumns(at: number): void;
  clearColumns(): void;
  rowCount(): number;
  entryCount(): number;
  hasAnyHeader(): number;
  isFull(): number;
  valuesAt(column: number): number;
  valuesEnd(column: number): number;
  levelsAt(column: number): number;
  smallest(column: number): bigint;
  largest(column: number): bigint;

  // loops/stage-records.ts
  openStage(firstOffset: bigint, endOffset: bigint, timestampMinMs: bigint, timestampMaxMs: bigint, isScanning: boolean): void;
  /** Checks a batch's records; 0 where they are damaged. */
  beginBatch(
    at: number,
    end: number,
    count: number,
    lastOffsetDelta: number,
    baseOffset: bigint,
    timestampMs: bigint,
    hasAppendTime: boolean,
    leaderEpoch: number,
    producerId: bigint,
    producerEpoch: number,
    baseSequence: number,
  ): number;
  /** 0 where the columns are full before all records are taken. */
  takeRecords(): number;
  takeEmptyRow(offset: bigint, timestampMs: bigint): void;
  stagedDigest(): bigint;
  setStagedDigest(sum: bigint): void;
  stagedTimestampMin(): bigint;
  stagedTimestampMax(): bigint;

  // loops/scan.ts, loops/names.ts
  scanBytes(): number;
  openScan(at: number, containersAt: number): void;
  scan(at: number, end: number): void;
  isFiniteSoFar(): number;
  pairCount(): number;
  nameCount(): number;
  nameAt(index: number): number;
  nameLength(index: number): number;
  kindsOf(index: number): number;
}

/** As far as it is used here; the types of Node 20 lack it. */
export interface WebAssemblyOfNode {
  readonly Memory: new (pages: {
    readonly initial: number;
    readonly maximum: number;
  }) => LoopMemory & {
    grow(pages: number): number;
  };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: Readonly<Record<string, unknown>>) => { readonly exports: object };
}
export const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyOfNode };

/** A memory of WebAssembly; its buffer is another one after it has grown. */
export interface LoopMemory {
  readonly buffer: ArrayBuffer;
}

/** Of WebAssembly. */
const wasmPageBytes = 64 * 1024;
/** All addresses of 32 bits: what all regions together may reserve. */
const memoryPagesMax = 65_536;
/** Regions begin on whole cache lines, and the loops may touch so much behind the end of one. */
const regionAlignment = 64;

const memory = new WebAssembly.Memory({ initial: 1, maximum: memoryPagesMax });
/** Address 0 stays free: it means nothing. */
let reservedBytes = regionAlignment;
let bytes = Buffer.from(memory.buffer);

/** The compiled module lies in `dist`, also for code that is run from `src` or built elsewhere below the project. */
function compiledLoops(): Buffer {
  for (let folder = new URL('.', import.meta.url); ; folder = new URL('..', folder)) {
    for (const place of ['columns/loops.wasm', 'dist/columns/loops.wasm']) {
      const path = new URL(place, folder);
      if (existsSync(path)) return readFileSync(path);
    }
    invariant(folder.pathname !== '/', 'the compiled loops are there', { from: import.meta.url });
  }
}

const compiled = new WebAssembly.Module(compiledLoops());

/** A field's name longer than this contributes nothing; as `loops/names.ts` has it. */
const nameBytesMax = 255;

/** The loops on another memory: that of a module which brings its own. Addresses and lengths are the caller's to keep within it. */
export function loopsOn(other: LoopMemory): Loops {
  const textAt = (at: number, count: number): Buffer => Buffer.from(other.buffer, at >>> 0, count);
  const imports = {
    env: { memory: other },
    json: { isFiniteNumber: (at: number, count: number) => Number.isFinite(Number(textAt(at, count).toString('latin1'))) },
    scan: {
      unescapeName: (at: number, count: number, to: number): number => {
        const name = Buffer.from(JSON.parse(textAt(at, count).toString('utf8')) as string, 'utf8');
        if (name.length > nameBytesMax) return -1;
        new Uint8Array(other.buffer).set(name, to >>> 0);
        return name.length;
      },
    },
  };
  return new WebAssembly.Instance(compiled, imports).exports as Loops;
}

/** The loops themselves. Addresses and lengths are the caller's to keep within its regions. */
export const loops = loopsOn(memory);

/** Reserves a region for good; answers its address. */
export function reserve(regionBytes: number): number {
  const at = reservedBytes;
  // Behind the last region there is room to touch, too.
  reservedBytes = Math.ceil((at + regionBytes + regionAlignment) / regionAlignment) * regionAlignment;
  const missing = reservedBytes + regionAlignment - memory.buffer.byteLength;
  if (missing > 0) {
    memory.grow(Math.ceil(missing / wasmPageBytes));
    bytes = Buffer.from(memory.buffer);
  }
  return at;
}

/** All memory of the loops. Valid until another region is reserved. */
export function loopBytes(): Buffer {
  return bytes;
}
