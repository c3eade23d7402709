/**
 * The bucket of the simulated world: the product's memory store behind a network that loses, delays, doubles and refuses. What a
 * client was told and what was done are two things here: a refused request may have been done, a lost one may be done
 * later, and a PUT may be done twice.
 */
import { type Clock, LakeError } from '../../src/kernel/index.js';
import { MemoryStore, type ObjectBody, type ObjectInfo, type ObjectStore } from '../../src/objects/index.js';
import { outcomeUnknown } from '../../src/objects/errors.js';
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
  /** No answer within any deadline; done much later, or never. */
  readonly hanging: number;
  /** A PUT that is done once more, later: a retry on the way that the client knows nothing of. */
  readonly doubled: number;
  /** Bytes of a download come in so many ms more. */
  readonly slowMs: number;
}

export const weathers: Readonly<Record<'fine' | 'flaky' | 'stormy' | 'slow' | 'away', BucketWeather>> = {
  fine: { name: 'fine', latencyMs: 2, refused: 0, lost: 0, hanging: 0, doubled: 0, slowMs: 0 },
  flaky: { name: 'flaky', latencyMs: 5, refused: 0.05, lost: 0.04, hanging: 0.005, doubled: 0.03, slowMs: 20 },
  stormy: { name: 'stormy', latencyMs: 30, refused: 0.2, lost: 0.15, hanging: 0.03, doubled: 0.1, slowMs: 200 },
  slow: { name: 'slow', latencyMs: 400, refused: 0.01, lost: 0.01, hanging: 0, doubled: 0.02, slowMs: 4_000 },
  away: { name: 'away', latencyMs: 3, refused: 0.9, lost: 0, hanging: 0.1, doubled: 0, slowMs: 0 },
};

/** A request that hangs is done at most so much later, if at all. */
const lateMsMax = 90_000;
/** Objects on one page of a listing; between two pages time passes. */
const pageObjects = 7;

export type BucketOperation = 'put' | 'get' | 'download' | 'head' | 'list' | 'delete';

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
  readonly #random: Seeded;
  readonly #clock: Pick<Clock, 'nowMs'>;

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
    this.#random = scheduler.random.apart();
    this.#clock = { nowMs: () => scheduler.wallMs };
    this.raw = new MemoryStore({ clock: this.#clock as Clock });
  }

  async #put(key: string, bytes: Buffer, ifAbsent: boolean): Promise<void> {
    await this.raw.put(key, bytes, { ifAbsent });
    for (const listener of this.listeners) listener.onPut?.(key, bytes);
  }

  async #delete(key: string, by: string): Promise<void> {
    if ((await this.raw.head(key)) === null) return;
    await this.raw.delete(key);
    for (const listener of this.listeners) listener.onDelete?.(key, by);
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
      return process.call(lateMs, 1e12, () => Promise.reject(refusal(what, false)), { signal, isOutside: true });
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
        await this.#request(process, 'put', key, () => this.#put(key, bytes, options.ifAbsent === true), options.signal, slow() / 2);
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
      removeUnfinished: async () => 0,
      localPath: () => null,
      location: (key) => `sim:/${key}`,
      close: async () => undefined,
    };
  }

  /** Page after page, each as the bucket is at that moment. */
  async *#list(process: SimProcess, prefix: string, signal: AbortSignal | undefined): AsyncIterable<ObjectInfo> {
    let after = '';
    for (;;) {
      const from = after;
      const page = await this.#request(process, 'list', `${prefix}…${from.slice(prefix.length)}`, () => this.#page(prefix, from), signal);
      yield* page;
      const last = page.at(-1);
      if (page.length < pageObjects || last === undefined) return;
      after = last.key;
    }
  }

  async #page(prefix: string, after: string): Promise<ObjectInfo[]> {
    const page: ObjectInfo[] = [];
    for await (const object of this.raw.list(prefix)) {
      if (object.key <= after) continue;
      page.push(object);
      if (page.length === pageObjects) break;
    }
    return page;
  }
}

function refusal(what: string, isThrottled: boolean): LakeError {
  return new LakeError('store-unavailable', `${what}: ${isThrottled ? 'SlowDown' : '503'}`, { retriable: true });
}
