/** What one place of a topic pattern takes: a character, an escape, a class. Names of topics are ASCII, so a class is 128 flags. */
import type { LakeError } from '../../../kernel/index.js';

/** 1 where the character of that code is in it. */
export type CharacterSet = Uint8Array;

const codes = 128;
const perlClasses: Readonly<Record<string, RegExp>> = { d: /\d/, w: /\w/, s: /[\t\n\f\r ]/ };
const posixClasses: Readonly<Record<string, RegExp>> = {
  alnum: /[0-9A-Za-z]/,
  alpha: /[A-Za-z]/,
  ascii: /[^]/,
  blank: /[\t ]/,
  digit: /[0-9]/,
  lower: /[a-z]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[\t\n\v\f\r ]/,
  upper: /[A-Z]/,
  word: /\w/,
  xdigit: /[0-9A-Fa-f]/,
};
const controls: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };
const codePointMax = 0x10ffff;
/** Letters beyond ASCII that are the same as one of it where case does not count. */
const foldedBeyond: readonly (readonly [code: number, as: string])[] = [
  [0x17f, 's'],
  [0x212a, 'k'],
];

export class AtomReader {
  isCaseBlind = false;
  readonly #source: string;
  readonly #bad: (why: string) => LakeError;
  #at = 0;

  constructor(source: string, bad: (why: string) => LakeError) {
    this.#source = source;
    this.#bad = bad;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#source.length;
  }

  isAt(text: string): boolean {
    return this.#source.startsWith(text, this.#at);
  }

  take(text: string): boolean {
    if (!this.isAt(text)) return false;
    this.#at += text.length;
    return true;
  }

  /** Takes what a sticky expression matches here. */
  takeMatch(sticky: RegExp): RegExpExecArray | undefined {
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#source);
    if (found === null) return undefined;
    this.#at += found[0].length;
    return found;
  }

  literal(text: string): CharacterSet {
    const set = new Uint8Array(codes);
    this.#addRange(set, text.codePointAt(0)!, text.codePointAt(0)!);
    return set;
  }

  /** The set that stands here: any character, a class, an escape or a literal. */
  set(): CharacterSet {
    if (this.take('.')) return new Uint8Array(codes).fill(1);
    if (this.take('[')) return this.#class();
    const set = new Uint8Array(codes);
    const low = this.#item(set);
    if (low !== undefined) this.#addRange(set, low, low);
    return set;
  }

  #class(): CharacterSet {
    const isNegated = this.take('^');
    const set = new Uint8Array(codes);
    for (let isFirst = true; isFirst || !this.take(']'); isFirst = false) {
      if (this.isAtEnd) throw this.#bad('a [ has no ]');
      this.#member(set);
    }
    return isNegated ? set.map((flag) => 1 - flag) : set;
  }

  #member(set: CharacterSet): void {
    const posix = this.takeMatch(/\[:(\^?)(\w+):\]/y);
    if (posix !== undefined) {
      const members = Object.hasOwn(posixClasses, posix[2]!) ? posixClasses[posix[2]!] : undefined;
      if (members === undefined) throw this.#bad(`${posix[0]} is no class`);
      this.#addMatching(set, members, posix[1] === '^');
      return;
    }
    const low = this.#item(set);
    if (low === undefined) return;
    if (!this.isAt('-') || this.isAt('-]')) {
      this.#addRange(set, low, low);
      return;
    }
    this.take('-');
    const high = this.#item(new Uint8Array(codes));
    if (high === undefined || high < low) throw this.#bad('a range in a class ends before it begins');
    this.#addRange(set, low, high);
  }

  /** The code of one character, or a Perl class added to the set (then `undefined`). */
  #item(set: CharacterSet): number | undefined {
    if (!this.take('\\')) {
      const code = this.#source.codePointAt(this.#at)!;
      this.#at += code > 0xffff ? 2 : 1;
      return code;
    }
    const code = this.#numbered();
    if (code !== undefined) return code;
    const unicode = this.takeMatch(/([pP])(?:\{(\^?)(\w+)\}|([A-Z]))/y);
    if (unicode !== undefined) {
      this.#addMatching(set, this.#unicodeClass(unicode[3] ?? unicode[4]!), (unicode[1] === 'P') !== (unicode[2] === '^'));
      return undefined;
    }
    const escaped = this.takeMatch(/[^]/uy)?.[0] ?? '';
    const members = perlClasses[escaped.toLowerCase()];
    if (members !== undefined && /[a-zA-Z]/.test(escaped)) {
      this.#addMatching(set, members, escaped !== escaped.toLowerCase());
      return undefined;
    }
    const control = controls[escaped];
    if (control !== undefined) return control;
    if (/[^0-9A-Za-z]/u.test(escaped)) return escaped.codePointAt(0);
    throw this.#bad(escaped === '' ? 'it ends in a backslash' : `\\${escaped} is not supported`);
  }

  /** A character by its number, of base 16 or 8. */
  #numbered(): number | undefined {
    const hex = this.takeMatch(/x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})/y);
    // A single digit that is not zero would be a back reference.
    const octal = hex === undefined ? this.takeMatch(/0[0-7]{0,2}|[1-7][0-7]{1,2}/y) : undefined;
    if (hex === undefined && octal === undefined) return undefined;
    const code = octal === undefined ? Number.parseInt(hex![1] ?? hex![2]!, 16) : Number.parseInt(octal[0], 8);
    if (code > codePointMax) throw this.#bad('there is no such character');
    return code;
  }

  /** A general category by its short name, or a script. */
  #unicodeClass(name: string): RegExp {
    try {
      if (name === 'Any') return /[^]/;
      return new RegExp(name.length <= 2 ? `\\p{gc=${name}}` : `\\p{sc=${name}}`, 'u');
    } catch {
      throw this.#bad(`there is no class ${name}`);
    }
  }

  #addMatching(set: CharacterSet, members: RegExp, isNegated: boolean): void {
    const matching = new Uint8Array(codes);
    for (let code = 0; code < codes; code++) if (members.test(String.fromCharCode(code))) this.#addRange(matching, code, code);
    for (let code = 0; code < codes; code++) if ((matching[code] === 1) !== isNegated) set[code] = 1;
  }

  #addRange(set: CharacterSet, low: number, high: number): void {
    for (let code = low; code <= Math.min(high, codes - 1); code++) {
      set[code] = 1;
      if (!this.isCaseBlind) continue;
      const text = String.fromCharCode(code);
      set[text.toLowerCase().charCodeAt(0)] = 1;
      set[text.toUpperCase().charCodeAt(0)] = 1;
    }
    if (!this.isCaseBlind) return;
    for (const [code, as] of foldedBeyond) if (low <= code && code <= high) this.#addRange(set, as.charCodeAt(0), as.charCodeAt(0));
  }
}
