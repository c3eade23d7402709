/**
 * The memory of buffers, which lies outside V8's heap. That a few small objects hold hundreds of megabytes weighs little in when V8
 * collects, and what it has collected is given back by another thread: whoever lets go of much at once, and takes as much again, asks for
 * both and sees what has become of it.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MiB } from '../../kernel/index.js';

/** Up to here what was let go may still take its memory when more is let go. */
const uncollectedBytesMax = 32 * MiB;
/** So often it is waited for: then other buffers have grown meanwhile. */
const looksMax = 8;

export interface BufferMemory {
  /** What all buffers take, whether somebody has them or they are not collected yet. */
  bytes(): number;
  /** Some 10 ms for each 20 MiB of heap. */
  collect(): void;
}

let collect: (() => void) | undefined;

export const bufferMemory: BufferMemory = {
  bytes: () => process.memoryUsage().arrayBuffers,
  collect: () => {
    if (collect === undefined) {
      // The only way to it in a process that was not started with it; contexts made from here on have it.
      setFlagsFromString('--expose-gc');
      collect = runInNewContext('gc') as () => void;
    }
    collect();
  },
};

/** Buffers that are let go a part at a time, as those before them have given their memory back. */
export class LetGo {
  readonly #memory: BufferMemory;
  /** Since all was found collected. */
  #isSome = false;
  /** What buffers take that are never let go here. */
  #otherBytes: number | undefined;
  #looksInVain = 0;

  constructor(memory: BufferMemory) {
    this.#memory = memory;
  }

  /** Some are let go. */
  note(): void {
    this.#isSome = true;
  }

  /** Asked before some are let go, time and again until it is so; `heldBytes` are of those that are not let go. */
  isCollected(heldBytes: number): boolean {
    this.#otherBytes ??= this.#memory.bytes() - heldBytes;
    if (!this.#isSome) return true;
    this.#memory.collect();
    const uncollectedBytes = this.#memory.bytes() - heldBytes - this.#otherBytes;
    const isCollected = uncollectedBytes <= uncollectedBytesMax;
    if (!isCollected && ++this.#looksInVain < looksMax) return false;
    // What stays was taken by others meanwhile, and what is less than nothing was given back by them.
    if (!isCollected || uncollectedBytes < 0) this.#otherBytes += uncollectedBytes;
    this.#looksInVain = 0;
    this.#isSome = false;
    return true;
  }
}
