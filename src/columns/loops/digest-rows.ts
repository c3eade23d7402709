/**
 * The digest of rows of a cold file from its columns. What a row says is checked on the way: offsets that ascend within their range,
 * one partition, times in whole milliseconds, numbers that are no wider than the digest takes them in.
 */
import { batchHash, recordHash, withRecord } from './digest';
import { mix, mixField, rawBatchSeed } from './hash';

/**
 * Where columns lie, by row, and those of headers by entry. `read-digest.ts` knows it by position. Numbers are doubles, with a byte each
 * that is 1 where the row has one; starts are addresses, and a length of −1 is null.
 */
@unmanaged
class DigestColumns {
  offsets: u32;
  /** As the record has it, before it was clamped. */
  timestampsMs: u32;
  partitions: u32;
  partitionThere: u32;
  timestampsUs: u32;
  timestampThere: u32;
  rawTimestampsMs: u32;
  rawTimestampThere: u32;
  timestampTypes: u32;
  timestampTypeThere: u32;
  leaderEpochs: u32;
  leaderEpochThere: u32;
  producerIds: u32;
  producerIdThere: u32;
  producerEpochs: u32;
  producerEpochThere: u32;
  sequences: u32;
  sequenceThere: u32;
  keyStarts: u32;
  keyLengths: u32;
  valueStarts: u32;
  valueLengths: u32;
  rawBatchStarts: u32;
  rawBatchLengths: u32;
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
const usPerMs: i64 = 1000;

let columns: DigestColumns = changetype<DigestColumns>(0);
// Of the file.
let partition: f64 = 0;
let lastOffset: f64 = 0;
let shownMinMs: f64 = 0;
let shownMaxMs: f64 = 0;
// Of the rows so far.
let previous: f64 = 0;
let entry: u32 = 0;
let sum: u64 = 0;
// What the hash of the last record began with, and of what.
let ofBatch: u64 = 0;
let producerId: i64 = -1;
let leaderEpoch: i32 = -1;
let timestampType: i32 = -1;
let producerEpoch: i32 = -1;

/** Gets ready for a row group. Offsets are above `previousOffset` and at most `lastOffsetOfFile`. */
export function openRows(at: usize, partitionOfFile: f64, previousOffset: f64, lastOffsetOfFile: f64, minMs: f64, maxMs: f64): void {
  columns = changetype<DigestColumns>(at);
  partition = partitionOfFile;
  previous = previousOffset;
  lastOffset = lastOffsetOfFile;
  shownMinMs = minMs;
  shownMaxMs = maxMs;
  entry = 0;
  producerId = -1;
  leaderEpoch = -1;
  timestampType = -1;
  producerEpoch = -1;
  ofBatch = batchHash(producerId, leaderEpoch, timestampType, producerEpoch);
}

/** The last offset that was taken in. */
export function lastDigestedOffset(): f64 {
  return previous;
}

/** The digest with rows [from, to), which follow those before. */
export function digestedRows(): u64 {
  return sum;
}

/** Takes in rows [from, to), which follow those taken in before, after a digest; false where one is not as it must be. */
export function digestRows(before: u64, from: u32, to: u32): bool {
  sum = before;
  for (let row = from; row < to; row++) if (!digestRow(row)) return false;
  return true;
}

function doubleAt(values: u32, row: u32): f64 {
  return load<f64>(<usize>values + ((<usize>row) << 3));
}

function wordAt(values: u32, index: u32): i32 {
  return load<i32>(<usize>values + ((<usize>index) << 2));
}

function isThere(bytes: u32, row: u32): bool {
  return load<u8>(<usize>bytes + row) === 1;
}

function numberAt(values: u32, there: u32, row: u32): f64 {
  return isThere(there, row) ? doubleAt(values, row) : -1;
}

/** Whether both timestamp columns say the same: whole milliseconds, and a raw one only where the other is clamped. */
function isTimestampWhole(row: u32): bool {
  if (!isThere(columns.timestampThere, row)) return false;
  const us = <i64>doubleAt(columns.timestampsUs, row);
  if (us % usPerMs !== 0) return false;
  if (!isThere(columns.rawTimestampThere, row)) return true;
  const rawMs = doubleAt(columns.rawTimestampsMs, row);
  const shownMs = <f64>(us / usPerMs);
  return (rawMs < shownMinMs && shownMs === shownMinMs) || (rawMs > shownMaxMs && shownMs === shownMaxMs);
}

function repetitionAt(index: u32): u32 {
  return columns.repetitions === 0 ? columns.everyRepetition : <u32>load<u8>(<usize>columns.repetitions + index);
}

/** The entry that the next row begins with. */
function entriesEnd(from: u32): u32 {
  let end = from + 1;
  while (end < columns.entries && repetitionAt(end) !== 0) end++;
  return end;
}

/** False for the one entry that stands for no headers. */
function isHeader(index: u32): bool {
  if (index >= columns.entries) return false;
  const definition = columns.definitions === 0 ? columns.everyDefinition : <u32>load<u8>(<usize>columns.definitions + index);
  return definition >= entryLevel;
}

function digestRow(row: u32): bool {
  const offset = doubleAt(columns.offsets, row);
  if (!(offset > previous && offset <= lastOffset)) return false;
  if (numberAt(columns.partitions, columns.partitionThere, row) !== partition || !isTimestampWhole(row)) return false;
  previous = offset;
  const first = entry;
  if (columns.hasHeaders !== 0) entry = entriesEnd(first);
  const rawBatchLength = wordAt(columns.rawBatchLengths, row);
  if (rawBatchLength >= 0) {
    const hash = mix(rawBatchSeed, <u64>(<i64>offset));
    sum = withRecord(sum, mixField(hash, wordAt(columns.rawBatchStarts, row), rawBatchLength));
    return true;
  }
  if (!beginsAsBatch(row)) return false;
  const sequence = <i32>numberAt(columns.sequences, columns.sequenceThere, row);
  let hash = recordHash(ofBatch, <i64>offset, <i64>doubleAt(columns.timestampsMs, row), sequence);
  hash = mixField(hash, wordAt(columns.keyStarts, row), wordAt(columns.keyLengths, row));
  hash = mixField(hash, wordAt(columns.valueStarts, row), wordAt(columns.valueLengths, row));
  const headers = columns.hasHeaders !== 0 && isHeader(first) ? entry - first : 0;
  hash = mix(hash, <u64>headers);
  for (let i = first; i < first + headers; i++) {
    const isRaw = wordAt(columns.rawKeyLengths, i) >= 0;
    const starts = isRaw ? columns.rawKeyStarts : columns.headerKeyStarts;
    hash = mixField(hash, wordAt(starts, i), wordAt(isRaw ? columns.rawKeyLengths : columns.headerKeyLengths, i));
    hash = mixField(hash, wordAt(columns.headerValueStarts, i), wordAt(columns.headerValueLengths, i));
  }
  sum = withRecord(sum, hash);
  return true;
}

/** What the row's hash begins with: mostly what the one before began with, too. False where a number is too wide. */
function beginsAsBatch(row: u32): bool {
  const id = <i64>numberAt(columns.producerIds, columns.producerIdThere, row);
  const epoch = <i32>numberAt(columns.leaderEpochs, columns.leaderEpochThere, row);
  const type = <i32>numberAt(columns.timestampTypes, columns.timestampTypeThere, row);
  const ofProducer = <i32>numberAt(columns.producerEpochs, columns.producerEpochThere, row);
  if (id === producerId && epoch === leaderEpoch && type === timestampType && ofProducer === producerEpoch) return true;
  if ((type !== 0 && type !== 1) || ofProducer !== (ofProducer << 16) >> 16) return false;
  producerId = id;
  leaderEpoch = epoch;
  timestampType = type;
  producerEpoch = ofProducer;
  ofBatch = batchHash(id, epoch, type, ofProducer);
  return true;
}
