/** Rooms for a row group in one memory of WebAssembly, where pages are inflated and hot loops find all of it by address. */
import type { ColumnMetaData } from 'hyparquet';
import { MiB } from '../kernel/index.js';
import { ColumnRooms } from './column-chunk.js';
import type { Loops } from './hot-loops.js';
import { PageMemory, pieceBytes } from './page-memory.js';

/** Room for numbers beside a page: of an entry of a column at most (levels, lengths, places, decoded values, terms). */
const entryBytesMax = 40;
/** Pieces of a column at most that are not of its pages: each is rounded up. */
const piecesMax = 32;
/** What is made of columns, by row: times. */
const rowBytes = 8;
/** A batch of them, unless one record is larger: that is not more than its columns hold. */
const batchRoomBytes = 2 * MiB;

export class PageRooms extends ColumnRooms {
  readonly memory = new PageMemory();

  override get shared(): Buffer {
    return this.memory.bytes;
  }

  override get loops(): Loops {
    return this.memory.loops;
  }

  override begin(columns: readonly (ColumnMetaData | undefined)[], rows: number): void {
    let bytes = rows * rowBytes + batchRoomBytes;
    for (const meta of columns) {
      bytes += Math.max(rows, Number(meta?.num_values ?? 0)) * entryBytesMax + piecesMax * pieceBytes(0);
      bytes += Number(meta?.total_compressed_size ?? 0) + 2 * Number(meta?.total_uncompressed_size ?? 0);
    }
    this.memory.begin(bytes);
  }

  override buffer(_name: string, bytes: number): Buffer {
    const at = this.memory.take(bytes);
    return this.memory.bytes.subarray(at, at + bytes);
  }

  override bytes(_name: string, count: number): Uint8Array {
    return new Uint8Array(this.memory.bytes.buffer, this.memory.take(count), count);
  }

  override ints(_name: string, count: number): Int32Array {
    return new Int32Array(this.memory.bytes.buffer, this.memory.take(count * 4), count);
  }

  override doubles(_name: string, count: number): Float64Array {
    return new Float64Array(this.memory.bytes.buffer, this.memory.take(count * 8), count);
  }

  override inflate(stored: Buffer, inflatedBytes: number): Buffer | undefined {
    return this.memory.inflate(stored.byteOffset, stored.length, inflatedBytes);
  }
}
