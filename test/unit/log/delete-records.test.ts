import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PartitionLog } from '../../../src/log/index.js';
import {
  batch,
  clockAt,
  copyOf,
  files,
  looseConfig,
  openIn,
  partitionFolder,
  readAll,
  state,
  topic,
  topicKey,
  world,
} from './hot-world.js';

const endless = Number.POSITIVE_INFINITY;

function fill(partition: PartitionLog, count: number): void {
  for (let i = 0; i < count; i++) partition.append(batch({ value: `value ${String(i).padStart(4, '0')}` }), 1);
}

describe('deleting records', () => {
  it('is on disk when it is answered, with all that lies below it, and is there after a kill', async () => {
    const { dir, partition } = await world({ segmentBytes: 800 });
    fill(partition, 100);
    expect(await partition.raiseLogStart(47)).toBe(47);
    expect(partition.flushedOffset).toBeGreaterThanOrEqual(47);
    expect(await fs.readFile(join(dir, 'log-start-offset-checkpoint'), 'utf8')).toBe('0\n1\nflights 0 47\n');
    expect(state(partition)).toMatchObject({ logStartOffset: 47, localStartOffset: 47, boundary: 47 });
    await expect(partition.read(46, 1000, { isMinOneBatch: true })).rejects.toMatchObject({ code: 'offset-out-of-range' });
    const again = (await openIn(await copyOf(dir))).partition(topic, 0) as PartitionLog;
    expect(state(again)).toMatchObject({ logStartOffset: 47, localStartOffset: 47, offline: undefined });
    expect((await readAll(again)).at(0)).toMatchObject({ offset: 47 });
  });

  it('moves the begin of the leader epoch that covers the log start, also across a restart', async () => {
    const { dir, partition } = await world();
    fill(partition, 20);
    await partition.raiseLogStart(12);
    expect(partition.endOfEpoch(-2)).toEqual({ epoch: -2, endOffset: 12 });
    const copy = await copyOf(dir);
    // As a kill leaves it before the epochs were written anew.
    await fs.writeFile(join(copy, partitionFolder, 'leader-epoch-checkpoint'), '0\n1\n0 0\n');
    const again = (await openIn(copy)).partition(topic, 0) as PartitionLog;
    expect(again.endOfEpoch(-2)).toEqual({ epoch: -2, endOffset: 12 });
    expect(again.epochForOffset(12)).toBe(0);
  });

  it('never goes back, and is refused above the high watermark', async () => {
    const { partition } = await world();
    fill(partition, 20);
    expect(await partition.raiseLogStart(12)).toBe(12);
    expect(await partition.raiseLogStart(5)).toBe(12);
    await expect(partition.raiseLogStart(21)).rejects.toMatchObject({ code: 'offset-out-of-range' });
    expect(await Promise.all([partition.raiseLogStart(15), partition.raiseLogStart(13), partition.raiseLogStart(14)])).toEqual([
      15, 15, 15,
    ]);
    expect(await partition.raiseLogStart(20)).toBe(20);
  });

  it('gives back the disk of whole segments, tiered or not, below the boundary or above it', async () => {
    for (const isTiered of [true, false]) {
      const { dir, log, partition } = await world({ segmentBytes: 800, isTiered });
      fill(partition, 100);
      await partition.flush();
      if (isTiered) await partition.moveBoundary(20, 0);
      await partition.raiseLogStart(55);
      await log.maintain(1, endless);
      const [first = ''] = (await files(dir, '.log')).sort();
      expect(Number.parseInt(first, 10)).toBeGreaterThan(40);
      expect(Number.parseInt(first, 10)).toBeLessThanOrEqual(55);
      expect(await readAll(partition)).toHaveLength(45);
      await partition.raiseLogStart(100);
      await log.maintain(1, endless);
      expect(state(partition)).toMatchObject({ hotBytes: 0, segmentCount: 1, logStartOffset: 100, logEndOffset: 100 });
      fill(partition, 1);
      expect(await readAll(partition)).toEqual([{ offset: 100, value: 'value 0000' }]);
      await log.close();
      const again = (await openIn(dir, { clock: clockAt(1) })).partition(topic, 0) as PartitionLog;
      expect(state(again)).toMatchObject({ logStartOffset: 100, logEndOffset: 101, offline: undefined });
    }
  });

  it('leaves a log that opens whichever of the segments below it a kill has left', async () => {
    const { dir, partition } = await world({ segmentBytes: 400 });
    fill(partition, 60);
    await partition.raiseLogStart(50);
    const logs = (await files(dir, '.log')).sort();
    for (let gone = 0; gone < logs.length - 2; gone++) {
      const copy = await copyOf(dir);
      for (const name of logs.slice(0, gone)) await fs.rm(join(copy, partitionFolder, name));
      const again = (await openIn(copy)).partition(topic, 0) as PartitionLog;
      expect(state(again)).toMatchObject({ logStartOffset: 50, logEndOffset: 60, offline: undefined });
      expect(await readAll(again)).toHaveLength(10);
    }
  });

  it('does not outlive its partition: one made anew under the name begins at 0, also after a kill', async () => {
    const { dir, log, partition } = await world();
    fill(partition, 20);
    await partition.flush();
    const flush = partition.flush.bind(partition);
    let goOn = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    Object.assign(partition, { flush: (upTo: number) => flush(upTo).then((flushed) => held.then(() => flushed)) });
    const raised = partition.raiseLogStart(15);
    await log.deletePartitions(topic, [0]);
    const [fresh] = await log.createPartitions(topic, topicKey, [0], looseConfig);
    goOn();
    await expect(raised).rejects.toMatchObject({ code: 'partition-unknown' });
    fill(fresh, 3);
    await fresh.flush();
    const again = (await openIn(await copyOf(dir))).partition(topic, 0) as PartitionLog;
    expect(state(again)).toMatchObject({ logStartOffset: 0, logEndOffset: 3 });
  });
});

describe('the bytes at or above the boundary', () => {
  it('are whole segments, and of the one that it falls into its share', async () => {
    const { partition } = await world({ segmentBytes: 800 });
    fill(partition, 100);
    await partition.flush();
    expect(partition.tailBytes).toBe(partition.hotBytes);
    const bytesEach = partition.hotBytes / 100;
    await partition.moveBoundary(33, 0);
    expect(partition.tailBytes).toBeCloseTo(67 * bytesEach, -1);
    await partition.moveBoundary(100, 0);
    expect(partition.tailBytes).toBe(0);
  });
});
