import { describe, expect, it } from 'vitest';
import { type Disk, systemDisk } from '../../../src/kernel/index.js';
import { walkBatches } from '../../../src/wire/index.js';
import { batch, clockAt, files, readAll, sequenced, values, world } from './hot-world.js';

describe('append and read', () => {
  it('gives batches offsets one after the other and the leader epoch', async () => {
    const { partition } = await world();
    expect(partition.append(batch({ count: 3 }), 1)).toEqual({
      baseOffset: 0,
      lastOffset: 2,
      isDuplicate: false,
      maxTimestampMs: 1000,
      logStartOffset: 0,
    });
    expect(partition.append(batch({ count: 2 }), 1)).toMatchObject({ baseOffset: 3, lastOffset: 4 });
    expect(partition.logEndOffset).toBe(5);
    expect(partition.highWatermark).toBe(5);
    expect(partition.lastStableOffset).toBe(5);
    expect(partition.leaderEpoch).toBe(0);
    const { chunks } = await partition.read(0, 1 << 20, { isMinOneBatch: true });
    expect(chunks).toHaveLength(1);
    expect((chunks[0] as Buffer).readInt32BE(12)).toBe(0);
    expect(values(await readAll(partition))).toEqual(['v0', 'v1', 'v2', 'v0', 'v1']);
  });

  it('begins with the batch that covers the offset', async () => {
    const { partition } = await world();
    for (let i = 0; i < 50; i++) partition.append(batch({ count: 10, valueBytes: 100 }), 1);
    for (const offset of [0, 1, 9, 10, 255, 499]) {
      const { chunks } = await partition.read(offset, 1 << 20, { isMinOneBatch: true });
      expect(Number((chunks[0] as Buffer).readBigInt64BE(0)), `offset ${offset}`).toBe(Math.floor(offset / 10) * 10);
    }
  });

  it('returns whole batches within the bytes asked for, and nothing at the end', async () => {
    const { partition } = await world();
    const bytes = batch({ valueBytes: 200 }).length;
    for (let i = 0; i < 10; i++) partition.append(batch({ valueBytes: 200 }), 1);
    const read = await partition.read(2, bytes * 3 + 10, { isMinOneBatch: true });
    expect(read.bytes).toBe(bytes * 3);
    expect((await partition.read(2, bytes - 1, { isMinOneBatch: false })).chunks).toEqual([]);
    expect((await partition.read(2, 1, { isMinOneBatch: true })).bytes).toBe(bytes);
    expect((await partition.read(10, 1000, { isMinOneBatch: true })).chunks).toEqual([]);
    expect((await partition.read(0, 1 << 20, { isMinOneBatch: true, endOffset: 4 })).bytes).toBe(bytes * 4);
  });

  it('says whether there was no room for what is behind it', async () => {
    const { partition } = await world({ segmentBytes: 2000 });
    const bytes = batch({ valueBytes: 200 }).length;
    for (let i = 0; i < 20; i++) partition.append(batch({ valueBytes: 200 }), 1);
    const isCut = async (maxBytes: number, endOffset = 20): Promise<boolean> =>
      (await partition.read(2, maxBytes, { isMinOneBatch: true, endOffset })).isCut;
    expect(await isCut(bytes * 18 - 1)).toBe(true);
    expect(await isCut(bytes * 18)).toBe(false);
    expect(await isCut(bytes * 18 + 1)).toBe(false);
    // Nobody may read what is behind the end.
    expect(await isCut(bytes * 3, 5)).toBe(false);
    expect(await isCut(bytes * 3 + 100, 5)).toBe(false);
    expect(await isCut(1)).toBe(true);
    expect(await isCut(1, 3)).toBe(false);
    expect(await partition.read(2, 10, { isMinOneBatch: false })).toEqual({ chunks: [], bytes: 0, isCut: true });
    expect(await partition.read(20, 10, { isMinOneBatch: false })).toMatchObject({ bytes: 0, isCut: false });
  });

  it('reads a batch larger than one read of the file', async () => {
    const { partition } = await world();
    const large = batch({ valueBytes: 9 << 20 });
    partition.append(batch(), 1);
    partition.append(large, 1);
    partition.append(batch(), 1);
    const read = await partition.read(0, 20 << 20, { isMinOneBatch: true });
    expect(read.bytes).toBe(large.length + 2 * batch().length);
    const positions: number[] = [];
    for (const chunk of read.chunks) expect(walkBatches(chunk, (at) => void positions.push(at))).toBe(chunk.length);
    expect(positions).toHaveLength(3);
  });

  it('reads nothing of the file twice within one answer', async () => {
    let reads: { readonly from: number; readonly to: number }[] = [];
    const disk: Disk = {
      ...systemDisk,
      read: (fd, into, at, length, position, callback) => {
        reads.push({ from: position, to: position + length });
        systemDisk.read(fd, into, at, length, position, callback);
      },
      readSync: (fd, into, at, length, position) => {
        reads.push({ from: position, to: position + length });
        return systemDisk.readSync(fd, into, at, length, position);
      },
    };
    const { partition } = await world({}, undefined, { disk });
    const bytes = batch({ valueBytes: 600 }).length;
    for (let i = 0; i < 10; i++) partition.append(batch({ valueBytes: 600 }), 1);
    const readsOf = async (maxBytes: number, isMinOneBatch: boolean, endOffset = 10): Promise<[bytes: number, reads: typeof reads]> => {
      reads = [];
      return [(await partition.read(0, maxBytes, { isMinOneBatch, endOffset })).bytes, reads];
    };
    const room = bytes * 3 + 200;
    expect(await readsOf(room, true)).toEqual([bytes * 3, [{ from: 0, to: room }]]);
    expect(await readsOf(room, true, 2)).toEqual([bytes * 2, [{ from: 0, to: room }]]);
    const tooSmall = bytes - 100;
    expect(await readsOf(tooSmall, false)).toEqual([0, [{ from: 0, to: tooSmall }]]);
    expect(await readsOf(tooSmall, true)).toEqual([
      bytes,
      [
        { from: 0, to: tooSmall },
        { from: tooSmall, to: bytes },
      ],
    ]);
  });

  it('goes on from one segment to the next', async () => {
    const { partition, dir } = await world({ segmentBytes: 2000 });
    for (let i = 0; i < 40; i++) partition.append(batch({ value: `value ${i}` }), 1);
    expect(partition.segmentCount).toBeGreaterThan(1);
    expect(await files(dir, '.log')).toHaveLength(partition.segmentCount);
    const expected = Array.from({ length: 40 }, (_none, i) => `value ${i}`);
    expect(values(await readAll(partition))).toEqual(expected);
    expect(values(await readAll(partition, 0, 100))).toEqual(expected);
  });

  it('refuses offsets it does not have', async () => {
    const { partition } = await world();
    partition.append(batch({ count: 3 }), 1);
    await expect(partition.read(4, 1, { isMinOneBatch: true })).rejects.toMatchObject({ code: 'offset-out-of-range' });
    await expect(partition.read(-1, 1, { isMinOneBatch: true })).rejects.toMatchObject({ code: 'offset-out-of-range' });
    await expect(partition.flush(4)).rejects.toMatchObject({ code: 'offset-out-of-range' });
  });

  it('rolls by age and when maintained', async () => {
    const { partition, log } = await world({ segmentMs: 1000 });
    partition.append(batch(), 10_000);
    partition.append(batch(), 10_999);
    expect(partition.segmentCount).toBe(1);
    partition.append(batch(), 11_000);
    expect(partition.segmentCount).toBe(2);
    await log.maintain(12_000, Number.POSITIVE_INFINITY);
    expect(partition.segmentCount).toBe(3);
    await log.maintain(99_000, Number.POSITIVE_INFINITY);
    expect(partition.segmentCount).toBe(3);
  });

  it('tells listeners of every append until they are removed', async () => {
    const { partition } = await world();
    let calls = 0;
    const remove = partition.onChange(() => calls++);
    partition.append(batch(), 1);
    partition.append(batch(), 1);
    expect(calls).toBe(2);
    remove();
    partition.append(batch(), 1);
    expect(calls).toBe(2);
  });

  it('refuses a batch that fills more than a segment', async () => {
    const { partition } = await world({ segmentBytes: 1000 });
    expect(() => partition.append(batch({ valueBytes: 2000 }), 1)).toThrow(expect.objectContaining({ code: 'record-list-too-large' }));
  });
});

describe('idempotent producers', () => {
  it('answers a retry with the offsets of the first time', async () => {
    const { partition } = await world();
    for (let i = 0; i < 6; i++) partition.append(sequenced(7n, i * 2, 2), 1);
    expect(partition.append(sequenced(7n, 10, 2), 1)).toEqual({
      baseOffset: 10,
      lastOffset: 11,
      isDuplicate: true,
      maxTimestampMs: 1000,
      logStartOffset: 0,
    });
    expect(partition.append(sequenced(7n, 2, 2), 1)).toMatchObject({ baseOffset: 2, isDuplicate: true });
    expect(partition.logEndOffset).toBe(12);
    expect(() => partition.append(sequenced(7n, 0, 2), 1)).toThrow(expect.objectContaining({ kafkaCode: 45 }));
  });

  it('takes the batches of a producer without an epoch in any order, and its first ones with an epoch, as Kafka does', async () => {
    const { partition } = await world();
    for (const [sequence, epoch] of [
      [0, -1],
      [7, -1],
      [3, -1],
      [9, 1],
    ] as const)
      partition.append(sequenced(5n, sequence, 1, epoch), 1);
    expect(() => partition.append(sequenced(5n, 11, 1, 1), 1)).toThrow(/sequence/);
    expect(partition.logEndOffset).toBe(4);
  });

  it('remembers the last five batches across a clean restart, also beyond the snapshot', async () => {
    const first = await world();
    for (let i = 0; i < 8; i++) {
      first.partition.append(sequenced(7n, i), 1);
      first.partition.append(sequenced(9n, i * 3, 3, 2), 1);
    }
    await first.log.close();
    const { partition } = await world({}, first.dir, { clock: clockAt(1) });
    for (let i = 3; i < 8; i++) {
      expect(partition.append(sequenced(7n, i), 1)).toMatchObject({ baseOffset: i * 4, isDuplicate: true });
      expect(partition.append(sequenced(9n, i * 3, 3, 2), 1)).toMatchObject({ baseOffset: i * 4 + 1, isDuplicate: true });
    }
    expect(() => partition.append(sequenced(7n, 2), 1)).toThrow(expect.objectContaining({ code: 'sequence-out-of-order' }));
    expect(() => partition.append(sequenced(9n, 24, 1, 1), 1)).toThrow(expect.objectContaining({ kafkaCode: 47 }));
    expect(partition.append(sequenced(7n, 8), 1)).toMatchObject({ isDuplicate: false });
  });

  it('forgets a producer that was silent for longer than its expiration', async () => {
    const clock = clockAt(1_000_000);
    const { partition, log } = await world({}, undefined, { producerIdExpirationMs: 5000, clock });
    partition.append(sequenced(7n, 0), 1_000_000);
    await log.maintain(1_004_999, Number.POSITIVE_INFINITY);
    expect(() => partition.append(sequenced(7n, 40), 1_004_999)).toThrow(expect.objectContaining({ kafkaCode: 45 }));
    await log.maintain(1_005_000, Number.POSITIVE_INFINITY);
    expect(partition.append(sequenced(7n, 40), 1_005_000)).toMatchObject({ isDuplicate: false });
  });
});
