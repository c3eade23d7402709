/** What one place of a topic pattern takes: a character, an escape, a class. */
import type { LakeError } from '../../../kernel/index.js';
import { addAll, addRange, type CharacterSet, type ClassKind, complement, emptySet, fullSet, namedClass } from './character-sets.js';

const controls: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };
const codePointMax = 0x10ffff;

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
    const set = emptySet();
    this.#addRange(set, text.codePointAt(0)!, text.codePointAt(0)!);
    return set;
  }

  /** The set that stands here: any character, a class, an escape or a literal. */
  set(): CharacterSet {
    if (this.take('.')) return fullSet();
    if (this.take('[')) return this.#class();
    const set = emptySet();
    const low = this.#item(set);
    if (low !== undefined) this.#addRange(set, low, low);
    return set;
  }

  #class(): CharacterSet {
    const isNegated = this.take('^');
    const set = emptySet();
    for (let isFirst = true; isFirst || !this.take(']'); isFirst = false) {
      if (this.isAtEnd) throw this.#bad('a [ has no ]');
      this.#member(set);
    }
    return isNegated ? complement(set) : set;
  }

  #member(set: CharacterSet): void {
    const posix = this.takeMatch(/\[:(\^?)(\w+):\]/y);
    if (posix !== undefined) {
      this.#addClass(set, 'posix', posix[2]!, posix[1] === '^');
      return;
    }
    const low = this.#item(set);
    if (low === undefined) return;
    if (!this.isAt('-') || this.isAt('-]')) {
      this.#addRange(set, low, low);
      return;
    }
    this.take('-');
    const high = this.#item(emptySet());
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
      this.#addClass(set, 'unicode', unicode[3] ?? unicode[4]!, (unicode[1] === 'P') !== (unicode[2] === '^'));
      return undefined;
    }
    const perl = this.takeMatch(/[dswDSW]/y)?.[0];
    if (perl !== undefined) {
      this.#addClass(set, 'perl', perl.toLowerCase(), perl !== perl.toLowerCase());
      return undefined;
    }
    const escaped = this.takeMatch(/[^]/uy)?.[0] ?? '';
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

  #addClass(set: CharacterSet, kind: ClassKind, name: string, isNegated: boolean): void {
    const members = namedClass(kind, name, { isNegated, isCaseBlind: this.isCaseBlind });
    if (members === undefined) throw this.#bad(`there is no class ${name}`);
    addAll(set, members);
  }

  #addRange(set: CharacterSet, low: number, high: number): void {
    addRange(set, low, high, this.isCaseBlind);
  }
}
