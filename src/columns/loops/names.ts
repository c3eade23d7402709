/**
 * The names of fields met so far, each with the kinds it had: bytes one after the other, found again by a hash of them. The last
 * ones can be taken back, which leaves the table as it was.
 */
import { mixPiece } from './hash';

/** As `scanner.ts` has them, which reserves the memory. */
const namesMax: u32 = 4000;
const nameBytesMax: usize = 255;
/** More than twice as many as names, a power of two. */
const slots: u32 = 8192;

const bytesBytes: usize = <usize>namesMax * nameBytesMax + 16;
const wordsBytes: usize = (<usize>namesMax + 1) * 4;
/** What `openNames` is to be given. */
export const namesBytes: usize = bytesBytes + 4 * wordsBytes + 2 * (<usize>namesMax + 1) + 2 * <usize>slots + 64;

let bytesAt: usize = 0;
/** By name, where its bytes end: they begin where the one before ends. */
let endsAt: usize = 0;
/** By name, the document it was last met in: a second time in the same one does not count. */
let documentsAt: usize = 0;
/** By name + 1, the name that followed it the last time, a guess that mostly holds. Index + 1; slot 0 is the start. */
let nextAt: usize = 0;
let kindsAt: usize = 0;
/** 1 where the name stands in JSON as it is: no quotes, backslashes, controls. */
let plainAt: usize = 0;
/** Index + 1 by hash, 0 where free. */
let slotsAt: usize = 0;
let count: u32 = 0;

export function openNames(at: usize): void {
  bytesAt = at;
  endsAt = (at + bytesBytes + 15) & ~15;
  documentsAt = endsAt + wordsBytes;
  nextAt = documentsAt + wordsBytes;
  kindsAt = nextAt + wordsBytes;
  plainAt = kindsAt + namesMax + 1;
  slotsAt = (plainAt + namesMax + 2) & ~1;
  count = 0;
  memory.fill(endsAt, 0, 3 * wordsBytes);
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

export function kindsOf(index: u32): u32 {
  return <u32>load<u8>(kindsAt + index);
}

export function addKind(index: u32, kind: u32): void {
  store<u8>(kindsAt + index, kindsOf(index) | kind);
}

/** Whether it is met for the first time in this document; from now on it is not. */
export function isFirstIn(document: u32, index: u32): bool {
  const at = documentsAt + ((<usize>index) << 2);
  if (load<u32>(at) === document) return false;
  store<u32>(at, document);
  return true;
}

/** What followed a name (index + 1; 0: the start) the last time: index + 1, 0 where nothing is known. */
export function nextOf(previous: u32): u32 {
  const next = load<u32>(nextAt + ((<usize>previous) << 2));
  return next <= count ? next : 0;
}

export function setNext(previous: u32, next: u32): void {
  store<u32>(nextAt + ((<usize>previous) << 2), next);
}

/** Behind the string at `at` where it is this very name, letter by letter; else 0. */
export function endOfName(index: u32, at: usize, end: usize): usize {
  const length = nameLength(index);
  const last = at + 1 + length;
  if (last >= end || load<u8>(last) !== 0x22 || load<u8>(plainAt + index) === 0) return 0;
  return isSame(at + 1, nameAt(index), length) ? last + 1 : 0;
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
  store<u8>(kindsAt + index, 0);
  store<u8>(plainAt + index, isPlain ? 1 : 0);
  store<u32>(documentsAt + ((<usize>index) << 2), 0);
  store<u16>(slotsAt + ((<usize>slot) << 1), index + 1);
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
