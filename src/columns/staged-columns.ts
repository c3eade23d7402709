/**
 * The columns of a staging file's row group under way. What each record brings lies in the memory of the loops, which put it there
 * (`loops/staged-columns.ts`); what stays the same over whole batches, and batches that are kept whole, lies here.
 */
import { loopBytes, loops, reserve } from './hot-loops.js';
import { BytesColumn, ConstantColumn, type PageLevels, type PageSource } from './plain-columns.js';

/** A row group is written when its values reach this, as `loops/staged-columns.ts` has it; one record may carry it beyond. */
const stagedRowGroupBytes = 16 * 1024 * 1024;

/** Columns of the loops, in their order. */
export const loopColumns = {
  offset: 0,
  timestamp: 1,
  timestampRaw: 2,
  sequence: 3,
  key: 4,
  value: 5,
  headerKey: 6,
  headerKeyRaw: 7,
  headerValue: 8,
} as const;
/** Levels of the loops that belong to no single column: 0 begins a row's list of headers, 1 goes on in it. */
const headerRepetition = 9;

class LoopLevels implements PageLevels {
  readonly #column: number;

  constructor(column: number) {
    this.#column = column;
  }

  get total(): number {
    return this.#column >= loopColumns.headerKey ? loops.entryCount() : loops.rowCount();
  }

  get isAllZero(): boolean {
    const column = this.#column;
    return loops.valuesEnd(column) === loops.valuesAt(column) && (column < loopColumns.headerKey || loops.hasAnyHeader() === 0);
  }

  encode(bitWidth: number): Buffer {
    const count = this.total;
    const to = roomsOfColumns().packedAt;
    const at = loops.levelsAt(this.#column);
    const end = loops.packLevels(at, count, bitWidth, to) >>> 0;
    return Buffer.from(loopBytes().subarray(to, end));
  }
}

/** Offsets and timestamps: there in every row. */
class FullLevels implements PageLevels {
  readonly isAllZero = false;

  get total(): number {
    return loops.rowCount();
  }

  encode(): Buffer {
    // One run: twice the count in bytes of seven bits, then the level.
    const bytes: number[] = [];
    let rest = this.total * 2;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
    return Buffer.from([...bytes, rest, 1]);
  }
}

class LoopColumn implements PageSource {
  readonly levels: PageLevels;
  readonly #column: number;

  constructor(column: number) {
    this.#column = column;
    this.levels = column <= loopColumns.timestamp ? new FullLevels() : new LoopLevels(column);
  }

  dictionary(): undefined {
    return undefined;
  }

  values(): Buffer {
    return loopBytes().subarray(loops.valuesAt(this.#column) >>> 0, loops.valuesEnd(this.#column) >>> 0);
  }

  /** Of offsets and timestamps. */
  range(): { readonly min: bigint; readonly max: bigint } {
    return { min: loops.smallest(this.#column), max: loops.largest(this.#column) };
  }
}

interface Rooms {
  readonly columnsAt: number;
  readonly packedAt: number;
}

let rooms: Rooms | undefined;

function roomsOfColumns(): Rooms {
  return (rooms ??= { columnsAt: reserve(loops.columnsBytes() >>> 0), packedAt: reserve(loops.packedLevelsBytesMax()) });
}

/** One set of them in a process at a time. */
export class StagedColumns {
  readonly partition = new ConstantColumn(4);
  readonly offset = new LoopColumn(loopColumns.offset);
  readonly timestamp = new LoopColumn(loopColumns.timestamp);
  readonly timestampRaw = new LoopColumn(loopColumns.timestampRaw);
  readonly key = new LoopColumn(loopColumns.key);
  readonly value = new LoopColumn(loopColumns.value);
  readonly headerKey = new LoopColumn(loopColumns.headerKey);
  readonly headerKeyRaw = new LoopColumn(loopColumns.headerKeyRaw);
  readonly headerValue = new LoopColumn(loopColumns.headerValue);
  readonly headerRepetition: PageLevels = new LoopLevels(headerRepetition);
  readonly timestampType = new ConstantColumn(4);
  readonly leaderEpoch = new ConstantColumn(4);
  readonly producerId = new ConstantColumn(8);
  readonly producerEpoch = new ConstantColumn(4);
  readonly sequence = new LoopColumn(loopColumns.sequence);
  readonly rawBatch = new BytesColumn(1024);

  constructor() {
    loops.openColumns(roomsOfColumns().columnsAt);
  }

  get rows(): number {
    return loops.rowCount();
  }

  get isFull(): boolean {
    return loops.isFull() !== 0 || this.rawBatch.bytes >= stagedRowGroupBytes;
  }

  clear(): void {
    loops.clearColumns();
    const others = [this.partition, this.timestampType, this.leaderEpoch, this.producerId, this.producerEpoch, this.rawBatch];
    for (const column of others) column.clear();
  }
}
