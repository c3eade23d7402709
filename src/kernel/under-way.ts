/** Work that nobody waits for where it is begun: kept until it ends, so that whoever closes can wait for all of it. */
export class UnderWay {
  readonly #work = new Set<Promise<unknown>>();

  /** How it ends is the caller's to handle: here a failure is an end like any other. */
  add(work: Promise<unknown>): void {
    this.#work.add(work);
    const ended = (): boolean => this.#work.delete(work);
    work.then(ended, ended);
  }

  /** Resolves when all that has been begun has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#work);
  }
}
