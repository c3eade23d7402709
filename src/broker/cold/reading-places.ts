/**
 * Where consumers stand in the cold part of the log. A fetch carries no name of its reader, so a reader is known by its place: the
 * offset at which its last read ended, and from which the next one goes on. From the places follows which chunks somebody is about
 * to read, and who reads in order.
 */
import type { Clock, Offset } from '../../kernel/index.js';

/** Places at a time, of all partitions; beyond, the one that was not seen for longest is forgotten. One is some 100 bytes. */
const placesMax = 4096;

export interface Place {
  /** Where the reader goes on. */
  nextOffset: Offset;
  /** Chunks that begin up to here were fetched for it. */
  reachOffset: Offset;
  /** Reads in order, one behind the other. */
  steps: number;
  lastSeenMs: number;
}

export class ReadingPlaces {
  readonly #clock: Clock;
  readonly #places = new Map<string, Place[]>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The reader who stands at an offset, now seen there; a new one where nobody was known to. */
  at(key: string, offset: Offset): Place {
    const nowMs = this.#clock.monotonicMs();
    const places = this.#places.get(key) ?? [];
    let place = places.find(({ nextOffset }) => nextOffset === offset);
    if (place === undefined) {
      if (this.#count >= placesMax) this.#forgetOldest();
      place = { nextOffset: offset, reachOffset: offset, steps: 0, lastSeenMs: nowMs };
      this.#places.set(key, [...(this.#places.get(key) ?? []), place]);
      this.#count++;
    }
    place.lastSeenMs = nowMs;
    return place;
  }

  /** Whether somebody seen within the last `idleMs` will read on in [fromOffset, nextOffset): stands in it, or had it fetched ahead. */
  isAwaited(key: string, fromOffset: Offset, nextOffset: Offset, idleMs: number): boolean {
    const sinceMs = this.#clock.monotonicMs() - idleMs;
    const isAwaiting = (place: Place): boolean =>
      place.lastSeenMs >= sinceMs && place.nextOffset < nextOffset && fromOffset <= Math.max(place.reachOffset, place.nextOffset);
    return this.#places.get(key)?.some(isAwaiting) ?? false;
  }

  /** Forgets the places of a partition. */
  forget(key: string): void {
    this.#count -= this.#places.get(key)?.length ?? 0;
    this.#places.delete(key);
  }

  #forgetOldest(): void {
    let oldest: { readonly key: string; readonly place: Place } | undefined;
    for (const [key, places] of this.#places) {
      for (const place of places) if (oldest === undefined || place.lastSeenMs < oldest.place.lastSeenMs) oldest = { key, place };
    }
    if (oldest === undefined) return;
    const { key, place } = oldest;
    const left = (this.#places.get(key) ?? []).filter((other) => other !== place);
    if (left.length === 0) this.#places.delete(key);
    else this.#places.set(key, left);
    this.#count--;
  }
}
