/** Saving what a start can do without, as it makes it anew from the batches: one thing after the other, and failures are only told. */
import { toLakeError } from '../kernel/index.js';
import type { Logger } from '../telemetry/index.js';

export class BackgroundSaves {
  readonly #directory: string;
  readonly #logger: Logger;
  #last: Promise<void> = Promise.resolve();

  constructor(directory: string, logger: Logger) {
    this.#directory = directory;
    this.#logger = logger;
  }

  add(save: () => Promise<void>): void {
    this.#last = this.#last.then(save).catch((error: unknown) => {
      this.#logger.warn('an index, a snapshot or append times were not saved', {
        directory: this.#directory,
        error: toLakeError(error).message,
      });
    });
  }

  /** Resolves when all that was added so far was saved, or could not be. */
  get settled(): Promise<void> {
    return this.#last;
  }
}
