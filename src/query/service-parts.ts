/**
 * What the query service is made of: engines, the tail's chunks, the cold cache, tables and notes of cold files, opened together under
 * one folder, made warm before the first question, and closed in the order in which they need each other.
 */
import { join } from 'node:path';
import type { LogReader } from '../client/index.js';
import type { ColumnWorkers } from '../columns/index.js';
import { type Clock, KiB, type Random } from '../kernel/index.js';
import { LocalCache, type ObjectStore } from '../objects/index.js';
import type { Logger } from '../telemetry/index.js';
import { ColdReads } from './cold/cold-reads.js';
import { FootersAhead } from './cold/footers-ahead.js';
import { EnginePool } from './engine.js';
import { ColdNotes } from './keys/cold-notes.js';
import type { ControlPort } from './pin.js';
import type { ServiceLimits } from './query-limits.js';
import { QueryQueue } from './query-queue.js';
import { Tables } from './tables.js';
import { TailCache } from './tail.js';
import { TokenHandles } from './token-handles.js';
import { viewPrelude } from './views.js';

/** Queries that wait for an engine, and how long, where nothing else is said; others are refused with `overloaded`. */
const queueDefaults = { waiting: 32, waitMs: 10_000 };
/** Last rows of keys may take such a part of what the cache of cold files may. */
const lastRowsShare = 4;
/** And those of whole topics. */
const mergedRowsShare = 8;
/** A smaller cold file is read in no time, and compacted soon. */
const lastRowsFileBytesMin = 256 * KiB;
/** Engines and a column worker are started so long after the service: until then the other roles start as well. */
const warmUpDelayMs = 100;
/** Tables that are loaded before anyone has asked of them. */
const warmTablesMax = 100;

export interface QueryServiceOptions {
  readonly store: ObjectStore;
  readonly reader: LogReader;
  readonly control: ControlPort;
  readonly workers: ColumnWorkers;
  /** A folder of this service alone; its contents may be deleted while it does not run. */
  readonly cacheDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits: ServiceLimits;
  /** Chunks of the tail whose raw file is smaller are never given typed columns of their own; default 1 MiB. */
  readonly tailEncodeBytesMin?: number;
  /** Cold files up to this are fetched whole; default 1 MiB. */
  readonly coldWholeBytesMax?: number;
  /** Of smaller cold files the last row of each key is not kept; default 256 KiB. */
  readonly lastRowsFileBytesMin?: number;
  /** So many cold files make it worth while to keep the last row of each key of all of them in one; default 8. */
  readonly mergedFilesMin?: number;
  /** Where long tokens are kept for as long as there is room; left out, every answer carries its token itself, however long. */
  readonly tokenDir?: string;
  /** False where no log is hot: then nothing is made ready for one. */
  readonly hasTail?: boolean;
}

export interface ServiceParts {
  readonly pool: EnginePool;
  readonly tails: TailCache;
  readonly cold: LocalCache;
  readonly coldReads: ColdReads;
  readonly tables: Tables;
  readonly footersAhead: FootersAhead;
  readonly notes: ColdNotes;
  readonly turns: QueryQueue;
  readonly handles: TokenHandles | undefined;
}

/** Empties the caches of an earlier process. */
export async function openParts(options: QueryServiceOptions): Promise<ServiceParts> {
  const { cacheDir, limits, clock, logger, reader, workers, random, store } = options;
  const pool = await EnginePool.open({
    directory: join(cacheDir, 'leases'),
    engines: limits.concurrency,
    memoryBytes: limits.memoryBytes,
    niceness: limits.niceness ?? 0,
    spillBytes: Math.floor((limits.spillBytes ?? limits.cacheBytes) / limits.concurrency),
    prelude: viewPrelude,
    clock,
    logger,
  });
  const tails = await TailCache.open({
    reader,
    workers,
    directory: join(cacheDir, 'tail'),
    bytesMax: limits.cacheBytes,
    random,
    logger,
    ...(options.tailEncodeBytesMin === undefined ? {} : { encodeBytesMin: options.tailEncodeBytesMin }),
  });
  const cold = await LocalCache.open({ store, dir: join(cacheDir, 'cold'), maxBytes: limits.cacheBytes });
  const coldReads = new ColdReads(cold, store, options.coldWholeBytesMax);
  const { concurrency: running, queueMax = queueDefaults.waiting, queueWaitMs = queueDefaults.waitMs } = limits;
  const turns = new QueryQueue({ running, waiting: queueMax, waitMs: queueWaitMs }, clock);
  const sizes = {
    lastRowsBytesMax: Math.floor(limits.cacheBytes / lastRowsShare),
    fileBytesMin: options.lastRowsFileBytesMin ?? lastRowsFileBytesMin,
    mergedRowsBytesMax: Math.floor(limits.cacheBytes / mergedRowsShare),
    newFilesMin: options.mergedFilesMin,
  };
  const notes = await ColdNotes.open(cacheDir, sizes, coldReads, {
    enter: (giveWay, signal) => turns.enterBehind(giveWay, signal),
    claim: (signal) => pool.claim(signal),
    timeoutMs: limits.timeoutMs,
    clock,
    logger,
  });
  const handles = options.tokenDir === undefined ? undefined : await TokenHandles.open(options.tokenDir, clock);
  const footersAhead = new FootersAhead({
    learn: (file, signal) => coldReads.learn(file, { requests: 0, bytes: 0 }, signal),
    hasRoom: () => coldReads.hasRoomForFooters,
    logger,
  });
  const tables = new Tables(store, { clock, random }, logger, limits.snapshotUsableMs, (snapshot) => footersAhead.want(snapshot));
  return { pool, tails, cold, coldReads, tables, footersAhead, notes, turns, handles };
}

/** Starts what the first query would wait for, once the service that these are part of is up. Its failure is logged: it costs time only. */
export async function warmUp(parts: ServiceParts, options: QueryServiceOptions, signal: AbortSignal): Promise<void> {
  try {
    await options.clock.sleep(warmUpDelayMs, signal);
    parts.pool.start();
    if (options.hasTail === false) return;
    await parts.tails.warmUp(signal);
    // One after the other: a query's own goes between.
    const { clusterId, topics } = await options.control.call('broker.describe', {}, { signal });
    for (const topic of topics.filter(({ isInternal }) => !isInternal).slice(0, warmTablesMax))
      await parts.tables.snapshot(clusterId, topic, signal);
  } catch (error) {
    if (!signal.aborted) options.logger.warn('the first query will be slower', { error: (error as Error).message });
  }
}
