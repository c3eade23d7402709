/**
 * Virtual time. Everything that takes time in the simulated world is an event here; between two events all promises that can
 * settle do, and all real work ends. So a run is a function of its seed.
 */
import { setMaxListeners } from 'node:events';
import { stream, type Seeded } from '../support/seed.js';

// Many wait for one signal where a process's whole world hangs on it.
setMaxListeners(0);

/** 2026-01-01T00:00:00Z, when every run begins. */
export const epochMs = 1_767_225_600_000;

interface Event {
  readonly atMs: number;
  /** Breaks ties: first come, first served. */
  readonly serial: number;
  run: (() => void) | undefined;
}

/** Lines of the trace that are kept for a report. */
const linesKept = 400;

/** The world is broken: a promise was not kept. */
export class Violation extends Error {
  /** Which promise, as a short word: equal for the same kind of failure. */
  readonly oracle: string;
  constructor(oracle: string, message: string) {
    super(`${oracle}: ${message}`);
    this.name = 'Violation';
    this.oracle = oracle;
  }
}

export class Scheduler {
  readonly seed: number;
  /** For latencies and faults of the world. Steps draw from streams of their own. */
  readonly random: Seeded;
  nowMs = 0;
  /** Wall time passes so much faster than timers: a day's age is reached in minutes. */
  wallSpeed = 1;
  events = 0;
  #serial = 0;
  #pids = 0;
  readonly #heap: Event[] = [];
  readonly #lines: string[] = [];
  #digest = 0x811c9dc5;
  #lineCount = 0;
  #failure: Error | undefined;
  readonly #real = new Set<Promise<unknown>>();
  /** Called between events, when nothing else can run. */
  betweenEvents: (() => Promise<void> | void) | undefined;

  constructor(seed: number) {
    this.seed = seed;
    this.random = stream(seed);
  }

  /** Since the epoch. */
  get wallMs(): number {
    return epochMs + Math.floor(this.nowMs * this.wallSpeed);
  }

  nextPid(): number {
    return ++this.#pids;
  }

  /** Runs `work` after `ms`; the answer calls it off. */
  after(ms: number, work: () => void): () => void {
    if (Number.isNaN(ms)) throw new Error('a wait has no length');
    const event: Event = { atMs: this.nowMs + Math.max(0, ms), serial: this.#serial++, run: work };
    this.#push(event);
    return () => {
      event.run = undefined;
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Runs what takes real time, threads or processes. Virtual time stands still until it has ended. */
  real<T>(work: () => Promise<T>): Promise<T> {
    const running = work();
    this.#real.add(running);
    running.finally(() => this.#real.delete(running)).catch(() => undefined);
    return running;
  }

  /** One line of the trace. Every line counts in the digest by which two runs are compared; the last ones are kept. */
  trace(who: string, what: string): void {
    const line = `${this.nowMs.toFixed(3).padStart(12)} ${who.padEnd(8)} ${what}`;
    for (let i = 0; i < line.length; i++) this.#digest = Math.imul(this.#digest ^ line.charCodeAt(i), 0x01000193);
    this.#lineCount++;
    this.#lines.push(line);
    if (this.#lines.length > linesKept * 2) this.#lines.splice(0, linesKept);
  }

  get lastLines(): readonly string[] {
    return this.#lines.slice(-linesKept);
  }

  /** Of the whole trace. */
  get digest(): string {
    return `${this.#lineCount}:${(this.#digest >>> 0).toString(16).padStart(8, '0')}`;
  }

  /** Ends the run at the next event, whoever found out. */
  fail(error: Error): void {
    this.#failure ??= error;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Runs events until `isDone` or `untilMs`. True where it is done. Errors: whatever `fail` was told. */
  async run(isDone: () => boolean, untilMs: number): Promise<boolean> {
    await this.#settle();
    while (!isDone()) {
      const next = this.#next();
      if (next === undefined || next.atMs > untilMs) {
        if (next !== undefined) this.#push(next);
        this.nowMs = Math.max(this.nowMs, untilMs);
        return false;
      }
      this.nowMs = next.atMs;
      this.events++;
      const { run } = next;
      run?.();
      await this.#settle();
    }
    return true;
  }

  /** Resolves once nothing is left to do before the next event. */
  async #settle(): Promise<void> {
    await new Promise((resolve) => void setImmediate(resolve));
    while (this.#real.size > 0) {
      await Promise.allSettled(this.#real);
      await new Promise((resolve) => void setImmediate(resolve));
    }
    if (this.#failure !== undefined) throw this.#failure;
    await this.betweenEvents?.();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #next(): Event | undefined {
    for (;;) {
      const event = this.#pop();
      if (event === undefined || event.run !== undefined) return event;
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent] as Event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (!isBefore(heap[child] as Event, last)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.serial < b.serial);
}
