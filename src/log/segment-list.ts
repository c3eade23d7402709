/** The segments of a partition in order of offset; the last is the one that is written. */
import { firstIndex, invariant, type Offset } from '../kernel/index.js';
import type { Segment } from './segment.js';

export class SegmentList {
  readonly #segments: Segment[];

  constructor(segments: readonly Segment[]) {
    this.#segments = [...segments];
  }

  get all(): readonly Segment[] {
    return this.#segments;
  }

  get count(): number {
    return this.#segments.length;
  }

  get bytes(): number {
    let bytes = 0;
    for (const segment of this.#segments) bytes += segment.bytes;
    return bytes;
  }

  get active(): Segment {
    const active = this.#segments.at(-1);
    invariant(active !== undefined, 'a partition has a segment that is written');
    return active;
  }

  add(segment: Segment): void {
    this.#segments.push(segment);
  }

  /** Takes out those that lie wholly below an offset; the active one stays. */
  takeBelow(offset: Offset): Segment[] {
    const { active } = this;
    const count = this.#segments.findIndex((segment) => segment === active || segment.nextOffset > offset);
    return this.#segments.splice(0, count);
  }

  /** Puts one in the place of neighbours whose offsets it covers; false where they are not all there any more. */
  replace(old: readonly Segment[], fresh: Segment): boolean {
    const first = this.#segments.indexOf(old[0] as Segment);
    if (first < 0 || old.some((segment, index) => this.#segments[first + index] !== segment)) return false;
    invariant(first + old.length < this.#segments.length, 'the active segment stays', { baseOffset: fresh.baseOffset });
    this.#segments.splice(first, old.length, fresh);
    return true;
  }

  /** Whether all of them are there, the active one not among them. */
  hasSealed(segments: readonly Segment[]): boolean {
    return segments.every((segment) => segment !== this.active && this.#segments.includes(segment));
  }

  /** The segment that holds `offset`, or else the first behind it; `undefined` where there is none. */
  at(offset: Offset): Segment | undefined {
    return this.#segments[firstIndex(this.#segments.length, (index) => (this.#segments[index] as Segment).nextOffset > offset)];
  }

  /** First offset from which on nothing is missing: holes can lie below the boundary only. */
  get unbrokenFrom(): Offset {
    let first = this.active.baseOffset;
    for (let i = this.#segments.length - 2; i >= 0; i--) {
      const segment = this.#segments[i] as Segment;
      if (segment.nextOffset !== first) break;
      first = segment.baseOffset;
    }
    return first;
  }
}
