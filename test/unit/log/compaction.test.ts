// Compaction of a partition as a broker sees it: what stays, when, and that readers, producers and starts do not mind.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LogConfig } from '../../../src/log/index.js';
import { finishSwaps } from '../../../src/log/compaction-swap.js';
import { OpenFiles } from '../../../src/log/segment-file.js';
import { IndexCache, Segment } from '../../../src/log/segment.js';
import { batchBaseOffset, batchLastOffset, batchRecordsCount, patchBatch, walkBatches } from '../../../src/wire/index.js';
import { bytesOf, compactedConfig, directCompactor, keyedBatch, leftIn, shown } from './compaction-world.js';
import { clockAt, copyOf, files, partitionFolder, temporaryFolder, topic, topicKey, world, type World } from './hot-world.js';

const never = new AbortController().signal;

interface Compacted extends World {
  readonly clock: { nowIs: number };
  readonly add: (texts: string, fields?: Parameters<typeof keyedBatch>[1]) => void;
  /** Ends the active segment. */
  readonly roll: () => Promise<void>;
  readonly compact: () => Promise<number>;
}

async function compacted(
  wishes: Partial<NonNullable<LogConfig['compaction']>> = {},
  config: Partial<LogConfig> = {},
  dir?: string,
): Promise<Compacted> {
  const clock = clockAt(10_000);
  const rules = { ...compactedConfig.compaction!, ...wishes };
  const whole = { ...compactedConfig, compaction: rules, ...config };
  const made = await world(whole, dir, { clock, compactor: directCompactor() });
  return {
    ...made,
    clock,
    add: (texts, fields) => void made.partition.append(keyedBatch(texts, fields), clock.nowIs),
    roll: async () => {
      await made.partition.flush();
      made.partition.updateConfig({ ...whole, segmentMs: 0 });
      await made.log.maintain(clock.nowIs, Number.MAX_SAFE_INTEGER);
      made.partition.updateConfig(whole);
      await made.partition.flush();
    },
    compact: async () => (await made.log.compact(clock.nowIs, never)).passes,
  };
}

function headersOf(bytes: Buffer): string[] {
  const found: string[] = [];
  walkBatches(
    bytes,
    (at) => void found.push(`${batchBaseOffset(bytes, at)}-${batchLastOffset(bytes, at)}:${batchRecordsCount(bytes, at)}`),
  );
  return found;
}

describe('compaction', () => {
  it('keeps the last of each key at its offset, and never touches the active segment', async () => {
    const { partition, add, roll, compact } = await compacted();
    add('a=1 b=1 a=2');
    add('c=1 b=2');
    await roll();
    add('a=3 a=4 b=3');
    expect(await compact()).toBe(1);
    expect(await shown(partition)).toBe('2:a=2 3:c=1 4:b=2 5:a=3 6:a=4 7:b=3');
    await roll();
    expect(await compact()).toBe(1);
    expect(await shown(partition)).toBe('3:c=1 6:a=4 7:b=3');
    expect([partition.logStartOffset, partition.logEndOffset]).toEqual([0, 8]);
    expect(await compact()).toBe(0);
  });

  it('keeps ranges of batches, merges segments, and leaves an empty batch where a segment ends with nothing', async () => {
    const { partition, dir, add, roll, compact } = await compacted();
    add('a=1 b=1');
    await roll();
    add('c=1 a=2');
    add('c=2');
    await roll();
    add('c=3 d=1');
    await roll();
    await compact();
    expect(headersOf(await bytesOf(partition))).toEqual(['0-1:1', '2-3:1', '5-6:2']);
    expect(partition.segmentCount).toBe(2);
    add('c=4 d=2');
    await roll();
    await compact();
    add('a=3 b=2 c=5 d=3');
    await roll();
    // The second segment is too large to be merged with now, and all of the first is old.
    partition.updateConfig({ ...compactedConfig, segmentBytes: 300 });
    await compact();
    expect(leftIn(await bytesOf(partition)).map(({ offset }) => offset)).toEqual([9, 10, 11, 12]);
    expect(headersOf(await bytesOf(partition))).toEqual(['7-8:0', '9-12:4']);
    expect(await shown(partition, 3)).toBe('9:a=3 10:b=2 11:c=5 12:d=3');
    expect((await files(dir, '.cleaned')).concat(await files(dir, '.swap'))).toEqual([]);
  });

  it('finds records by time where records are missing', async () => {
    const { partition, add, roll, compact } = await compacted();
    add('a=1', { timestampMs: 9000 });
    add('a=2 b=1', { timestampMs: 2000 });
    add('c=1', { timestampMs: 3000 });
    await roll();
    await compact();
    expect(await partition.maxTimestamp()).toMatchObject({ offset: 3, timestampMs: 3000 });
    expect(await partition.offsetForTimestamp(1000, 0)).toMatchObject({ offset: 1 });
    expect(await partition.offsetForTimestamp(2500, 0)).toMatchObject({ offset: 3 });
    expect(await partition.offsetForTimestamp(3001, 0)).toBeNull();
  });

  it('keeps a tombstone until its horizon, which is from the first compaction on', async () => {
    const { partition, clock, add, roll, compact } = await compacted({ deleteRetentionMs: 5000 });
    add('a=1 b=1', { timestampMs: 1 });
    add('a b=2', { timestampMs: 2, compression: 'gzip' });
    await roll();
    await compact();
    expect(await shown(partition)).toBe('2:a 3:b=2');
    // Timestamps are what they were, though the batch counts from its horizon now.
    expect(leftIn(await bytesOf(partition)).map(({ timestampMs }) => timestampMs)).toEqual([2, 2]);
    clock.nowIs += 4999;
    add('x=1');
    await roll();
    await compact();
    expect(await shown(partition)).toBe('2:a 3:b=2 4:x=1');
    clock.nowIs += 1;
    add('x=2');
    await roll();
    await compact();
    expect(await shown(partition)).toBe('3:b=2 5:x=2');
  });

  it('gives tombstones of append time a horizon too, and leaves their records’ bytes', async () => {
    const { partition, clock, add, roll, compact } = await compacted({ deleteRetentionMs: 5000 });
    const appended = { timestampType: 'log-append', maxTimestampMs: 7777 } as const;
    add('a=1 b=1 c=1', { timestampMs: 1, ...appended });
    add('a b=2', { timestampMs: 2, compression: 'gzip', ...appended });
    await roll();
    await compact();
    const left = await bytesOf(partition);
    expect(leftIn(left).map(({ key, timestampMs }) => [key, timestampMs])).toEqual([
      ['c', 7777],
      ['a', 7777],
      ['b', 7777],
    ]);
    expect(await partition.offsetForTimestamp(7777, 0)).toMatchObject({ offset: 2, timestampMs: 7777 });
    expect(await partition.maxTimestamp()).toMatchObject({ offset: 2, timestampMs: 7777 });
    clock.nowIs += 5000;
    add('x=1', appended);
    await roll();
    await compact();
    expect(await shown(partition)).toBe('2:c=1 4:b=2 5:x=1');
  });

  it('waits until enough is dirty, or until something waited for too long', async () => {
    const { partition, clock, add, roll, compact } = await compacted({ minDirtyRatio: 0.5, maxLagMs: 60_000 });
    for (let i = 0; i < 20; i++) add(`k${i}=1`);
    await roll();
    expect(await compact()).toBe(1);
    add('k0=2');
    await roll();
    expect(await compact()).toBe(0);
    clock.nowIs += 60_000;
    expect(await compact()).toBe(0);
    clock.nowIs += 1;
    expect(await compact()).toBe(1);
    expect((await shown(partition)).startsWith('1:k1=1 ')).toBe(true);
  });

  it('leaves segments with young records, but none for a record from the future', async () => {
    const { partition, clock, add, roll, compact } = await compacted({ minLagMs: 1000 });
    clock.nowIs = 100_000;
    add('a=1 a=2', { timestampMs: 50_000 });
    await roll();
    add('b=1 b=2', { timestampMs: 99_500 });
    await roll();
    add('c=1 c=2', { timestampMs: 7_000_000 });
    await roll();
    await compact();
    expect(await shown(partition)).toBe('1:a=2 2:b=1 3:b=2 4:c=1 5:c=2');
    clock.nowIs += 1001;
    await compact();
    expect(await shown(partition)).toBe('1:a=2 3:b=2 5:c=2');
  });

  it('takes several passes where there is no room for all keys', async () => {
    const clock = clockAt(10_000);
    const made = await world(compactedConfig, undefined, {
      clock,
      compactor: directCompactor(),
      compaction: { keyTableBytes: 24 * 10, bytesPerSecond: 1 },
    });
    for (let round = 0; round < 3; round++) for (let i = 0; i < 20; i++) made.partition.append(keyedBatch(`k${i}=${round}`), 10_000);
    await made.partition.flush();
    made.partition.updateConfig({ ...compactedConfig, segmentMs: 0 });
    await made.log.maintain(10_000, Number.MAX_SAFE_INTEGER);
    await made.partition.flush();
    expect((await made.log.compact(10_000, never)).passes).toBeGreaterThan(5);
    expect(leftIn(await bytesOf(made.partition)).map(({ offset }) => offset)).toEqual(Array.from({ length: 20 }, (_none, i) => 40 + i));
  });

  it('knows a producer by its last batch after the records are gone and the snapshots are lost', async () => {
    const first = await compacted();
    first.add('a=1', { producerId: 5n, producerEpoch: 0, baseSequence: 0 });
    first.add('a=2', { producerId: 5n, producerEpoch: 0, baseSequence: 1 });
    first.add('a=3');
    await first.roll();
    await first.compact();
    expect(await shown(first.partition)).toBe('2:a=3');
    expect(headersOf(await bytesOf(first.partition))).toEqual(['1-1:0', '2-2:1']);
    const copy = await copyOf(first.dir);
    for (const name of await files(copy, '.snapshot')) fs.rmSync(join(copy, partitionFolder, name));
    const { partition } = await compacted({}, {}, copy);
    const again = keyedBatch('a=2', { producerId: 5n, producerEpoch: 0, baseSequence: 1 });
    expect(partition.append(again, 10_000)).toMatchObject({ isDuplicate: true, baseOffset: 1 });
  });

  it('does not disturb a read that began before, and starts again with what it left', async () => {
    const { partition, log, dir, add, roll, compact } = await compacted();
    for (let i = 0; i < 50; i++) add(`a=${i} k${i}=0`);
    await roll();
    // In steps so small that places are remembered between them.
    expect(leftIn(await bytesOf(partition, 0, 70)).length).toBe(100);
    const reading = partition.read(0, 1 << 20, { isMinOneBatch: true });
    await compact();
    expect((await reading).bytes).toBeGreaterThan(50 * 61);
    const left = await shown(partition);
    expect(left.split(' ')).toHaveLength(51);
    // A place that was remembered before.
    expect(leftIn(await bytesOf(partition, 60, 70)).at(0)).toMatchObject({ offset: 61 });
    expect(leftIn(await bytesOf(partition, 0, 70)).length).toBe(51);
    for (const { offset } of leftIn(await bytesOf(partition)))
      expect(leftIn(await bytesOf(partition, offset)).find((one) => one.offset >= offset)).toMatchObject({ offset });
    const killed = await compacted({}, {}, await copyOf(dir));
    expect(await shown(killed.partition)).toBe(left);
    await log.close();
    const again = await compacted({}, {}, dir);
    expect(await shown(again.partition)).toBe(left);
    expect(await again.compact()).toBe(0);
  });

  it('goes on with a swap that a kill interrupted, and drops what was not whole', async () => {
    const { partition, dir, add, roll, compact } = await compacted();
    add('a=1 b=1');
    await roll();
    add('a=2 c=1');
    await roll();
    const before = join(await copyOf(dir), partitionFolder);
    await compact();
    const left = await shown(partition);
    const whole = fs.readFileSync(join(dir, partitionFolder, '00000000000000000000.log'));
    fs.writeFileSync(join(before, '00000000000000000000.log.swap'), whole);
    fs.writeFileSync(join(before, '00000000000000000002.log.cleaned'), 'half');
    const swapped = await compacted({}, {}, join(before, '..'));
    expect(swapped.partition.offline).toBeUndefined();
    expect(await shown(swapped.partition)).toBe(left);
    expect(swapped.partition.segmentCount).toBe(2);
  });

  it('removes the indexes of what a swap replaces, and of nothing else', async () => {
    const { dir, add, roll, compact } = await compacted();
    for (const value of [1, 2, 3]) {
      add(`a=${value} k${value}=1`);
      await roll();
    }
    const before = join(await copyOf(dir), partitionFolder);
    await compact();
    fs.copyFileSync(join(dir, partitionFolder, '00000000000000000000.log'), join(before, '00000000000000000000.log.swap'));
    const indexOf = (offset: number, suffix: string): string => `${String(offset).padStart(20, '0')}${suffix}`;
    const suffixes = ['.index', '.timeindex'];
    for (const offset of [0, 2, 4, 6]) for (const suffix of suffixes) fs.writeFileSync(join(before, indexOf(offset, suffix)), 'old');
    await finishSwaps(new OpenFiles(), before);
    const left = fs.readdirSync(before).filter((name) => /\.(log|index|timeindex|swap)$/.test(name));
    expect(left.sort()).toEqual(
      [0, 6]
        .map((offset) => indexOf(offset, '.log'))
        .concat(suffixes.map((suffix) => indexOf(6, suffix)))
        .sort(),
    );
  });

  it('never takes indexes of before a swap for those of the segment that came', async () => {
    const { partition, dir, log, clock, add, roll, compact } = await compacted({}, { indexIntervalBytes: 1 });
    for (let i = 0; i < 30; i++) add(`a=${i} k${i % 3}=${i} l${i}=1`);
    await roll();
    // Indexes are saved, and all is below the recovery point.
    await expect.poll(() => files(dir, '.index')).toContain('00000000000000000000.index');
    await log.maintain(clock.nowIs, Number.MAX_SAFE_INTEGER);
    const before = await copyOf(dir);
    await compact();
    const left = leftIn(await bytesOf(partition));
    const log0 = join(partitionFolder, '00000000000000000000.log');
    fs.copyFileSync(join(dir, log0), join(before, `${log0}.swap`));
    const swapped = await compacted({}, { indexIntervalBytes: 1 }, before);
    for (const { offset } of left)
      expect(leftIn(await bytesOf(swapped.partition, offset, 70)).find((one) => one.offset >= offset)).toMatchObject({ offset });
    expect(leftIn(await bytesOf(swapped.partition))).toEqual(left);
  });

  it('reads a segment that was replaced without the indexes that came with the other', async () => {
    const dir = await temporaryFolder();
    const ports = { openFiles: new OpenFiles(), indexCache: new IndexCache() };
    const old = Segment.createSync(dir, 0, ports, { nowMs: 1, indexIntervalBytes: 1 });
    old.file.retain();
    for (let offset = 0; offset < 20; offset++) {
      const batch = keyedBatch(`k${offset}=${'x'.repeat(offset)}`);
      patchBatch(batch, 0, offset, 0);
      const position = old.bytes;
      old.file.appendSync(batch);
      old.note(position, batch.length, offset, 1000, 1);
    }
    old.seal();
    const write = async (path: string, bytes: Uint8Array): Promise<void> => fs.writeFileSync(path, bytes);
    await old.saveIndexes(write);
    const position = await old.locate(17);
    old.dropIndexes();
    await old.beginReplacement();
    const index = join(dir, '00000000000000000000.index');
    const wrong = fs.readFileSync(index);
    for (let at = 0; at < wrong.length; at += 8) wrong.writeInt32BE(wrong.readInt32BE(at + 4) + 1, at + 4);
    fs.writeFileSync(index, wrong);
    expect(await old.locate(17)).toBe(position);
    old.file.giveUp();
    old.file.release();
  });

  it('says a swap that is damaged is damage', async () => {
    const { dir, add, roll } = await compacted();
    add('a=1 b=1');
    await roll();
    const copy = await copyOf(dir);
    const folder = join(copy, partitionFolder);
    const bytes = fs.readFileSync(join(folder, '00000000000000000000.log'));
    bytes[70] = bytes[70]! ^ 1;
    fs.writeFileSync(join(folder, '00000000000000000000.log.swap'), bytes);
    const { partition } = await compacted({}, {}, copy);
    expect(partition.offline).toMatchObject({ code: 'log-damaged' });
    expect(fs.readdirSync(folder)).toContain('00000000000000000000.log.swap');
  });

  it('takes a partition with a damaged segment offline as it is, and the others have their turn', async () => {
    const { partition, log, dir, add, roll, compact } = await compacted();
    const [other] = await log.createPartitions(topic, topicKey, [1], compactedConfig);
    other.append(keyedBatch('x=1 x=2'), 1);
    add('a=1 a=2');
    await roll();
    const path = join(dir, partitionFolder, '00000000000000000000.log');
    const bytes = fs.readFileSync(path);
    bytes[70] = bytes[70]! ^ 1;
    fs.writeFileSync(path, bytes);
    other.updateConfig({ ...compactedConfig, segmentMs: 0 });
    await other.flush();
    await log.maintain(10_000, Number.MAX_SAFE_INTEGER);
    await other.flush();
    await compact();
    expect(await shown(other)).toBe('1:x=2');
    expect(partition.offline).toMatchObject({ code: 'log-damaged', hint: expect.stringContaining('Restore the file') as string });
    expect(() => partition.append(keyedBatch('a=3'), 1)).toThrow(expect.objectContaining({ code: 'log-damaged' }));
    expect(fs.readFileSync(path)).toEqual(bytes);
    expect(other.offline).toBeUndefined();
  });

  it('does not make the age of records young again: retention counts from their append, over compactions and starts', async () => {
    const future = { timestampMs: Date.UTC(2200, 0, 1) };
    const { log, dir, clock, add, roll, compact } = await compacted();
    add('a=1 b=1', future);
    await roll();
    clock.nowIs += 1000;
    add('a=2', future);
    await roll();
    clock.nowIs += 5000;
    expect(await compact()).toBe(1);
    await log.close();
    const later = { clock: clockAt(16_000), compactor: directCompactor() };
    const again = await world({ ...compactedConfig, retentionMs: 5000 }, dir, later);
    await again.log.maintain(16_000, Number.MAX_SAFE_INTEGER);
    expect(await shown(again.partition)).toBe('1:b=1 2:a=2');
    await again.log.maintain(16_001, Number.MAX_SAFE_INTEGER);
    expect(again.partition.logStartOffset).toBe(3);
  });

  it('goes by retention too where both are asked for, and stops where a topic is not compacted any more', async () => {
    const { partition, log, clock, add, roll, compact } = await compacted({}, { retentionMs: 5000 });
    add('a=1 b=1', { timestampMs: 9000 });
    await roll();
    add('a=2', { timestampMs: 12_000 });
    await roll();
    await compact();
    clock.nowIs = 14_500;
    partition.updateConfig({ ...compactedConfig, retentionMs: 5000 });
    add('c=1', { timestampMs: 14_500 });
    await roll();
    partition.updateConfig({ ...compactedConfig, compaction: undefined, retentionMs: -1 });
    expect(await compact()).toBe(0);
    partition.updateConfig({ ...compactedConfig, retentionMs: 1000 });
    clock.nowIs = 15_000;
    await log.maintain(clock.nowIs, Number.MAX_SAFE_INTEGER);
    expect(partition.logStartOffset).toBe(3);
    expect(await shown(partition)).toBe('3:c=1');
  });

  it('compacts in a thread of its own, and ends when it is told to', async () => {
    const clock = clockAt(10_000);
    const dir = join(await temporaryFolder(), 'log');
    const { log, partition } = await world(compactedConfig, dir, {
      clock,
      compaction: { keyTableBytes: 1 << 20, bytesPerSecond: 1 << 30 },
    });
    for (let i = 0; i < 200; i++) partition.append(keyedBatch(`a=${i} k${i % 7}=${i}`), 10_000);
    await partition.flush();
    partition.updateConfig({ ...compactedConfig, segmentMs: 0 });
    await log.maintain(10_000, Number.MAX_SAFE_INTEGER);
    await partition.flush();
    const told = new AbortController();
    const ended = log.compact(10_000, told.signal);
    told.abort(new Error('enough'));
    await expect(ended).rejects.toThrow('enough');
    expect(partition.offline).toBeUndefined();
    expect(await log.compact(10_000, never)).toMatchObject({ passes: 1, droppedRecords: 392 });
    expect(leftIn(await bytesOf(partition))).toHaveLength(8);
  });
});
