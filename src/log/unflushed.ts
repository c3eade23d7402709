/** What of a partition no flush has covered yet: segments that were written, held open until one has, and their folder's names. */
import type { Flusher } from './flush-pool.js';
import type { Segment } from './segment.js';

export class Unflushed {
  readonly #directory: string;
  #segments: Segment[] = [];
  #isDirectoryChanged = false;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The segment is about to be written. */
  note(segment: Segment): void {
    if (segment.isDirty) return;
    segment.isDirty = true;
    segment.file.retain();
    this.#segments.push(segment);
  }

  /** A file was made. */
  noteDirectory(): void {
    this.#isDirectoryChanged = true;
  }

  /** Answers the flush of all that is there now, to be called once; what comes from here on is the next one's. */
  take(): (pool: Flusher) => Promise<void> {
    const segments = this.#segments;
    const directories = this.#isDirectoryChanged ? [this.#directory] : [];
    this.#segments = [];
    this.#isDirectoryChanged = false;
    for (const segment of segments) segment.isDirty = false;
    return async (pool) => {
      try {
        const fds = segments.map((segment) => {
          const fd = segment.file.retain();
          segment.file.release();
          return fd;
        });
        await pool.flush(fds, directories);
      } finally {
        for (const segment of segments) segment.file.release();
      }
    };
  }

  /** No flush will come. */
  letGo(): void {
    for (const segment of this.#segments.splice(0)) segment.file.release();
  }
}
