import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { isLakeError, systemDisk } from '../../../src/kernel/index.js';
import type { PartitionLog } from '../../../src/log/index.js';
import {
  batch,
  clockAt,
  copyOf,
  files,
  looseConfig,
  openIn,
  readAll,
  state,
  temporaryFolder,
  topic,
  topicKey,
  values,
  world,
} from './hot-world.js';

const endless = Number.POSITIVE_INFINITY;

function fill(partition: PartitionLog, count: number, timestampMs = 1000, nowMs = 1): void {
  for (let i = 0; i < count; i++) partition.append(batch({ value: `value ${String(i).padStart(4, '0')}`, timestampMs }), nowMs);
}

describe('the boundary', () => {
  it('is durable when it resolves, never goes back, and is there after a kill', async () => {
    const { dir, partition } = await world();
    fill(partition, 20);
    await partition.flush();
    await partition.moveBoundary(12, 3);
    expect(state(partition)).toMatchObject({ boundary: 12, logStartOffset: 3, localStartOffset: 3 });
    expect(await fs.readFile(join(dir, 'boundary-checkpoint'), 'utf8')).toBe('0\n1\nflights 0 12\n');
    expect(await fs.readFile(join(dir, 'log-start-offset-checkpoint'), 'utf8')).toBe('0\n1\nflights 0 3\n');
    await partition.moveBoundary(8, 1);
    expect(state(partition)).toMatchObject({ boundary: 12, logStartOffset: 3 });
    const again = (await openIn(await copyOf(dir))).partition(topic, 0);
    expect(state(again)).toMatchObject({ boundary: 12, logStartOffset: 3, logEndOffset: 20 });
  });

  it('above the flushed end is an alarm and moves nothing', async () => {
    const { partition } = await world();
    fill(partition, 20);
    await partition.flush(20);
    fill(partition, 5);
    await expect(partition.moveBoundary(21, 0)).rejects.toMatchObject({ code: 'log-damaged' });
    await expect(partition.moveBoundary(10, 11)).rejects.toMatchObject({ code: 'message-invalid' });
    expect(partition.boundary).toBe(0);
  });

  it('of many partitions at once is written for all of them', async () => {
    const { dir, log } = await world();
    const partitions = await log.createPartitions(topic, topicKey, [1, 2, 3, 4, 5], looseConfig);
    for (const partition of partitions) fill(partition, 10);
    await Promise.all(partitions.map((partition) => partition.flush()));
    await Promise.all(partitions.flatMap((partition, i) => [partition.moveBoundary(i + 1, 0), partition.moveBoundary(i + 2, 0)]));
    const again = await openIn(await copyOf(dir));
    expect(partitions.map(({ partition }) => again.partition(topic, partition)?.boundary)).toEqual([2, 3, 4, 5, 6]);
  });
});

describe('eviction', () => {
  it('right after a roll leaves no index of the segment behind', async () => {
    const { dir, log, partition } = await world();
    for (let round = 1; round <= 5; round++) {
      fill(partition, 20);
      await partition.flush();
      await partition.moveBoundary(round * 20, 0);
      await log.evictAll([partition]);
    }
    await log.close();
    expect(await files(dir, '.index')).toEqual((await files(dir, '.log')).map((name) => name.replace('.log', '.index')));
    expect(await files(dir, '.log')).toHaveLength(1);
  });

  it('takes only whole segments below the boundary', async () => {
    const { dir, log, partition } = await world({ segmentBytes: 800, localRetentionBytes: 0 });
    fill(partition, 100);
    await partition.flush();
    const before = await files(dir, '.log');
    expect(await log.maintain(1, endless)).toEqual({ segments: 0, bytes: 0 });
    await partition.moveBoundary(Number.parseInt(before[3] as string, 10) + 1, 0);
    const evicted = await log.maintain(1, endless);
    expect(evicted.segments).toBe(3);
    expect(await files(dir, '.log')).toEqual(before.slice(3));
    expect(state(partition)).toMatchObject({
      localStartOffset: Number.parseInt(before[3] as string, 10),
      logStartOffset: 0,
      segmentCount: before.length - 3,
    });
    await expect(partition.read(0, 1, { isMinOneBatch: true })).rejects.toMatchObject({ code: 'offset-out-of-range' });
    expect(await readAll(partition)).toHaveLength(100 - partition.localStartOffset);
    expect((await files(dir)).filter((name) => name.endsWith('.deleted'))).toEqual([]);
    const again = (await openIn(await copyOf(dir))).partition(topic, 0);
    expect(state(again)).toMatchObject({
      localStartOffset: partition.localStartOffset,
      logEndOffset: 100,
      logStartOffset: 0,
      offline: undefined,
    });
  });

  it('keeps what local.retention.* says', async () => {
    const { log, partition } = await world({ segmentBytes: 800, localRetentionMs: 5000 });
    fill(partition, 50, 10_000, 10_000);
    fill(partition, 50, 20_000, 20_000);
    await partition.flush();
    await partition.moveBoundary(100, 0);
    await log.maintain(15_000, endless);
    expect(partition.localStartOffset).toBe(0);
    await log.maintain(15_001, endless);
    expect((await readAll(partition))[0]?.offset).toBeGreaterThanOrEqual(40);
    expect(partition.localStartOffset).toBeLessThanOrEqual(50);
    await log.maintain(25_001, endless);
    expect(state(partition)).toMatchObject({ localStartOffset: 100, segmentCount: 1, hotBytes: 0 });
    partition.append(batch({ value: 'next' }), 1);
    expect(values(await readAll(partition))).toEqual(['next']);
  });

  it('takes the oldest of all partitions first when the disk is short', async () => {
    const { log, partition: old } = await world({ segmentBytes: 800 });
    const [recent] = await log.createPartitions(topic, topicKey, [1], { ...looseConfig, segmentBytes: 800 });
    for (let i = 0; i < 60; i++) {
      old.append(batch({ value: `value ${i}` }), 1000 + i);
      recent.append(batch({ value: `value ${i}` }), 2000 + i);
    }
    await Promise.all([old.flush(), recent.flush()]);
    await Promise.all([old.moveBoundary(60, 0), recent.moveBoundary(60, 0)]);
    const target = recent.hotBytes + old.hotBytes / 2;
    await log.maintain(3000, target);
    expect(log.hotBytes).toBeLessThanOrEqual(target);
    expect(old.localStartOffset).toBeGreaterThan(0);
    expect(recent.localStartOffset).toBe(0);
    await log.maintain(3000, 0);
    expect([old.segmentCount, recent.segmentCount]).toEqual([1, 1]);
  });

  it('keeps a segment that the boundary lies in, however short the disk is', async () => {
    const { dir, log, partition } = await world({ segmentBytes: 800 });
    fill(partition, 100);
    await partition.flush();
    const bases = (await files(dir, '.log')).map((name) => Number.parseInt(name, 10));
    await partition.moveBoundary((bases[4] as number) - 1, 0);
    await log.maintain(1, 0);
    expect(partition.localStartOffset).toBe(bases[3]);
    await partition.moveBoundary(bases[4] as number, 0);
    await log.maintain(1, 0);
    expect(partition.localStartOffset).toBe(bases[4]);
  });

  it('of everything rolls the active segment and leaves nothing below the boundary', async () => {
    const { log, partition } = await world();
    fill(partition, 30);
    await partition.flush();
    await partition.moveBoundary(30, 0);
    expect((await log.evictAll([partition])).segments).toBe(1);
    expect(state(partition)).toMatchObject({ hotBytes: 0, localStartOffset: 30, logEndOffset: 30 });
    expect((await log.evictAll([partition])).segments).toBe(0);
    fill(partition, 3);
    expect((await log.evictAll([partition])).segments).toBe(0);
    expect(await readAll(partition)).toHaveLength(3);
  });

  it('does not disturb reads of what it takes', async () => {
    const { log, partition } = await world({ segmentBytes: 4000, indexIntervalBytes: 100 });
    fill(partition, 400);
    await partition.flush();
    await partition.moveBoundary(400, 0);
    const reads = Array.from({ length: 40 }, (_none, i) => partition.read(i * 10, 3000, { isMinOneBatch: true }));
    const lookups = [partition.offsetForTimestamp(1000, 0), partition.maxTimestamp()];
    await log.evictAll([partition]);
    for (const [i, read] of (await Promise.all(reads)).entries()) {
      expect(Number((read.chunks[0] as Buffer).readBigInt64BE(0))).toBe(i * 10);
      expect(read.bytes).toBeGreaterThan(0);
    }
    await Promise.all(lookups);
    expect(partition.hotBytes).toBe(0);
  });
});

describe('retention of a topic that is not tiered', () => {
  it('drops whole segments by time, and the log start moves before they go', async () => {
    const { dir, log, partition } = await world({ segmentBytes: 800, isTiered: false, retentionMs: 5000 });
    fill(partition, 50, 10_000, 10_000);
    fill(partition, 50, 20_000, 20_000);
    await partition.flush();
    await log.maintain(15_001, endless);
    const start = partition.logStartOffset;
    expect(start).toBeGreaterThanOrEqual(40);
    expect(start).toBeLessThanOrEqual(50);
    expect(state(partition)).toMatchObject({ localStartOffset: start, boundary: start });
    expect(await fs.readFile(join(dir, 'log-start-offset-checkpoint'), 'utf8')).toBe(`0\n1\nflights 0 ${start}\n`);
    await log.maintain(25_001, endless);
    expect(state(partition)).toMatchObject({ logStartOffset: 100, hotBytes: 0 });
    await log.close();
    expect(state((await openIn(dir, { clock: clockAt(1) })).partition(topic, 0))).toMatchObject({
      logStartOffset: 100,
      logEndOffset: 100,
      offline: undefined,
    });
  });

  it('counts a record from the future from the time it was appended, so that nothing behind it stays for ever', async () => {
    const { log, partition } = await world({ segmentBytes: 800, isTiered: false, retentionMs: 5000 });
    fill(partition, 20, 10_000, 10_000);
    fill(partition, 1, Date.UTC(2200, 0, 1), 10_000);
    fill(partition, 20, 10_000, 10_000);
    fill(partition, 50, 20_000, 20_000);
    await partition.flush();
    await log.maintain(15_001, endless);
    expect(partition.logStartOffset).toBeGreaterThanOrEqual(30);
    await log.maintain(25_001, endless);
    expect(partition.logStartOffset).toBe(91);
  });

  it('evicts local copies of a record from the future by when it was appended too', async () => {
    const { log, partition } = await world({ segmentBytes: 800, localRetentionMs: 5000 });
    fill(partition, 20, Date.UTC(2200, 0, 1), 10_000);
    fill(partition, 20, 20_000, 20_000);
    await partition.flush();
    await partition.moveBoundary(40, 0);
    await log.maintain(15_000, endless);
    expect(partition.localStartOffset).toBe(0);
    await log.maintain(15_001, endless);
    expect(partition.localStartOffset).toBeGreaterThanOrEqual(15);
  });

  it('drops by size and never more than leaves the size asked for', async () => {
    const { log, partition } = await world({ segmentBytes: 800, isTiered: false, retentionBytes: 3000 });
    fill(partition, 100);
    await partition.flush();
    await log.maintain(1, 0);
    expect(partition.hotBytes).toBeGreaterThanOrEqual(3000);
    expect(partition.hotBytes).toBeLessThan(3800);
  });

  it('does not begin before the configuration is known', async () => {
    const { dir, log, partition } = await world({ segmentBytes: 800, isTiered: false, retentionMs: 1 });
    fill(partition, 50, 10_000, 10_000);
    await log.close();
    const again = await openIn(dir, { clock: clockAt(1) });
    await again.maintain(99_999, 0);
    expect(again.partition(topic, 0)?.logStartOffset).toBe(0);
  });
});

describe('partitions', () => {
  it('are removed with everything that was noted of them', async () => {
    const { dir, log, partition } = await world();
    fill(partition, 10);
    await partition.flush();
    await partition.moveBoundary(10, 5);
    await log.deletePartitions(topic, [0]);
    expect(log.partition(topic, 0)).toBeUndefined();
    expect(() => partition.append(batch(), 1)).toThrow(expect.objectContaining({ kafkaCode: 3 }));
    expect((await fs.readdir(dir)).filter((name) => name.startsWith('flights'))).toEqual([]);
    const [fresh] = await log.createPartitions(topic, topicKey, [0], looseConfig);
    expect(state(fresh)).toMatchObject({ boundary: 0, logStartOffset: 0, logEndOffset: 0 });
  });

  it('of another topic id are not taken for the same', async () => {
    const { log } = await world();
    const other = 'AAAAAAAAAAAAAAAAAAAAAQ' as typeof topicKey;
    await expect(log.createPartitions(topic, other, [0], looseConfig)).rejects.toMatchObject({ code: 'topic-exists' });
    expect((await log.createPartitions(topic, topicKey, [0], looseConfig))[0]).toBe(log.partition(topic, 0));
  });

  it('are made and deleted together, and those beside one that fails are there', async () => {
    const { dir, log } = await world();
    const other = 'AAAAAAAAAAAAAAAAAAAAAQ' as typeof topicKey;
    await expect(log.createPartitions(topic, other, [1, 0, 2, 3], looseConfig)).rejects.toMatchObject({ code: 'topic-exists' });
    expect([...log.partitions.keys()].sort()).toEqual(['flights-0', 'flights-1', 'flights-2', 'flights-3']);
    const made = await log.createPartitions(topic, other, [3, 2, 1], looseConfig);
    expect(made.map(({ partition, topicId }) => [partition, topicId])).toEqual([
      [3, other],
      [2, other],
      [1, other],
    ]);
    await log.deletePartitions(topic, [1, 2, 3, 7]);
    expect([...log.partitions.keys()]).toEqual(['flights-0']);
    expect((await fs.readdir(dir)).filter((name) => name.startsWith('flights'))).toEqual(['flights-0']);
  });

  it('with the longest names of topics can be made and deleted', async () => {
    const log = await openIn(join(await temporaryFolder(), 'log'));
    const long = 'x'.repeat(249) as typeof topic;
    await log.createPartitions(long, topicKey, [12], looseConfig);
    await log.deletePartitions(long, [12]);
    expect(log.partitions.size).toBe(0);
  });

  it('are made, rolled and deleted without waiting for the disk on the thread that answers', async () => {
    const disk = { ...systemDisk };
    const { log, partition } = await world({ segmentBytes: 300 }, undefined, { disk });
    const refuse = (): never => {
      throw new Error('an fsync on the thread that answers');
    };
    Object.assign(disk, { fsyncSync: refuse, fdatasyncSync: refuse });
    const [other] = await log.createPartitions(topic, topicKey, [1], looseConfig);
    other.append(batch(), 1);
    await other.flush();
    fill(partition, 20);
    await partition.flush();
    await partition.moveBoundary(10, 0);
    await log.evictAll([partition]);
    await log.deletePartitions(topic, [1]);
  });

  it('that are deleted or closed while they are read end the read with an error, also where it goes on to the next segment', async () => {
    for (const end of ['delete', 'close'] as const) {
      const { dir, log, partition } = await world({ segmentBytes: 300 });
      for (let i = 0; i < 30; i++) partition.append(batch({ timestampMs: 1000 + i, valueBytes: 200 }), 1);
      // Saving indexes would hold up the end until the reads are over.
      await vi.waitFor(async () => expect(await files(dir, '.timeindex')).toHaveLength(partition.segmentCount - 1), { timeout: 20_000 });
      const read = partition.read(0, 1 << 20, { isMinOneBatch: true });
      const lookup = partition.offsetForTimestamp(1029, 0);
      const ended = end === 'delete' ? log.deletePartitions(topic, [0]) : log.close();
      for (const reader of [read, lookup]) {
        const outcome = await reader.then(
          () => 'done',
          (error: unknown) => (isLakeError(error) ? error.code : String(error)),
        );
        expect(['done', 'partition-unknown', 'log-offline']).toContain(outcome);
      }
      await ended;
    }
  });
});
