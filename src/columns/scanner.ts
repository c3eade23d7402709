/**
 * Which (name, kind) pairs JSON values contribute, as the loops found out while they staged records (`loops/scan.ts`): one pass over
 * the bytes, nothing is built. It says exactly what `typed-sql.ts` would find, because both sides of the boundary name their
 * columns by it; so it accepts what DuckDB's JSON reader accepts (RFC 8259 plus trailing commas and the words NaN and Infinity)
 * and takes the first of duplicate names. The rare and the doubtful (escaped names, numbers with exponents) come back here.
 */
import { MiB } from '../kernel/index.js';
import { loopBytes, loops, reserve } from './hot-loops.js';
import { columnKinds, type ColumnKind, type ColumnPair } from './jobs.js';

/** As `loops/json.ts` has them. */
const kindBit: Readonly<Record<ColumnKind, number>> = { long: 1, double: 2, bool: 4, text: 8 };
/** A container more for each byte of a value at most, which is no larger than the records of a batch (`inflatedBytesMax`). */
const containersBytes = 256 * MiB;

let rooms: { readonly namesAt: number; readonly containersAt: number } | undefined;

/** What the loops have scanned since it was made; one in a process at a time. */
export class ValueScanner {
  constructor() {
    rooms ??= { namesAt: reserve(loops.scanBytes()), containersAt: reserve(containersBytes) };
    loops.openScan(rooms.namesAt, rooms.containersAt);
  }

  /** The pairs found so far, in no particular order. */
  pairs(): ColumnPair[] {
    const pairs: ColumnPair[] = [];
    for (let index = 0; index < loops.nameCount(); index++) {
      const at = loops.nameAt(index) >>> 0;
      const name = loopBytes().toString('utf8', at, at + loops.nameLength(index));
      for (const kind of columnKinds) if ((loops.kindsOf(index) & kindBit[kind]) !== 0) pairs.push({ name, kind });
    }
    return pairs;
  }

  /** No field has been NaN or Infinity so far, also in values that turned out to be no JSON. */
  get isFinite(): boolean {
    return loops.isFiniteSoFar() !== 0;
  }
}
