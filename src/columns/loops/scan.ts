/**
 * Which (name, kind) pairs a JSON value contributes: one pass over its bytes, nothing is built. The names live in `names.ts`,
 * the text is read by `json.ts`; here is what a top-level object means.
 */
import {
  backslash,
  closeBrace,
  colon,
  comma,
  hasEscapes,
  isAllFinite,
  kind,
  nextEnd,
  openBrace,
  openJson,
  peek,
  quote,
  spaceEnd,
  stringEnd,
  valueEnd,
} from './json';
import {
  addKind,
  endOfToken,
  entryOf,
  hasKind,
  indexOfName,
  isFirstIn,
  keepNames,
  likelyAfter,
  nameCount,
  namesBytes,
  openNames,
  setLikely,
  startEntry,
} from './names';

/** As `names.ts`. */
const namesMax: usize = 4000;
const nameBytesMax: usize = 255;
/** No index: a name that is too long or one too many. */
const noIndex: i32 = -1;

/** Writes the name in a string token, quotes included, to `to`; answers its bytes, −1 where they are more than 255. */
// oxlint-disable-next-line no-unused-vars
declare function unescapeName(at: usize, bytes: usize, to: usize): i32;

/** Pairs of the document under way that are new: entry of the name and kind, by turns. */
let pendingAt: usize = 0;
let pendingCount: usize = 0;
/** Room for a name without its escapes. */
let unescapedAt: usize = 0;
let documents: u32 = 0;
let pairs: u32 = 0;

/** What `openScan` is to be given besides the containers. */
export function scanBytes(): usize {
  return namesBytes + namesMax * 8 + nameBytesMax + 64;
}

/** Forgets everything. `containers` is room for as many bytes as a value has at most. */
export function openScan(at: usize, containers: usize): void {
  openNames(at);
  openJson(containers);
  pendingAt = (at + namesBytes + 15) & ~15;
  unescapedAt = pendingAt + namesMax * 8;
  documents = 0;
  pairs = 0;
}

/** Number of pairs found so far. */
export function pairCount(): u32 {
  return pairs;
}

/** No field has been NaN or Infinity so far, also in values that turned out to be no JSON. */
export function isFiniteSoFar(): bool {
  return isAllFinite;
}

/** Takes in the value that lies from `at` to `end` (exclusive). */
export function scan(at: usize, end: usize): void {
  const known = nameCount();
  documents++;
  pendingCount = 0;
  const last = topObjectEnd(at, end);
  if (last !== 0 && spaceEnd(last, end) === end) commit();
  else keepNames(known);
}

/** The document was whole: what it brought counts. */
function commit(): void {
  for (let at = pendingAt; at < pendingAt + (pendingCount << 3); at += 8) {
    addKind(load<u32>(at), load<u32>(at, 4));
    pairs++;
  }
}

function topObjectEnd(start: usize, end: usize): usize {
  let at = spaceEnd(start, end);
  if (peek(at, end) !== openBrace) return 0;
  at = nextEnd(at + 1, end);
  if (peek(at, end) === closeBrace) return at + 1;
  let previous = startEntry();
  while (true) {
    let entry = likelyAfter(previous);
    let last: usize = entry === 0 ? 0 : endOfToken(entry, at, end);
    if (last === 0) {
      if (peek(at, end) !== quote) return 0;
      last = stringEnd(at, end);
      if (last === 0) return 0;
      const index = nameIndex(at, last);
      entry = index < 0 ? 0 : entryOf(index);
      if (index >= 0) setLikely(previous, index);
      last = nextEnd(last, end);
      if (peek(last, end) !== colon) return 0;
      last++;
    }
    at = valueEnd(nextEnd(last, end), end);
    if (at === 0) return 0;
    if (entry !== 0) {
      if (isFirstIn(documents, entry) && !hasKind(entry, kind)) addPending(entry);
      previous = entry;
    }
    at = nextEnd(at, end);
    const c = peek(at++, end);
    if (c !== comma) return c === closeBrace ? at : 0;
    at = nextEnd(at, end);
    if (peek(at, end) === closeBrace) return at + 1;
  }
}

/** Each name once a document, so there is room for all. */
function addPending(entry: usize): void {
  const at = pendingAt + (pendingCount++ << 3);
  store<u32>(at, entry);
  store<u32>(at, kind, 4);
}

/** Of the name in a checked string token with its quotes. */
function nameIndex(at: usize, end: usize): i32 {
  if (!hasEscapes) {
    const bytes = end - at - 2;
    return bytes > nameBytesMax ? noIndex : indexOfName(at + 1, bytes, true);
  }
  const bytes = unescapeName(at, end - at, unescapedAt);
  return bytes < 0 ? noIndex : indexOfName(unescapedAt, bytes, isPlain(unescapedAt, bytes));
}

/** Whether it would stand in JSON as it is. */
function isPlain(at: usize, bytes: usize): bool {
  for (let i: usize = 0; i < bytes; i++) {
    const c = <i32>load<u8>(at + i);
    if (c < 0x20 || c === quote || c === backslash) return false;
  }
  return true;
}
