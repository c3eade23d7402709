/** A topic pattern as steps that are all walked at once, without backtracking: as many at most as there are, for each character. */
import type { CharacterSet } from './character-sets.js';
import { type Anchor, badPattern, type PatternNode } from './topic-pattern-parser.js';

export type Step =
  | { readonly op: 'one'; readonly of: CharacterSet }
  | { readonly op: 'anchor'; readonly at: Anchor }
  /** Goes on at either place, as offsets from this step. */
  | { readonly op: 'fork'; readonly to: readonly [number, number] }
  | { readonly op: 'jump'; readonly by: number };

/** Some hundred names of topics fit. A character costs a few times as many looks at most: less than a ms. */
export const stepsMax = 4_000;
const visitsMax = 50_000;

/** Behind the last step the name matches. Errors: `request-invalid` where it is too large. */
export function compilePattern(node: PatternNode): readonly Step[] {
  return new Compiler().compile(node);
}

class Compiler {
  readonly #steps: Step[] = [];
  /** Parts compiled so far: also those that take no step, which counted repetition multiplies as well. */
  #visits = 0;

  compile(node: PatternNode): readonly Step[] {
    this.#add(node);
    return this.#steps;
  }

  #push(step: Step): number {
    if (this.#steps.length >= stepsMax) throw badPattern('it is too large');
    return this.#steps.push(step) - 1;
  }

  #add(node: PatternNode): void {
    if (++this.#visits > visitsMax) throw badPattern('it is too large');
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

  #choose(choices: readonly PatternNode[]): void {
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

  #repeat(part: PatternNode, min: number, max: number): void {
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
