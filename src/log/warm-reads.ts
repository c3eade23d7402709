/**
 * Reads on the thread that answers, for as long as the page cache has what is read: to copy a megabyte takes less than the way to another
 * thread and back. Nothing says beforehand whether bytes are in memory, so it is judged by what such reads took lately. Where they
 * took as long as a disk does, all go to other threads for a while, and for longer each time; so the thread that answers waits
 * for the disk for some milliseconds at most once in a while, whoever reads whatever.
 */
import { type Clock, KiB, MiB, minuteMs, secondMs } from '../kernel/index.js';

/** A wrong guess waits for no more than this. */
const pieceBytes = 256 * KiB;
/** Memory gives a MiB in a tenth to a quarter of a millisecond, disks take one and more. */
const coldMsPerMiB = 2;
/** Weight of the newest piece: one that took long because the thread had to wait for a core does not decide alone. */
const newestWeight = 1 / 16;
/** Of the time that passes, so much may go into such reads: half of it, in a burst a millisecond. */
const windowMs = 2;
const windowReadMs = 1;
const pauseFirstMs = secondMs;
const pauseMaxMs = minuteMs;
/** After so much without a pause the next one is a first one. */
const forgivenBytes = 256 * MiB;

/** A port: the page cache in service, chance in a simulation. */
export interface WarmReader {
  /**
   * Reads up to `bytes` by `readPiece`, which reads so many at an offset and says how many there were. Answers how many came; the rest
   * is to be read elsewhere.
   */
  read(bytes: number, readPiece: (at: number, bytes: number) => number): number;
}

export class WarmReads implements WarmReader {
  readonly #clock: Clock;
  #msPerMiB = 0;
  #windowFromMs = 0;
  #readMs = 0;
  #pausedUntilMs = 0;
  #pauseMs = pauseFirstMs;
  #bytesSincePause = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  read(bytes: number, readPiece: (at: number, bytes: number) => number): number {
    let beforeMs = this.#clock.monotonicMs();
    if (beforeMs < this.#pausedUntilMs) return 0;
    if (beforeMs - this.#windowFromMs > windowMs) {
      this.#windowFromMs = beforeMs;
      this.#readMs = 0;
    }
    let at = 0;
    while (at < bytes && this.#readMs < windowReadMs) {
      const wanted = Math.min(pieceBytes, bytes - at);
      const count = readPiece(at, wanted);
      const afterMs = this.#clock.monotonicMs();
      at += count;
      this.#note(count, afterMs - beforeMs, afterMs);
      if (count < wanted || afterMs < this.#pausedUntilMs) break;
      beforeMs = afterMs;
    }
    return at;
  }

  #note(bytes: number, tookMs: number, nowMs: number): void {
    this.#readMs += tookMs;
    this.#bytesSincePause += bytes;
    // Of the smallest reads the call is most of it.
    const msPerMiB = (tookMs * MiB) / Math.max(bytes, pieceBytes);
    this.#msPerMiB += (msPerMiB - this.#msPerMiB) * newestWeight;
    if (this.#msPerMiB < coldMsPerMiB) return;
    if (this.#bytesSincePause >= forgivenBytes) this.#pauseMs = pauseFirstMs;
    this.#pausedUntilMs = nowMs + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, pauseMaxMs);
    this.#msPerMiB = 0;
    this.#bytesSincePause = 0;
  }
}
