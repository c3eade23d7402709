// What a read of a segment answers where something outside the checksums of its batches is wrong: a base offset, a length.
import * as fs from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MiB } from '../../../src/kernel/index.js';
import { ReadPlaces, type ReadRequest, readBatches } from '../../../src/log/batch-reads.js';
import { OpenFiles } from '../../../src/log/segment-file.js';
import { SegmentList } from '../../../src/log/segment-list.js';
import { IndexCache, Segment } from '../../../src/log/segment.js';
import { batchAt, batchBaseOffset, batchLastOffset, patchBatch } from '../../../src/wire/index.js';
import { batch, temporaryFolder } from './hot-world.js';

const baseOffset = 1000;
const count = 10;
const damaged = expect.objectContaining({ code: 'log-damaged' }) as Error;
const opened: Segment[] = [];

afterEach(() => {
  for (const { file } of opened.splice(0)) {
    file.giveUp();
    file.release();
  }
});

interface Written {
  readonly segments: SegmentList;
  readonly positions: readonly number[];
  /** Changes the bytes of a batch in the file. */
  readonly alter: (which: number, change: (bytes: Buffer) => void) => void;
  /** How many bytes a read answers, and the base offset of the first batch. */
  readonly read: (offset: number, request?: Partial<ReadRequest>) => Promise<{ readonly bytes: number; readonly base: number | undefined }>;
}

/** A segment of batches of ten records, each of whose values has so many bytes. */
async function written(batches: number, valueBytes = 1, indexIntervalBytes = 4096): Promise<Written> {
  const ports = { openFiles: new OpenFiles(), indexCache: new IndexCache() };
  const segment = Segment.createSync(await temporaryFolder(), baseOffset, ports, { nowMs: 1, indexIntervalBytes });
  segment.file.retain();
  opened.push(segment);
  const positions: number[] = [];
  for (let i = 0; i < batches; i++) {
    const bytes = batch({ count, valueBytes });
    positions.push(segment.bytes);
    patchBatch(bytes, 0, segment.nextOffset, 0);
    segment.file.appendSync(bytes);
    segment.note(positions[i]!, bytes.length, batchLastOffset(bytes, 0), 1000, 1);
  }
  const segments = new SegmentList([segment]);
  const places = new ReadPlaces();
  const { path } = segment.file;
  return {
    segments,
    positions,
    alter: (which, change) => {
      const bytes = fs.readFileSync(path);
      change(bytes.subarray(positions[which]));
      fs.writeFileSync(path, bytes, { flag: 'r+' });
    },
    read: async (offset, request) => {
      const asked = { offset, endOffset: segment.nextOffset, maxBytes: 1, isMinOneBatch: true, ...request };
      const { chunks, bytes } = await readBatches(segments, places, asked);
      return { bytes, base: chunks[0] === undefined ? undefined : batchBaseOffset(chunks[0], 0) };
    },
  };
}

const lower = (by: number) => (bytes: Buffer) => void bytes.writeBigInt64BE(bytes.readBigInt64BE() - BigInt(by));

describe('a base offset that was lowered', () => {
  it.each([1, 8, 10, 512])('by %i is never given to a reader at the beginning of a segment', async (by) => {
    const { alter, read } = await written(3);
    alter(0, lower(by));
    await expect(read(baseOffset)).rejects.toEqual(damaged);
    await expect(read(baseOffset + 3)).rejects.toEqual(damaged);
  });

  it.each([1, 8, 10, 512])('by %i is never given to a reader who goes on there', async (by) => {
    const { alter, read, positions } = await written(6);
    expect(await read(baseOffset + 2 * count)).toEqual({ bytes: positions[1], base: baseOffset + 2 * count });
    alter(3, lower(by));
    await expect(read(baseOffset + 3 * count)).rejects.toEqual(damaged);
  });

  it.each([1, 8, 10, 512])('by %i is never given to a reader who has just read what is before', async (by) => {
    const { alter, read, positions } = await written(2, MiB / 2);
    expect((await read(baseOffset, { maxBytes: 16 * MiB })).bytes).toBe(2 * positions[1]!);
    alter(1, lower(by));
    await expect(read(baseOffset, { maxBytes: 16 * MiB })).rejects.toEqual(damaged);
  });

  it.each([4096, 1])('is never given to a reader who looks for any of its offsets, with an index entry each %i bytes', async (interval) => {
    for (const by of [1, 8, 10, 512]) {
      const { alter, read } = await written(6, 1, interval);
      alter(3, lower(by));
      for (let offset = baseOffset + 3 * count; offset < baseOffset + 4 * count; offset++)
        await expect(read(offset)).rejects.toEqual(damaged);
    }
  });
});

it('a reader within a batch who had no room for it is answered with it when there is room', async () => {
  const { read, positions } = await written(3);
  const offset = baseOffset + count + 3;
  for (const maxBytes of [0, 100]) expect((await read(offset, { maxBytes, isMinOneBatch: false })).bytes).toBe(0);
  expect(await read(offset)).toEqual({ bytes: positions[1], base: baseOffset + count });
});

describe('a batch that is larger than there is room for', () => {
  it('is read whole where it is the first', async () => {
    const { read, positions } = await written(2, MiB / 2);
    expect(await read(baseOffset)).toEqual({ bytes: positions[1], base: baseOffset });
    expect((await read(baseOffset, { isMinOneBatch: false })).bytes).toBe(0);
  });

  it.each([
    ['of a few bytes more', 40],
    ['up to the end of the segment', undefined],
  ])('for its length is damaged (%s), and is given to no reader', async (_what, more) => {
    const { alter, read, segments } = await written(8, MiB / 8);
    const { bytes } = segments.active;
    alter(0, (at) =>
      at.writeInt32BE(more === undefined ? bytes - batchAt.leaderEpoch : at.readInt32BE(batchAt.length) + more, batchAt.length),
    );
    const allocated = vi.spyOn(Buffer, 'allocUnsafe');
    try {
      await expect(read(baseOffset)).rejects.toEqual(damaged);
      expect(bytes).toBeGreaterThan(8 * MiB);
      expect(Math.max(...allocated.mock.calls.map(([size]) => size))).toBeLessThanOrEqual(4 * MiB);
    } finally {
      allocated.mockRestore();
    }
  });
});
