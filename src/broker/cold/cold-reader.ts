/**
 * Reads below the local start: from the chunk cache at once, or not yet, while the range is fetched. A reader that goes on in order
 * has the next ranges fetched ahead.
 */
import type { Clock, Offset } from '../../kernel/index.js';
import type { PartitionLog } from '../../log/index.js';
import type { Logger } from '../../telemetry/index.js';
import type { ColdTier } from '../cold-tier.js';
import { type ChunkCache, type ChunkRead, partitionKey } from './chunk-cache.js';
import type { HydrationPace } from './hydration-pace.js';
import { Hydrations } from './hydrations.js';
import { type Place, ReadingPlaces } from './reading-places.js';

/** Reads in order after which more than the next range is fetched ahead. */
const steadySteps = 8;
/** Ranges ahead of such a reader: one is rebuilt while the one before it is sent. */
const rangesAheadMax = 2;

export interface ColdReaderPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly coldTier: ColdTier;
  readonly cache: ChunkCache;
  /** Absent: cold ranges are fetched as fast as they come. */
  readonly pace?: HydrationPace;
}

export class ColdReader {
  readonly #cache: ChunkCache;
  readonly #places: ReadingPlaces;
  readonly #hydrations: Hydrations;
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(ports: ColdReaderPorts) {
    this.#cache = ports.cache;
    this.#places = new ReadingPlaces(ports.clock);
    this.#hydrations = new Hydrations({ ...ports, pace: ports.pace, places: this.#places, onProgress: (key) => this.#tell(key) });
  }

  /** Counted since the start: ended, failed, bytes brought. */
  get counts(): { readonly ended: number; readonly errors: number; readonly bytes: number; readonly queued: number } {
    return this.#hydrations;
  }

  /**
   * What the cache has at `offset`, below the boundary; `undefined` where it has nothing yet, and then a hydration is on
   * its way: `onProgress` tells when to look again.
   */
  async read(log: PartitionLog, offset: Offset, maxBytes: number, isMinOneBatch: boolean): Promise<ChunkRead | undefined> {
    const place = this.#places.at(partitionKey(log.topicId, log.partition), offset);
    const found = await this.#cache.read(log.topicId, log.partition, offset, maxBytes, { isMinOneBatch, endOffset: log.boundary });
    if (found === undefined) {
      this.#hydrations.ask(log, offset, false);
      return undefined;
    }
    if (found.nextOffset > offset) {
      place.nextOffset = found.nextOffset;
      place.steps++;
    }
    if (place.steps > 1) this.#fetchAhead(log, place);
    if (found.chunkLeftBytes === 0) this.#hydrations.startNext();
    return found;
  }

  isThere(log: PartitionLog, offset: Offset): boolean {
    return this.#cache.has(log.topicId, log.partition, offset);
  }

  /** Calls back when a hydration of this partition has come further or has ended. Returns its own removal. */
  onProgress(log: PartitionLog, listener: () => void): () => void {
    const key = partitionKey(log.topicId, log.partition);
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
    this.#places.forget(partitionKey(log.topicId, log.partition));
    this.#hydrations.forget(log);
  }

  close(): Promise<void> {
    return this.#hydrations.close();
  }

  /** Walks the ranges before a reader, and asks for the first that is neither in the cache nor on its way. */
  #fetchAhead(log: PartitionLog, place: Place): void {
    const key = partitionKey(log.topicId, log.partition);
    const ranges = place.steps < steadySteps ? 1 : rangesAheadMax;
    let offset = place.nextOffset;
    for (let ahead = 0; ahead <= ranges; ) {
      const chunk = this.#cache.find(log.topicId, log.partition, offset);
      const under = chunk === undefined ? this.#hydrations.bringing(key, offset) : undefined;
      if (chunk !== undefined) {
        if (chunk.fromOffset > place.nextOffset) {
          place.reachOffset = Math.max(place.reachOffset, chunk.fromOffset);
          ahead++;
        }
        offset = chunk.nextOffset;
      } else if (under !== undefined) {
        if (under.endOffset === undefined) return;
        // What has come of it was walked as a chunk.
        if (under.bytes === 0) ahead++;
        offset = under.endOffset;
      } else {
        if (ahead === ranges || offset >= log.localStartOffset || offset >= log.boundary) return;
        place.reachOffset = Math.max(place.reachOffset, offset);
        this.#hydrations.ask(log, offset, true);
        return;
      }
    }
  }

  #tell(key: string): void {
    for (const listener of this.#waiting.get(key) ?? []) listener();
  }
}
