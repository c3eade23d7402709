/**
 * Regular expressions that select topics by their whole name (KIP-848), run without backtracking: a character of a name costs no more
 * looks than the pattern has steps, and mostly one, because what was found out about a set of steps and a character is remembered.
 */
import { type Anchor, parsePattern } from './topic-pattern-parser.js';
import { compilePattern, type Step } from './topic-pattern-program.js';

const codes = 128;
/** A search looks at many steps, and puts what it finds in order and by its name: each takes some times what a known character does. */
const searchWork = 4;
/** Numbers remembered by a walk: half of it 64 KiB, some sixty sets with where each character leads. */
const rememberedMax = 8_192;

export class TopicPattern {
  readonly #steps: readonly Step[];

  /** Errors: `request-invalid`, with what is wrong with the expression. */
  constructor(source: string) {
    this.#steps = compilePattern(parsePattern(source));
  }

  /** To match names with, one after the other. */
  walk(): PatternWalk {
    return new PatternWalk(this.#steps);
  }
}

/** Steps that may be next at one place of a name, before what anchors say of it. */
interface Stop {
  readonly places: readonly number[];
  readonly isAtStart: boolean;
  readonly isAfterWord: boolean;
  /** Where each character leads, as far as that is known. */
  readonly next: (Stop | undefined)[];
  isMatch: boolean | undefined;
}

/** What is before and behind a place of a name. */
interface Around {
  readonly isAtStart: boolean;
  readonly isAtEnd: boolean;
  readonly isBoundary: boolean;
}

export class PatternWalk {
  readonly #steps: readonly Step[];
  readonly #hasBoundary: boolean;
  /** By step: the last search that has reached it. */
  readonly #reachedBy: Uint32Array;
  #searches = 0;
  #stops = new Map<string, Stop>();
  #remembered = 0;
  #name = '';
  #at = 0;
  #stop: Stop;
  #work = 0;

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
    this.#hasBoundary = steps.some((step) => step.op === 'anchor' && (step.at === 'boundary' || step.at === 'inside'));
    this.#reachedBy = new Uint32Array(steps.length + 1);
    this.#stop = this.#stopAt([0], true, false);
  }

  /** What was done so far, in units of some 10 ns. */
  get work(): number {
    return this.#work;
  }

  begin(name: string): void {
    this.#name = name;
    this.#at = 0;
    this.#stop = this.#stopAt([0], true, false);
    this.#work++;
  }

  /** Whether the whole name matches; `undefined` where that is not known after so much work, and it is to go on. A character is done at least. */
  goOn(workMax: number): boolean | undefined {
    const end = this.#work + workMax;
    const name = this.#name;
    while (this.#at < name.length && this.#stop.places.length > 0) {
      const code = name.charCodeAt(this.#at++);
      if (code >= codes) return false;
      this.#work++;
      this.#stop = this.#stop.next[code] ??= this.#step(this.#stop, code);
      if (this.#work >= end) return undefined;
    }
    return (this.#stop.isMatch ??= this.#isMatch(this.#stop));
  }

  #step({ places, isAtStart, isAfterWord }: Stop, code: number): Stop {
    const isWord = this.#hasBoundary && isWordCode(code);
    const on: number[] = [];
    for (const place of this.#reach(places, { isAtStart, isAtEnd: false, isBoundary: isWord !== isAfterWord })) {
      const step = this.#steps[place];
      if (step?.op === 'one' && step.of[code] === 1) on.push(place + 1);
    }
    return this.#stopAt(
      on.toSorted((a, b) => a - b),
      false,
      isWord,
    );
  }

  #isMatch({ places, isAtStart, isAfterWord }: Stop): boolean {
    return this.#reach(places, { isAtStart, isAtEnd: true, isBoundary: isAfterWord }).includes(this.#steps.length);
  }

  #stopAt(places: readonly number[], isAtStart: boolean, isAfterWord: boolean): Stop {
    const key = `${isAtStart ? '^' : ''}${isAfterWord ? 'w' : ''}${places.join(',')}`;
    const known = this.#stops.get(key);
    if (known !== undefined) return known;
    this.#remembered += codes + places.length;
    if (this.#remembered > rememberedMax) {
      this.#stops = new Map();
      this.#remembered = codes + places.length;
    }
    const stop = { places, isAtStart, isAfterWord, next: [], isMatch: undefined };
    this.#stops.set(key, stop);
    return stop;
  }

  /** All places that can be reached without taking a character. */
  #reach(from: readonly number[], around: Around): number[] {
    const search = ++this.#searches;
    const reached: number[] = [];
    const open = [...from];
    for (let place = open.pop(); place !== undefined; place = open.pop()) {
      this.#work += searchWork;
      if (this.#reachedBy[place] === search) continue;
      this.#reachedBy[place] = search;
      reached.push(place);
      const step = this.#steps[place];
      if (step?.op === 'jump') open.push(place + step.by);
      else if (step?.op === 'fork') open.push(place + step.to[0], place + step.to[1]);
      else if (step?.op === 'anchor' && holds(step.at, around)) open.push(place + 1);
    }
    return reached;
  }
}

function holds(anchor: Anchor, { isAtStart, isAtEnd, isBoundary }: Around): boolean {
  if (anchor === 'start') return isAtStart;
  if (anchor === 'end') return isAtEnd;
  return isBoundary === (anchor === 'boundary');
}

function isWordCode(code: number): boolean {
  return /\w/.test(String.fromCharCode(code));
}
