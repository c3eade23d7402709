/** The digest of a cold file's rows, from its pages: what `stage.ts` computed from the raw batches must come out again. */
import type { LakeError, Offset, PartitionId } from '../kernel/index.js';
import { ColdFileReader, type ColdRows } from './cold-rows.js';
import { ColumnRooms } from './column-chunk.js';
import { RecordDigest } from './digest.js';

export interface DigestRange {
  readonly path: string;
  readonly partition: PartitionId;
  /** Rows lie within, both inclusive, and ascend. */
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  /** Makes the error for rows that do not, or that contradict themselves. */
  readonly differs: (what: string) => LakeError;
}

/** Of this process: a job runs to its end before the next one begins. */
const rooms = new ColumnRooms();

/** Of the rows below an offset, and of those at or above it. Errors: `cold-corrupt`, and what `differs` makes. */
export function digestsOfFile(range: DigestRange, splitAt: Offset): { readonly below: RecordDigest; readonly rest: RecordDigest } {
  const below = new RecordDigest();
  const rest = new RecordDigest();
  const file = new ColdFileReader(range.path, rooms);
  try {
    let previous: Offset = range.baseOffset - 1;
    for (const span of file.spans) {
      const rows = file.rows(span);
      const split = rows.rowAtOrBelow(splitAt - 1) + 1;
      previous = digestRows(range, rows, below, rest, split, previous);
    }
  } finally {
    file.close();
  }
  return { below, rest };
}

/** Of all rows. Errors: as `digestsOfFile`. */
export function digestOfFile(range: DigestRange): RecordDigest {
  return digestsOfFile(range, range.baseOffset).rest;
}

/** Takes in the rows, those before `split` into `below`; answers the last offset. */
function digestRows(
  range: DigestRange,
  rows: ColdRows,
  below: RecordDigest,
  rest: RecordDigest,
  split: number,
  lastOffset: Offset,
): Offset {
  const { key, value, headerValue, offsets, timestampsMs } = rows;
  const isUniform = rows.isUniform();
  const timestampType = rows.timestampType(0);
  const leaderEpoch = rows.leaderEpoch(0);
  if (isUniform && rows.rows > 0) requireNarrow(range, timestampType, -1, offsets[0] as number);
  const keyStarts = key.starts;
  const keyLengths = key.lengths;
  const valueStarts = value.starts;
  const valueLengths = value.lengths;
  let previous = lastOffset;
  let entry = 0;
  for (let row = 0; row < rows.rows; row++) {
    const digest = row < split ? below : rest;
    const offset = offsets[row] as number;
    if (offset <= previous || offset > range.lastOffset) throw range.differs(`offset ${offset} follows ${previous}`);
    if (rows.partition(row) !== range.partition) throw range.differs(`partition ${rows.partition(row)} at offset ${offset}`);
    if (!rows.isTimestampWhole(row)) throw range.differs(`the timestamp at offset ${offset} is not whole`);
    previous = offset;
    if (isUniform) {
      digest.begin(offset, timestampsMs[row] as number, timestampType, leaderEpoch, -1, -1, -1, -1);
      digest.bytes(key.buffer, keyStarts[row] as number, keyLengths[row] as number);
      digest.bytes(value.buffer, valueStarts[row] as number, valueLengths[row] as number);
      digest.number(0);
      digest.end();
      continue;
    }
    const entriesEnd = rows.headersEnd(entry);
    if (rows.isRawBatch(row)) {
      digest.beginRawBatch(offset);
      digest.bytes(rows.rawBatch.buffer, rows.rawBatch.starts[row] as number, rows.rawBatch.lengths[row] as number);
      digest.end();
      entry = entriesEnd;
      continue;
    }
    requireNarrow(range, rows.timestampType(row), rows.producerEpoch(row), offset);
    digest.begin(
      offset,
      timestampsMs[row] as number,
      rows.timestampType(row),
      rows.leaderEpoch(row),
      rows.producerIdHigh(row),
      rows.producerIdLow(row),
      rows.producerEpoch(row),
      rows.sequence(row),
    );
    digest.bytes(key.buffer, keyStarts[row] as number, keyLengths[row] as number);
    digest.bytes(value.buffer, valueStarts[row] as number, valueLengths[row] as number);
    const headersEnd = rows.isHeader(entry) ? entriesEnd : entry;
    digest.number(headersEnd - entry);
    for (; entry < headersEnd; entry++) {
      const keys = rows.headerKeyRows(entry);
      digest.bytes(keys.buffer, keys.starts[entry] as number, keys.lengths[entry] as number);
      digest.bytes(headerValue.buffer, headerValue.starts[entry] as number, headerValue.lengths[entry] as number);
    }
    entry = entriesEnd;
    digest.end();
  }
  return previous;
}

/** The digest takes in sixteen bits of each: what a file has beyond them must not pass for the same. */
function requireNarrow(range: DigestRange, timestampType: number, producerEpoch: number, offset: Offset): void {
  if (timestampType !== 0 && timestampType !== 1) throw range.differs(`timestamp type ${timestampType} at offset ${offset}`);
  if (producerEpoch !== (producerEpoch << 16) >> 16) throw range.differs(`producer epoch ${producerEpoch} at offset ${offset}`);
}
