/**
 * The last row of a key in a cold file or a chunk of the tail, straight from its pages: row group by row group from the end, of each the
 * column of keys, and the others only of the group that has it.
 */
import { isLakeError, LakeError, type Offset, type PartitionId, type TimestampMs } from '../kernel/index.js';
import { type BytesRows, ColumnRooms } from './column-chunk.js';
import { ColdFileReader, type ColdRows } from './cold-rows.js';

export interface KeyQuestion {
  readonly key: Buffer;
  /** Only rows of these offsets count: from the first, up to the second and without it. */
  readonly from: Offset;
  readonly end: Offset;
}

/** A record as it is stored; bytes are null where it has none. */
export interface KeyedRow {
  readonly partition: PartitionId;
  readonly offset: Offset;
  /** The record's own, which may be beyond what a column of times can hold. */
  readonly timestampMs: TimestampMs;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: Buffer | null; readonly value: Buffer | null }[];
}

/** What may still be read, in bytes as they are when inflated. */
export class ReadAllowance {
  #leftBytes: number;

  constructor(bytes: number) {
    this.#leftBytes = bytes;
  }

  /** False where there is not so much left; then nothing is taken. */
  take(bytes: number): boolean {
    if (bytes > this.#leftBytes) return false;
    this.#leftBytes -= bytes;
    return true;
  }
}

/**
 * `undefined` where no row has the key; `too-large` where more would have to be read for that than is allowed. Reads without giving
 * way, so the allowance is a time too: a MiB takes about a millisecond. Errors: `cold-corrupt`, those of the file system.
 */
export function lastRowOfKey(path: string, question: KeyQuestion, allowance: ReadAllowance): KeyedRow | 'too-large' | undefined {
  const { key, from, end } = question;
  const reader = new ColdFileReader(path, new ColumnRooms());
  try {
    for (const span of [...reader.spans].reverse()) {
      if (span.maxOffset < from || span.minOffset >= end) continue;
      if (!allowance.take(reader.keyBytes(span))) return 'too-large';
      if (rowBefore(reader.keys(span), key, span.rows) < 0) continue;
      if (!allowance.take(span.bytes)) return 'too-large';
      const rows = reader.rows(span);
      const row = rowBefore(rows.key, key, rows.rowAtOrBelow(end - 1) + 1);
      if (row >= 0 && (rows.offsets[row] as number) >= from) return rowAt(rows, row);
    }
    return undefined;
  } catch (error) {
    if (isLakeError(error) || (error as NodeJS.ErrnoException).code !== undefined) throw error;
    throw new LakeError('cold-corrupt', `${path} cannot be searched: ${(error as Error).message}`, { cause: error, facts: { path } });
  } finally {
    reader.close();
  }
}

/** The last row below `end` that has the key; −1 where none has. */
function rowBefore({ buffer, starts, lengths }: BytesRows, key: Buffer, end: number): number {
  for (let row = end - 1; row >= 0; row--) {
    if (lengths[row] !== key.length) continue;
    const start = starts[row] as number;
    if (buffer.compare(key, 0, key.length, start, start + key.length) === 0) return row;
  }
  return -1;
}

function rowAt(rows: ColdRows, row: number): KeyedRow {
  return {
    partition: rows.partition(row),
    offset: rows.offsets[row] as number,
    timestampMs: rows.timestampsMs[row] as number,
    value: bytesAt(rows.value, row),
    headers: headersAt(rows, row),
  };
}

function headersAt(rows: ColdRows, row: number): KeyedRow['headers'] {
  if (rows.isHeaderless) return [];
  let entry = 0;
  for (let before = 0; before < row; before++) entry = rows.headersEnd(entry);
  const end = rows.headersEnd(entry);
  const headers: { key: Buffer | null; value: Buffer | null }[] = [];
  for (; entry < end; entry++) {
    if (rows.isHeader(entry)) headers.push({ key: bytesAt(rows.headerKeyRows(entry), entry), value: bytesAt(rows.headerValue, entry) });
  }
  return headers;
}

function bytesAt(rows: BytesRows, entry: number): Buffer | null {
  return (rows.lengths[entry] as number) < 0 ? null : rows.slice(entry);
}
