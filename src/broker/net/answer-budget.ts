/**
 * Bytes of answers that are being read from the log, or that clients have not taken, in all connections together. Near the bound answers
 * become small; at it they wait for room. From where they become small on, whether any waits yet or not, the clients that have taken
 * nothing for long while they hold the most lose their connections: a reader that does not read must not keep the others from reading.
 * Of whom nothing is known yet has less of it all.
 */
import { type Clock, MiB, secondMs } from '../../kernel/index.js';
import type { AnswerRoom } from '../handlers/handler.js';
import { type BufferMemory, bufferMemory, LetGo } from './buffer-memory.js';

/** Up to here an answer gets what it asks for, that of a stranger up to half of it. */
const roomyBytes = 192 * MiB;
/** What an answer may carry at least, so that clients get on however slow others are. */
const answerBytesMin = MiB;
/** Up to here whoever has taken an answer before gets that least, a stranger up to `roomyBytes`. Above, none is read. */
const boundBytes = 256 * MiB;
/** A client on a slow line takes a small answer in this time. */
const takenWithinMs = 5 * secondMs;
/** How often it is looked whether somebody can be shed, while there is reason to. */
const lookEveryMs = secondMs / 4;
/** Shed at a look, and one more: what is let go takes its memory until it is collected, so others must not have it all at once. */
const shedBytesMax = 32 * MiB;

/** A connection, as far as its answers go. */
export interface AnswerTaker {
  /** Of answers written that its client has not taken. */
  readonly unsentBytes: number;
  /** Since when it has not, in ms of the monotonic clock. */
  readonly unsentSinceMs: number;
  /** It has taken an answer that there was room for, to its last byte. */
  readonly hasTaken: boolean;
  /** Gives its memory back by ending. */
  shedAnswers(): void;
}

interface Waiting {
  readonly taker: AnswerTaker;
  readonly wantedBytes: number;
  readonly grant: (room: AnswerRoom) => void;
}

export class AnswerBudget {
  readonly #clock: Clock;
  readonly #takers = new Set<AnswerTaker>();
  /** Who has taken answers before comes first. */
  readonly #waiting: Waiting[] = [];
  #unsentBytes = 0;
  #reservedBytes = 0;
  #isGranting = false;
  #looking: NodeJS.Timeout | undefined;
  readonly #letGo: LetGo;

  constructor(clock: Clock, memory: BufferMemory = bufferMemory) {
    this.#clock = clock;
    this.#letGo = new LetGo(memory);
  }

  /** Unsent bytes of one connection are others now. */
  changed(taker: AnswerTaker, byBytes: number): void {
    this.#unsentBytes += byBytes;
    if (taker.unsentBytes > 0) this.#takers.add(taker);
    else this.#takers.delete(taker);
    if (byBytes < 0) this.#grantWaiting();
    this.#lookLater();
  }

  /**
   * Room for an answer that is to be read: at most as many bytes as are wanted. Held until it is released, which may be done twice. None
   * for a client that leaves while it waits.
   */
  reserve(taker: AnswerTaker, wantedBytes: number, signal: AbortSignal): AnswerRoom | Promise<AnswerRoom> {
    const room = this.#roomNow(taker, wantedBytes);
    if (room !== undefined) return room;
    return new Promise((resolve) => {
      const left = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        resolve(this.#room(0));
      };
      const waiting: Waiting = {
        taker,
        wantedBytes,
        grant: (granted) => {
          signal.removeEventListener('abort', left);
          resolve(granted);
        },
      };
      if (signal.aborted) {
        resolve(this.#room(0));
        return;
      }
      signal.addEventListener('abort', left, { once: true });
      const firstStranger = taker.hasTaken ? this.#waiting.findIndex((one) => !one.taker.hasTaken) : -1;
      this.#waiting.splice(firstStranger < 0 ? this.#waiting.length : firstStranger, 0, waiting);
      this.#lookLater();
    });
  }

  get #isLookDue(): boolean {
    return this.#waiting.length > 0 || this.#usedBytes > roomyBytes;
  }

  #lookLater(): void {
    if (this.#isLookDue) this.#looking ??= setInterval(() => this.#look(), lookEveryMs).unref();
  }

  #look(): void {
    this.#shed();
    this.#grantWaiting();
    if (this.#isLookDue) return;
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  #shed(): void {
    let next = this.#nextToGo();
    if (next === undefined || !this.#letGo.isCollected(this.#usedBytes)) return;
    for (let shedBytes = 0; next !== undefined && shedBytes < shedBytesMax; next = this.#nextToGo()) {
      shedBytes += next.unsentBytes;
      this.#letGo.note();
      next.shedAnswers();
    }
  }

  /** The largest of the silent, where there is no room for more than the least. */
  #nextToGo(): AnswerTaker | undefined {
    return this.#usedBytes + answerBytesMin > roomyBytes ? this.#largestSilent() : undefined;
  }

  #roomNow(taker: AnswerTaker, wantedBytes: number): AnswerRoom | undefined {
    const least = Math.min(wantedBytes, answerBytesMin);
    const left = (taker.hasTaken ? roomyBytes : roomyBytes / 2) - this.#usedBytes;
    const bytes = Math.max(least, Math.min(wantedBytes, left));
    return this.#usedBytes + bytes > (taker.hasTaken ? boundBytes : roomyBytes) ? undefined : this.#room(bytes);
  }

  #room(bytes: number): AnswerRoom {
    let heldBytes = bytes;
    this.#reservedBytes += heldBytes;
    return {
      bytes,
      release: () => {
        this.#reservedBytes -= heldBytes;
        heldBytes = 0;
        this.#grantWaiting();
      },
    };
  }

  get #usedBytes(): number {
    return this.#unsentBytes + this.#reservedBytes;
  }

  /** Whoever holds the most of those that have taken nothing for long. */
  #largestSilent(): AnswerTaker | undefined {
    const sinceMs = this.#clock.monotonicMs() - takenWithinMs;
    let largest: AnswerTaker | undefined;
    for (const taker of this.#takers) {
      if (taker.unsentSinceMs > sinceMs) continue;
      if (largest === undefined || taker.unsentBytes > largest.unsentBytes) largest = taker;
    }
    return largest;
  }

  #grantWaiting(): void {
    // Whoever is shed meanwhile gives its bytes back, and comes here again.
    if (this.#isGranting) return;
    this.#isGranting = true;
    try {
      while (this.#waiting.length > 0) {
        const { taker, wantedBytes } = this.#waiting[0]!;
        const room = this.#roomNow(taker, wantedBytes);
        if (room === undefined) return;
        this.#waiting.shift()!.grant(room);
      }
    } finally {
      this.#isGranting = false;
    }
  }
}
