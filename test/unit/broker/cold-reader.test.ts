import { afterEach, describe, expect, it } from 'vitest';
import type { ColdTier } from '../../../src/broker/cold-tier.js';
import { ChunkCache } from '../../../src/broker/cold/chunk-cache.js';
import { ColdReader } from '../../../src/broker/cold/cold-reader.js';
import { HydrationPace } from '../../../src/broker/cold/hydration-pace.js';
import { KiB, MiB, systemClock, topicId } from '../../../src/kernel/index.js';
import type { PartitionLog } from '../../../src/log/index.js';
import { silentLogger } from '../../../src/telemetry/index.js';
import { encodeBatch } from '../../../src/wire/index.js';
import { ManualClock } from './manual-clock.js';
import { noColdTier, temporaryFolder } from './broker-fixture.js';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A batch of one record. */
function batchAt(offset: number, bytes: number): Buffer {
  const batch = encodeBatch({ records: [{ timestampMs: 1, key: null, value: Buffer.alloc(bytes) }] });
  batch.writeBigInt64BE(BigInt(offset), 0);
  return batch;
}

function partition(number: number, boundary: number): PartitionLog {
  return { topicId: topicId('7Qm0V4nQTMmTsA3nU8qR2w'), partition: number, boundary, localStartOffset: boundary } as PartitionLog;
}

async function open(hydrate: ColdTier['hydrate'], cacheBytes: number, clock = systemClock, pace?: HydrationPace): Promise<ColdReader> {
  const cache = await ChunkCache.open({ dir: await temporaryFolder(), maxBytes: cacheBytes });
  const ports = { clock, logger: silentLogger, coldTier: { ...noColdTier, hydrate }, cache };
  const reader = new ColdReader(pace === undefined ? ports : { ...ports, pace });
  closing.push(async () => {
    await reader.close();
    await cache.close();
  });
  return reader;
}

const recordBytes = 64 * KiB;

/** A cold side with a record of 64 KiB at every offset, that stops as a row group does: where an offset divides by `groupRecords`. */
function endless(asked: [partition: number, offset: number][], groupRecords = 16): ColdTier['hydrate'] {
  return async ({ partition: number, offset, maxBytes }, onPart, signal) => {
    asked.push([number, offset]);
    const endOffset = Math.min(offset + Math.ceil(maxBytes / recordBytes), Math.ceil((offset + 1) / groupRecords) * groupRecords);
    for (let next = offset; next < endOffset; next++) {
      signal.throwIfAborted();
      await onPart({ baseOffset: next, nextOffset: next + 1, endOffset, batches: batchAt(next, recordBytes) });
    }
    return { nextOffset: endOffset };
  };
}

/** Reads from one offset up to another, as a consumer does: again and again where there is nothing yet. */
async function consume(reader: ColdReader, log: PartitionLog, from: number, to: number, maxBytes = 3 * recordBytes): Promise<number> {
  let bytes = 0;
  for (let offset = from, tries = 0; offset < to; tries++) {
    if (tries > 100_000) throw new Error(`stuck at ${offset}`);
    const found = await reader.read(log, offset, maxBytes, true);
    if (found === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
    else {
      bytes += found.bytes;
      offset = found.nextOffset;
    }
  }
  return bytes;
}

describe('the cold reader', () => {
  it('lets a reader far ahead begin while another’s hydration is still at its beginning', async () => {
    const asked: number[] = [];
    const hydrate: ColdTier['hydrate'] = async ({ offset }, onPart, signal) => {
      asked.push(offset);
      await onPart({ baseOffset: offset, nextOffset: offset + 1, batches: batchAt(offset, MiB) });
      // The bucket takes its time for the rest.
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    };
    const reader = await open(hydrate, 256 * MiB);
    const log = partition(0, 1000);
    const ask = (offset: number): Promise<unknown> => reader.read(log, offset, MiB, true);
    expect(await ask(0)).toBeUndefined();
    await expect.poll(() => reader.isThere(log, 0), { timeout: 10_000 }).toBe(true);
    // What the first brings next is waited for.
    await ask(1);
    expect(asked).toEqual([0]);
    await ask(500);
    await expect.poll(() => reader.isThere(log, 500), { timeout: 10_000 }).toBe(true);
    expect(asked).toEqual([0, 500]);
  });

  it('fetches once what several readers of one range want', async () => {
    const asked: [number, number][] = [];
    const reader = await open(endless(asked), 64 * MiB);
    const log = partition(0, 160);
    await Promise.all([1, 2, 3, 5].map((records) => consume(reader, log, 0, 160, records * recordBytes)));
    expect(asked.map(([, offset]) => offset).sort((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, i) => i * 16));
  });

  it('fetches ahead of a reader in order, and not of one who jumps', async () => {
    const asked: [number, number][] = [];
    const reader = await open(endless(asked), 256 * MiB);
    const log = partition(0, 1600);
    for (const offset of [0, 800, 320, 1200]) await consume(reader, log, offset, offset + 1);
    expect(asked.length).toBe(4);
    asked.length = 0;
    await consume(reader, log, 480, 484, recordBytes);
    await expect.poll(() => reader.isThere(log, 496), { timeout: 10_000 }).toBe(true);
    expect(asked).toEqual([
      [0, 480],
      [0, 496],
    ]);
    // A steady one has two ranges ahead.
    await consume(reader, log, 484, 494, recordBytes);
    await expect.poll(() => reader.isThere(log, 512), { timeout: 10_000 }).toBe(true);
  });

  it('serves more readers than its cache has room for without fetching anything twice', async () => {
    const asked: [number, number][] = [];
    // Four ranges of 1 MiB fit: twelve readers in twelve places take turns.
    const reader = await open(endless(asked), 4 * MiB + 4 * recordBytes);
    const readers = Array.from({ length: 12 }, (_, i) => ({ log: partition(i % 3, 10_000), from: i * 320, to: i * 320 + 64 }));
    const served = await Promise.all(readers.map(({ log, from, to }) => consume(reader, log, from, to)));
    const servedBytes = served.reduce((sum, bytes) => sum + bytes, 0);
    expect(servedBytes).toBeGreaterThanOrEqual(12 * 64 * recordBytes);
    // The ranges that were fetched ahead of the last reads are all that is too much.
    expect(reader.counts.bytes / servedBytes).toBeLessThan(1.3);
    const places = asked.map(String);
    expect(new Set(places).size).toBe(places.length);
  });

  it('gives the room of a reader who does not come back to those who wait', async () => {
    const asked: [number, number][] = [];
    const clock = new ManualClock();
    const reader = await open(endless(asked), 4 * MiB + 4 * recordBytes, clock);
    const gone = [0, 320, 640, 960].map((offset) => [partition(0, 10_000), offset] as const);
    for (const [log, offset] of gone) {
      expect(await reader.read(log, offset, recordBytes, true)).toBeUndefined();
      await expect.poll(() => reader.isThere(log, offset), { timeout: 10_000 }).toBe(true);
    }
    const log = partition(1, 10_000);
    expect(await reader.read(log, 0, recordBytes, true)).toBeUndefined();
    expect(reader.counts.queued).toBe(1);
    expect(reader.isThere(log, 0)).toBe(false);
    await clock.advance(10_001);
    expect(await reader.read(log, 0, recordBytes, true)).toBeUndefined();
    await expect.poll(() => reader.isThere(log, 0), { timeout: 10_000 }).toBe(true);
    expect(gone.filter(([other, offset]) => reader.isThere(other, offset)).length).toBe(3);
  });

  it('hydrates one range at a time, with rests between, while producers write', async () => {
    const pace = new HydrationPace(systemClock);
    const producing = setInterval(() => pace.noteProduced(1), 1);
    let running = 0;
    let most = 0;
    let endedMs = 0;
    const rests: number[] = [];
    const hydrate: ColdTier['hydrate'] = async ({ offset }, onPart) => {
      most = Math.max(most, ++running);
      if (endedMs > 0) rests.push(performance.now() - endedMs);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await onPart({ baseOffset: offset, nextOffset: offset + 1, endOffset: offset + 1, batches: batchAt(offset, recordBytes) });
      running--;
      endedMs = performance.now();
      return { nextOffset: offset + 1 };
    };
    try {
      const reader = await open(hydrate, 256 * MiB, systemClock, pace);
      pace.noteProduced(1);
      await Promise.all([0, 1].map((number) => consume(reader, partition(number, 3), 0, 3)));
      expect(most).toBe(1);
      expect(Math.min(...rests)).toBeGreaterThan(20);
    } finally {
      clearInterval(producing);
    }
  });
});
