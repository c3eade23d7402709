/**
 * A process of the simulated machine: it can be killed and paused at any moment. Whatever reaches its code from outside, be it the
 * answer of a port, a timer or a message, goes through `deliver`; so a killed one never runs again, and a paused one runs
 * later. Each call of a port is a moment at which a kill can be planned, before its effect or after.
 */
import type { Clock, Random } from '../../src/kernel/index.js';
import type { Logger } from '../../src/telemetry/index.js';
import type { Seeded } from '../support/seed.js';
import type { Scheduler } from './scheduler.js';

/** What a dead process's synchronous calls throw: its code may still unwind, and nothing it does has an effect. */
export class ProcessIsDead extends Error {}

/** A kill at a chosen call of a port. */
export interface PlannedDeath {
  /** Calls still to come before it. */
  calls: number;
  readonly when: 'before' | 'after';
  readonly die: () => void;
}

export interface CallOptions {
  /** Ends the wait for the answer, not the effect. */
  readonly signal?: AbortSignal | undefined;
  /** Asked of somebody outside, who does it also where the process has died since. */
  readonly isOutside?: boolean;
}

export class SimProcess {
  readonly name: string;
  readonly pid: number;
  readonly scheduler: Scheduler;
  readonly random: Seeded;
  isAlive = true;
  portCalls = 0;
  death: PlannedDeath | undefined;
  /** Resolves with its death. */
  readonly ended: Promise<void>;
  #end: () => void = () => undefined;
  #isPaused = false;
  #waiting: (() => void)[] = [];

  constructor(scheduler: Scheduler, name: string) {
    this.scheduler = scheduler;
    this.name = name;
    this.pid = scheduler.nextPid();
    this.random = scheduler.random.apart();
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  trace(what: string): void {
    this.scheduler.trace(this.name, what);
  }

  kill(): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.#waiting = [];
    this.trace('dies');
    this.#end();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    for (const run of this.#waiting.splice(0)) this.scheduler.after(0, () => this.deliver(run));
  }

  /** Runs what comes from outside: now, after the pause, or never. */
  deliver(run: () => void): void {
    if (!this.isAlive) return;
    if (this.#isPaused) this.#waiting.push(run);
    else run();
  }

  /** Counts a synchronous call of a port. Errors: `ProcessIsDead`. */
  step(): void {
    this.portCalls++;
    this.#dieIfDue('before');
    if (!this.isAlive) throw new ProcessIsDead(this.name);
  }

  /** After a synchronous call took effect. Errors: `ProcessIsDead`. */
  stepped(): void {
    this.#dieIfDue('after');
    if (!this.isAlive) throw new ProcessIsDead(this.name);
  }

  /** One call of a port: its effect comes after `toMs`, its answer `backMs` later. Never answers a dead process. */
  call<T>(toMs: number, backMs: number, effect: () => Promise<T> | T, options: CallOptions = {}): Promise<T> {
    const { signal, isOutside = false } = options;
    return new Promise<T>((resolve, reject) => {
      this.portCalls++;
      this.#dieIfDue('before');
      if (!this.isAlive) return;
      const onAbort = (): void => reject(signal?.reason as Error);
      if (signal?.aborted === true) {
        onAbort();
        return;
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      const death = this.#takeDue('after');
      const answer = (settle: () => void): void => {
        this.scheduler.after(backMs, () =>
          this.deliver(() => {
            signal?.removeEventListener('abort', onAbort);
            settle();
          }),
        );
      };
      this.scheduler.after(toMs, () => {
        if (!this.isAlive && !isOutside) return;
        attempt(effect).then(
          (value) => answer(() => resolve(value)),
          (error: unknown) => answer(() => reject(error as Error)),
        );
        death?.die();
      });
    });
  }

  #dieIfDue(when: PlannedDeath['when']): void {
    this.#takeDue(when)?.die();
  }

  #takeDue(when: PlannedDeath['when']): PlannedDeath | undefined {
    const { death } = this;
    if (death === undefined || death.when !== when) return undefined;
    if (death.calls-- > 0) return undefined;
    this.death = undefined;
    return death;
  }

  readonly clock: Clock = {
    nowMs: () => this.scheduler.wallMs,
    monotonicMs: () => this.scheduler.nowMs,
    sleep: (ms, signal) =>
      new Promise<void>((resolve, reject) => {
        if (signal?.aborted === true) {
          reject(new Error('aborted', { cause: signal.reason }));
          return;
        }
        const callOff = this.scheduler.after(ms, () =>
          this.deliver(() => {
            signal?.removeEventListener('abort', onAbort);
            resolve();
          }),
        );
        const onAbort = (): void => {
          callOff();
          reject(new Error('aborted', { cause: signal?.reason }));
        };
        signal?.addEventListener('abort', onAbort, { once: true });
      }),
  };

  readonly ids: Random = {
    uuid: () => {
      const hex = this.ids.bytes(16).toString('hex');
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
    },
    bytes: (length) => Buffer.from(Array.from({ length }, () => this.random.whole(0, 256))),
    float: () => this.random.float(),
  };

  /** Told of each line of its log. */
  onLine: ((level: string, message: string, facts: Readonly<Record<string, unknown>>) => void) | undefined;

  /** Lines of the product's own log, in the trace. */
  readonly logger: Logger = loggerOf(
    (line) => this.trace(line),
    (level, message, facts) => this.onLine?.(level, message, facts),
  );
}

async function attempt<T>(effect: () => Promise<T> | T): Promise<T> {
  return effect();
}

function loggerOf(write: (line: string) => void, onLine: NonNullable<SimProcess['onLine']>): Logger {
  const make = (more: Readonly<Record<string, unknown>>): Logger => {
    const at =
      (level: string) =>
      (message: string, facts: Readonly<Record<string, unknown>> = {}): void => {
        write(`${level} ${message} ${describe({ ...more, ...facts })}`);
        onLine(level, message, { ...more, ...facts });
      };
    return {
      debug: () => undefined,
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (facts) => make({ ...more, ...facts }),
    };
  };
  return make({});
}

function describe(facts: Readonly<Record<string, unknown>>): string {
  return Object.entries(facts)
    .map(([name, value]) => {
      if (value instanceof Error) return `${name}="${'code' in value ? `${String(value.code)} ` : ''}${value.message}"`;
      return `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
    })
    .join(' ');
}
