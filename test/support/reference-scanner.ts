/**
 * The scanner in plain TypeScript, as it was before it became a compiled loop (`src/columns/loops/scan.ts`): what that one finds is
 * held against this. Finds out which (name, kind) pairs JSON values contribute, without building anything from them: one pass over the bytes,
 * values are skipped. It says exactly what `typed-sql.ts` would find, because both sides of the boundary name their columns
 * by it; so it accepts what DuckDB's JSON reader accepts (RFC 8259 plus trailing commas and the words NaN and Infinity) and
 * takes the first of duplicate names. The rare and the doubtful (escaped names, huge numbers) go a slow, exact way.
 */
import { columnKinds, type ColumnKind, type ColumnPair, maxFieldNameBytes, maxTypedColumns } from '../../src/columns/index.js';

/** Names a scanner remembers, also those that were null so far; more than can become columns, so that nulls do not crowd others out. */
const maxNames = 4 * maxTypedColumns;

const kindBit: Readonly<Record<ColumnKind, number>> = { long: 1, double: 2, bool: 4, text: 8 };
/** A field whose value is of no kind: null, NaN, Infinity. */
const noKind = 0;

/** Character classes inside a string. */
const plain = 0;
const special = 1;
const stringClass = new Uint8Array(256);
for (let c = 0; c < 256; c++) stringClass[c] = c < 0x20 || c === 0x22 || c === 0x5c || c >= 0x80 ? special : plain;

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const minus = 0x2d;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/** Integers of at most so many digits fit in 64 bits whatever they are. */
const safeDigits = 18;
/** Decimal numbers shorter than this and without exponent cannot overflow a double. */
const finiteLength = 300;

export class ReferenceScanner {
  readonly #names: string[] = [];
  readonly #nameBytes: Uint8Array[] = [];
  /** Bits of the kinds seen per name. */
  readonly #kinds: number[] = [];
  /** The name that followed this one the last time, a guess that mostly holds. Index + 1; slot 0 is the start. */
  readonly #next: number[] = [0];
  /** The document a name was last met in: a second time in the same one does not count. */
  readonly #document: number[] = [];
  readonly #indexByName = new Map<string, number>();
  #documents = 0;
  #hasOnlyFinite = true;

  #bytes: Uint8Array = new Uint8Array(0);
  #end = 0;
  #at = 0;
  #kind = noKind;
  #containers = new Uint8Array(64);
  /** Pairs of the document under way that are new: name index and kind bit, by turns. */
  readonly #pending: number[] = [];
  /** Names of the document under way that are new altogether. */
  readonly #fresh: { readonly name: string; readonly kind: number }[] = [];
  readonly #freshNames = new Set<string>();

  /** The pairs found so far, in no particular order. */
  pairs(): ColumnPair[] {
    const pairs: ColumnPair[] = [];
    for (const [index, name] of this.#names.entries()) {
      for (const kind of columnKinds) {
        if (((this.#kinds[index] as number) & kindBit[kind]) !== 0) pairs.push({ name, kind });
      }
    }
    return pairs;
  }

  /** No field has been NaN or Infinity so far, also in values that turned out to be no JSON. */
  get isFinite(): boolean {
    return this.#hasOnlyFinite;
  }

  /** Takes in the value that lies in `bytes` from `start` to `end` (exclusive). */
  scan(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#end = end;
    this.#at = start;
    this.#documents++;
    if (this.#pending.length !== 0) this.#pending.length = 0;
    if (this.#fresh.length !== 0) {
      this.#fresh.length = 0;
      this.#freshNames.clear();
    }
    if (!this.#topObject()) return;
    this.#skipSpace();
    if (this.#at !== end) return;
    if (this.#pending.length !== 0 || this.#fresh.length !== 0) this.#commit();
  }

  /** The document was whole: what it brought counts. */
  #commit(): void {
    for (let i = 0; i < this.#pending.length; i += 2) this.#add(this.#pending[i] as number, this.#pending[i + 1] as number);
    for (const { name, kind } of this.#fresh) {
      if (this.#names.length >= maxNames) break;
      const index = this.#names.length;
      this.#names.push(name);
      this.#nameBytes.push(Buffer.from(name, 'utf8'));
      this.#kinds.push(0);
      this.#next.push(0);
      this.#document.push(0);
      this.#indexByName.set(name, index);
      this.#add(index, kind);
    }
  }

  #add(index: number, bit: number): void {
    const kinds = this.#kinds[index] as number;
    if (bit === noKind || (kinds & bit) !== 0) return;
    this.#kinds[index] = kinds | bit;
  }

  #skipSpace(): void {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#at;
    while (at < end) {
      const c = bytes[at] as number;
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) break;
      at++;
    }
    this.#at = at;
  }

  /** The byte at the cursor, −1 at the end. */
  #peek(): number {
    return this.#at < this.#end ? (this.#bytes[this.#at] as number) : -1;
  }

  #topObject(): boolean {
    this.#skipSpace();
    if (this.#peek() !== openBrace) return false;
    this.#at++;
    this.#skipSpace();
    if (this.#peek() === closeBrace) {
      this.#at++;
      return true;
    }
    let previous = 0;
    for (;;) {
      if (this.#peek() !== quote) return false;
      const guess = this.#next[previous] as number;
      let index = guess !== 0 && this.#isName(guess - 1) ? guess - 1 : -1;
      let freshName: string | undefined;
      if (index < 0) {
        const nameStart = this.#at;
        if (!this.#string()) return false;
        freshName = this.#nameOf(nameStart, this.#at);
        if (freshName !== undefined) {
          index = this.#indexByName.get(freshName) ?? -1;
          if (index >= 0) this.#next[previous] = index + 1;
        }
      }
      this.#skipSpace();
      if (this.#peek() !== colon) return false;
      this.#at++;
      this.#skipSpace();
      if (!this.#value()) return false;
      if (index >= 0) {
        if (this.#document[index] !== this.#documents) {
          this.#document[index] = this.#documents;
          if (((this.#kinds[index] as number) & this.#kind) !== this.#kind) this.#pending.push(index, this.#kind);
        }
        previous = index + 1;
      } else if (freshName !== undefined && !this.#freshNames.has(freshName)) {
        this.#freshNames.add(freshName);
        if (this.#names.length < maxNames) this.#fresh.push({ name: freshName, kind: this.#kind });
      }
      this.#skipSpace();
      const c = this.#peek();
      this.#at++;
      if (c === closeBrace) return true;
      if (c !== comma) return false;
      this.#skipSpace();
      if (this.#peek() === closeBrace) {
        this.#at++;
        return true;
      }
    }
  }

  /** Whether the string at the cursor is this name, letter by letter; if so the cursor moves behind it. */
  #isName(index: number): boolean {
    const name = this.#nameBytes[index] as Uint8Array;
    const bytes = this.#bytes;
    const start = this.#at + 1;
    const length = name.length;
    if (start + length >= this.#end || bytes[start + length] !== quote) return false;
    for (let i = 0; i < length; i++) {
      const c = name[i] as number;
      if (bytes[start + i] !== c || c < 0x20 || c === quote || c === backslash) return false;
    }
    this.#at = start + length + 1;
    return true;
  }

  /** The name in a checked string token with its quotes; undefined where it is too long to become a column. */
  #nameOf(start: number, end: number): string | undefined {
    const token = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, end - start);
    if (!token.includes(backslash)) return token.length - 2 > maxFieldNameBytes ? undefined : token.toString('utf8', 1, token.length - 1);
    const name = JSON.parse(token.toString('utf8')) as string;
    return Buffer.byteLength(name, 'utf8') > maxFieldNameBytes ? undefined : name;
  }

  /** Any value at the cursor; leaves its kind in `#kind`. */
  #value(): boolean {
    const c = this.#peek();
    if (c === quote) {
      this.#kind = kindBit.text;
      return this.#string();
    }
    if (c === minus || (c >= 0x30 && c <= 0x39)) return this.#number();
    if (c === openBrace || c === openBracket) {
      if (!this.#nested()) return false;
      this.#kind = kindBit.text;
      return true;
    }
    return this.#word();
  }

  #word(): boolean {
    const c = this.#peek();
    if (c === 0x74) {
      this.#kind = kindBit.bool;
      return this.#exactly('true');
    }
    if (c === 0x66) {
      this.#kind = kindBit.bool;
      return this.#exactly('false');
    }
    this.#kind = noKind;
    return (c === 0x6e && this.#exactly('null')) || this.#notFinite();
  }

  #exactly(word: string): boolean {
    if (this.#at + word.length > this.#end) return false;
    for (let i = 0; i < word.length; i++) {
      if (this.#bytes[this.#at + i] !== word.charCodeAt(i)) return false;
    }
    this.#at += word.length;
    return true;
  }

  #exactlyAnyCase(word: string): boolean {
    if (this.#at + word.length > this.#end) return false;
    for (let i = 0; i < word.length; i++) {
      if (((this.#bytes[this.#at + i] as number) | 0x20) !== word.charCodeAt(i)) return false;
    }
    this.#at += word.length;
    return true;
  }

  /** NaN, Inf, Infinity in any case: the reader takes them, they are of no kind. */
  #notFinite(): boolean {
    this.#kind = noKind;
    if (!this.#exactlyAnyCase('nan')) {
      if (!this.#exactlyAnyCase('inf')) return false;
      this.#exactlyAnyCase('inity');
    }
    this.#hasOnlyFinite = false;
    return true;
  }

  #digits(at: number): number {
    const bytes = this.#bytes;
    const end = this.#end;
    let p = at;
    while (p < end) {
      const c = bytes[p] as number;
      if (c < 0x30 || c > 0x39) break;
      p++;
    }
    return p;
  }

  #number(): boolean {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start;
    if (bytes[at] === minus) at++;
    const intStart = at;
    at = this.#digits(at);
    const intDigits = at - intStart;
    if (intDigits === 0) {
      this.#at = intStart;
      return this.#notFinite();
    }
    if (intDigits > 1 && bytes[intStart] === 0x30) return false;
    let isInteger = true;
    let hasExponent = false;
    if (at < this.#end && bytes[at] === 0x2e) {
      const fraction = this.#digits(at + 1);
      if (fraction === at + 1) return false;
      at = fraction;
      isInteger = false;
    }
    if (at < this.#end && ((bytes[at] as number) | 0x20) === 0x65) {
      at++;
      if (at < this.#end && (bytes[at] === 0x2b || bytes[at] === minus)) at++;
      const exponent = this.#digits(at);
      if (exponent === at) return false;
      at = exponent;
      isInteger = false;
      hasExponent = true;
    }
    this.#at = at;
    if (isInteger) this.#kind = intDigits <= safeDigits || this.#fitsLong(start, at) ? kindBit.long : kindBit.text;
    else this.#kind = (!hasExponent && at - start < finiteLength) || this.#isFinite(start, at) ? kindBit.double : kindBit.text;
    return true;
  }

  #text(start: number, end: number): string {
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, end - start).toString('latin1');
  }

  #fitsLong(start: number, end: number): boolean {
    if (end - start > 20) return false;
    const value = BigInt(this.#text(start, end));
    return BigInt.asIntN(64, value) === value;
  }

  #isFinite(start: number, end: number): boolean {
    return Number.isFinite(Number(this.#text(start, end)));
  }

  /** A string at the cursor, quotes included: UTF-8, escapes and surrogate pairs checked as the reader does. */
  #string(): boolean {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#at + 1;
    for (;;) {
      while (at < end && stringClass[bytes[at] as number] === plain) at++;
      if (at >= end) return false;
      const c = bytes[at] as number;
      if (c === quote) {
        this.#at = at + 1;
        return true;
      }
      const next = c === backslash ? this.#escape(at) : c >= 0x80 ? this.#multibyte(at) : -1;
      if (next < 0) return false;
      at = next;
    }
  }

  /** Behind the escape at `at`, or −1. */
  #escape(at: number): number {
    if (at + 1 >= this.#end) return -1;
    const c = this.#bytes[at + 1] as number;
    if (c !== 0x75) {
      const isSimple = c === quote || c === backslash || c === 0x2f || c === 0x62 || c === 0x66 || c === 0x6e || c === 0x72 || c === 0x74;
      return isSimple ? at + 2 : -1;
    }
    const unit = this.#hex4(at + 2);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff)) return -1;
    if (unit < 0xd800 || unit > 0xdbff) return at + 6;
    if (at + 12 > this.#end || this.#bytes[at + 6] !== backslash || this.#bytes[at + 7] !== 0x75) return -1;
    const low = this.#hex4(at + 8);
    return low >= 0xdc00 && low <= 0xdfff ? at + 12 : -1;
  }

  #hex4(at: number): number {
    if (at + 4 > this.#end) return -1;
    let unit = 0;
    for (let i = at; i < at + 4; i++) {
      const c = this.#bytes[i] as number;
      const lower = c | 0x20;
      const digit = c >= 0x30 && c <= 0x39 ? c - 0x30 : lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
      if (digit < 0) return -1;
      unit = unit * 16 + digit;
    }
    return unit;
  }

  /** Behind the UTF-8 sequence at `at` (RFC 3629: shortest form, no surrogates, up to U+10FFFF), or −1. */
  #multibyte(at: number): number {
    const bytes = this.#bytes;
    const c = bytes[at] as number;
    const length = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (length === 0 || at + length > this.#end) return -1;
    const second = bytes[at + 1] as number;
    const lowest = c === 0xe0 ? 0xa0 : c === 0xf0 ? 0x90 : 0x80;
    const highest = c === 0xed ? 0x9f : c === 0xf4 ? 0x8f : 0xbf;
    if (second < lowest || second > highest) return -1;
    for (let i = 2; i < length; i++) {
      if (((bytes[at + i] as number) & 0xc0) !== 0x80) return -1;
    }
    return at + length;
  }

  /** An object or array at the cursor, to any depth, without recursion. */
  #nested(): boolean {
    let depth = 0;
    for (;;) {
      // A value is expected here.
      const c = this.#peek();
      if (c === openBrace || c === openBracket) {
        if (depth === this.#containers.length) {
          const wider = new Uint8Array(depth * 2);
          wider.set(this.#containers);
          this.#containers = wider;
        }
        this.#containers[depth++] = c;
        this.#at++;
        this.#skipSpace();
        const isEmpty = this.#peek() === (c === openBrace ? closeBrace : closeBracket);
        if (!isEmpty) {
          if (c === openBrace && !this.#member()) return false;
          continue;
        }
      } else if (!this.#scalar(c)) {
        return false;
      } else {
        this.#skipSpace();
      }
      // A value has ended, or the cursor is at the end of an empty container.
      for (;;) {
        const container = this.#containers[depth - 1] as number;
        const close = container === openBrace ? closeBrace : closeBracket;
        let d = this.#peek();
        if (d === comma) {
          this.#at++;
          this.#skipSpace();
          d = this.#peek();
          if (d !== close) {
            if (container === openBrace && !this.#member()) return false;
            break;
          }
        }
        if (d !== close) return false;
        this.#at++;
        depth--;
        if (depth === 0) return true;
        this.#skipSpace();
      }
    }
  }

  #scalar(c: number): boolean {
    if (c === quote) return this.#string();
    if (c === minus || (c >= 0x30 && c <= 0x39)) return this.#number();
    return this.#word();
  }

  /** A member's name and colon at the cursor. */
  #member(): boolean {
    if (this.#peek() !== quote || !this.#string()) return false;
    this.#skipSpace();
    if (this.#peek() !== colon) return false;
    this.#at++;
    this.#skipSpace();
    return true;
  }
}
