/**
 * Records of a batch (format v2) out of columns by row. Numbers are zigzag varints. Source: Kafka protocol, record batches (KIP-98).
 *
 * | record                                                                                               |
 * |------------------------------------------------------------------------------------------------------|
 * | bytes that follow · attributes i8 = 0 · timestamp delta · offset delta · key bytes (−1: null) · key  |
 * | value bytes (−1: null) · value · headers · each: key bytes · key · value bytes (−1: null) · value    |
 */

/** What the loop takes up and leaves, from one call to the next. `open-batch.ts` knows it by position. */
@unmanaged
class OpenBatch {
  /** Address of the batch, of the next record, and of where it must end. */
  from: u32;
  at: u32;
  end: u32;
  records: u32;
  lastOffsetDelta: i32;
  /** Entry of the header columns that the next row begins with. */
  entry: u32;
  /** All records must have the first one's timestamp. */
  isOneTimestamp: u32;
  problem: u32;
  baseOffset: f64;
  baseTimestampMs: f64;
  maxTimestampMs: f64;
}

/** Why a row cannot be written; `open-batch.ts` has the same numbers. */
const enum Problem {
  none,
  offsetFollows,
  headerKeyMissing,
}

/** Where columns lie: those of a record by row, those of its headers by entry. */
@unmanaged
class RowColumns {
  offsets: u32;
  timestampsMs: u32;
  /** Starts are addresses; a length of −1 is null. */
  keyStarts: u32;
  keyLengths: u32;
  valueStarts: u32;
  valueLengths: u32;
  hasHeaders: u32;
  entries: u32;
  /** Address of a level for each entry; 0: `everyRepetition`, `everyDefinition` for all. Repetition 0 begins a row. */
  repetitions: u32;
  definitions: u32;
  everyRepetition: u32;
  everyDefinition: u32;
  /** A header's key lies in one of two. */
  headerKeyStarts: u32;
  headerKeyLengths: u32;
  rawKeyStarts: u32;
  rawKeyLengths: u32;
  headerValueStarts: u32;
  headerValueLengths: u32;
}

/** From this level of definition on there is a header. */
const entryLevel: u32 = 2;
/** Numbers around a record's bytes, at most. */
const overheadBytes: u32 = 40;
const safeIntegerMax: f64 = 9007199254740991;
const deltaMax: f64 = 2147483647;
/** Above this a call that moves memory is faster than vectors. */
const vectorBytesMax: u32 = 512;

function zigzag(value: i64): u64 {
  return (value << 1) ^ (value >> 63);
}

function varintBytes(zigzagged: u64): u32 {
  return <u32>(63 - clz(zigzagged | 1)) / 7 + 1;
}

function writeVarint(at: usize, zigzagged: u64): usize {
  while (zigzagged >= 0x80) {
    store<u8>(at++, <u8>(zigzagged | 0x80));
    zigzagged >>= 7;
  }
  store<u8>(at, <u8>zigzagged);
  return at + 1;
}

/** Copies by vectors of 16 bytes, touching up to 15 behind both ends. */
function copy(to: usize, from: usize, bytes: u32): usize {
  if (bytes > vectorBytesMax) memory.copy(to, from, bytes);
  else for (let i: u32 = 0; i < bytes; i += 16) v128.store(to + i, v128.load(from + i));
  return to + bytes;
}

/** A length, −1 for null, and the bytes. */
function writeBytes(at: usize, from: u32, length: i32): usize {
  const next = writeVarint(at, zigzag(length));
  return length > 0 ? copy(next, from, length) : next;
}

function valueAt(column: usize, index: u32): i32 {
  return load<i32>(column + ((<usize>index) << 2));
}

function present(length: i32): u32 {
  return length > 0 ? length : 0;
}

function bytesOf(length: i32): u32 {
  return varintBytes(zigzag(length)) + present(length);
}

function repetitionAt(columns: RowColumns, entry: u32): u32 {
  return columns.repetitions == 0 ? columns.everyRepetition : load<u8>(columns.repetitions + entry);
}

/** The entry that the next row begins with. */
function entriesEnd(columns: RowColumns, from: u32): u32 {
  let entry = from + 1;
  while (entry < columns.entries && repetitionAt(columns, entry) != 0) entry++;
  return entry;
}

function isHeader(columns: RowColumns, entry: u32): bool {
  if (entry >= columns.entries) return false;
  return (columns.definitions == 0 ? columns.everyDefinition : load<u8>(columns.definitions + entry)) >= entryLevel;
}

function isRawKey(columns: RowColumns, entry: u32): bool {
  return valueAt(columns.rawKeyLengths, entry) >= 0;
}

function headerKeyLength(columns: RowColumns, entry: u32): i32 {
  return valueAt(isRawKey(columns, entry) ? columns.rawKeyLengths : columns.headerKeyLengths, entry);
}

/** Skips the entries of so many rows. */
export function skipHeaders(batch: OpenBatch, columns: RowColumns, rows: u32): void {
  for (let i: u32 = 0; i < rows; i++) batch.entry = entriesEnd(columns, batch.entry);
}

/**
 * Appends rows to a batch until its end, the last row, or one that cannot be in it; answers the row after the last one appended.
 * Up to 15 bytes behind the batch's end are touched.
 */
export function writeRecords(batch: OpenBatch, columns: RowColumns, row: u32, endRow: u32): u32 {
  const offsets: usize = columns.offsets;
  const timestampsMs: usize = columns.timestampsMs;
  const keyStarts: usize = columns.keyStarts;
  const keyLengths: usize = columns.keyLengths;
  const valueStarts: usize = columns.valueStarts;
  const valueLengths: usize = columns.valueLengths;
  const hasHeaders = columns.hasHeaders != 0;
  const end: u64 = batch.end;
  const baseOffset = batch.baseOffset;
  const baseTimestampMs = batch.baseTimestampMs;
  const isOneTimestamp = batch.isOneTimestamp != 0;
  let at: usize = batch.at;
  let entry = batch.entry;
  let lastOffsetDelta = batch.lastOffsetDelta;
  let maxTimestampMs = batch.maxTimestampMs;
  const firstRow = row;
  for (; row < endRow; row++) {
    const timestampMs = load<f64>(timestampsMs + ((<usize>row) << 3));
    const timestampDelta = timestampMs - baseTimestampMs;
    const offsetDelta = load<f64>(offsets + ((<usize>row) << 3)) - baseOffset;
    const keyLength = valueAt(keyLengths, row);
    const valueLength = valueAt(valueLengths, row);
    let headers: u32 = 0;
    let headersBytes: u64 = 0;
    let nextEntry: u32 = 0;
    if (hasHeaders) {
      nextEntry = entriesEnd(columns, entry);
      if (isHeader(columns, entry)) headers = nextEntry - entry;
      for (let i: u32 = 0; i < headers; i++) {
        const headerKeyBytes = headerKeyLength(columns, entry + i);
        if (headerKeyBytes < 0) {
          batch.problem = Problem.headerKeyMissing;
          return row;
        }
        headersBytes += <u64>bytesOf(headerKeyBytes) + bytesOf(valueAt(columns.headerValueLengths, entry + i));
      }
    }
    if (
      headersBytes + at + present(keyLength) + present(valueLength) + overheadBytes > end ||
      offsetDelta > deltaMax ||
      (isOneTimestamp && timestampDelta != 0) ||
      !(abs(timestampDelta) <= safeIntegerMax)
    ) {
      break;
    }
    const delta = <i32>offsetDelta;
    if (delta <= lastOffsetDelta) {
      batch.problem = Problem.offsetFollows;
      return row;
    }
    const timestampDigits = zigzag(<i64>timestampDelta);
    const offsetDigits = zigzag(delta);
    const headersDigits = zigzag(headers);
    const bytes =
      1 +
      varintBytes(timestampDigits) +
      varintBytes(offsetDigits) +
      bytesOf(keyLength) +
      bytesOf(valueLength) +
      varintBytes(headersDigits) +
      <u32>headersBytes;
    at = writeVarint(at, zigzag(bytes));
    store<u8>(at++, 0);
    at = writeVarint(at, timestampDigits);
    at = writeVarint(at, offsetDigits);
    at = writeBytes(at, valueAt(keyStarts, row), keyLength);
    at = writeBytes(at, valueAt(valueStarts, row), valueLength);
    at = writeVarint(at, headersDigits);
    for (let i = entry; i < entry + headers; i++) {
      const starts = isRawKey(columns, i) ? columns.rawKeyStarts : columns.headerKeyStarts;
      at = writeBytes(at, valueAt(starts, i), headerKeyLength(columns, i));
      at = writeBytes(at, valueAt(columns.headerValueStarts, i), valueAt(columns.headerValueLengths, i));
    }
    entry = nextEntry;
    lastOffsetDelta = delta;
    maxTimestampMs = max(maxTimestampMs, timestampMs);
  }
  batch.at = <u32>at;
  batch.records += row - firstRow;
  batch.lastOffsetDelta = lastOffsetDelta;
  batch.entry = entry;
  batch.maxTimestampMs = maxTimestampMs;
  return row;
}
