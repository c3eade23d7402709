/**
 * What the broker does by the clock: rolls, retains, evicts, compacts and scrubs segments, forgets old committed offsets, and watches the free space of its disk, whose
 * two floors decide when caches are dropped and when produce is refused.
 */
import type { ServerConfig } from '../config/index.js';
import { type Clock, type Disk, InvariantError, minuteMs, secondMs, toLakeError } from '../kernel/index.js';
import type { HotLog } from '../log/index.js';
import type { Logger } from '../telemetry/index.js';
import type { ChunkCache } from './cold/chunk-cache.js';
import type { BrokerCounters, DiskState } from './core.js';
import type { GroupCoordinator } from './groups/coordinator.js';

/** A disk that fills at 1 GB/s loses this much between two looks: a fifth of the default floors. */
const diskCheckMs = secondMs / 5;
/** Before the first round of the scrub: a start has other things to do. */
const scrubAfterStartMs = minuteMs;

export interface UpkeepPorts {
  readonly dataDir: string;
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly logger: Logger;
  readonly log: HotLog;
  readonly cache: ChunkCache;
  readonly counters: BrokerCounters;
  readonly groups: GroupCoordinator;
}

export class Upkeep implements DiskState {
  readonly #ports: UpkeepPorts;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #freeBytes = Number.POSITIVE_INFINITY;
  #totalBytes = 0;
  /** Rounds that were asked for, one after the other; never rejects. */
  #asked: Promise<void> = Promise.resolve();
  #isAsked = false;
  #isBelowReserve = false;
  #isBelowLow = false;

  private constructor(ports: UpkeepPorts) {
    this.#ports = ports;
  }

  /** Looks at the disk once, then goes on by the clock until `close`. */
  static async start(ports: UpkeepPorts): Promise<Upkeep> {
    const upkeep = new Upkeep(ports);
    await upkeep.#checkDisk();
    const maintainMs = ports.config.get('log.retention.check.interval.ms');
    upkeep.#running = Promise.all([
      upkeep.#repeat(diskCheckMs, () => upkeep.#checkDisk()),
      upkeep.#repeat(maintainMs, () => upkeep.#maintain()),
      upkeep.#repeat(ports.config.get('offsets.retention.check.interval.ms'), () => upkeep.#expireOffsets()),
      ...(ports.config.get('log.cleaner.enable')
        ? [upkeep.#repeat(ports.config.get('log.cleaner.backoff.ms'), () => upkeep.#compact())]
        : []),
      ...(ports.config.get('log.scrub.bytes.per.second') > 0
        ? [upkeep.#repeat(ports.config.get('log.scrub.interval.ms'), () => upkeep.#scrub(), scrubAfterStartMs)]
        : []),
    ]);
    return upkeep;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  get isBelowReserve(): boolean {
    return this.#isBelowReserve;
  }

  /** Many calls share one round: at most one is waiting. */
  maintainSoon(): void {
    if (this.#isAsked || this.#stop.signal.aborted) return;
    this.#isAsked = true;
    this.#asked = this.#asked.then(async () => {
      this.#isAsked = false;
      if (!this.#stop.signal.aborted) await this.#try(() => this.#maintain());
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#running, this.#asked]);
  }

  async #repeat(everyMs: number, round: () => Promise<void>, firstMs = everyMs): Promise<void> {
    const { signal } = this.#stop;
    let pauseMs = Math.min(firstMs, everyMs);
    while (!signal.aborted) {
      await this.#ports.clock.sleep(pauseMs, signal).catch(() => undefined);
      pauseMs = everyMs;
      if (signal.aborted) return;
      await this.#try(round);
    }
  }

  /** An operating error of one round is this round's alone: the next one tries again. */
  async #try(round: () => Promise<void>): Promise<void> {
    try {
      await round();
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      if (this.#stop.signal.aborted) return;
      this.#ports.logger.error('a round of upkeep failed', { error: toLakeError(error).message });
    }
  }

  async #maintain(): Promise<void> {
    const { log, clock, config, counters, logger } = this.#ports;
    const { segments, bytes } = await log.maintain(clock.nowMs(), config.get('hot.disk.bytes'));
    counters.evictedBytes += bytes;
    if (segments > 0) logger.info('segments dropped', { segments, bytes });
  }

  async #expireOffsets(): Promise<void> {
    const { groups, config, logger } = this.#ports;
    const gone = await groups.expire(config.get('offsets.retention.minutes') * minuteMs, this.#stop.signal);
    if (gone.offsets + gone.groups > 0) logger.info('committed offsets expired', gone);
  }

  /** In its own time, and not while the disk is short: what is written beside must have room before the old can go. */
  async #compact(): Promise<void> {
    const { log, clock, counters } = this.#ports;
    if (this.#isBelowReserve) return;
    const { passes, droppedRecords } = await log.compact(clock.nowMs(), this.#stop.signal);
    counters.compactionPasses += passes;
    counters.compactedRecords += droppedRecords;
  }

  /** Rests while the disk is short, so that the disk has its time for what makes room. */
  async #scrub(): Promise<void> {
    const { log, config } = this.#ports;
    const limits = { bytesPerSecond: config.get('log.scrub.bytes.per.second'), mayGoOn: () => !this.#isBelowReserve };
    await log.scrub(limits, this.#stop.signal);
  }

  async #checkDisk(): Promise<void> {
    const { dataDir, config, logger, cache } = this.#ports;
    const { blocks, bavail, bsize } = await this.#ports.disk.statfs(dataDir);
    this.#freeBytes = bavail * bsize;
    this.#totalBytes = blocks * bsize;
    const isBelowReserve = this.#freeBytes < config.get('disk.reserve.bytes');
    if (isBelowReserve !== this.#isBelowReserve) {
      this.#isBelowReserve = isBelowReserve;
      const facts = { freeBytes: this.#freeBytes, reserveBytes: config.get('disk.reserve.bytes') };
      if (isBelowReserve) logger.error('produce is refused: the disk is below disk.reserve.bytes', facts);
      else logger.info('produce is accepted again: the disk is above disk.reserve.bytes', facts);
    }
    const isBelowLow = this.#freeBytes < config.get('disk.low.bytes');
    if (isBelowLow && (!this.#isBelowLow || cache.bytes > 0)) {
      if (!this.#isBelowLow) logger.warn('the chunk cache is dropped: the disk is below disk.low.bytes', { freeBytes: this.#freeBytes });
      cache.drop();
    }
    this.#isBelowLow = isBelowLow;
  }
}
