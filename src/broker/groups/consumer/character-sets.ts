/** Sets of characters, and the classes of them that have a name. Names of topics are ASCII, so a set is 128 flags. */

/** 1 where the character of that code is in it. */
export type CharacterSet = Uint8Array;

export type ClassKind = 'perl' | 'posix' | 'unicode';

interface ClassOptions {
  readonly isNegated: boolean;
  readonly isCaseBlind: boolean;
}

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
/** What a letter's two cases differ by. */
const caseBit = 0x20;
/** Letters beyond ASCII that are the same as one of it where case does not count. */
const foldedBeyond: readonly (readonly [code: number, as: string])[] = [
  [0x17f, 's'],
  [0x212a, 'k'],
];
/** Each class that was named so far: to find out takes long, and one expression may name thousands. There are some hundred names. */
const foundClasses = new Map<string, CharacterSet>();

export function emptySet(): CharacterSet {
  return new Uint8Array(codes);
}

export function fullSet(): CharacterSet {
  return emptySet().fill(1);
}

export function complement(set: CharacterSet): CharacterSet {
  return set.map((flag) => 1 - flag);
}

export function addAll(set: CharacterSet, members: CharacterSet): void {
  for (let code = 0; code < codes; code++) if (members[code] === 1) set[code] = 1;
}

/** Both ends are in it. */
export function addRange(set: CharacterSet, low: number, high: number, isCaseBlind: boolean): void {
  for (let code = low; code <= Math.min(high, codes - 1); code++) {
    set[code] = 1;
    if (isCaseBlind && isLetter(code)) set[code ^ caseBit] = 1;
  }
  if (!isCaseBlind) return;
  for (const [code, as] of foldedBeyond) if (low <= code && code <= high) addRange(set, as.charCodeAt(0), as.charCodeAt(0), true);
}

function isLetter(code: number): boolean {
  const lower = code | caseBit;
  return lower >= 0x61 && lower <= 0x7a;
}

/** Never to be changed; `undefined` where no class has the name. */
export function namedClass(kind: ClassKind, name: string, { isNegated, isCaseBlind }: ClassOptions): CharacterSet | undefined {
  const key = `${kind} ${name} ${isNegated ? 'negated' : ''} ${isCaseBlind ? 'blind' : ''}`;
  const found = foundClasses.get(key);
  if (found !== undefined) return found;
  const members = kind === 'unicode' ? unicodeClass(name) : ownOf(kind === 'perl' ? perlClasses : posixClasses, name);
  if (members === undefined) return undefined;
  const matching = emptySet();
  for (let code = 0; code < codes; code++) if (members.test(String.fromCharCode(code))) addRange(matching, code, code, isCaseBlind);
  const set = isNegated ? complement(matching) : matching;
  foundClasses.set(key, set);
  return set;
}

function ownOf(classes: Readonly<Record<string, RegExp>>, name: string): RegExp | undefined {
  return Object.hasOwn(classes, name) ? classes[name] : undefined;
}

/** A general category by its short name, or a script. */
function unicodeClass(name: string): RegExp | undefined {
  try {
    if (name === 'Any') return /[^]/;
    return new RegExp(name.length <= 2 ? `\\p{gc=${name}}` : `\\p{sc=${name}}`, 'u');
  } catch {
    return undefined;
  }
}
