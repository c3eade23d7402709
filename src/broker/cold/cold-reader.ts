/**
 * Reads below the local start: from the chunk cache at once, or not yet, while a hydration runs. One hydration per place,
 * few at a time, so that cold reads never crowd out the rest; a reader that goes on in order has its next chunk fetched ahead.
 */
import { type Clock, isLakeError, LakeError, MiB, type Offset, Semaphore } from '../../kernel/index.js';
import type { Logger } from '../../telemetry/index.js';
import type { PartitionLog } from '../../log/index.js';
import type { ColdTier } from '../cold-tier.js';
import { runAfter } from '../deadline.js';
import type { ChunkCache, ChunkRead } from './chunk-cache.js';

/** Bytes asked for at a time, at most: a row group of up to twice the usual size. */
export const hydrateBytes = 32 * MiB;
/** How much smaller than its first records the further ones of a hydration may be. */
const reachSlack = 2;
/** Hydrations under way at once; each may keep one column worker busy. */
const hydrationsMax = 4;
/** Further ones that wait; beyond, readers are answered empty and come again. */
const hydrationsQueuedMax = 1024;
/** A hydration goes on this long after the fetch that asked for it gave up, so that the next fetch finds its data. */
const hydrationTriesMs = 60_000;
const retryMs = 250;
/** After a failed hydration a partition is left alone this long, so that waiting readers do not spin on it. */
const restMs = 1000;
/** A cold side that neither answers nor fails loses its slot after this. */
const hydrationMaxMs = 300_000;

interface Hydration {
  readonly fromOffset: Offset;
  /** Offset after the last batch in the cache. */
  nextOffset: Offset;
  /** Of the batches in the cache. */
  bytes: number;
  readonly controller: AbortController;
  readonly done: Promise<void>;
}

export interface ColdReaderPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly coldTier: ColdTier;
  readonly cache: ChunkCache;
}

export class ColdReader {
  readonly #ports: ColdReaderPorts;
  readonly #slots = new Semaphore(hydrationsMax, hydrationsQueuedMax);
  readonly #running = new Map<string, Hydration[]>();
  readonly #waiting = new Map<string, Set<() => void>>();
  /** Where the last read of a partition ended: the next one there is sequential. */
  readonly #lastReadEnd = new Map<string, Offset>();
  /** Monotonic time before which a partition is not hydrated again. */
  readonly #restUntilMs = new Map<string, number>();
  #isClosed = false;
  hydrations = 0;
  hydrationErrors = 0;

  constructor(ports: ColdReaderPorts) {
    this.#ports = ports;
  }

  /**
   * What the cache has at `offset`, below the boundary; `undefined` where it has nothing yet, and then a hydration is on
   * its way: `onProgress` tells when to look again.
   */
  async read(log: PartitionLog, offset: Offset, maxBytes: number, isMinOneBatch: boolean): Promise<ChunkRead | undefined> {
    const { cache } = this.#ports;
    const found = await cache.read(log.topicId, log.partition, offset, maxBytes, { isMinOneBatch, endOffset: log.boundary });
    if (found === undefined) {
      this.#start(log, offset);
      return undefined;
    }
    const key = keyOf(log);
    const isSequential = this.#lastReadEnd.get(key) === offset;
    this.#lastReadEnd.set(key, found.nextOffset);
    const ahead = found.chunkNextOffset;
    const isLocalAhead = ahead >= log.localStartOffset || ahead >= log.boundary;
    if (isSequential && !isLocalAhead && !cache.has(log.topicId, log.partition, ahead)) this.#start(log, ahead);
    return found;
  }

  isThere(log: PartitionLog, offset: Offset): boolean {
    return this.#ports.cache.has(log.topicId, log.partition, offset);
  }

  /** Calls back when a hydration of this partition has come further or has ended. Returns its own removal. */
  onProgress(log: PartitionLog, listener: () => void): () => void {
    const key = keyOf(log);
    let listeners = this.#waiting.get(key);
    if (listeners === undefined) this.#waiting.set(key, (listeners = new Set()));
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#waiting.get(key) === listeners) this.#waiting.delete(key);
    };
  }

  /** Ends the hydrations of a partition that is deleted. */
  forget(log: PartitionLog): void {
    const key = keyOf(log);
    for (const hydration of this.#running.get(key) ?? []) hydration.controller.abort();
    this.#lastReadEnd.delete(key);
    this.#restUntilMs.delete(key);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const running = [...this.#running.values()].flat();
    for (const hydration of running) hydration.controller.abort();
    await Promise.all(running.map((hydration) => hydration.done));
  }

  #start(log: PartitionLog, offset: Offset): void {
    const key = keyOf(log);
    const running = this.#running.get(key) ?? [];
    if (this.#isClosed || running.some((one) => mayBring(one, offset))) return;
    if (this.#slots.queued >= hydrationsQueuedMax) return;
    if ((this.#restUntilMs.get(key) ?? 0) > this.#ports.clock.monotonicMs()) return;
    const controller = new AbortController();
    const hydration: Hydration = {
      fromOffset: offset,
      nextOffset: offset,
      bytes: 0,
      controller,
      done: Promise.resolve().then(() => this.#run(log, hydration)),
    };
    this.#running.set(key, [...running, hydration]);
  }

  async #run(log: PartitionLog, hydration: Hydration): Promise<void> {
    const { clock, logger } = this.#ports;
    const key = keyOf(log);
    const { signal } = hydration.controller;
    const untilMs = clock.monotonicMs() + hydrationTriesMs;
    const stopDeadline = runAfter(clock, hydrationMaxMs, () => hydration.controller.abort());
    try {
      for (;;) {
        try {
          await this.#slots.run(() => this.#hydrate(log, hydration), signal);
          this.hydrations++;
          this.#restUntilMs.delete(key);
          return;
        } catch (error) {
          if (signal.aborted || this.#isClosed) return;
          this.hydrationErrors++;
          const mayRetry =
            isLakeError(error) && error.retriable && clock.monotonicMs() < untilMs && hydration.nextOffset === hydration.fromOffset;
          const facts = { topic: log.topic, partition: log.partition, offset: hydration.fromOffset, error };
          if (!mayRetry) {
            this.#restUntilMs.set(key, clock.monotonicMs() + restMs);
            logger.warn('a cold range cannot be hydrated', facts);
            return;
          }
          logger.debug('a hydration is tried again', facts);
          await clock.sleep(retryMs, signal).catch(() => undefined);
        }
      }
    } finally {
      stopDeadline();
      const left = (this.#running.get(key) ?? []).filter((other) => other !== hydration);
      if (left.length === 0) this.#running.delete(key);
      else this.#running.set(key, left);
      this.#tell(key);
    }
  }

  async #hydrate(log: PartitionLog, hydration: Hydration): Promise<void> {
    const { cache, coldTier } = this.#ports;
    const { topicId, partition } = log;
    if (hydration.fromOffset >= log.boundary || cache.has(topicId, partition, hydration.fromOffset)) return;
    const { signal } = hydration.controller;
    const writer = await cache.write(topicId, partition);
    const hydrated = coldTier.hydrate(
      { topicId, partition, offset: hydration.fromOffset, maxBytes: hydrateBytes },
      async ({ nextOffset, batches }) => {
        signal.throwIfAborted();
        await writer.append(batches);
        hydration.nextOffset = Math.max(hydration.nextOffset, nextOffset);
        hydration.bytes += batches.length;
        this.#tell(keyOf(log));
      },
      signal,
    );
    try {
      await orAborted(hydrated, signal);
    } finally {
      // What has arrived is whole batches in order, and stays.
      writer.close();
    }
    if (!cache.has(topicId, partition, hydration.fromOffset)) {
      throw new LakeError(
        'cold-corrupt',
        `the cold side has nothing at offset ${hydration.fromOffset}, below the boundary ${log.boundary}`,
        {
          hint: 'Compare the table with the broker by `thermocline doctor`.',
          facts: { topic: log.topic, partition, offset: hydration.fromOffset },
        },
      );
    }
  }

  #tell(key: string): void {
    for (const listener of this.#waiting.get(key) ?? []) listener();
  }
}

/**
 * Whether a hydration will either bring an offset or end soon, and then be asked again: it began at or before the offset, has not
 * passed it, and at the rate of what has come so far it comes as far, or nearly.
 */
function mayBring({ fromOffset, nextOffset, bytes }: Hydration, offset: Offset): boolean {
  if (offset < fromOffset || offset < nextOffset) return false;
  const reach = bytes === 0 ? Number.POSITIVE_INFINITY : ((nextOffset - fromOffset) * hydrateBytes * reachSlack) / bytes;
  return offset < fromOffset + reach;
}

/** A cold side that does not hear the signal is not waited for. */
function orAborted(work: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new LakeError('cancelled', 'the hydration was given up'));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function keyOf(log: PartitionLog): string {
  return `${log.topicId}-${log.partition}`;
}
