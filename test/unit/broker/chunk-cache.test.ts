import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChunkCache, type ChunkRoom } from '../../../src/broker/cold/chunk-cache.js';
import { type Disk, type DiskFile, freshId, systemDisk, systemRandom, topicId } from '../../../src/kernel/index.js';
import { batchBaseOffset, encodeBatch } from '../../../src/wire/index.js';

const topic = topicId(freshId((length) => systemRandom.bytes(length)));
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'thermocline-chunks-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((cache) => cache.close()));
  await rm(dir, { recursive: true, force: true });
});

const opened: ChunkCache[] = [];
async function openCache(maxBytes: number): Promise<ChunkCache> {
  const cache = await ChunkCache.open({ dir, maxBytes });
  opened.push(cache);
  return cache;
}

/** A batch of two records at `baseOffset`. */
function batch(baseOffset: number, valueBytes = 100): Buffer {
  const record = { timestampMs: 1, key: null, value: Buffer.alloc(valueBytes) };
  return encodeBatch({ baseOffset, records: [record, record] });
}

const nobody = (): boolean => false;
const roomFor = (cache: ChunkCache, bytes: number): ChunkRoom => cache.reserve(bytes, nobody) ?? expect.unreachable('there is room');

async function fill(cache: ChunkCache, partition: number, baseOffsets: readonly number[]): Promise<void> {
  const writer = await cache.write(topic, partition, roomFor(cache, baseOffsets.length * batch(0).length));
  for (const base of baseOffsets) await writer.append(batch(base));
  writer.close();
}

describe('the chunk cache', () => {
  it('serves whole batches from the one that covers the offset, within the bytes asked for', async () => {
    const cache = await openCache(1 << 20);
    await fill(cache, 0, [10, 12, 14, 16]);
    const { length } = batch(10);
    const read = await cache.read(topic, 0, 13, 2 * length, { isMinOneBatch: true, endOffset: 100 });
    expect(read).toMatchObject({ bytes: 2 * length, nextOffset: 16, chunkNextOffset: 18, chunkLeftBytes: length });
    expect(batchBaseOffset(read!.chunks[0]!, 0)).toBe(12);
    expect(await cache.read(topic, 0, 9, length, { isMinOneBatch: true, endOffset: 100 })).toBeUndefined();
    expect(await cache.read(topic, 0, 18, length, { isMinOneBatch: true, endOffset: 100 })).toBeUndefined();
    expect(await cache.read(topic, 1, 13, length, { isMinOneBatch: true, endOffset: 100 })).toBeUndefined();
  });

  it('gives one batch larger than the limit only to the first partition of a fetch', async () => {
    const cache = await openCache(1 << 20);
    await fill(cache, 0, [10]);
    expect((await cache.read(topic, 0, 10, 1, { isMinOneBatch: true, endOffset: 100 }))?.bytes).toBe(batch(10).length);
    expect(await cache.read(topic, 0, 10, 1, { isMinOneBatch: false, endOffset: 100 })).toMatchObject({ bytes: 0, nextOffset: 10 });
  });

  it('serves what has arrived while the rest is still written', async () => {
    const cache = await openCache(1 << 20);
    const writer = await cache.write(topic, 0, roomFor(cache, 1000));
    expect(cache.has(topic, 0, 10)).toBe(false);
    await writer.append(Buffer.concat([batch(10), batch(12)]));
    expect(cache.has(topic, 0, 13)).toBe(true);
    await writer.append(batch(20));
    expect(cache.has(topic, 0, 21)).toBe(true);
    writer.close();
  });

  it('stays within its bound, the least recently read that nobody awaits first out', async () => {
    const { length } = batch(0);
    const cache = await openCache(3 * length);
    for (const base of [0, 2, 4]) await fill(cache, 0, [base]);
    await cache.read(topic, 0, 0, length, { isMinOneBatch: true, endOffset: 100 });
    await fill(cache, 0, [6]);
    expect([0, 2, 4, 6].map((offset) => cache.has(topic, 0, offset))).toEqual([true, false, true, true]);
    expect(cache.bytes).toBe(3 * length);
    await expect.poll(async () => (await readdir(dir)).length).toBe(3);
  });

  it('drops neither what is awaited nor what is being written, and has no room then', async () => {
    const { length } = batch(0);
    const cache = await openCache(3 * length);
    for (const base of [0, 2]) await fill(cache, 0, [base]);
    const writing = await cache.write(topic, 0, roomFor(cache, length));
    await writing.append(batch(4));
    expect(cache.reserve(1, () => true)).toBeUndefined();
    expect(cache.reserve(2 * length, ({ fromOffset }) => fromOffset === 0)).toBeUndefined();
    expect([0, 2, 4].map((offset) => cache.has(topic, 0, offset))).toEqual([true, false, true]);
    writing.close();
    expect(cache.reserve(2 * length, ({ fromOffset }) => fromOffset === 0)).toBeDefined();
    expect([0, 4].map((offset) => cache.has(topic, 0, offset))).toEqual([true, false]);
    expect(cache.awaitedBytes(({ fromOffset }) => fromOffset === 0)).toBe(3 * length);
  });

  it('counts room that is set aside until it is used or given back, and takes more than was set aside', async () => {
    const { length } = batch(0);
    const cache = await openCache(4 * length);
    const room = roomFor(cache, 2 * length);
    expect(cache.reserve(3 * length, nobody)).toBeUndefined();
    const writer = await cache.write(topic, 0, room);
    for (const base of [0, 2, 4]) await writer.append(batch(base));
    expect(cache.awaitedBytes(nobody)).toBe(3 * length);
    writer.close();
    expect(cache.bytes).toBe(3 * length);
    expect(cache.reserve(length, () => true)).toBeDefined();
    const other = await openCache(length);
    expect(other.reserve(5 * length, nobody)).toBeDefined();
  });

  it('finishes a read of a chunk that is dropped meanwhile', async () => {
    const cache = await openCache(1 << 20);
    await fill(cache, 0, [0]);
    const reading = cache.read(topic, 0, 0, 1 << 20, { isMinOneBatch: true, endOffset: 100 });
    cache.drop(topic);
    expect((await reading)?.bytes).toBe(batch(0).length);
    expect(cache.has(topic, 0, 0)).toBe(false);
    expect(cache.bytes).toBe(0);
  });

  it('refuses what is not whole batches in order', async () => {
    const cache = await openCache(1 << 20);
    const writer = await cache.write(topic, 0, roomFor(cache, 1000));
    await expect(writer.append(batch(0).subarray(0, 80))).rejects.toThrow(/whole batch/);
    await writer.append(batch(4));
    await expect(writer.append(batch(2))).rejects.toThrow(/overlap/);
    writer.close();
  });

  it('is empty after a start', async () => {
    const cache = await openCache(1 << 20);
    await fill(cache, 0, [0]);
    await openCache(1 << 20);
    expect(await readdir(dir)).toEqual([]);
  });

  it('gives what was written last out of memory, within a bound, once; after that from disk', async () => {
    let reads = 0;
    const disk: Disk = {
      ...systemDisk,
      open: async (path, flags, mode) => {
        const file = await systemDisk.open(path, flags, mode);
        const counted: DiskFile = Object.create(file, {
          read: { value: (...args: Parameters<DiskFile['read']>) => ((reads += 1), file.read(...args)) },
          write: { value: file.write.bind(file) },
          close: { value: file.close.bind(file) },
        });
        return counted;
      },
    };
    const cache = await ChunkCache.open({ dir, maxBytes: 64 << 20, disk });
    opened.push(cache);
    const part = (base: number): Buffer => batch(base, 500_000);
    const { length } = part(0);
    const writer = await cache.write(topic, 0, roomFor(cache, 20 * length));
    const readOf = async (base: number): Promise<void> => {
      const found = await cache.read(topic, 0, base, length, { isMinOneBatch: true, endOffset: 100 });
      expect(found?.chunks[0]?.equals(part(base))).toBe(true);
    };
    await writer.append(part(0));
    await readOf(0);
    expect(reads).toBe(0);
    await readOf(0);
    expect(reads).toBe(1);
    // Eight of a megabyte fit; what comes after them is read from disk.
    for (let base = 2; base < 22; base += 2) await writer.append(part(base));
    for (let base = 2; base < 22; base += 2) await readOf(base);
    expect(reads).toBe(1 + 10 - Math.floor((8 << 20) / length));
    // What many reads have passed over makes room for what comes now.
    for (let base = 22; base < 38; base += 2) await writer.append(part(base));
    for (let i = 0; i < 70; i++) await readOf(0);
    await writer.append(part(38));
    const before = reads;
    await readOf(38);
    expect(reads).toBe(before);
    await readOf(22);
    expect(reads).toBe(before + 1);
    writer.close();
  });
});
