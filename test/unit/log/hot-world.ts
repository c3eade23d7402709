/** What tests of the hot log share: temporary folders, batches, and a log on them that is opened again and again. */
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Clock, type Disk, type Random, systemClock, topicId, topicName } from '../../../src/kernel/index.js';
import {
  type Compactor,
  type Flusher,
  type HotLog,
  type HotLogOptions,
  type LogConfig,
  openHotLog,
  type PartitionLog,
} from '../../../src/log/index.js';
import type { Logger } from '../../../src/telemetry/index.js';
import { type BatchFields, decodeBatch, encodeBatch, walkBatches } from '../../../src/wire/index.js';

export const topic = topicName('flights');
export const topicKey = topicId('7Qm0V4nQTMmTsA3nU8qR2w');
export const partitionFolder = 'flights-0';

export const looseConfig: LogConfig = {
  segmentBytes: 1 << 30,
  segmentMs: 7 * 86_400_000,
  indexIntervalBytes: 4096,
  maxMessageBytes: 1 << 20,
  retentionMs: -1,
  retentionBytes: -1,
  localRetentionMs: -1,
  localRetentionBytes: -1,
  isTiered: true,
  timestampBeforeMaxMs: Number.MAX_SAFE_INTEGER,
  timestampAfterMaxMs: 3_600_000,
};

export async function temporaryFolder(): Promise<string> {
  const folder = await fs.mkdtemp(join(tmpdir(), 'hot-log-'));
  // A hook of this module would be that of the first file alone which loads it.
  onTestFinished(() => fs.rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A log folder as it lies there now, in a folder of its own: what a kill at this moment leaves behind. */
export async function copyOf(dir: string): Promise<string> {
  const copy = join(await temporaryFolder(), 'log');
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const target = join(copy, relative(dir, entry.parentPath), entry.name);
    mkdirSync(dirname(target), { recursive: true });
    try {
      copyFileSync(join(entry.parentPath, entry.name), target);
    } catch (error) {
      // A flush worker has renamed or removed it meanwhile, as it might before a kill.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return copy;
}

export function clockAt(start: number): Clock & { nowIs: number } {
  const clock = { nowIs: start, nowMs: () => clock.nowIs, monotonicMs: () => clock.nowIs, sleep: (ms: number) => systemClock.sleep(ms) };
  return clock;
}

export interface WorldPorts {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Flush workers have the system's own all the same. */
  readonly disk?: Disk;
  readonly compactor?: Compactor;
  readonly flusher?: Flusher;
  readonly logger?: Logger;
}

export async function openIn(dir: string, options: Partial<HotLogOptions> & WorldPorts = {}): Promise<HotLog> {
  const { clock = systemClock, random, disk, compactor, flusher, logger, ...rest } = options;
  const given = Object.entries({ random, disk, compactor, flusher, logger }).filter(([, port]) => port !== undefined);
  const log = await openHotLog(
    { dir, flushPolicy: 'group-commit', flushWorkers: 1, producerIdExpirationMs: 86_400_000, ...rest },
    { clock, ...Object.fromEntries(given) },
  );
  onTestFinished(() => log.close().catch(() => undefined));
  return log;
}

export interface World {
  readonly dir: string;
  readonly log: HotLog;
  readonly partition: PartitionLog;
}

/** A fresh log with one partition, or the one that is in `dir`. */
export async function world(
  config: Partial<LogConfig> = {},
  dir?: string,
  options: Partial<HotLogOptions> & WorldPorts = {},
): Promise<World> {
  const folder = dir ?? join(await temporaryFolder(), 'log');
  const log = await openIn(folder, options);
  const [partition] = await log.createPartitions(topic, topicKey, [0], { ...looseConfig, ...config });
  return { dir: folder, log, partition };
}

export interface BatchWishes extends BatchFields {
  readonly count?: number;
  readonly timestampMs?: number;
  readonly timestamps?: readonly number[];
  readonly valueBytes?: number;
  readonly value?: string;
}

/** A batch of `count` records with values `v0`, `v1` … or the text given. */
export function batch(wishes: BatchWishes = {}): Buffer {
  const { count = wishes.timestamps?.length ?? 1, timestampMs = 1000, timestamps, valueBytes, value, ...fields } = wishes;
  const records = Array.from({ length: count }, (_none, i) => ({
    timestampMs: timestamps?.[i] ?? timestampMs,
    key: null,
    value: valueBytes === undefined ? Buffer.from(value ?? `v${i}`) : Buffer.alloc(valueBytes, i),
  }));
  return encodeBatch({ ...fields, records });
}

/** An idempotent producer's batch. */
export function sequenced(producerId: bigint, baseSequence: number, count = 1, producerEpoch = 0): Buffer {
  return batch({ producerId, producerEpoch, baseSequence, count });
}

export interface ReadRecord {
  readonly offset: number;
  readonly value: string;
}

/** Every record from `from` on, read in steps of `maxBytes`. */
export async function readAll(
  partition: PartitionLog,
  from: number = partition.localStartOffset,
  maxBytes = 1 << 20,
): Promise<ReadRecord[]> {
  const found: ReadRecord[] = [];
  let next = from;
  while (next < partition.logEndOffset) {
    const { chunks } = await partition.read(next, maxBytes, { isMinOneBatch: true });
    for (const chunk of chunks) {
      walkBatches(chunk, (at) => {
        for (const record of decodeBatch(chunk, at)) {
          if (record.offset >= next) found.push({ offset: record.offset, value: String(record.value) });
          next = Math.max(next, record.offset + 1);
        }
      });
    }
    if (chunks.length === 0) break;
  }
  return found;
}

export function values(records: readonly ReadRecord[]): string[] {
  return records.map((record) => record.value);
}

export async function files(dir: string, suffix = ''): Promise<string[]> {
  return (await fs.readdir(join(dir, partitionFolder))).filter((name) => name.endsWith(suffix)).sort();
}

/** What a partition says of itself, as a plain object. */
export function state(partition: PartitionLog | undefined): Record<string, unknown> {
  if (partition === undefined) return {};
  const { topicId, logStartOffset, localStartOffset, boundary, flushedOffset, logEndOffset, leaderEpoch, hotBytes, segmentCount, offline } =
    partition;
  return { topicId, logStartOffset, localStartOffset, boundary, flushedOffset, logEndOffset, leaderEpoch, hotBytes, segmentCount, offline };
}
