/**
 * The columns of the row group under way of a staging file, as their values lie in the pages, and their levels, one byte an
 * entry. All of it lies in one region, each column with room for the largest there can be; what is not written takes no memory.
 *
 * | column | values | entries |
 * |---|---|---|
 * | offset, timestamp, raw timestamp | INT64 | a row |
 * | sequence | INT32 | a row |
 * | key, value | length (i32) and bytes | a row |
 * | header key, raw key, value | length (i32) and bytes | a header, or a row without any |
 */
import { copyRoughly } from './copy';
import { packedLevelsBytes } from './levels';

/** As `staged-columns.ts` outside, which reserves the memory. A row group ends when it has so many rows: DuckDB's own size. */
export const rowsMax: u32 = 122_880;
/** … or when its fields reach this; the record that reaches it is the last. */
const groupBytes: usize = 16 << 20;
/** Headers of a row group, where a row without any counts as one. No record may have more. */
export const entriesMax: u32 = 1 << 20;
/** Records of one batch, inflated (`inflatedBytesMax`): no field is larger. */
const recordsBytesMax: usize = 256 << 20;
/** What a copy may touch behind the last field. */
const behindBytes: usize = 64;

const bytesBytes: usize = groupBytes + recordsBytesMax + <usize>entriesMax * 4 + behindBytes;
const rowLevels: usize = <usize>rowsMax + behindBytes;
const entryLevels: usize = <usize>entriesMax + behindBytes;
const longBytes: usize = <usize>rowsMax * 8 + behindBytes;

/** Level of a row's value that is there. */
const there: u8 = 1;
/** The level at which a header's key, raw key or value is there: list, entry, field. */
const headerFieldLevel: u8 = 3;
/** An entry of the list whose field is null. */
const headerNullLevel: u8 = 2;

export let rows: u32 = 0;
/** Header entries. */
export let entries: u32 = 0;
/** Bytes of all fields. */
let fieldBytes: usize = 0;
let hasHeaders: bool = false;
let minOffset: i64 = i64.MAX_VALUE;
let maxOffset: i64 = i64.MIN_VALUE;
let minTimestamp: i64 = i64.MAX_VALUE;
let maxTimestamp: i64 = i64.MIN_VALUE;

let offsetAt: usize = 0;
let timestampAt: usize = 0;
let rawAt: usize = 0;
let rawEnd: usize = 0;
let rawLevelsAt: usize = 0;
let sequenceAt: usize = 0;
let sequenceEnd: usize = 0;
let sequenceLevelsAt: usize = 0;
let keyAt: usize = 0;
let keyEnd: usize = 0;
let keyLevelsAt: usize = 0;
let valueAt: usize = 0;
let valueEnd: usize = 0;
let valueLevelsAt: usize = 0;
let headerKeyAt: usize = 0;
let headerKeyEnd: usize = 0;
let headerKeyLevelsAt: usize = 0;
let headerRawAt: usize = 0;
let headerRawEnd: usize = 0;
let headerRawLevelsAt: usize = 0;
let headerValueAt: usize = 0;
let headerValueEnd: usize = 0;
let headerValueLevelsAt: usize = 0;
/** 0 begins a row's list, 1 goes on in it. */
let repetitionAt: usize = 0;

/** What `openColumns` is to be given. */
export function columnsBytes(): usize {
  return 3 * longBytes + longBytes / 2 + 4 * rowLevels + 4 * entryLevels + 5 * bytesBytes;
}

/** What `packLevels` writes of a column at most. */
export function packedLevelsBytesMax(): u32 {
  return packedLevelsBytes(entriesMax, 2);
}

export function openColumns(at: usize): void {
  offsetAt = at;
  timestampAt = offsetAt + longBytes;
  rawAt = timestampAt + longBytes;
  sequenceAt = rawAt + longBytes;
  rawLevelsAt = sequenceAt + longBytes / 2;
  sequenceLevelsAt = rawLevelsAt + rowLevels;
  keyLevelsAt = sequenceLevelsAt + rowLevels;
  valueLevelsAt = keyLevelsAt + rowLevels;
  headerKeyLevelsAt = valueLevelsAt + rowLevels;
  headerRawLevelsAt = headerKeyLevelsAt + entryLevels;
  headerValueLevelsAt = headerRawLevelsAt + entryLevels;
  repetitionAt = headerValueLevelsAt + entryLevels;
  keyAt = repetitionAt + entryLevels;
  valueAt = keyAt + bytesBytes;
  headerKeyAt = valueAt + bytesBytes;
  headerRawAt = headerKeyAt + bytesBytes;
  headerValueAt = headerRawAt + bytesBytes;
  clearColumns();
}

export function clearColumns(): void {
  rows = 0;
  entries = 0;
  fieldBytes = 0;
  hasHeaders = false;
  rawEnd = rawAt;
  sequenceEnd = sequenceAt;
  keyEnd = keyAt;
  valueEnd = valueAt;
  headerKeyEnd = headerKeyAt;
  headerRawEnd = headerRawAt;
  headerValueEnd = headerValueAt;
  minOffset = i64.MAX_VALUE;
  maxOffset = i64.MIN_VALUE;
  minTimestamp = i64.MAX_VALUE;
  maxTimestamp = i64.MIN_VALUE;
}

export function rowCount(): u32 {
  return rows;
}

export function entryCount(): u32 {
  return entries;
}

/** A row of the group has a header. */
export function hasAnyHeader(): bool {
  return hasHeaders;
}

/** Whether the row group is to be written. */
export function isFull(): bool {
  return rows >= rowsMax || fieldBytes >= groupBytes || entries >= entriesMax;
}

/** Whether a row with so many headers may follow. */
export function hasRoom(headers: u32): bool {
  return rows < rowsMax && fieldBytes < groupBytes && entries + max(headers, 1) <= entriesMax;
}

/** Of the columns in the order of the table above: where values begin. */
export function valuesAt(column: i32): usize {
  switch (column) {
    case 0:
      return offsetAt;
    case 1:
      return timestampAt;
    case 2:
      return rawAt;
    case 3:
      return sequenceAt;
    case 4:
      return keyAt;
    case 5:
      return valueAt;
    case 6:
      return headerKeyAt;
    case 7:
      return headerRawAt;
    default:
      return headerValueAt;
  }
}

/** … and where they end. */
export function valuesEnd(column: i32): usize {
  switch (column) {
    case 0:
      return offsetAt + ((<usize>rows) << 3);
    case 1:
      return timestampAt + ((<usize>rows) << 3);
    case 2:
      return rawEnd;
    case 3:
      return sequenceEnd;
    case 4:
      return keyEnd;
    case 5:
      return valueEnd;
    case 6:
      return headerKeyEnd;
    case 7:
      return headerRawEnd;
    default:
      return headerValueEnd;
  }
}

/** Where their levels lie: of the columns that may be null; 9 is the repetition of headers. */
export function levelsAt(column: i32): usize {
  switch (column) {
    case 2:
      return rawLevelsAt;
    case 3:
      return sequenceLevelsAt;
    case 4:
      return keyLevelsAt;
    case 5:
      return valueLevelsAt;
    case 6:
      return headerKeyLevelsAt;
    case 7:
      return headerRawLevelsAt;
    case 8:
      return headerValueLevelsAt;
    default:
      return repetitionAt;
  }
}

/** Smallest and largest of offsets (0) or shown timestamps (1). */
export function smallest(column: i32): i64 {
  return column === 0 ? minOffset : minTimestamp;
}

export function largest(column: i32): i64 {
  return column === 0 ? maxOffset : maxTimestamp;
}

/** Begins a row with its numbers: the timestamp as shown, and the own one where that differs. A negative sequence is null. */
export function beginRow(offset: i64, shownTimestamp: i64, timestamp: i64, sequence: i32): void {
  const row = <usize>rows;
  store<i64>(offsetAt + (row << 3), offset);
  store<i64>(timestampAt + (row << 3), shownTimestamp);
  minOffset = min(minOffset, offset);
  maxOffset = max(maxOffset, offset);
  minTimestamp = min(minTimestamp, shownTimestamp);
  maxTimestamp = max(maxTimestamp, shownTimestamp);
  const isClamped = shownTimestamp !== timestamp;
  store<u8>(rawLevelsAt + row, isClamped ? there : 0);
  if (isClamped) {
    store<i64>(rawEnd, timestamp);
    rawEnd += 8;
  }
  store<u8>(sequenceLevelsAt + row, sequence < 0 ? 0 : there);
  if (sequence >= 0) {
    store<i32>(sequenceEnd, sequence);
    sequenceEnd += 4;
  }
}

/** Writes a field behind a column's last; answers the new end. */
function appendField(to: usize, from: usize, length: i32): usize {
  store<i32>(to, length);
  copyRoughly(to + 4, from, length);
  fieldBytes += 4 + <usize>length;
  return to + 4 + <usize>length;
}

/** The row's key; −1 is null. */
export function appendKey(from: usize, length: i32): void {
  store<u8>(keyLevelsAt + rows, length < 0 ? 0 : there);
  if (length >= 0) keyEnd = appendField(keyEnd, from, length);
}

/** The row's value; −1 is null. */
export function appendValue(from: usize, length: i32): void {
  store<u8>(valueLevelsAt + rows, length < 0 ? 0 : there);
  if (length >= 0) valueEnd = appendField(valueEnd, from, length);
}

/** Where the row has no headers. */
export function appendNoHeaders(): void {
  const entry = <usize>entries;
  entries++;
  store<u8>(repetitionAt + entry, 0);
  store<u8>(headerKeyLevelsAt + entry, 0);
  store<u8>(headerRawLevelsAt + entry, 0);
  store<u8>(headerValueLevelsAt + entry, 0);
}

/** One of the row's headers; a value of length −1 is null. */
export function appendHeader(isFirst: bool, isText: bool, keyFrom: usize, keyLength: i32, valueFrom: usize, valueLength: i32): void {
  hasHeaders = true;
  const entry = <usize>entries;
  entries++;
  store<u8>(repetitionAt + entry, isFirst ? 0 : 1);
  store<u8>(headerKeyLevelsAt + entry, isText ? headerFieldLevel : headerNullLevel);
  store<u8>(headerRawLevelsAt + entry, isText ? headerNullLevel : headerFieldLevel);
  store<u8>(headerValueLevelsAt + entry, valueLength < 0 ? headerNullLevel : headerFieldLevel);
  if (isText) headerKeyEnd = appendField(headerKeyEnd, keyFrom, keyLength);
  else headerRawEnd = appendField(headerRawEnd, keyFrom, keyLength);
  if (valueLength >= 0) headerValueEnd = appendField(headerValueEnd, valueFrom, valueLength);
}

export function endRow(): void {
  rows++;
}
