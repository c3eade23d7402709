/** The digest of a cold file's rows, from its pages: what `stage.ts` computed from the raw batches must come out again. */
import { type LakeError, MiB, type Offset, type PartitionId } from '../kernel/index.js';
import { ColdFileReader, type ColdRows } from './cold-rows.js';
import { type BytesRows, ColumnRooms, type IntRows, type Levels } from './column-chunk.js';
import { RecordDigest } from './digest.js';
import { PageRooms } from './page-rooms.js';
import { timestampMaxMs, timestampMinMs } from './schema.js';

export interface DigestRange {
  readonly path: string;
  readonly partition: PartitionId;
  /** Rows lie within, both inclusive, and ascend. */
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  /** Makes the error for rows that do not, or that contradict themselves. */
  readonly differs: (what: string) => LakeError;
}

/**
 * Row groups up to here, inflated, are read into the memory of the loops, which holds such a one twice. Larger ones have a value, or a
 * batch that is kept whole, of hundreds of megabytes: they are read into fresh memory, and digested row by row.
 */
const loopGroupBytesMax = 256 * MiB;

let pageRooms: PageRooms | undefined;

/** Of this process: a job runs to its end before the next one begins. */
function roomsOfProcess(): PageRooms {
  return (pageRooms ??= new PageRooms());
}

/** Of the rows below an offset, and of those at or above it. Errors: `cold-corrupt`, and what `differs` makes. */
export function digestsOfFile(range: DigestRange, splitAt: Offset): { readonly below: RecordDigest; readonly rest: RecordDigest } {
  const below = new RecordDigest();
  const rest = new RecordDigest();
  const rooms = roomsOfProcess();
  const file = new ColdFileReader(range.path, rooms);
  try {
    let previous: Offset = range.baseOffset - 1;
    for (const span of file.spans) {
      const isSmall = span.bytes <= loopGroupBytesMax;
      const rows = isSmall ? file.rows(span) : file.rowsIn(span, new ColumnRooms());
      if (!rows.hasWholeHeaders) throw range.differs('the columns of headers differ in length');
      const split = rows.rowAtOrBelow(splitAt - 1) + 1;
      const parts = { below, rest, split };
      const last = isSmall ? digestByLoops(range, rooms, rows, parts, previous) : undefined;
      previous = last ?? digestRows(range, rows, parts, previous);
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

/** Rows before `split` belong to `below`, the others to `rest`. */
interface Parts {
  readonly below: RecordDigest;
  readonly rest: RecordDigest;
  readonly split: number;
}

/** Addresses of an integer column's values and of the bytes that say which are there. */
function placeOfInts({ values, isThere }: IntRows): readonly [number, number] {
  return [values.byteOffset, isThere.byteOffset];
}

function placeOfBytes({ starts, lengths }: BytesRows): readonly [number, number] {
  return [starts.byteOffset, lengths.byteOffset];
}

/** Address of a level for each entry, or the one of all. */
function placeOfLevels(levels: Levels): readonly [number, number] {
  return typeof levels === 'number' ? [0, levels] : [levels.byteOffset, 0];
}

/** `DigestColumns` of `loops/digest-rows.ts`: addresses, in its order. */
function placesOf(rows: ColdRows): readonly number[] {
  const { headerKey, headerKeyRaw, headerValue, headerLevels, numbers } = rows;
  const [repetitions, everyRepetition] = placeOfLevels(headerLevels.repetition);
  const [definitions, everyDefinition] = placeOfLevels(headerLevels.definition);
  const { partition, timestamp, timestampRaw, timestampType, leaderEpoch, producerId, producerEpoch, sequence } = numbers;
  return [
    rows.offsets.byteOffset,
    rows.timestampsMs.byteOffset,
    ...[partition, timestamp, timestampRaw, timestampType, leaderEpoch, producerId, producerEpoch, sequence].flatMap(placeOfInts),
    ...[rows.key, rows.value, rows.rawBatch].flatMap(placeOfBytes),
    rows.isHeaderless ? 0 : 1,
    headerKey.lengths.length,
    repetitions,
    definitions,
    everyRepetition,
    everyDefinition,
    ...[headerKey, headerKeyRaw, headerValue].flatMap(placeOfBytes),
  ];
}

/**
 * Takes in the rows where they lie and answers the last offset. Undefined, with nothing taken in, where the loops do not do it: a number
 * is no double, or a row is not as it must be, and then it takes one row after the other to say which.
 */
function digestByLoops(
  range: DigestRange,
  { memory }: PageRooms,
  rows: ColdRows,
  { below, rest, split }: Parts,
  previous: Offset,
): Offset | undefined {
  if (Object.values(rows.numbers).some(({ wide }) => wide !== undefined)) return undefined;
  const places = placesOf(rows);
  const at = memory.take(places.length * 4);
  new Uint32Array(memory.bytes.buffer, at, places.length).set(places);
  const { loops } = memory;
  loops.openRows(at, range.partition, previous, range.lastOffset, timestampMinMs, timestampMaxMs);
  if (loops.digestRows(below.sum, 0, split) === 0) return undefined;
  const ofBelow = loops.digestedRows();
  if (loops.digestRows(rest.sum, split, rows.rows) === 0) return undefined;
  below.advance(ofBelow, split);
  rest.advance(loops.digestedRows(), rows.rows - split);
  return loops.lastDigestedOffset();
}

/** Takes in one row after the other; answers the last offset. Errors: what `differs` makes. */
function digestRows(range: DigestRange, rows: ColdRows, { below, rest, split }: Parts, lastOffset: Offset): Offset {
  const { key, value, headerValue, offsets, timestampsMs } = rows;
  let previous = lastOffset;
  let entry = 0;
  for (let row = 0; row < rows.rows; row++) {
    const digest = row < split ? below : rest;
    const offset = offsets[row] as number;
    if (offset <= previous || offset > range.lastOffset) throw range.differs(`offset ${offset} follows ${previous}`);
    if (rows.partition(row) !== range.partition) throw range.differs(`partition ${rows.partition(row)} at offset ${offset}`);
    if (!rows.isTimestampWhole(row)) throw range.differs(`the timestamp at offset ${offset} is not whole`);
    previous = offset;
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
    digest.bytes(key.buffer, key.starts[row] as number, key.lengths[row] as number);
    digest.bytes(value.buffer, value.starts[row] as number, value.lengths[row] as number);
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
