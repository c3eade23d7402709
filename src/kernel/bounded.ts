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

interface Flight<Value> {
  readonly landed: Promise<Value>;
  readonly abort: AbortController;
  /** How many wait for it; one without a signal waits to the end. */
  waiting: number;
}

/**
 * Shares one running piece of work among all who ask for the same key while it runs. A caller's signal ends its own wait; when
 * the last who waited has left, the work is told to end, and whoever asks then begins it anew.
 */
export class SingleFlight<Key, Value> {
  readonly #running = new Map<Key, Flight<Value>>();

  run(key: Key, work: (signal: AbortSignal) => Promise<Value>, signal?: AbortSignal): Promise<Value> {
    const flight = this.#running.get(key) ?? this.#start(key, work);
    flight.waiting++;
    if (signal === undefined) return flight.landed;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        flight.waiting--;
        if (flight.waiting === 0) {
          this.#forget(key, flight);
          flight.abort.abort(signal.reason);
        }
        reject(signal.reason as Error);
      };
      if (signal.aborted) {
        onAbort();
        return;
      }
      signal.addEventListener('abort', onAbort, { once: true });
      const land = (): void => signal.removeEventListener('abort', onAbort);
      flight.landed.then(resolve, reject).finally(land);
    });
  }

  #start(key: Key, work: (signal: AbortSignal) => Promise<Value>): Flight<Value> {
    const abort = new AbortController();
    const flight: Flight<Value> = { landed: work(abort.signal), abort, waiting: 0 };
    const land = (): void => this.#forget(key, flight);
    flight.landed.then(land, land);
    this.#running.set(key, flight);
    return flight;
  }

  #forget(key: Key, flight: Flight<Value>): void {
    if (this.#running.get(key) === flight) this.#running.delete(key);
  }
}
