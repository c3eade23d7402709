/**
 * What an expression that selects topics says (KIP-848): the syntax of RE2, as RE2/J reads it, which Kafka uses. It knows neither
 * look-around nor back references, so that whatever it accepts can be run without backtracking. Names of topics are ASCII, and single
 * lines: flags for several lines say nothing.
 */
import { LakeError } from '../../../kernel/index.js';
import type { CharacterSet } from './character-sets.js';
import { AtomReader } from './topic-pattern-atoms.js';

export type Anchor = 'start' | 'end' | 'boundary' | 'inside';

export type PatternNode =
  | { readonly kind: 'empty' }
  | { readonly kind: 'one'; readonly of: CharacterSet }
  | { readonly kind: 'anchor'; readonly at: Anchor }
  | { readonly kind: 'all'; readonly parts: readonly PatternNode[] }
  | { readonly kind: 'any'; readonly choices: readonly PatternNode[] }
  | { readonly kind: 'repeat'; readonly part: PatternNode; readonly min: number; readonly max: number };

/** RE2's own bound on one repetition; those in one another are bound by what they compile to. */
const repeatMax = 1000;
/** Parsed in some ms; what is longer than a few times the steps that there may be could hardly be compiled. */
const sourceMax = 16_384;
/** Each takes five frames of the stack, of which there is room for some ten thousand. RE2 itself ends there. */
const depthMax = 1000;

type Range = readonly [min: number, max: number];

/** Errors: `request-invalid`, with what is wrong with the expression. */
export function parsePattern(source: string): PatternNode {
  if (source.length > sourceMax) throw badPattern('it is too large');
  return new Parser(source).parse();
}

export function badPattern(why: string): LakeError {
  return new LakeError('request-invalid', `the expression cannot be used: ${why}`, {
    hint: 'Use the syntax of RE2: https://github.com/google/re2/wiki/Syntax.',
  });
}

class Parser {
  readonly #in: AtomReader;
  readonly #groupNames = new Set<string>();
  #depth = 0;

  constructor(source: string) {
    this.#in = new AtomReader(source, badPattern);
  }

  parse(): PatternNode {
    const node = this.#choices();
    if (!this.#in.isAtEnd) throw badPattern('a ) has no (');
    return node;
  }

  #choices(): PatternNode {
    if (++this.#depth > depthMax) throw badPattern('it is nested too deeply');
    const { isCaseBlind } = this.#in;
    const choices = [this.#sequence()];
    while (this.#in.take('|')) choices.push(this.#sequence());
    this.#in.isCaseBlind = isCaseBlind;
    this.#depth--;
    return choices.length === 1 ? choices[0]! : { kind: 'any', choices };
  }

  #sequence(): PatternNode {
    const parts: PatternNode[] = [];
    let wasRepeated = false;
    while (!this.#in.isAtEnd && !this.#in.isAt('|') && !this.#in.isAt(')')) {
      const range = this.#range();
      if (range === undefined) {
        // RE2/J takes a brace that says nothing for a repetition all the same.
        wasRepeated = this.#in.isAt('{');
        this.#next(parts);
        continue;
      }
      this.#in.take('?');
      if (wasRepeated) throw badPattern('a repetition is repeated');
      const part = parts.pop();
      if (part === undefined) throw badPattern('a repetition has nothing before it');
      parts.push({ kind: 'repeat', part, min: range[0], max: range[1] });
      wasRepeated = true;
    }
    return { kind: 'all', parts };
  }

  #range(): Range | undefined {
    if (this.#in.take('*')) return [0, Infinity];
    if (this.#in.take('+')) return [1, Infinity];
    if (this.#in.take('?')) return [0, 1];
    const counted = this.#in.takeMatch(/\{(\d+)(,(\d*))?\}/y);
    if (counted === undefined) return undefined;
    const min = Number(counted[1]);
    const max = counted[2] === undefined ? min : counted[3] === '' ? Infinity : Number(counted[3]);
    if (min > repeatMax || (max !== Infinity && max > repeatMax) || min > max) throw badPattern(`${counted[0]} cannot be repeated`);
    return [min, max];
  }

  /** Reads what stands here: each of quoted characters is a part of its own, and flags are none. */
  #next(parts: PatternNode[]): void {
    const quoted = this.#in.takeMatch(/\\Q(.*?)(?:\\E|$)/sy);
    if (quoted !== undefined) {
      for (const text of quoted[1]!) parts.push({ kind: 'one', of: this.#in.literal(text) });
      return;
    }
    const anchor = this.#anchor();
    if (anchor !== undefined) parts.push({ kind: 'anchor', at: anchor });
    else if (this.#in.take('(')) this.#group(parts);
    else parts.push({ kind: 'one', of: this.#in.set() });
  }

  #anchor(): Anchor | undefined {
    if (this.#in.take('^') || this.#in.take('\\A')) return 'start';
    if (this.#in.take('$') || this.#in.take('\\z')) return 'end';
    if (this.#in.take('\\b')) return 'boundary';
    return this.#in.take('\\B') ? 'inside' : undefined;
  }

  #group(parts: PatternNode[]): void {
    const flags = this.#in.takeMatch(/\?([imsU]*)(?:-([imsU]+))?([:)])/y);
    if (flags === undefined) {
      this.#nameGroup();
      parts.push(this.#closed());
      return;
    }
    const [, on = '', off = '', end] = flags;
    const { isCaseBlind } = this.#in;
    if (on.includes('i')) this.#in.isCaseBlind = true;
    if (off.includes('i')) this.#in.isCaseBlind = false;
    if (end === ')') return;
    parts.push(this.#closed());
    this.#in.isCaseBlind = isCaseBlind;
  }

  #nameGroup(): void {
    const name = this.#in.takeMatch(/\?P?<(\w+)>/y)?.[1];
    if (name === undefined) {
      if (this.#in.isAt('?')) throw badPattern('look-around and other (? groups are not supported');
      return;
    }
    if (this.#groupNames.has(name)) throw badPattern(`two groups are called ${name}`);
    this.#groupNames.add(name);
  }

  #closed(): PatternNode {
    const node = this.#choices();
    if (!this.#in.take(')')) throw badPattern('a ( has no )');
    return node;
  }
}
