/**
 * Regular expressions that select topics by their whole name (KIP-848): the syntax of RE2, which knows neither look-around nor
 * back references, run without backtracking, so that no pattern takes longer than its size times that of the name. What RE2 has and
 * is not here (Unicode classes) is refused like what it has not.
 */
import { LakeError } from '../../../kernel/index.js';
import { AtomReader, type CharacterSet } from './topic-pattern-atoms.js';

type Anchor = 'start' | 'end' | 'boundary' | 'inside';

type Node =
  | { readonly kind: 'empty' }
  | { readonly kind: 'one'; readonly of: CharacterSet }
  | { readonly kind: 'anchor'; readonly at: Anchor }
  | { readonly kind: 'all'; readonly parts: readonly Node[] }
  | { readonly kind: 'any'; readonly choices: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number };

type Step =
  | { readonly op: 'one'; readonly of: CharacterSet }
  | { readonly op: 'anchor'; readonly at: Anchor }
  /** Goes on at either place, as offsets from this step. */
  | { readonly op: 'fork'; readonly to: readonly [number, number] }
  | { readonly op: 'jump'; readonly by: number };

/** RE2's own bound on counted repetition; the others keep a compilation and a match of a 249-character name within some ms. */
const repeatMax = 1000;
const depthMax = 250;
const stepsMax = 4_000;
const visitsMax = 50_000;

export class TopicPattern {
  readonly #steps: readonly Step[];

  /** Errors: `request-invalid`, with what is wrong with the expression. */
  constructor(source: string) {
    this.#steps = new Compiler().compile(new Parser(source).parse());
  }

  /** Whether the whole name matches. */
  matches(name: string): boolean {
    let places = this.#reach([0], name, 0);
    for (let at = 0; at < name.length && places.length > 0; at++) {
      const code = name.charCodeAt(at);
      const on = places.filter((place) => {
        const step = this.#steps[place];
        return step?.op === 'one' && step.of[code] === 1;
      });
      places = this.#reach(
        on.map((place) => place + 1),
        name,
        at + 1,
      );
    }
    return places.includes(this.#steps.length);
  }

  /** All places that can be reached without taking a character. */
  #reach(from: readonly number[], name: string, at: number): number[] {
    const seen = new Set<number>();
    const open = [...from];
    for (let place = open.pop(); place !== undefined; place = open.pop()) {
      if (seen.has(place)) continue;
      seen.add(place);
      const step = this.#steps[place];
      if (step?.op === 'jump') open.push(place + step.by);
      else if (step?.op === 'fork') open.push(place + step.to[0], place + step.to[1]);
      else if (step?.op === 'anchor' && holds(step.at, name, at)) open.push(place + 1);
    }
    return [...seen];
  }
}

function holds(anchor: Anchor, name: string, at: number): boolean {
  if (anchor === 'start') return at === 0;
  if (anchor === 'end') return at === name.length;
  const isWord = (i: number): boolean => i >= 0 && i < name.length && /\w/.test(name[i]!);
  return (isWord(at - 1) !== isWord(at)) === (anchor === 'boundary');
}

class Compiler {
  readonly #steps: Step[] = [];
  /** Parts compiled so far: also those that take no step, which counted repetition multiplies as well. */
  #visits = 0;

  compile(node: Node): readonly Step[] {
    this.#add(node);
    return this.#steps;
  }

  #push(step: Step): number {
    if (this.#steps.length >= stepsMax) throw bad('it is too large');
    return this.#steps.push(step) - 1;
  }

  #add(node: Node): void {
    if (++this.#visits > visitsMax) throw bad('it is too large');
    switch (node.kind) {
      case 'empty':
        return;
      case 'one':
        this.#push({ op: 'one', of: node.of });
        return;
      case 'anchor':
        this.#push({ op: 'anchor', at: node.at });
        return;
      case 'all':
        for (const part of node.parts) this.#add(part);
        return;
      case 'any':
        this.#choose(node.choices);
        return;
      case 'repeat':
        this.#repeat(node.part, node.min, node.max);
    }
  }

  #choose(choices: readonly Node[]): void {
    const ends: number[] = [];
    for (const [i, choice] of choices.entries()) {
      const isLast = i === choices.length - 1;
      const fork = isLast ? undefined : this.#push({ op: 'jump', by: 1 });
      this.#add(choice);
      if (fork === undefined) continue;
      ends.push(this.#push({ op: 'jump', by: 1 }));
      this.#steps[fork] = { op: 'fork', to: [1, this.#steps.length - fork] };
    }
    for (const end of ends) this.#steps[end] = { op: 'jump', by: this.#steps.length - end };
  }

  #repeat(part: Node, min: number, max: number): void {
    for (let i = 0; i < min; i++) this.#add(part);
    if (max === Infinity) {
      const fork = this.#push({ op: 'jump', by: 1 });
      this.#add(part);
      const back = this.#push({ op: 'jump', by: 1 });
      this.#steps[back] = { op: 'jump', by: fork - back };
      this.#steps[fork] = { op: 'fork', to: [1, back + 1 - fork] };
      return;
    }
    const forks: number[] = [];
    for (let i = min; i < max; i++) {
      forks.push(this.#push({ op: 'jump', by: 1 }));
      this.#add(part);
    }
    for (const fork of forks) this.#steps[fork] = { op: 'fork', to: [1, this.#steps.length - fork] };
  }
}

class Parser {
  readonly #in: AtomReader;
  #depth = 0;

  constructor(source: string) {
    this.#in = new AtomReader(source, bad);
  }

  parse(): Node {
    const node = this.#choices();
    if (!this.#in.isAtEnd) throw bad('a ) has no (');
    return node;
  }

  #choices(): Node {
    if (++this.#depth > depthMax) throw bad('it is nested too deeply');
    const { isCaseBlind } = this.#in;
    const choices = [this.#sequence()];
    while (this.#in.take('|')) choices.push(this.#sequence());
    this.#in.isCaseBlind = isCaseBlind;
    this.#depth--;
    return choices.length === 1 ? choices[0]! : { kind: 'any', choices };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (!this.#in.isAtEnd && !this.#in.isAt('|') && !this.#in.isAt(')')) parts.push(this.#repeated());
    return { kind: 'all', parts };
  }

  #repeated(): Node {
    const part = this.#one();
    const range = this.#range();
    if (range === undefined) return part;
    this.#in.take('?');
    if (this.#range() !== undefined) throw bad('a repetition is repeated');
    return { kind: 'repeat', part, min: range[0], max: range[1] };
  }

  #range(): readonly [number, number] | undefined {
    if (this.#in.take('*')) return [0, Infinity];
    if (this.#in.take('+')) return [1, Infinity];
    if (this.#in.take('?')) return [0, 1];
    const counted = this.#in.takeMatch(/\{(\d+)(,(\d*))?\}/y);
    if (counted === undefined) return undefined;
    const min = Number(counted[1]);
    const max = counted[2] === undefined ? min : counted[3] === '' ? Infinity : Number(counted[3]);
    if (min > repeatMax || (max !== Infinity && max > repeatMax) || min > max) throw bad(`${counted[0]} cannot be repeated`);
    return [min, max];
  }

  #one(): Node {
    if (this.#in.take('(')) return this.#group();
    if (this.#in.take('^') || this.#in.take('\\A')) return { kind: 'anchor', at: 'start' };
    if (this.#in.take('$') || this.#in.take('\\z')) return { kind: 'anchor', at: 'end' };
    if (this.#in.take('\\b')) return { kind: 'anchor', at: 'boundary' };
    if (this.#in.take('\\B')) return { kind: 'anchor', at: 'inside' };
    const quoted = this.#in.takeMatch(/\\Q(.*?)(?:\\E|$)/sy);
    if (quoted !== undefined) {
      return { kind: 'all', parts: Array.from(quoted[1]!, (text) => ({ kind: 'one' as const, of: this.#in.literal(text) })) };
    }
    if (this.#in.takeMatch(/[*+?]/y) !== undefined) throw bad('a repetition has nothing before it');
    return { kind: 'one', of: this.#in.set() };
  }

  #group(): Node {
    const flags = this.#in.takeMatch(/\?([imsU]*)(?:-([imsU]+))?([:)])/y);
    if (flags !== undefined) {
      const [, on = '', off = '', end] = flags;
      if (end === ')') {
        if (on === '' && off === '') throw bad('(?) says nothing');
        this.#setFlags(on, off);
        return { kind: 'empty' };
      }
      const { isCaseBlind } = this.#in;
      this.#setFlags(on, off);
      const node = this.#closed();
      this.#in.isCaseBlind = isCaseBlind;
      return node;
    }
    if (this.#in.takeMatch(/\?P?<[A-Za-z_]\w*>/y) === undefined && this.#in.isAt('?'))
      throw bad('look-around and other (? groups are not supported');
    return this.#closed();
  }

  #closed(): Node {
    const node = this.#choices();
    if (!this.#in.take(')')) throw bad('a ( has no )');
    return node;
  }

  #setFlags(on: string, off: string): void {
    if (on.includes('i')) this.#in.isCaseBlind = true;
    if (off.includes('i')) this.#in.isCaseBlind = false;
  }
}

function bad(why: string): LakeError {
  return new LakeError('request-invalid', `the expression cannot be used: ${why}`, {
    hint: 'Use the syntax of RE2: https://github.com/google/re2/wiki/Syntax.',
  });
}
