/** The digest of a cold file's rows, from the file itself: what `stage.ts` computed from the raw batches must come out again. */
import type { LakeError, Offset, PartitionId } from '../kernel/index.js';
import { RecordDigest } from './digest.js';
import type { ColumnEngine } from './engine.js';
import { type ReadBackOptions, type ReadRows, readBack } from './read-back.js';

export interface DigestRange {
  readonly path: string;
  readonly partition: PartitionId;
  /** Rows lie within, both inclusive, and ascend. */
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  /** Makes the error for rows that do not, or that contradict themselves. */
  readonly differs: (what: string) => LakeError;
}

/** Of all rows, or of those that `options` ask for. Errors: `cold-corrupt`, and what `differs` makes. */
export async function digestOfFile(range: DigestRange, engine: ColumnEngine, options: ReadBackOptions = {}): Promise<RecordDigest> {
  const digest = new RecordDigest();
  let previous: Offset = range.baseOffset - 1;
  await readBack(range.path, engine, options, (rows) => {
    previous = digestRows(range, rows, digest, previous);
    return true;
  });
  return digest;
}

/** Takes in the rows; answers the last offset. */
function digestRows(range: DigestRange, rows: ReadRows, digest: RecordDigest, lastOffset: Offset): Offset {
  const { key, value, headerValue } = rows;
  let previous = lastOffset;
  let entry = 0;
  for (let row = 0; row < rows.rows; row++) {
    const offset = rows.offset(row);
    const entriesEnd = rows.headersEnd(entry);
    if (offset <= previous || offset > range.lastOffset) throw range.differs(`offset ${offset} follows ${previous}`);
    if (rows.partition(row) !== range.partition) throw range.differs(`partition ${rows.partition(row)} at offset ${offset}`);
    if (!rows.isTimestampWhole(row)) throw range.differs(`the timestamp at offset ${offset} is not whole`);
    previous = offset;
    if (rows.isRawBatch(row)) {
      digest.beginRawBatch(offset);
      digest.bytes(rows.rawBatch.view, rows.rawBatch.starts[row] as number, rows.rawBatch.lengths[row] as number);
      digest.end();
      entry = entriesEnd;
      continue;
    }
    digest.begin(
      offset,
      rows.timestampMs(row),
      rows.timestampType(row),
      rows.leaderEpoch(row),
      rows.producerIdHigh(row),
      rows.producerIdLow(row),
      rows.producerEpoch(row),
      rows.sequence(row),
    );
    digest.bytes(key.view, key.starts[row] as number, key.lengths[row] as number);
    digest.bytes(value.view, value.starts[row] as number, value.lengths[row] as number);
    const headersEnd = rows.isHeader(entry) ? entriesEnd : entry;
    digest.word(headersEnd - entry);
    for (; entry < headersEnd; entry++) {
      const keys = rows.headerKeyRows(entry);
      digest.bytes(keys.view, keys.starts[entry] as number, keys.lengths[entry] as number);
      digest.bytes(headerValue.view, headerValue.starts[entry] as number, headerValue.lengths[entry] as number);
    }
    entry = entriesEnd;
    digest.end();
  }
  return previous;
}
