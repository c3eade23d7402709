/** What tests of compaction share: keyed batches, what is left of them, and a compactor in the test's own thread. */
import { type Disk, systemDisk } from '../../../src/kernel/index.js';
import type { Compactor, LogConfig, PartitionLog } from '../../../src/log/index.js';
import { compactSegments } from '../../../src/log/compact-segments.js';
import { swapSegmentsSync } from '../../../src/log/compaction-swap.js';
import { type BatchFields, decodeBatch, encodeBatch, walkBatches } from '../../../src/wire/index.js';
import { looseConfig } from './hot-world.js';

export const compactedConfig: LogConfig = {
  ...looseConfig,
  isTiered: false,
  compaction: { deleteRetentionMs: 1_000_000, minLagMs: 0, maxLagMs: Number.MAX_SAFE_INTEGER, minDirtyRatio: 0 },
};

/** Works where it is called, on any disk. */
export function directCompactor(disk: Disk = systemDisk): Compactor {
  return {
    compact: async (job, onGroup, signal) => {
      const groups: (() => Promise<void>)[] = [];
      const result = compactSegments(
        disk,
        job,
        () => undefined,
        (group) => groups.push(() => onGroup(group)),
      );
      for (const group of groups) await group();
      signal.throwIfAborted();
      return result;
    },
    swap: async (swap) => swapSegmentsSync(disk, swap),
    close: async () => undefined,
  };
}

export interface KeyedRecord {
  readonly key: string | null;
  /** `null`: a tombstone. */
  readonly value: string | null;
  readonly timestampMs: number;
}

/** `a=1`, `a` alone is a tombstone, `=1` has no key. */
export function record(text: string, timestampMs = 1000): KeyedRecord {
  const [key, value] = text.split('=') as [string, string | undefined];
  return { key: key === '' ? null : key, value: value ?? null, timestampMs };
}

export function keyed(records: readonly KeyedRecord[], fields: BatchFields = {}): Buffer {
  return encodeBatch({
    ...fields,
    records: records.map(({ key, value, timestampMs }) => ({
      timestampMs,
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      headers: [{ key: 'h', value: Buffer.from(key ?? '-') }],
    })),
  });
}

/** A batch of `a=1 b=2 c`. */
export function keyedBatch(texts: string, fields: BatchFields & { readonly timestampMs?: number } = {}): Buffer {
  return keyed(
    texts.split(' ').map((text) => record(text, fields.timestampMs)),
    fields,
  );
}

export interface LeftRecord extends KeyedRecord {
  readonly offset: number;
  readonly header: string;
}

export function leftIn(bytes: Buffer): LeftRecord[] {
  const left: LeftRecord[] = [];
  walkBatches(bytes, (at) => {
    for (const { offset, key, value, timestampMs, headers } of decodeBatch(bytes, at)) {
      left.push({
        offset,
        key: key === null ? null : String(key),
        value: value === null ? null : String(value),
        timestampMs,
        header: headers.map((header) => `${String(header.key)}:${String(header.value)}`).join(),
      });
    }
  });
  return left;
}

/** All bytes of a partition from an offset on, read in steps of `maxBytes`. */
export async function bytesOf(partition: PartitionLog, from: number = partition.localStartOffset, maxBytes = 1 << 20): Promise<Buffer> {
  const found: Buffer[] = [];
  let next = from;
  while (next < partition.logEndOffset) {
    const { chunks } = await partition.read(next, maxBytes, { isMinOneBatch: true });
    if (chunks.length === 0) break;
    for (const chunk of chunks) {
      found.push(chunk);
      walkBatches(chunk, (at) => {
        next = Number(chunk.readBigInt64BE(at)) + chunk.readInt32BE(at + 23) + 1;
      });
    }
  }
  return Buffer.concat(found);
}

/** `0:a=1 3:b` */
export async function shown(partition: PartitionLog, from?: number): Promise<string> {
  return leftIn(await bytesOf(partition, from))
    .map(({ offset, key, value }) => `${offset}:${key ?? ''}${value === null ? '' : `=${value}`}`)
    .join(' ');
}
