/**
 * One S3 request with its tries: how long it may take, when it is sent again, how many are under way, and who counts them.
 *
 * A *call* is one call of the port, which may need several requests; its time covers them all, with waits and tries.
 * A request is given up when nothing has moved for `silenceMs`, and when it is slower than `bytesPerSecondMin`, so that
 * neither a peer that says nothing nor one that trickles can hold a caller. Retries of all callers come out of one budget.
 */
import { setMaxListeners } from 'node:events';
import { type BackoffPolicy, type Clock, KiB, LakeError, type Random, retry, RetryBudget, secondMs, Semaphore } from '../kernel/index.js';
import type { RequestCounters, RequestOperation } from './request-counters.js';
import { isThrottle, outcomeOf, retryAfterMs, s3Error, SlowAnswer } from './s3-errors.js';

/** A request without an answer, or a transfer without a byte, for so long has failed. */
export const silenceMs = 30_000;
/** Slowest transfer of one request that is not given up. */
const bytesPerSecondMin = 256 * KiB;
/** About ten seconds of trying, beyond which callers decide. */
const backoff: BackoffPolicy = { firstMs: 200, maxMs: 4_000, tries: 6 };
/**
 * Retries of one store: 40 at once, then one for five requests that succeed. A bucket that is away is asked by each caller
 * once; a bucket that fails now and then has a fifth more to do, never six times as much.
 */
const retryBudget = { capacity: 40, refund: 0.2 };
/** How long a store holds back all requests after one was throttled and the server named no time. */
const throttlePauseMs = secondMs;
/** Requests of one store under way: as many connections are open at most. */
export const requestsMax = 64;
/** Requests that wait for one of those; each costs its caller's memory only. */
const waitingMax = 20_000;
/** How long a request that was told to end may take to clean up behind itself before it is left alone. */
const leaveMs = 2 * secondMs;

/**
 * Most time in ms that a call of the port takes that moves so many bytes: 90 s and 8 s a MiB, of which one try may use 30 s
 * and 4 s a MiB; and two seconds for a request to leave that does not end when told. A listing is one call a page.
 */
export function callLimitMs(bytes: number, silence: number = silenceMs): number {
  return 3 * silence + 2 * transferMs(bytes);
}

function transferMs(bytes: number): number {
  return (bytes * secondMs) / bytesPerSecondMin;
}

export interface S3Request {
  readonly operation: RequestOperation;
  /** In words, for messages: `writing a/b`. */
  readonly what: string;
  readonly key: string;
  /** Whether a lost answer leaves open what is stored. */
  readonly isWrite: boolean;
  /** Bytes of the body that is sent. */
  readonly sentBytes?: number;
}

/** What the work of a request is given. */
export interface RequestWatch {
  /** Fires when the request is to end, for whatever reason. */
  readonly signal: AbortSignal;
  /** To be told of each chunk that has come. */
  received(bytes: number): void;
  /** To be told how many bytes will come. */
  expect(bytes: number): void;
}

/** One call of the port: until when, and on whose behalf. */
export class S3Call {
  readonly signal: AbortSignal | undefined;
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #silenceMs: number;
  #limitMs: number;

  constructor(clock: Clock, silence: number, bytes: number, signal: AbortSignal | undefined) {
    signal?.throwIfAborted();
    this.signal = signal;
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
    this.#silenceMs = silence;
    this.#limitMs = callLimitMs(bytes, silence);
    // As many listen as there are requests of one caller under way; each takes itself off at its end.
    if (signal !== undefined) setMaxListeners(0, signal);
  }

  /** Monotonic time at which it is over. */
  get untilMs(): number {
    return this.#startMs + this.#limitMs;
  }

  get leftMs(): number {
    return Math.max(0, this.untilMs - this.#clock.monotonicMs());
  }

  /** That many bytes are to come, which nobody knew before. */
  expect(bytes: number): void {
    this.#limitMs = Math.max(this.#limitMs, callLimitMs(bytes, this.#silenceMs));
  }

  /**
   * Runs a wait between requests with a signal that fires with the caller's, with another one, or when the time is over. It listens
   * only as long as the wait takes: a caller's signal may live as long as the process.
   */
  async wait<T>(work: (signal: AbortSignal) => Promise<T>, other?: AbortSignal): Promise<T> {
    const controller = new AbortController();
    const sources = [this.signal, other].filter((signal) => signal !== undefined);
    const onAbort = (): void => controller.abort(sources.find((signal) => signal.aborted)?.reason);
    const timer = setTimeout(() => controller.abort(new SlowAnswer('its time was over while it waited')), this.leftMs);
    for (const signal of sources) signal.addEventListener('abort', onAbort, { once: true });
    if (sources.some((signal) => signal.aborted)) onAbort();
    try {
      return await work(controller.signal);
    } finally {
      clearTimeout(timer);
      for (const signal of sources) signal.removeEventListener('abort', onAbort);
    }
  }
}

export interface S3RequestsOptions {
  readonly url: string;
  readonly silenceMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: RequestCounters;
}

export class S3Requests {
  readonly #options: S3RequestsOptions;
  readonly #budget = new RetryBudget(retryBudget.capacity, retryBudget.refund);
  readonly #slots = new Semaphore(requestsMax, waitingMax);
  /** Monotonic time before which the server wants no request. */
  #notBeforeMs = 0;

  constructor(options: S3RequestsOptions) {
    this.#options = options;
  }

  /** Begins a call that will move so many bytes, as far as that is known. */
  call(bytes: number, signal: AbortSignal | undefined): S3Call {
    return new S3Call(this.#options.clock, this.#options.silenceMs, bytes, signal);
  }

  /**
   * Sends one request of a call, again where that may help. Errors: those of the port, mapped; the caller's own reason where
   * its signal fires.
   */
  async send<T>(request: S3Request, call: S3Call, work: (watch: RequestWatch) => Promise<T>, also?: AbortSignal): Promise<T> {
    const { counters } = this.#options;
    try {
      return await retry(() => this.#try(request, call, work, also), backoff, this.#options, also ?? call.signal, {
        budget: this.#budget,
        untilMs: () => call.untilMs,
        onRetry: () => counters.retries++,
      });
    } finally {
      counters.retriesRefused = this.#budget.refused;
    }
  }

  async #try<T>(request: S3Request, call: S3Call, work: (watch: RequestWatch) => Promise<T>, also?: AbortSignal): Promise<T> {
    const release = await this.#enter(request, call, also);
    const { clock, counters, silenceMs: silence } = this.#options;
    const startMs = clock.monotonicMs();
    const watch = new Watch(silence + transferMs(request.sentBytes ?? 0), silence, call, counters, [call.signal, also]);
    counters.running++;
    try {
      const answer = await watch.guard(work(watch));
      counters.count(request.operation, 'ok', clock.monotonicMs() - startMs);
      return answer;
    } catch (error) {
      const cause = watch.isSlow ? new SlowAnswer(`no answer within ${Math.round(watch.limitMs)} ms, or too slow a one`) : error;
      counters.count(request.operation, outcomeOf(cause), clock.monotonicMs() - startMs);
      call.signal?.throwIfAborted();
      also?.throwIfAborted();
      this.#notePause(cause);
      throw s3Error(cause, { ...request, url: this.#options.url });
    } finally {
      counters.running--;
      counters.sentBytes += request.sentBytes ?? 0;
      watch.end();
      release();
    }
  }

  /** Waits for its turn and for the end of a pause the server asked for. Nothing was sent where this throws. */
  async #enter(request: S3Request, call: S3Call, also?: AbortSignal): Promise<() => void> {
    const { clock, random, url } = this.#options;
    call.signal?.throwIfAborted();
    also?.throwIfAborted();
    const late = (why: string): LakeError =>
      new LakeError('store-unavailable', `${request.what} in ${url}: ${why}`, {
        hint: 'Look at object_requests_total{outcome="throttled"} and object_requests_running; let less go on at once.',
        facts: { key: request.key, store: url },
        retriable: call.leftMs > 0,
      });
    if (call.leftMs === 0) throw late('its time was over before it was sent');
    const pauseMs = this.#notBeforeMs - clock.monotonicMs();
    if (pauseMs > 0) {
      if (pauseMs >= call.leftMs) throw late('the server asks for a longer pause than there is time');
      await clock.sleep(Math.min(pauseMs * (1 + random.float() / 4), call.leftMs), also ?? call.signal);
    }
    if (this.#slots.held < requestsMax) return this.#slots.acquire();
    try {
      return await call.wait((signal) => this.#slots.acquire(signal), also);
    } catch (error) {
      call.signal?.throwIfAborted();
      also?.throwIfAborted();
      if (error instanceof LakeError) throw error;
      throw late('too many requests are under way');
    }
  }

  #notePause(error: unknown): void {
    if (!isThrottle(error)) return;
    const { clock, random } = this.#options;
    const pauseMs = retryAfterMs(error) ?? throttlePauseMs * random.float();
    this.#notBeforeMs = Math.max(this.#notBeforeMs, clock.monotonicMs() + pauseMs);
  }
}

/** Ends a request: with its caller's signals, after a silence, or where it moves too slowly. */
class Watch implements RequestWatch {
  readonly #controller = new AbortController();
  readonly #outer: readonly AbortSignal[];
  readonly #call: S3Call;
  readonly #counters: RequestCounters;
  readonly #silenceMs: number;
  readonly #silence: NodeJS.Timeout;
  #limit: NodeJS.Timeout;
  #leave: NodeJS.Timeout | undefined;
  limitMs: number;
  isSlow = false;
  readonly #onAbort = (): void => this.#controller.abort(this.#outer.find((signal) => signal.aborted)?.reason);
  readonly #onSlow = (): void => {
    this.isSlow = true;
    this.#controller.abort(new SlowAnswer('too slow'));
  };

  constructor(firstMs: number, silence: number, call: S3Call, counters: RequestCounters, outer: readonly (AbortSignal | undefined)[]) {
    this.#call = call;
    this.#counters = counters;
    this.#silenceMs = silence;
    this.limitMs = Math.min(firstMs, call.leftMs);
    // What an upload has sent is not seen from here, so its silence is counted from when all should be there.
    this.#silence = setTimeout(this.#onSlow, firstMs);
    this.#limit = setTimeout(this.#onSlow, this.limitMs);
    this.#outer = outer.filter((signal) => signal !== undefined);
    for (const signal of this.#outer) signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly received = (bytes: number): void => {
    this.#counters.receivedBytes += bytes;
    this.#silence.refresh();
  };

  readonly expect = (bytes: number): void => {
    this.#call.expect(bytes);
    clearTimeout(this.#limit);
    this.limitMs = Math.min(this.#silenceMs + transferMs(bytes), this.#call.leftMs);
    this.#limit = setTimeout(this.#onSlow, this.limitMs);
  };

  /** The work's result; where it does not end although it was told to, the error that told it. */
  async guard<T>(work: Promise<T>): Promise<T> {
    const left = new Promise<never>((_resolve, reject) => {
      this.signal.addEventListener('abort', () => {
        this.#leave = setTimeout(() => reject(this.signal.reason as Error), leaveMs);
      });
    });
    return Promise.race([work, left]);
  }

  end(): void {
    clearTimeout(this.#silence);
    clearTimeout(this.#limit);
    clearTimeout(this.#leave);
    for (const signal of this.#outer) signal.removeEventListener('abort', this.#onAbort);
  }
}
