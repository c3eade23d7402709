/** Bounds on what is under way: a semaphore with a limited queue, a mutex, and single-flight. */
import { LakeError } from './errors.js';

/** Lets `limit` holders in at once; at most `queueLimit` wait, further ones are refused with `overloaded`. */
export class Semaphore {
  readonly #limit: number;
  readonly #queueLimit: number;
  #held = 0;
  readonly #waiting: { enter: () => void; leave: (reason: unknown) => void }[] = [];

  constructor(limit: number, queueLimit: number) {
    this.#limit = limit;
    this.#queueLimit = queueLimit;
  }

  get held(): number {
    return this.#held;
  }

  get queued(): number {
    return this.#waiting.length;
  }

  /** Resolves to the release function, which is to be called exactly once. */
  async acquire(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#held < this.#limit) {
      this.#held++;
    } else {
      if (this.#waiting.length >= this.#queueLimit) {
        throw new LakeError('overloaded', `${this.#held} under way and ${this.#waiting.length} waiting already`, {
          hint: 'Try again a little later.',
        });
      }
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          const index = this.#waiting.indexOf(entry);
          if (index >= 0) this.#waiting.splice(index, 1);
          reject(signal?.reason as Error);
        };
        const entry = {
          enter: () => {
            signal?.removeEventListener('abort', onAbort);
            resolve();
          },
          leave: reject,
        };
        this.#waiting.push(entry);
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    }
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const next = this.#waiting.shift();
      if (next === undefined) this.#held--;
      else next.enter();
    };
  }

  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const release = await this.acquire(signal);
    try {
      return await work();
    } finally {
      release();
    }
  }
}

/** Runs one piece of work at a time, in order of asking. */
export class Mutex extends Semaphore {
  constructor() {
    super(1, Number.POSITIVE_INFINITY);
  }
}

/** Shares one running piece of work among all who ask for the same key while it runs. */
export class SingleFlight<Key, Value> {
  readonly #running = new Map<Key, Promise<Value>>();

  run(key: Key, work: () => Promise<Value>): Promise<Value> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const started = work().finally(() => {
      this.#running.delete(key);
    });
    this.#running.set(key, started);
    return started;
  }
}
