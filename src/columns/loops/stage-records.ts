/**
 * The records of a batch into the columns of a staging file. They are checked first, all of them, and only then taken: so a
 * damaged batch leaves no trace in columns, digest and names, and taking needs no more checks.
 */
import { batchHash, recordHash, withRecord } from './digest';
import { mix, mixField } from './hash';
import { scan } from './scan';
import { appendHeader, appendKey, appendNoHeaders, appendValue, beginRow, endRow, entriesMax, hasRoom } from './staged-columns';
import { isUtf8 } from './utf8';
import { checkedVarint, checkedVarlong, value, varintEnd } from './varint';

const safeMax: i64 = 0x1f_ffff_ffff_ffff;
const sequenceMax: i64 = 0x7fff_ffff;

// Of the job.
let firstOffset: i64 = 0;
let endOffset: i64 = 0;
let timestampMin: i64 = 0;
let timestampMax: i64 = 0;
let isScanning: bool = false;
let sum: u64 = 0;
let recordTimestampMin: i64 = i64.MAX_VALUE;
let recordTimestampMax: i64 = i64.MIN_VALUE;

// Of the batch under way.
let recordsAt: usize = 0;
let left: i32 = 0;
let lastDelta: i32 = 0;
let baseOffset: i64 = 0;
let baseTimestamp: i64 = 0;
let isAppendTime: bool = false;
let baseSequence: i32 = 0;
let ofBatch: u64 = 0;

/** Records outside of [first, end) are skipped; timestamps outside of [min, max] are shown as those. */
export function openStage(first: i64, end: i64, timestampMinMs: i64, timestampMaxMs: i64, scans: bool): void {
  firstOffset = first;
  endOffset = end;
  timestampMin = timestampMinMs;
  timestampMax = timestampMaxMs;
  isScanning = scans;
  recordTimestampMin = i64.MAX_VALUE;
  recordTimestampMax = i64.MIN_VALUE;
}

export function stagedDigest(): u64 {
  return sum;
}

/** For a row that is no record. */
export function setStagedDigest(digest: u64): void {
  sum = digest;
}

/** Smallest and largest timestamp of the records taken. */
export function stagedTimestampMin(): i64 {
  return recordTimestampMin;
}

export function stagedTimestampMax(): i64 {
  return recordTimestampMax;
}

/** Gets ready for `count` records, inflated, from `at` to `end`, with what the batch's header says; false where they are damaged. */
export function beginBatch(
  at: usize,
  end: usize,
  count: i32,
  lastOffsetDelta: i32,
  offset: i64,
  timestampMs: i64,
  hasAppendTime: bool,
  leaderEpoch: i32,
  producerId: i64,
  producerEpoch: i32,
  sequence: i32,
): bool {
  recordsAt = at;
  left = count;
  lastDelta = lastOffsetDelta;
  baseOffset = offset;
  baseTimestamp = timestampMs;
  isAppendTime = hasAppendTime;
  baseSequence = sequence;
  ofBatch = batchHash(producerId, leaderEpoch, hasAppendTime ? 1 : 0, producerEpoch);
  return areRecords(at, end, count);
}

/** Whether so many records lie there, one after the other, and nothing else. */
function areRecords(from: usize, end: usize, count: i32): bool {
  let at = from;
  for (let i = 0; i < count; i++) {
    at = checkedVarint(at, end);
    if (at === 0 || value < 0 || value > <i64>(end - at)) return false;
    const recordEnd = at + <usize>value;
    if (checkedRecordEnd(at, recordEnd) !== recordEnd) return false;
    at = recordEnd;
  }
  return at === end;
}

/** Behind a record's fields; anything but `end` where it is damaged. */
function checkedRecordEnd(from: usize, end: usize): usize {
  // The attributes byte of a record has no meaning yet.
  let at = checkedVarlong(from + 1, end);
  if (at === 0) return 0;
  const timestamp = baseTimestamp + value;
  if (!isAppendTime && (timestamp > safeMax || timestamp < -safeMax)) return 0;
  at = checkedVarint(at, end);
  if (at === 0 || value < 0 || value > lastDelta) return 0;
  at = checkedFieldEnd(at, end, -1);
  if (at === 0) return 0;
  at = checkedFieldEnd(at, end, -1);
  if (at === 0) return 0;
  at = checkedVarint(at, end);
  if (at === 0 || value < 0 || value > <i64>entriesMax) return 0;
  for (let headers = value; headers > 0; headers--) {
    at = checkedFieldEnd(at, end, 0);
    if (at === 0) return 0;
    at = checkedFieldEnd(at, end, -1);
    if (at === 0) return 0;
  }
  return at;
}

/** Behind a field of length and bytes, 0 where it does not fit; −1 bytes are a null. */
function checkedFieldEnd(from: usize, end: usize, lengthMin: i64): usize {
  const at = checkedVarint(from, end);
  if (at === 0 || value < lengthMin || value > <i64>(end - at)) return 0;
  return value < 0 ? at : at + <usize>value;
}

/** Takes records of the batch until the columns are full; true when all are taken. */
export function takeRecords(): bool {
  while (left > 0) {
    if (!takeRecord()) return false;
    left--;
  }
  return true;
}

/** False where the columns have no room for it: then nothing is taken. */
function takeRecord(): bool {
  let at = varintEnd(recordsAt);
  const end = at + <usize>value;
  at = varintEnd(at + 1);
  const timestamp = isAppendTime ? baseTimestamp : baseTimestamp + value;
  at = varintEnd(at);
  const delta = value;
  const offset = baseOffset + delta;
  if (offset < firstOffset || offset >= endOffset) {
    recordsAt = end;
    return true;
  }
  const keyAt = varintEnd(at);
  const keyLength = <i32>value;
  const valueAt = varintEnd(keyAt + <usize>max(keyLength, 0));
  const valueLength = <i32>value;
  at = varintEnd(valueAt + <usize>max(valueLength, 0));
  const headers = <i32>value;
  if (!hasRoom(headers)) return false;

  const sequence = sequenceOf(delta);
  beginRow(offset, min(max(timestamp, timestampMin), timestampMax), timestamp, sequence);
  recordTimestampMin = min(recordTimestampMin, timestamp);
  recordTimestampMax = max(recordTimestampMax, timestamp);
  let hash = recordHash(ofBatch, offset, timestamp, sequence);
  appendKey(keyAt, keyLength);
  hash = mixField(hash, keyAt, keyLength);
  appendValue(valueAt, valueLength);
  hash = mixField(hash, valueAt, valueLength);
  if (isScanning && valueLength >= 0) scan(valueAt, valueAt + <usize>valueLength);
  hash = mix(hash, <u64>headers);
  if (headers === 0) appendNoHeaders();
  else hash = takeHeaders(hash, at, headers);
  endRow();
  sum = withRecord(sum, hash);
  recordsAt = end;
  return true;
}

/** Takes a row of which the loops know no more than this: a batch that is kept whole. */
export function takeEmptyRow(offset: i64, timestampMs: i64): void {
  beginRow(offset, timestampMs, timestampMs, -1);
  recordTimestampMin = min(recordTimestampMin, timestampMs);
  recordTimestampMax = max(recordTimestampMax, timestampMs);
  appendKey(0, -1);
  appendValue(0, -1);
  appendNoHeaders();
  endRow();
}

/** A record's sequence number (KIP-98): counts on from the batch's, and begins again at 0 after 2^31 − 1. */
function sequenceOf(delta: i64): i32 {
  if (baseSequence < 0) return -1;
  const sequence = <i64>baseSequence + delta;
  return <i32>(sequence > sequenceMax ? sequence - sequenceMax - 1 : sequence);
}

function takeHeaders(ofRecord: u64, from: usize, headers: i32): u64 {
  let hash = ofRecord;
  let at = from;
  for (let i = 0; i < headers; i++) {
    const keyAt = varintEnd(at);
    const keyLength = <i32>value;
    const valueAt = varintEnd(keyAt + <usize>keyLength);
    const valueLength = <i32>value;
    appendHeader(i === 0, isUtf8(keyAt, keyAt + <usize>keyLength), keyAt, keyLength, valueAt, valueLength);
    hash = mixField(mixField(hash, keyAt, keyLength), valueAt, valueLength);
    at = valueAt + <usize>max(valueLength, 0);
  }
  return hash;
}
