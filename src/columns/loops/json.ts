/**
 * Tokens of JSON as DuckDB's reader takes them: RFC 8259 plus trailing commas and the words NaN and Infinity. Each function is
 * given where a token begins and where the text ends, and answers what is behind the token, 0 where there is none.
 */
import { sequenceEnd } from './utf8';

export const quote: i32 = 0x22;
export const backslash: i32 = 0x5c;
export const comma: i32 = 0x2c;
export const colon: i32 = 0x3a;
const minus: i32 = 0x2d;
export const openBrace: i32 = 0x7b;
export const closeBrace: i32 = 0x7d;
const openBracket: i32 = 0x5b;
const closeBracket: i32 = 0x5d;

const longKind: u32 = 1;
const doubleKind: u32 = 2;
const boolKind: u32 = 4;
const textKind: u32 = 8;
/** A value of no kind: null, NaN, Infinity. */
const noKind: u32 = 0;

/** Integers of at most so many digits fit in 64 bits whatever they are. */
const safeDigits: usize = 18;
/** Decimal numbers shorter than this and without exponent cannot overflow a double. */
const finiteLength: usize = 300;
const vectorBytes: usize = 16;

/** Whether the number that lies there is finite as a double: for those that are long or have an exponent, which are rare. */
// oxlint-disable-next-line no-unused-vars
declare function isFiniteNumber(at: usize, bytes: usize): bool;

/** Of the value that was read last. */
export let kind: u32 = noKind;
/** No value has been NaN or Infinity since it was set. */
export let isAllFinite: bool = true;
/** The string that was read last has escapes. */
export let hasEscapes: bool = false;
/** Open containers, a byte each; as many as a text has bytes at most. */
let containersAt: usize = 0;

export function openJson(containers: usize): void {
  containersAt = containers;
  isAllFinite = true;
}

/** The byte there, −1 at the end. */
export function peek(at: usize, end: usize): i32 {
  return at < end ? <i32>load<u8>(at) : -1;
}

export function spaceEnd(at: usize, end: usize): usize {
  while (at < end) {
    const c = load<u8>(at);
    if (c > 0x20 || (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09)) break;
    at++;
  }
  return at;
}

/** As `spaceEnd`, for where there mostly is none. */
export function nextEnd(at: usize, end: usize): usize {
  return load<u8>(at) > 0x20 ? at : spaceEnd(at, end);
}

/** A string, quotes included: UTF-8, escapes and surrogate pairs are checked. */
export function stringEnd(start: usize, end: usize): usize {
  let at = start + 1;
  hasEscapes = false;
  while (true) {
    const bytes = v128.load(at);
    // As signed numbers, controls and what is not ASCII are below 0x20.
    const special = v128.or(
      i8x16.lt_s(bytes, i8x16.splat(0x20)),
      v128.or(i8x16.eq(bytes, i8x16.splat(0x22)), i8x16.eq(bytes, i8x16.splat(0x5c))),
    );
    const mask = i8x16.bitmask(special);
    if (mask === 0) {
      at += vectorBytes;
      if (at >= end) return 0;
      continue;
    }
    at += <usize>ctz(mask);
    if (at >= end) return 0;
    let c = <i32>load<u8>(at);
    if (c === quote) return at + 1;
    if (c < 0x20) return 0;
    if (c === backslash) {
      hasEscapes = true;
      at = escapeEnd(at, end);
      if (at === 0) return 0;
      continue;
    }
    // Where one letter is not ASCII, more mostly follow.
    while (c >= 0x80) {
      at = sequenceEnd(at, end);
      if (at === 0) return 0;
      c = peek(at, end);
    }
  }
}

function escapeEnd(at: usize, end: usize): usize {
  const c = peek(at + 1, end);
  if (c !== 0x75) {
    const isSimple = c === quote || c === backslash || c === 0x2f || c === 0x62 || c === 0x66 || c === 0x6e || c === 0x72 || c === 0x74;
    return isSimple ? at + 2 : 0;
  }
  const unit = hex4(at + 2, end);
  if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff)) return 0;
  if (unit < 0xd800 || unit > 0xdbff) return at + 6;
  if (at + 12 > end || load<u8>(at, 6) !== backslash || load<u8>(at, 7) !== 0x75) return 0;
  const low = hex4(at + 8, end);
  return low >= 0xdc00 && low <= 0xdfff ? at + 12 : 0;
}

function hex4(at: usize, end: usize): i32 {
  if (at + 4 > end) return -1;
  let unit: i32 = 0;
  for (let i: usize = 0; i < 4; i++) {
    const c = <i32>load<u8>(at + i);
    const lower = c | 0x20;
    const digit = c >= 0x30 && c <= 0x39 ? c - 0x30 : lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

function digitsEnd(at: usize, end: usize): usize {
  while (at < end && <u32>load<u8>(at) - 0x30 <= 9) at++;
  return at;
}

function numberEnd(start: usize, end: usize): usize {
  const intStart = load<u8>(start) === minus ? start + 1 : start;
  let at = digitsEnd(intStart, end);
  const intDigits = at - intStart;
  if (intDigits === 0) return notFiniteEnd(intStart, end);
  if (intDigits > 1 && load<u8>(intStart) === 0x30) return 0;
  let c = peek(at, end);
  if (c !== 0x2e && (c | 0x20) !== 0x65) {
    kind = intDigits <= safeDigits || fitsLong(intStart, intDigits, intStart !== start) ? longKind : textKind;
    return at;
  }
  let hasExponent = false;
  if (c === 0x2e) {
    const fraction = digitsEnd(at + 1, end);
    if (fraction === at + 1) return 0;
    at = fraction;
    c = peek(at, end);
  }
  if (c >= 0 && (c | 0x20) === 0x65) {
    at++;
    c = peek(at, end);
    if (c === 0x2b || c === minus) at++;
    const exponent = digitsEnd(at, end);
    if (exponent === at) return 0;
    at = exponent;
    hasExponent = true;
  }
  const isShort = !hasExponent && at - start < finiteLength;
  kind = isShort || isFiniteNumber(start, at - start) ? doubleKind : textKind;
  return at;
}

/** Whether so many digits, of which the first is no zero, are a number of 64 bits. */
function fitsLong(at: usize, digits: usize, isNegative: bool): bool {
  if (digits !== 19) return false;
  let value: u64 = 0;
  for (let i: usize = 0; i < 19; i++) value = value * 10 + (<u64>load<u8>(at + i) - 0x30);
  return value <= (isNegative ? 0x8000_0000_0000_0000 : 0x7fff_ffff_ffff_ffff);
}

/** NaN, Inf, Infinity in any case: the reader takes them, they are of no kind. */
function notFiniteEnd(at: usize, end: usize): usize {
  kind = noKind;
  // Three letters and the byte behind them, in lower case; that may lie behind the end.
  const letters = at + 3 <= end ? (load<u32>(at) | 0x2020_2020) & 0xff_ffff : 0;
  let last = at + 3;
  if (letters !== 0x6e_616e) {
    if (letters !== 0x66_6e69) return 0;
    // "inity": "init" and "y".
    if (at + 8 <= end && (load<u32>(at, 3) | 0x2020_2020) === 0x7469_6e69 && (load<u8>(at, 7) | 0x20) === 0x79) last = at + 8;
  }
  isAllFinite = false;
  return last;
}

function wordEnd(at: usize, end: usize): usize {
  const letters = at + 4 <= end ? load<u32>(at) : 0;
  const c = peek(at, end);
  if (c === 0x74) {
    kind = boolKind;
    // "true".
    return letters === 0x6575_7274 ? at + 4 : 0;
  }
  if (c === 0x66) {
    kind = boolKind;
    // "fals", "e".
    return letters === 0x736c_6166 && at + 5 <= end && load<u8>(at, 4) === 0x65 ? at + 5 : 0;
  }
  kind = noKind;
  // "null".
  return letters === 0x6c6c_756e ? at + 4 : notFiniteEnd(at, end);
}

function scalarEnd(c: i32, at: usize, end: usize): usize {
  if (c === quote) return stringEnd(at, end);
  if (c === minus || (c >= 0x30 && c <= 0x39)) return numberEnd(at, end);
  return wordEnd(at, end);
}

/** Any value; leaves its kind in `kind`. */
export function valueEnd(at: usize, end: usize): usize {
  const c = peek(at, end);
  if (c !== openBrace && c !== openBracket) {
    // Numbers and words say themselves of what kind they are.
    kind = textKind;
    return scalarEnd(c, at, end);
  }
  const last = nestedEnd(at, end);
  kind = textKind;
  return last;
}

/** A member's name with its colon, up to its value. */
function memberEnd(start: usize, end: usize): usize {
  if (peek(start, end) !== quote) return 0;
  let at = stringEnd(start, end);
  if (at === 0) return 0;
  at = nextEnd(at, end);
  return peek(at, end) === colon ? nextEnd(at + 1, end) : 0;
}

/** An object or array, to any depth, without recursion. */
function nestedEnd(start: usize, end: usize): usize {
  let at = start;
  let depth: usize = 0;
  let container: i32 = 0;
  while (true) {
    // A value is expected here.
    const c = peek(at, end);
    if (c === openBrace || c === openBracket) {
      store<u8>(containersAt + depth++, container);
      container = c;
      at = nextEnd(at + 1, end);
      if (peek(at, end) !== (c === openBrace ? closeBrace : closeBracket)) {
        if (c === openBrace) {
          at = memberEnd(at, end);
          if (at === 0) return 0;
        }
        continue;
      }
    } else {
      at = scalarEnd(c, at, end);
      if (at === 0) return 0;
      at = nextEnd(at, end);
    }
    // A value has ended, or this is the end of an empty container.
    while (true) {
      const close = container === openBrace ? closeBrace : closeBracket;
      let d = peek(at, end);
      if (d === comma) {
        at = nextEnd(at + 1, end);
        d = peek(at, end);
        if (d !== close) {
          if (container === openBrace) {
            at = memberEnd(at, end);
            if (at === 0) return 0;
          }
          break;
        }
      }
      if (d !== close) return 0;
      at++;
      container = <i32>load<u8>(containersAt + --depth);
      if (depth === 0) return at;
      at = nextEnd(at, end);
    }
  }
}
