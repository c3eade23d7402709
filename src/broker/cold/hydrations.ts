/**
 * Which cold ranges are fetched, when and how many at once. What a reader waits for comes first, in the order of asking; what is
 * fetched ahead takes what is left. A range is fetched once for all who want it, and only when there is room for it in the cache:
 *
 *     asked ──► queued ──room and a free slot──► running ──► chunk in the cache
 *                  │ nobody has asked again for a while        │ failed: the partition rests, whoever waits asks again
 *                  ▼                                           ▼
 */
import { abortable, type Clock, isLakeError, LakeError, MiB, type Offset } from '../../kernel/index.js';
import type { PartitionLog } from '../../log/index.js';
import type { Logger } from '../../telemetry/index.js';
import type { ColdTier } from '../cold-tier.js';
import { runAfter } from '../deadline.js';
import { type ChunkCache, type ChunkRange, type ChunkRoom, partitionKey } from './chunk-cache.js';
import type { HydrationPace } from './hydration-pace.js';
import type { ReadingPlaces } from './reading-places.js';

/** Bytes asked for at a time, at most: a row group of up to twice the usual size. */
const hydrateBytes = 32 * MiB;
/** The same is never more than this share of the cache, so that several readers find room in a small one. */
const cacheShareMax = 1 / 4;
/** Of a room, what is asked for: one batch may come beyond it, of at most 1 MiB but for single large records. */
const askedShare = 7 / 8;
/** Fetching ahead stops where chunks that are awaited take this share of the cache: the rest is for those who wait. */
const aheadShareMax = 3 / 4;
/** How much smaller than its first records the further ones of a hydration may be. */
const reachSlack = 2;
/** Hydrations under way at once. */
const hydrationsMax = 4;
/** Of these, at most so many ahead of their readers. */
const aheadMax = 3;
/** Ranges that wait; beyond, readers are answered empty and come again. */
const queuedMax = 1024;
/** Who waits asks again with each fetch; clients that fetch less often than this have gone. */
const askedAgainMs = 30_000;
/** A chunk is kept this long for a reader who does not come to read it. */
const idleMs = 60_000;
/** The same where others wait for room: longer than a fetch waits and a consumer usually works on what it got. */
const idleUnderPressureMs = 10_000;
/** After a failed hydration a partition is left alone this long, then this long, so that waiting readers do not spin on it. */
const firstRestMs = 250;
const restMs = 1000;
/** A cold side that neither answers nor fails loses its slot after this. */
const hydrationMaxMs = 300_000;

interface Queued {
  readonly log: PartitionLog;
  readonly offset: Offset;
  isAhead: boolean;
  lastAskedMs: number;
}

export interface Hydration {
  readonly fromOffset: Offset;
  readonly isAhead: boolean;
  /** Offset after the last batch in the cache. */
  nextOffset: Offset;
  /** Where it will end, once the cold side has said so. */
  endOffset: Offset | undefined;
  /** Of the batches in the cache. */
  bytes: number;
  /** Its partition is deleted. */
  isForgotten: boolean;
  readonly controller: AbortController;
  done: Promise<void>;
}

export interface HydrationPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly coldTier: ColdTier;
  readonly cache: ChunkCache;
  readonly places: ReadingPlaces;
  /** Absent: hydrations never rest. */
  readonly pace: HydrationPace | undefined;
  /** Told when a partition's hydration has come further or has ended. */
  readonly onProgress: (key: string) => void;
}

export class Hydrations {
  readonly #ports: HydrationPorts;
  #queue: Queued[] = [];
  readonly #running = new Map<string, Hydration[]>();
  #runningCount = 0;
  #aheadCount = 0;
  /** Failures in a row. */
  readonly #failures = new Map<string, number>();
  /** Monotonic time before which a partition is not hydrated again. */
  readonly #restUntilMs = new Map<string, number>();
  #stopRest: (() => void) | undefined;
  #isClosed = false;
  ended = 0;
  errors = 0;
  bytes = 0;

  constructor(ports: HydrationPorts) {
    this.#ports = ports;
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** Bytes of one hydration, at most about. */
  get hydrateBytes(): number {
    return Math.min(hydrateBytes, Math.max(MiB, Math.floor(this.#ports.cache.maxBytes * cacheShareMax)));
  }

  /** The hydration under way that will bring an offset, as far as one can tell. */
  bringing(key: string, offset: Offset): Hydration | undefined {
    return this.#running.get(key)?.find((one) => mayBring(one, offset, this.hydrateBytes));
  }

  /** Has a range fetched from `offset` on, unless it is on its way. To be asked again while somebody waits. */
  ask(log: PartitionLog, offset: Offset, isAhead: boolean): void {
    const key = keyOf(log);
    const nowMs = this.#ports.clock.monotonicMs();
    if (this.#isClosed || this.bringing(key, offset) !== undefined) return;
    const known = this.#queue.find((one) => one.offset === offset && one.log === log);
    if (known !== undefined) {
      known.lastAskedMs = nowMs;
      known.isAhead &&= isAhead;
    } else {
      if (this.#queue.length >= queuedMax || (this.#restUntilMs.get(key) ?? 0) > nowMs) return;
      this.#queue.push({ log, offset, isAhead, lastAskedMs: nowMs });
    }
    this.startNext();
  }

  /** Starts what can be started. To be called when room may have come free. */
  startNext(): void {
    while (this.#queue.length > 0 && this.#runningCount < hydrationsMax) {
      if (this.#mustRest()) return;
      this.#dropObsolete();
      const next = this.#queue.find((one) => !one.isAhead) ?? this.#queue[0];
      if (next === undefined || (next.isAhead && this.#aheadCount >= aheadMax)) return;
      const room = this.#roomFor(next);
      if (room !== undefined || next.isAhead) this.#queue = this.#queue.filter((one) => one !== next);
      if (room !== undefined) this.#start(next, room);
      else if (!next.isAhead) return;
    }
  }

  /** Ends the hydrations of a partition that is deleted. */
  forget(log: PartitionLog): void {
    const key = keyOf(log);
    this.#queue = this.#queue.filter((one) => one.log !== log);
    for (const hydration of this.#running.get(key) ?? []) {
      hydration.isForgotten = true;
      hydration.controller.abort();
    }
    this.#restUntilMs.delete(key);
    this.#failures.delete(key);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#queue = [];
    this.#stopRest?.();
    const running = [...this.#running.values()].flat();
    for (const hydration of running) hydration.controller.abort();
    await Promise.all(running.map((hydration) => hydration.done));
  }

  /** Whether nothing may begin yet; if so this comes back by itself. */
  #mustRest(): boolean {
    const { pace } = this.#ports;
    const waitMs = pace === undefined ? 0 : pace.waitMs();
    if (waitMs === 0) return false;
    if (this.#stopRest !== undefined || waitMs === undefined) return true;
    this.#stopRest = runAfter(this.#ports.clock, waitMs, () => {
      this.#stopRest = undefined;
      this.startNext();
    });
    return true;
  }

  /** Takes out of the queue what has come meanwhile, or nobody waits for any more. */
  #dropObsolete(): void {
    const { cache, clock } = this.#ports;
    const sinceMs = clock.monotonicMs() - askedAgainMs;
    this.#queue = this.#queue.filter(
      ({ log, offset, lastAskedMs }) =>
        lastAskedMs >= sinceMs &&
        offset < log.boundary &&
        !cache.has(log.topicId, log.partition, offset) &&
        this.bringing(keyOf(log), offset) === undefined,
    );
  }

  #roomFor({ isAhead }: Queued): ChunkRoom | undefined {
    const { cache } = this.#ports;
    const bytes = this.hydrateBytes;
    const isAwaited = this.#isAwaited(idleMs);
    if (isAhead && cache.awaitedBytes(isAwaited) + bytes > cache.maxBytes * aheadShareMax) return undefined;
    return cache.reserve(bytes, isAwaited) ?? (isAhead ? undefined : cache.reserve(bytes, this.#isAwaited(idleUnderPressureMs)));
  }

  #isAwaited(withinMs: number): (chunk: ChunkRange) => boolean {
    return ({ partitionKey: key, fromOffset, nextOffset }) => this.#ports.places.isAwaited(key, fromOffset, nextOffset, withinMs);
  }

  #start({ log, offset, isAhead }: Queued, room: ChunkRoom): void {
    const key = keyOf(log);
    const hydration: Hydration = {
      fromOffset: offset,
      isAhead,
      nextOffset: offset,
      endOffset: undefined,
      bytes: 0,
      isForgotten: false,
      controller: new AbortController(),
      done: Promise.resolve(),
    };
    this.#running.set(key, [...(this.#running.get(key) ?? []), hydration]);
    this.#runningCount++;
    this.#ports.pace?.begin();
    if (isAhead) this.#aheadCount++;
    hydration.done = this.#run(log, hydration, room);
  }

  async #run(log: PartitionLog, hydration: Hydration, room: ChunkRoom): Promise<void> {
    const { clock, cache } = this.#ports;
    const key = keyOf(log);
    const stopDeadline = runAfter(clock, hydrationMaxMs, () => hydration.controller.abort());
    try {
      await this.#hydrate(log, hydration, room);
      this.ended++;
      this.#failures.delete(key);
    } catch (error) {
      if (!this.#isClosed && !hydration.isForgotten) this.#rest(log, hydration, error);
    } finally {
      stopDeadline();
      cache.release(room);
      const left = (this.#running.get(key) ?? []).filter((other) => other !== hydration);
      if (left.length === 0) this.#running.delete(key);
      else this.#running.set(key, left);
      this.#runningCount--;
      this.#ports.pace?.end();
      if (hydration.isAhead) this.#aheadCount--;
      if (!this.#isClosed) {
        this.#ports.onProgress(key);
        this.startNext();
      }
    }
  }

  /** Leaves a partition alone after a failure, then has those who wait for it ask again. */
  #rest(log: PartitionLog, hydration: Hydration, error: unknown): void {
    const { clock, logger, onProgress } = this.#ports;
    const key = keyOf(log);
    this.errors++;
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    const ms = failures === 1 ? firstRestMs : restMs;
    this.#restUntilMs.set(key, clock.monotonicMs() + ms);
    runAfter(clock, ms, () => {
      this.#restUntilMs.delete(key);
      onProgress(key);
    });
    const facts = { topic: log.topic, partition: log.partition, offset: hydration.fromOffset, failures, error };
    // What passes by itself is said once.
    if (failures === 1 || !isLakeError(error) || !error.retriable) logger.warn('a cold range cannot be hydrated', facts);
    else logger.debug('a cold range cannot be hydrated yet', facts);
  }

  async #hydrate(log: PartitionLog, hydration: Hydration, room: ChunkRoom): Promise<void> {
    const { cache, coldTier, onProgress } = this.#ports;
    const { topicId, partition } = log;
    const { signal } = hydration.controller;
    const writer = await cache.write(topicId, partition, room);
    const hydrated = coldTier.hydrate(
      { topicId, partition, offset: hydration.fromOffset, maxBytes: Math.floor(room.bytes * askedShare) },
      async ({ nextOffset, endOffset, batches }) => {
        signal.throwIfAborted();
        await writer.append(batches);
        hydration.nextOffset = Math.max(hydration.nextOffset, nextOffset);
        hydration.endOffset = endOffset ?? hydration.endOffset;
        hydration.bytes += batches.length;
        this.bytes += batches.length;
        onProgress(keyOf(log));
      },
      signal,
    );
    try {
      // A cold side that does not hear the signal is not waited for.
      await abortable(hydrated, signal, () => new LakeError('cancelled', 'the hydration was given up'));
    } finally {
      // What has arrived is whole batches in order, and stays.
      writer.close();
    }
    if (hydration.nextOffset <= hydration.fromOffset) {
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
}

/**
 * Whether a hydration will either bring an offset or end soon, and then be asked again: it began at or before the offset, has not
 * passed it, and comes as far: as the cold side has said, or at the rate of what has come so far, or nearly.
 */
function mayBring({ fromOffset, nextOffset, endOffset, bytes }: Hydration, offset: Offset, wantedBytes: number): boolean {
  if (offset < fromOffset || offset < nextOffset) return false;
  if (endOffset !== undefined) return offset < endOffset;
  const reach = bytes === 0 ? Number.POSITIVE_INFINITY : ((nextOffset - fromOffset) * wantedBytes * reachSlack) / bytes;
  return offset < fromOffset + reach;
}

function keyOf(log: PartitionLog): string {
  return partitionKey(log.topicId, log.partition);
}
