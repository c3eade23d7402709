/**
 * The bucket of the simulated world: the product's memory store behind a network that loses, delays, doubles, breaks off and refuses.
 * What a client was told and what was done are two things here: a refused request may have been done, a lost one may be done
 * later, and a PUT may be done twice. What is asked for by its name is as it is now, as everywhere; a list may be some seconds old,
 * as on servers that keep an index beside the objects (decision 0008).
 */
import { type Clock, LakeError } from '../../src/kernel/index.js';
import { MemoryStore, type ObjectBody, type ObjectInfo, type ObjectStore } from '../../src/objects/index.js';
import { outcomeUnknown } from '../../src/objects/errors.js';
import { compareKeys } from '../../src/objects/keys.js';
import type { Disk } from '../../src/kernel/index.js';
import type { Seeded } from '../support/seed.js';
import type { SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';

/** How the bucket is at the moment. Parts are probabilities of a request. */
export interface BucketWeather {
  readonly name: string;
  /** Mean of one way, in ms. */
  readonly latencyMs: number;
  /** 503 or throttled: not done, and said so. */
  readonly refused: number;
  /** Done, and the answer lost. */
  readonly lost: number;
  /** The connection ends among the bytes of a PUT: nothing can be seen, and what came may stay as an unfinished upload. */
  readonly broken: number;
  /** No answer before the store itself gives up, later than any caller; done much later, or never. */
  readonly hanging: number;
  /** A PUT that is done once more, later: a retry on the way that the client knows nothing of. */
  readonly doubled: number;
  /** A conditional PUT that is done, and done again before anybody is answered: the client hears that the object is there already. */
  readonly foiled: number;
  /** A page of a list that shows the bucket as it was up to `staleMsMax` ago: without what is new, with what has gone. */
  readonly stale: number;
  /** Bytes of a download come in so many ms more. */
  readonly slowMs: number;
}

const clear: Omit<BucketWeather, 'name' | 'latencyMs'> = {
  refused: 0,
  lost: 0,
  broken: 0,
  hanging: 0,
  doubled: 0,
  foiled: 0,
  stale: 0,
  slowMs: 0,
};

export const weathers: Readonly<Record<'fine' | 'flaky' | 'stormy' | 'slow' | 'late' | 'away', BucketWeather>> = {
  fine: { ...clear, name: 'fine', latencyMs: 2 },
  flaky: {
    ...clear,
    name: 'flaky',
    latencyMs: 5,
    refused: 0.05,
    lost: 0.04,
    broken: 0.03,
    hanging: 0.005,
    doubled: 0.03,
    foiled: 0.03,
    stale: 0.1,
    slowMs: 20,
  },
  stormy: {
    ...clear,
    name: 'stormy',
    latencyMs: 30,
    refused: 0.2,
    lost: 0.15,
    broken: 0.1,
    hanging: 0.03,
    doubled: 0.1,
    foiled: 0.1,
    stale: 0.3,
    slowMs: 200,
  },
  slow: { ...clear, name: 'slow', latencyMs: 400, refused: 0.01, lost: 0.01, broken: 0.02, doubled: 0.02, stale: 0.3, slowMs: 4_000 },
  late: { ...clear, name: 'late', latencyMs: 5, stale: 0.9 },
  away: { ...clear, name: 'away', latencyMs: 3, refused: 0.9, hanging: 0.1 },
};

/** A request that hangs is done at most so much later, if at all. */
const lateMsMax = 90_000;
/** So long after that it is given up: every call of the port ends. */
const hangMs = 120_000;
/** Objects on one page of a listing; between two pages time passes. */
const pageObjects = 7;
/** A list is so much behind at most, in virtual time. */
const staleMsMax = 8_000;
/** Of the PUTs of processes that have died since they sent them. */
const brokenByDeath = 0.5;

/** What a key was before it was changed. */
interface Change {
  readonly atMs: number;
  readonly key: string;
  readonly before: ObjectInfo | null;
}

export type BucketOperation = 'put' | 'get' | 'download' | 'head' | 'list' | 'delete' | 'tidy';

/** Told of what was done to the objects, at the moment it was done. */
export interface BucketListener {
  onPut?(key: string, bytes: Buffer): void;
  onDelete?(key: string, by: string): void;
}

export class SimBucket {
  readonly scheduler: Scheduler;
  readonly raw: MemoryStore;
  weather: BucketWeather = weathers.fine;
  readonly listeners: BucketListener[] = [];
  requests = 0;
  /** Uploads that broke off, by key: nobody sees them, until somebody removes them. */
  readonly unfinished = new Map<string, { readonly sinceMs: number }>();
  /** Of the last seconds. */
  #changes: Change[] = [];
  readonly #random: Seeded;
  readonly #clock: Pick<Clock, 'nowMs'>;

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
    this.#random = scheduler.random.apart();
    this.#clock = { nowMs: () => scheduler.wallMs };
    this.raw = new MemoryStore({ clock: this.#clock as Clock });
  }

  async #put(key: string, bytes: Buffer, ifAbsent: boolean): Promise<void> {
    const before = await this.raw.head(key);
    await this.raw.put(key, bytes, { ifAbsent });
    this.#changed(key, before);
    for (const listener of this.listeners) listener.onPut?.(key, bytes);
  }

  async #delete(key: string, by: string): Promise<void> {
    const before = await this.raw.head(key);
    if (before === null) return;
    await this.raw.delete(key);
    this.#changed(key, before);
    for (const listener of this.listeners) listener.onDelete?.(key, by);
  }

  #changed(key: string, before: ObjectInfo | null): void {
    const { nowMs } = this.scheduler;
    this.#changes = this.#changes.filter(({ atMs }) => atMs > nowMs - staleMsMax);
    this.#changes.push({ atMs: nowMs, key, before });
  }

  /** Some of the bytes have come: parts of an upload, or an unfinished temporary file. */
  #breakOff(key: string): never {
    this.unfinished.set(key, { sinceMs: this.scheduler.wallMs });
    throw outcomeUnknown('the bucket', `writing ${key}`, new Error('connection reset'));
  }

  async #removeUnfinished(olderThanMs: number): Promise<number> {
    const old = [...this.unfinished].filter(([, { sinceMs }]) => sinceMs < this.scheduler.wallMs - olderThanMs);
    for (const [key] of old) this.unfinished.delete(key);
    return old.length;
  }

  /** One request of a process in the present weather. */
  #request<T>(
    process: SimProcess,
    operation: BucketOperation,
    key: string,
    effect: () => Promise<T>,
    signal: AbortSignal | undefined,
    moreMs = 0,
  ): Promise<T> {
    this.requests++;
    const { weather } = this;
    const random = this.#random;
    const [toMs, backMs] = [weather.latencyMs * random.float() * 2, weather.latencyMs * random.float() * 2 + moreMs];
    const draw = random.float();
    const what = `${operation} ${key}`;
    if (draw < weather.refused) {
      process.trace(`${what}: refused`);
      return process.call(toMs, backMs, () => Promise.reject(refusal(what, random.float() < 0.5)), { signal, isOutside: true });
    }
    if (draw < weather.refused + weather.lost) {
      const isWrite = operation === 'put' || operation === 'delete';
      process.trace(`${what}: answer lost`);
      const lose = async (): Promise<never> => {
        // The outcome too is lost, whatever it was.
        await effect().catch(() => undefined);
        throw isWrite ? outcomeUnknown('the bucket', what, new Error('connection reset')) : refusal(what, false);
      };
      return process.call(toMs, backMs, lose, { signal, isOutside: true });
    }
    if (draw < weather.refused + weather.lost + weather.hanging) {
      process.trace(`${what}: hangs`);
      const lateMs = random.float() * lateMsMax;
      if (random.float() < 0.5) this.scheduler.after(lateMs, () => void effect().catch(() => undefined));
      return process.call(lateMs, hangMs, () => Promise.reject(refusal(what, false)), { signal, isOutside: true });
    }
    if (operation === 'put' && random.float() < weather.broken) {
      process.trace(`${what}: breaks off`);
      return process.call(toMs, backMs, () => this.#breakOff(key), { signal, isOutside: true });
    }
    if (operation === 'put' && random.float() < weather.foiled) {
      process.trace(`${what}: comes twice, and the second answer is heard`);
      return process.call(toMs, backMs, () => effect().then(effect), { signal, isOutside: true });
    }
    if (operation === 'put' && random.float() < weather.doubled) {
      process.trace(`${what}: comes twice`);
      this.scheduler.after(toMs + random.float() * 5_000, () => void effect().catch(() => undefined));
    }
    return process.call(
      toMs,
      backMs,
      () =>
        effect().then(
          (value) => {
            process.trace(what);
            return value;
          },
          (error: unknown) => {
            process.trace(`${what}: ${(error as LakeError).code}`);
            throw error;
          },
        ),
      { signal, isOutside: true },
    );
  }

  /** The bucket as one process sees it; files come from and go to its disk. */
  of(process: SimProcess, disk: Disk): ObjectStore {
    const slow = (): number => this.weather.slowMs * this.#random.float();
    const bytesOf = async (body: ObjectBody): Promise<Buffer> =>
      body instanceof Uint8Array ? Buffer.from(body) : disk.readFile(body.path);
    const get = (
      operation: BucketOperation,
      key: string,
      signal: AbortSignal | undefined,
      range?: Parameters<ObjectStore['get']>[1],
    ): Promise<Buffer> =>
      this.#request(
        process,
        operation,
        key,
        () => this.raw.get(key, range?.range === undefined ? {} : { range: range.range }),
        signal,
        slow(),
      );
    return {
      url: 'sim:',
      put: async (key, body, options = {}) => {
        const bytes = await bytesOf(body);
        const effect = async (): Promise<void> => {
          // Whoever died while it sent has not sent all.
          if (!process.isAlive && this.#random.float() < brokenByDeath) this.#breakOff(key);
          await this.#put(key, bytes, options.ifAbsent === true);
        };
        await this.#request(process, 'put', key, effect, options.signal, slow() / 2);
      },
      get: (key, options) => get('get', key, options?.signal, options),
      download: async (key, path, signal) => {
        const bytes = await get('download', key, signal);
        const file = await disk.open(path, 'wx', 0o444);
        for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done, bytes.length - done, done)).bytesWritten;
        await file.close();
        return bytes.length;
      },
      head: (key, signal) => this.#request(process, 'head', key, () => this.raw.head(key), signal),
      list: (prefix, signal) => this.#list(process, prefix, signal),
      delete: (key, signal) => this.#request(process, 'delete', key, () => this.#delete(key, process.name), signal),
      removeUnfinished: (olderThanMs, signal) => this.#request(process, 'tidy', '', () => this.#removeUnfinished(olderThanMs), signal),
      localPath: () => null,
      location: (key) => `sim:/${key}`,
      close: async () => undefined,
    };
  }

  /** Page after page, each as the bucket is at that moment, or was some time before. */
  async *#list(process: SimProcess, prefix: string, signal: AbortSignal | undefined): AsyncIterable<ObjectInfo> {
    let after = '';
    for (;;) {
      const from = after;
      const staleMs = this.#random.float() < this.weather.stale ? this.#random.float() * staleMsMax : 0;
      const what = `${prefix}…${from.slice(prefix.length)}${staleMs > 0 ? ` as ${Math.round(staleMs)} ms ago` : ''}`;
      const page = await this.#request(process, 'list', what, () => this.#page(prefix, from, staleMs), signal);
      yield* page;
      const last = page.at(-1);
      if (page.length < pageObjects || last === undefined) return;
      after = last.key;
    }
  }

  async #page(prefix: string, after: string, staleMs: number): Promise<ObjectInfo[]> {
    const earlier = this.#earlier(prefix, staleMs);
    const page: ObjectInfo[] = [];
    for await (const object of this.raw.list(prefix)) {
      if (!earlier.has(object.key) && object.key > after) page.push(object);
      if (page.length === pageObjects) break;
    }
    for (const object of earlier.values()) if (object !== null && object.key > after) page.push(object);
    return page.sort((a, b) => compareKeys(a.key, b.key)).slice(0, pageObjects);
  }

  /** Keys that were changed since, as they were then. */
  #earlier(prefix: string, staleMs: number): ReadonlyMap<string, ObjectInfo | null> {
    const earlier = new Map<string, ObjectInfo | null>();
    const sinceMs = this.scheduler.nowMs - staleMs;
    for (const { atMs, key, before } of this.#changes.toReversed()) {
      if (atMs <= sinceMs) break;
      if (key.startsWith(prefix)) earlier.set(key, before);
    }
    return earlier;
  }
}

function refusal(what: string, isThrottled: boolean): LakeError {
  return new LakeError('store-unavailable', `${what}: ${isThrottled ? 'SlowDown' : '503'}`, { retriable: true });
}
