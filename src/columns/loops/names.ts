/**
 * The names of fields met so far, each with the kinds it had. A name's entry is found by what mostly follows the one before it, or by a
 * hash of its bytes. The last names can be taken back, which leaves the table as it was.
 *
 * | entry at | field                                                                                            |
 * |---------:|--------------------------------------------------------------------------------------------------|
 * |        0 | the name as it mostly stands in JSON: `"name":`                                                  |
 * |       32 | u32 bytes of that, 0 where they are more than 32 or something in it is escaped                   |
 * |       36 | u32 the name that followed it the last time, a guess that mostly holds: index + 1; 0: none       |
 * |       40 | u32 document it was last met in: a second time in the same one does not count                    |
 * |       44 | u32 bits of the kinds it had                                                                     |
 *
 * The first entry is the start of an object, of which only the next name counts.
 */
import { mixPiece } from './hash';

/** As `scanner.ts` has them, which reserves the memory. */
const namesMax: u32 = 4000;
const nameBytesMax: usize = 255;
/** More than twice as many as names, a power of two. */
const slots: u32 = 8192;
const entryBytes: usize = 48;
const tokenBytesMax: usize = 32;
const vectorBytes: usize = 16;
/** Quotes and colon. */
const aroundName: usize = 3;

const bytesBytes: usize = <usize>namesMax * nameBytesMax + 16;
const endsBytes: usize = <usize>namesMax * 4;
const entriesBytes: usize = (<usize>namesMax + 1) * entryBytes;
/** What `openNames` is to be given. */
export const namesBytes: usize = bytesBytes + endsBytes + entriesBytes + 2 * <usize>slots + 64;

let bytesAt: usize = 0;
/** By name, where its bytes end: they begin where the one before ends. */
let endsAt: usize = 0;
let entriesAt: usize = 0;
/** Index + 1 by hash, 0 where free. */
let slotsAt: usize = 0;
let count: u32 = 0;

export function openNames(at: usize): void {
  bytesAt = at;
  endsAt = (at + bytesBytes + 15) & ~15;
  entriesAt = endsAt + endsBytes;
  slotsAt = entriesAt + entriesBytes;
  count = 0;
  memory.fill(entriesAt, 0, entryBytes);
  memory.fill(slotsAt, 0, 2 * <usize>slots);
}

export function nameCount(): u32 {
  return count;
}

export function nameAt(index: u32): usize {
  return index === 0 ? bytesAt : bytesAt + <usize>load<u32>(endsAt + ((<usize>index - 1) << 2));
}

export function nameLength(index: u32): usize {
  return bytesAt + <usize>load<u32>(endsAt + ((<usize>index) << 2)) - nameAt(index);
}

/** Entry of the start. */
export function startEntry(): usize {
  return entriesAt;
}

export function entryOf(index: u32): usize {
  return entriesAt + (<usize>index + 1) * entryBytes;
}

export function kindsOf(index: u32): u32 {
  return load<u32>(entryOf(index), 44);
}

export function hasKind(entry: usize, kind: u32): bool {
  return (load<u32>(entry, 44) & kind) === kind;
}

export function addKind(entry: usize, kind: u32): void {
  store<u32>(entry, load<u32>(entry, 44) | kind, 44);
}

/** Whether it is met for the first time in this document; from now on it is not. */
export function isFirstIn(document: u32, entry: usize): bool {
  if (load<u32>(entry, 40) === document) return false;
  store<u32>(entry, document, 40);
  return true;
}

/** Entry of the name that is likely to follow, 0 where none is. */
export function likelyAfter(entry: usize): usize {
  const next = load<u32>(entry, 36);
  return next === 0 || next > count ? 0 : entryOf(next - 1);
}

export function setLikely(entry: usize, index: u32): void {
  store<u32>(entry, index + 1, 36);
}

/** Behind the name and its colon at `at`, where they stand there just as they mostly do; else 0. */
export function endOfToken(entry: usize, at: usize, end: usize): usize {
  const bytes = load<u32>(entry, 32);
  if (bytes === 0 || <usize>bytes > end - at) return 0;
  const first = i8x16.bitmask(i8x16.ne(v128.load(at), v128.load(entry)));
  if (bytes <= <u32>vectorBytes) return (first & ((1 << bytes) - 1)) === 0 ? at + <usize>bytes : 0;
  const second = i8x16.bitmask(i8x16.ne(v128.load(at + vectorBytes), v128.load(entry + vectorBytes)));
  return first === 0 && (second & ((1 << (bytes - <u32>vectorBytes)) - 1)) === 0 ? at + <usize>bytes : 0;
}

function isSame(a: usize, b: usize, length: usize): bool {
  let i: usize = 0;
  for (; i + 8 <= length; i += 8) if (load<u64>(a + i) !== load<u64>(b + i)) return false;
  const rest = length - i;
  if (rest === 0) return true;
  return (load<u64>(a + i) ^ load<u64>(b + i)) << ((8 - <u64>rest) << 3) === 0;
}

function slotOf(at: usize, length: usize): u32 {
  const hash = mixPiece(length, at, length);
  return <u32>(hash ^ (hash >> 32)) & (slots - 1);
}

/** Index of the name of these bytes, which is added where it is new; −1 where there is no room for more. */
export function indexOfName(at: usize, length: usize, isPlain: bool): i32 {
  let slot = slotOf(at, length);
  while (true) {
    const taken = <u32>load<u16>(slotsAt + ((<usize>slot) << 1));
    if (taken === 0) break;
    if (nameLength(taken - 1) === length && isSame(at, nameAt(taken - 1), length)) return taken - 1;
    slot = (slot + 1) & (slots - 1);
  }
  if (count === namesMax) return -1;
  const index = count++;
  const to = nameAt(index);
  memory.copy(to, at, length);
  store<u32>(endsAt + ((<usize>index) << 2), to + length - bytesAt);
  store<u16>(slotsAt + ((<usize>slot) << 1), index + 1);
  const entry = entryOf(index);
  memory.fill(entry, 0, entryBytes);
  if (isPlain && length + aroundName <= tokenBytesMax) {
    store<u8>(entry, 0x22);
    memory.copy(entry + 1, at, length);
    store<u8>(entry + 1 + length, 0x22);
    store<u8>(entry + 2 + length, 0x3a);
    store<u32>(entry, length + aroundName, 32);
  }
  return index;
}

/** Takes back all but the first `kept` names. The last one in is the first one out, so that no chain of slots is broken. */
export function keepNames(kept: u32): void {
  while (count > kept) {
    const index = --count;
    let slot = slotOf(nameAt(index), nameLength(index));
    while (<u32>load<u16>(slotsAt + ((<usize>slot) << 1)) !== index + 1) slot = (slot + 1) & (slots - 1);
    store<u16>(slotsAt + ((<usize>slot) << 1), 0);
  }
}
